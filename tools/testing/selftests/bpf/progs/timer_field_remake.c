// SPDX-License-Identifier: GPL-2.0
/*
 * A proxy that makes its timer anew on each packet, on all CPUs with the same key. So most
 * packets free the timer that another packet has just started, or is about to start.
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_field_common.h"

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	__u64 number;	/* of the packet that made the element */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct elem);
} elems SEC(".maps");

__u32 key;
__u64 packets;
__u64 started;	/* starts that returned 0 */
__u64 called;
__u64 last_called;	/* the packet that made the element of the last callback */

static int callback(void *map, __u32 *key, struct elem *value)
{
	last_called = value->number;
	count(called);
	return 0;
}

SEC("tc")
int packet(struct __sk_buff *skb)
{
	struct elem *value, new = { .number = count(packets) + 1 };
	/* A timer that expires at once is often called before the next packet frees it. */
	__u64 nsecs = new.number & 1 ? 0 : bpf_get_prandom_u32() % 65536;

	must(UPDATE, bpf_map_update_elem(&elems, &key, &new, BPF_ANY));
	value = bpf_map_lookup_elem(&elems, &key);
	if (!value)
		return 0;
	/* Another CPU may have made the timer, or replaced the element. */
	allow(INIT, bpf_timer_init(&value->timer, &elems, CLOCK_MONOTONIC), -EBUSY, -ENOENT);
	allow(SET_CALLBACK, bpf_timer_set_callback(&value->timer, callback), -EINVAL, -ENOENT);
	if (!allow(START, bpf_timer_start(&value->timer, nsecs, 0), -EINVAL, -ENOENT))
		count(started);
	return 0;
}

/* Returns 1 if the timer is armed. */
SEC("syscall")
int cancel(void *ctx)
{
	struct elem *value = bpf_map_lookup_elem(&elems, &key);

	return value ? bpf_timer_cancel(&value->timer) : -ENOENT;
}
