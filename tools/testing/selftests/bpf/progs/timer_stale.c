// SPDX-License-Identifier: GPL-2.0
/* Programs make timers in elements that have just been deleted. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_experimental.h"
#include "timer_common.h"
#include "timer_stale.h"

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	__u64 data;
};

#define MAP(_name, _type, _flags, _entries)	\
	struct _name {				\
		__uint(type, _type);		\
		__uint(map_flags, _flags);	\
		__uint(max_entries, _entries);	\
		__type(key, __u32);		\
		__type(value, struct elem);	\
	}

MAP(hash, BPF_MAP_TYPE_HASH, 0, ELEMENTS) hash SEC(".maps");
MAP(hash_malloc, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, ELEMENTS) hash_malloc SEC(".maps");
MAP(lru, BPF_MAP_TYPE_LRU_HASH, 0, 16 * ELEMENTS) lru SEC(".maps");
MAP(rhash, BPF_MAP_TYPE_RHASH, BPF_F_NO_PREALLOC, ELEMENTS) rhash SEC(".maps");
/* This map has more elements than its allocator keeps. */
MAP(large, BPF_MAP_TYPE_RHASH, BPF_F_NO_PREALLOC, LARGE) large SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct large);
} outer SEC(".maps");

/* Whether the timers are started, and for how many nanoseconds ahead. */
bool armed;
__u64 nsecs;
__u64 runs;
int err;	/* the last error */
__u32 refused;	/* timers in deleted elements */

static int count_run(void *map, __u32 *key, struct elem *value)
{
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

/* Inlined, because the verifier must know the map. */
static __always_inline int make_timer(void *map, struct elem *value, __u64 delay)
{
	int ret;

	ret = bpf_timer_init(&value->timer, map, CLOCK_MONOTONIC);
	if (ret == -EBUSY)
		ret = 0;
	ret = ret ?: bpf_timer_set_callback(&value->timer, count_run);
	if (armed)
		ret = ret ?: bpf_timer_start(&value->timer, delay, 0);
	return ret;
}

/* Makes a timer in an element that has just been deleted. */
static __always_inline void make_stale(void *map, __u32 key, __u64 delay)
{
	struct elem *value = bpf_map_lookup_elem(map, &key);
	int ret;

	if (!value)
		return;
	ret = bpf_map_delete_elem(map, &key);
	ret = ret ?: make_timer(map, value, delay);
	if (ret)
		err = ret;
	refused += ret == -ENOENT;
}

SEC("syscall")
int stale_in_hash(void *ctx)
{
	__u32 key;

	bpf_for(key, 0, ELEMENTS)
		make_stale(&hash, key, nsecs);
	return 0;
}

SEC("syscall")
int stale_in_hash_malloc(void *ctx)
{
	__u32 key;

	bpf_for(key, 0, ELEMENTS)
		make_stale(&hash_malloc, key, nsecs);
	return 0;
}

SEC("syscall")
int stale_in_lru(void *ctx)
{
	__u32 key;

	bpf_for(key, 0, ELEMENTS)
		make_stale(&lru, key, nsecs);
	return 0;
}

SEC("syscall")
int stale_in_rhash(void *ctx)
{
	__u32 key;

	bpf_for(key, 0, ELEMENTS)
		make_stale(&rhash, key, nsecs);
	return 0;
}

/* The memory of a deleted element is used again, with the timer that was made there. */
__u32 recycled;

SEC("syscall")
int use_recycled(void *ctx)
{
	struct elem *value;
	__u32 i, key;
	int ret;

	bpf_for(i, 0, ELEMENTS) {
		key = i;
		value = bpf_map_lookup_elem(&rhash, &key);
		/* A slot without a timer cannot be cancelled. */
		if (!value || bpf_timer_cancel(&value->timer) < 0)
			continue;
		recycled++;
		ret = make_timer(&rhash, value, nsecs);
		if (ret)
			err = ret;
	}
	return 0;
}

/*
 * The allocator frees the elements of an inner map, some at a time, while their timers expire.
 * To make both happen at once, the allocator waits for an expiry that looks up its element, and
 * the expiry waits until its element is freed.
 */
__u64 freeing;	/* the element that is freed */
__u64 freed_at;
__u64 looking;	/* the key that is looked up */
__u64 freed_in_use;
__u32 first;	/* the first key of a part */

SEC("syscall")
int stale_in_inner(void *ctx)
{
	__u32 zero = 0, key;
	void *inner;

	inner = bpf_map_lookup_elem(&outer, &zero);
	if (!inner || !nsecs)
		return -ENOENT;
	/* Every eighth timer expires at once. */
	bpf_for(key, first, first + PART)
		make_stale(inner, key, key % 8 ? bpf_get_prandom_u32() % nsecs : 0);
	return 0;
}

SEC("fentry/rhtab_mem_dtor")
int BPF_PROG(wait_for_lookup, void *elem)
{
	freeing = (__u64)elem;
	freed_at = bpf_ktime_get_ns();
	spin_until(READ_ONCE(looking), NSEC_PER_MSEC);
	return 0;
}

/* The key is in the element. */
static bool is_being_freed(void *key)
{
	return (__u64)key - READ_ONCE(freeing) < 64;
}

SEC("fentry/rhtab_map_lookup_elem")
int BPF_PROG(wait_for_free, struct bpf_map *map, void *key)
{
	if (!bpf_in_serving_softirq() || bpf_ktime_get_ns() - freed_at > 2 * NSEC_PER_MSEC)
		return 0;
	looking = (__u64)key;
	if (spin_until(is_being_freed(key), 20 * NSEC_PER_MSEC)) {
		freed_in_use++;
		spin_until(!is_being_freed(key), 10 * NSEC_PER_MSEC);
	}
	looking = 0;
	return 0;
}
