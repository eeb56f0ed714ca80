// SPDX-License-Identifier: GPL-2.0
/* Maps lose their last user, and elements get another value. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_common.h"

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	struct bpf_spin_lock lock;
	__u64 data;
};

#define MAP(_name, _type, _flags, _entries)	\
	struct {				\
		__uint(type, _type);		\
		__uint(map_flags, _flags);	\
		__uint(max_entries, _entries);	\
		__type(key, __u32);		\
		__type(value, struct elem);	\
	} _name SEC(".maps")

MAP(hash, BPF_MAP_TYPE_HASH, 0, 4);
MAP(hash_malloc, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 4);
MAP(rhash, BPF_MAP_TYPE_RHASH, BPF_F_NO_PREALLOC, 4);
MAP(array, BPF_MAP_TYPE_ARRAY, 0, 4);
/* A hash with one bucket. */
MAP(single, BPF_MAP_TYPE_HASH, 0, 1);

/* The values of LRU hashes cannot have locks. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct bpf_timer);
} lru SEC(".maps");

__u64 nsecs;
int err;
__u64 runs;
bool ready;
bool refused;

static int count_run(void *map, __u32 *key, struct elem *value)
{
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

#define ARM(_map)							\
	SEC("syscall")							\
	int arm_##_map(void *ctx)					\
	{								\
		struct elem *value;					\
		__u32 key = 1;						\
									\
		value = bpf_map_lookup_elem(&_map, &key);		\
		if (!value)						\
			return 1;					\
		err = bpf_timer_init(&value->timer, &_map, CLOCK_MONOTONIC); \
		err = err ?: bpf_timer_set_callback(&value->timer, count_run); \
		err = err ?: bpf_timer_start(&value->timer, nsecs, 0);	\
		return 0;						\
	}

ARM(hash)
ARM(hash_malloc)
ARM(rhash)
ARM(array)

/*
 * When the walk over a map without a user reaches an element, a program tries to move that to
 * another bucket. It deletes the element and adds another one, which gets the memory. The
 * elements have their key as data.
 */
#define MOVING 64
MAP(moving, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, MOVING);

__u32 filled;
__u32 met;

/* Makes timers that are not armed, so that no expiry drops the program. */
SEC("syscall")
int fill_moving(void *ctx)
{
	__u32 key;

	bpf_for(key, 0, MOVING) {
		struct elem new = { .data = key };
		struct elem *value;
		__u32 copy = key;

		/* The allocator may not have memory for all of them at once. */
		bpf_map_update_elem(&moving, &copy, &new, BPF_ANY);
		value = bpf_map_lookup_elem(&moving, &copy);
		if (value && !bpf_timer_init(&value->timer, &moving, CLOCK_MONOTONIC) &&
		    !bpf_timer_set_callback(&value->timer, count_run))
			filled++;
	}
	return 0;
}

SEC("fentry/bpf_map_free_internal_structs")
int BPF_PROG(move_away, void *map, struct elem *value)
{
	struct elem new = {};
	__u64 data;
	__u32 key;

	if (map != (void *)&moving ||
	    bpf_probe_read_kernel(&data, sizeof(data), &value->data) || data >= MOVING)
		return 0;
	key = data;
	met++;
	/* The deletion fails if the walk has the lock of the bucket. */
	if (bpf_map_delete_elem(&moving, &key))
		return 0;
	key += MOVING;
	new.data = key;
	bpf_map_update_elem(&moving, &key, &new, BPF_ANY);
	return 0;
}

/* Sets a callback until that fails because the map has no user. */
SEC("syscall")
int set_until_refused(void *ctx)
{
	struct elem *value;
	__u32 key = 1;
	int ret;

	value = bpf_map_lookup_elem(&array, &key);
	if (!value)
		return 1;
	ret = bpf_timer_init(&value->timer, &array, CLOCK_MONOTONIC);
	if (ret)
		return 2;
	WRITE_ONCE(ready, true);
	spin_until((ret = bpf_timer_set_callback(&value->timer, count_run)),
		   10000 * NSEC_PER_MSEC);
	WRITE_ONCE(refused, true);
	return ret;
}

/* Holds the walk over a map without a user until set_callback has failed. */
SEC("fentry/bpf_map_free_internal_structs")
int BPF_PROG(hold_walk, void *map)
{
	if (map == (void *)&array && ready)
		spin_until(READ_ONCE(refused), 10000 * NSEC_PER_MSEC);
	return 0;
}

/*
 * While a program holds the lock of an element, another one uses its bucket on the same CPU.
 * Programs may call some functions with the lock held, and other programs can trace these
 * functions.
 */
__u32 locked_on;	/* CPU + 1 */
__u64 looked;
__u64 timed_out;

SEC("fentry/bpf_stream_print_stack")
int look_for_another(void *ctx)
{
	__u32 other = 2;

	if (locked_on != bpf_get_smp_processor_id() + 1)
		return 0;
	/* The update of the element waits for its lock by then. */
	spin_until(false, 5 * NSEC_PER_MSEC);
	if (bpf_map_delete_elem(&single, &other) == -ENOENT)
		looked++;
	else
		timed_out++;
	return 0;
}

SEC("syscall")
int lock_for_long(void *ctx)
{
	__u32 key = 1, cpu;
	struct elem *value;

	value = bpf_map_lookup_elem(&single, &key);
	if (!value)
		return 1;
	cpu = bpf_get_smp_processor_id();
	bpf_spin_lock(&value->lock);
	locked_on = cpu + 1;
	bpf_stream_print_stack(BPF_STDERR);
	locked_on = 0;
	bpf_spin_unlock(&value->lock);
	return 0;
}
