// SPDX-License-Identifier: GPL-2.0
/* Each operation, on a map whose type user space chooses. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_common.h"

#define ENTRIES 64
#define MAX_HOLD (10000 * NSEC_PER_MSEC)

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	__u64 cookie;
};

#define TIMERS(_tag, _type)			\
	struct _tag {				\
		__uint(type, _type);		\
		__uint(max_entries, ENTRIES);	\
		__type(key, __u32);		\
		__type(value, struct elem);	\
	}

/* Its type is set before this is loaded. */
TIMERS(hash, BPF_MAP_TYPE_HASH) timers SEC(".maps");
TIMERS(array, BPF_MAP_TYPE_ARRAY);

#define OUTER(_type, _inner)			\
	struct {				\
		__uint(type, _type);		\
		__uint(max_entries, 1);		\
		__type(key, __u32);		\
		__array(values, struct _inner);	\
	}

OUTER(BPF_MAP_TYPE_ARRAY_OF_MAPS, hash) hash_in_array SEC(".maps");
OUTER(BPF_MAP_TYPE_HASH_OF_MAPS, array) array_in_hash SEC(".maps");

struct locked_elem {
	struct bpf_timer timer;
	struct bpf_spin_lock lock;
	__u64 cookie;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENTRIES);
	__type(key, __u32);
	__type(value, struct locked_elem);
} locked SEC(".maps");

/* Through which outer map the timers are reached, if any. */
const volatile bool in_array;
const volatile bool in_hash;

/* What user space asks for, and what it gets. */
__u32 key;
__u64 nsecs;
__u64 flags;
long ret;

/* What the last callback was given. */
__u64 runs;
__u32 seen_map_id;
__u32 seen_key;
__u64 seen_cookie;
bool seen_value_of_key;

/* A callback that runs until it is released, and then starts its timer once more. */
bool held;
bool release;
bool ended;
long restarted;

static int note(struct bpf_map *map, __u32 *key, struct elem *value)
{
	seen_map_id = map->id;
	seen_key = *key;
	seen_cookie = value->cookie;
	seen_value_of_key = bpf_map_lookup_elem(map, key) == value;
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

static int note_locked(struct bpf_map *map, __u32 *key, struct locked_elem *value)
{
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

static int repeat(struct bpf_map *map, __u32 *key, struct elem *value)
{
	__sync_fetch_and_add(&runs, 1);
	bpf_timer_start(&value->timer, NSEC_PER_MSEC, 0);
	return 0;
}

/* BPF_MAX_LOOPS, which is as far as one loop goes, is about a second. */
static bool is_released_before(__u64 end)
{
	int i;

	bpf_for(i, 0, BPF_MAX_LOOPS)
		if (*(volatile bool *)&release || bpf_ktime_get_ns() > end)
			return true;
	return false;
}

static int hold(struct bpf_map *map, __u32 *key, struct elem *value)
{
	__u64 end = bpf_ktime_get_ns() + MAX_HOLD;
	int i;

	held = true;
	bpf_for(i, 0, BPF_MAX_LOOPS)
		if (is_released_before(end))
			break;
	restarted = bpf_timer_start(&value->timer, 0, 0);
	__sync_fetch_and_add(&runs, 1);
	ended = true;
	return 0;
}

static __always_inline void *find_map(void)
{
	__u32 zero = 0;

	if (in_array)
		return bpf_map_lookup_elem(&hash_in_array, &zero);
	if (in_hash)
		return bpf_map_lookup_elem(&array_in_hash, &zero);
	return &timers;
}

#define OPERATION(_name, _op)						\
	SEC("syscall")							\
	int _name(void *ctx)						\
	{								\
		struct elem *value;					\
		void *map = find_map();					\
									\
		if (!map)						\
			return 1;					\
		value = bpf_map_lookup_elem(map, &key);			\
		if (!value)						\
			return 2;					\
		ret = _op;						\
		return 0;						\
	}

OPERATION(init, bpf_timer_init(&value->timer, map, flags))
OPERATION(set_callback, bpf_timer_set_callback(&value->timer, note))
OPERATION(start, bpf_timer_start(&value->timer, nsecs, flags))
OPERATION(cancel, bpf_timer_cancel(&value->timer))
OPERATION(cancel_async, bpf_timer_cancel_async(&value->timer))
OPERATION(delete, bpf_map_delete_elem(map, &key))

SEC("syscall")
int update(void *ctx)
{
	struct elem new = {};
	void *map = find_map();

	if (!map)
		return 1;
	ret = bpf_map_update_elem(map, &key, &new, BPF_EXIST);
	return 0;
}

/* More elements than there is room for, in use so that the others are evicted. */
SEC("syscall")
int crowd_out(void *ctx)
{
	struct elem new = {};
	__u32 i, other;

	bpf_for(i, 0, 16 * ENTRIES) {
		other = key + 1 + i;
		bpf_map_update_elem(&timers, &other, &new, BPF_NOEXIST);
		bpf_map_lookup_elem(&timers, &other);
	}
	return 0;
}

#define ARM(_callback)							\
	(bpf_timer_init(&value->timer, map, CLOCK_MONOTONIC) ?:		\
	 bpf_timer_set_callback(&value->timer, _callback) ?:		\
	 bpf_timer_start(&value->timer, nsecs, flags))

OPERATION(arm, ARM(note))
OPERATION(arm_repeat, ARM(repeat))
OPERATION(arm_hold, ARM(hold))

SEC("syscall")
int arm_locked(void *ctx)
{
	struct locked_elem *value;
	void *map = &locked;

	value = bpf_map_lookup_elem(&locked, &key);
	if (!value)
		return 1;
	ret = ARM(note_locked);
	return 0;
}
