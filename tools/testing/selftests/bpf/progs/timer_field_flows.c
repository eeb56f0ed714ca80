// SPDX-License-Identifier: GPL-2.0
/*
 * A filter that keeps a timer for each flow. Each packet restarts the timer of its flow, and
 * the callback deletes the flow. The packets of a flow come on one CPU, as with receive side
 * scaling. Its timer is pinned to that CPU, so no packet can come between expiry and callback.
 *
 * On PREEMPT_RT, the callback can preempt a packet, and delete the flow that the packet has found.
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_field_common.h"

/* Flows of each CPU. There are more than the map can hold, and a slow machine fills it, too. */
#define FLOWS 256
#define ROOM 32
#define IDLE (6 * NSEC_PER_MSEC)

char _license[] SEC("license") = "GPL";

struct flow {
	struct bpf_timer timer;
	__u64 last;	/* when the last packet came */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ROOM);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

__u64 packets, inserted, deleted, full;
__u64 early;		/* callbacks before the flow was idle for long enough */
__u64 misplaced;	/* callbacks on another CPU */
__u64 missing;		/* flows that were not in the map, but have to be */

/* User space sets it on PREEMPT_RT. */
bool is_preemptible;

static int forget(void *map, __u32 *key, struct flow *flow)
{
	if (bpf_ktime_get_ns() < flow->last + IDLE)
		count(early);
	if (*key % FIELD_CPUS != bpf_get_smp_processor_id())
		count(misplaced);
	if (!must(DELETE, bpf_map_delete_elem(&flows, key)))
		count(deleted);
	return 0;
}

SEC("tc")
int packet(struct __sk_buff *skb)
{
	__u32 key = bpf_get_prandom_u32() % FLOWS * FIELD_CPUS + bpf_get_smp_processor_id();
	struct flow *flow, none = {};
	int err;

	if (is_pause())
		return 0;
	count(packets);
	err = bpf_map_update_elem(&flows, &key, &none, BPF_NOEXIST);
	if (err == -E2BIG) {
		count(full);
		return 0;
	}
	allow(UPDATE, err, -EEXIST, 0);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow) {
		count(missing);
		return 0;
	}
	if (!err) {
		count(inserted);
		must(INIT, bpf_timer_init(&flow->timer, &flows, CLOCK_MONOTONIC));
		must(SET_CALLBACK, bpf_timer_set_callback(&flow->timer, forget));
	}
	flow->last = bpf_ktime_get_ns();
	err = bpf_timer_start(&flow->timer, IDLE, BPF_F_TIMER_CPU_PIN);
	allow(START, err, is_preemptible ? -EINVAL : 0, is_preemptible ? -ENOENT : 0);
	return 0;
}
