// SPDX-License-Identifier: GPL-2.0
/* Makes and deletes timers, and counts what is allocated and freed. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_common.h"

#define ROUNDS 512

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

/* How many runs of the program wait for each other, and how many have arrived. */
__u32 parties;
__u32 arrived;
__u64 made;
/* How many inits came too late, because the element had been deleted. */
__u64 gone;
__u64 allocated;
/* How many objects were put into the map, deleted from it, and could not be deleted. */
__u64 known;
__u64 freed;
__u64 lost;

/* Allocated objects. Objects that were allocated earlier are freed as well, but not counted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u8);
} objects SEC(".maps");

SEC("fexit/_kmalloc_nolock_noprof")
int count_allocated(void *ctx)
{
	__u64 object;
	__u8 one = 1;

	if (bpf_get_func_ret(ctx, &object) || !object)
		return 0;
	__sync_fetch_and_add(&allocated, 1);
	if (!bpf_map_update_elem(&objects, &object, &one, BPF_NOEXIST))
		__sync_fetch_and_add(&known, 1);
	return 0;
}

SEC("fentry/kfree_nolock")
int BPF_PROG(count_freed, __u64 object)
{
	long err = bpf_map_delete_elem(&objects, &object);

	if (!err)
		__sync_fetch_and_add(&freed, 1);
	else if (err != -ENOENT)
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

static int callback(void *map, __u32 *key, struct elem *value)
{
	return 0;
}

static void wait_for_others(void)
{
	__sync_fetch_and_add(&arrived, 1);
	spin_until(READ_ONCE(arrived) >= parties, MAX_SPIN);
}

/* If several CPUs run this, one may make a timer where another one has just made one. */
SEC("syscall")
int make_and_delete(void *ctx)
{
	struct elem new = {};
	struct elem *value;
	long err;
	int i;

	wait_for_others();
	bpf_for(i, 0, ROUNDS) {
		__u32 key = i % 2;

		bpf_map_update_elem(&timers, &key, &new, BPF_ANY);
		value = bpf_map_lookup_elem(&timers, &key);
		if (!value)
			continue;
		err = bpf_timer_init(&value->timer, &timers,
				     key ? CLOCK_REALTIME : CLOCK_MONOTONIC);
		if (!err)
			__sync_fetch_and_add(&made, 1);
		else if (err == -ENOENT)
			__sync_fetch_and_add(&gone, 1);
		bpf_timer_set_callback(&value->timer, callback);
		bpf_timer_start(&value->timer, 1000 * NSEC_PER_MSEC, 0);
		if (i % 4 < 2)
			bpf_map_delete_elem(&timers, &key);
	}
	return 0;
}
