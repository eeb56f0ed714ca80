// SPDX-License-Identifier: GPL-2.0
/* Each operation, on a map whose type user space chooses. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_common.h"
#include "timer_matrix.h"

#define ENTRIES 64
#define MAX_HOLD (10000 * NSEC_PER_MSEC)

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	__u64 cookie;
};

#define TIMERS(_tag, _type, _flags)		\
	struct _tag {				\
		__uint(type, _type);		\
		__uint(map_flags, _flags);	\
		__uint(max_entries, ENTRIES);	\
		__type(key, __u32);		\
		__type(value, struct elem);	\
	}

/* User space sets the type before it loads this. */
TIMERS(hash, BPF_MAP_TYPE_HASH, 0) timers SEC(".maps");
TIMERS(array, BPF_MAP_TYPE_ARRAY, 0);
TIMERS(hash_malloc, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC);
TIMERS(lru, BPF_MAP_TYPE_LRU_HASH, 0);
TIMERS(rhash, BPF_MAP_TYPE_RHASH, BPF_F_NO_PREALLOC);

#define OUTER(_type, _inner)			\
	struct {				\
		__uint(type, _type);		\
		__uint(max_entries, 1);		\
		__type(key, __u32);		\
		__array(values, struct _inner);	\
	}

OUTER(BPF_MAP_TYPE_HASH_OF_MAPS, array) array_in_hash SEC(".maps");
OUTER(BPF_MAP_TYPE_ARRAY_OF_MAPS, hash) hash_in_array SEC(".maps");
OUTER(BPF_MAP_TYPE_ARRAY_OF_MAPS, hash_malloc) hash_malloc_in_array SEC(".maps");
OUTER(BPF_MAP_TYPE_ARRAY_OF_MAPS, lru) lru_in_array SEC(".maps");
OUTER(BPF_MAP_TYPE_ARRAY_OF_MAPS, rhash) rhash_in_array SEC(".maps");

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

const volatile __u32 through = DIRECT;

/* Arguments and result of a program. */
__u32 key;
__u64 nsecs;
__u64 flags;
long ret;

/* How many callbacks ran, and the arguments of the last one. */
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

static int hold(struct bpf_map *map, __u32 *key, struct elem *value)
{
	held = true;
	/* If it is not released in time, do not start again: this may interrupt the releaser. */
	if (spin_until(READ_ONCE(release), MAX_HOLD))
		restarted = bpf_timer_start(&value->timer, 0, 0);
	__sync_fetch_and_add(&runs, 1);
	ended = true;
	return 0;
}

static __always_inline void *find_map(void)
{
	__u32 zero = 0;

	switch (through) {
	case ARRAY_IN_HASH:
		return bpf_map_lookup_elem(&array_in_hash, &zero);
	case HASH_IN_ARRAY:
		return bpf_map_lookup_elem(&hash_in_array, &zero);
	case HASH_MALLOC_IN_ARRAY:
		return bpf_map_lookup_elem(&hash_malloc_in_array, &zero);
	case LRU_IN_ARRAY:
		return bpf_map_lookup_elem(&lru_in_array, &zero);
	case RHASH_IN_ARRAY:
		return bpf_map_lookup_elem(&rhash_in_array, &zero);
	}
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

/* Adds more elements than there is room for and uses them, so that the others are evicted. */
SEC("syscall")
int crowd_out(void *ctx)
{
	void *map = find_map();
	struct elem new = {};
	__u32 i, other;

	if (!map)
		return 1;
	bpf_for(i, 0, 16 * ENTRIES) {
		other = key + 1 + i;
		bpf_map_update_elem(map, &other, &new, BPF_NOEXIST);
		bpf_map_lookup_elem(map, &other);
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
