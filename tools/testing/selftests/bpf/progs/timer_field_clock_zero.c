// SPDX-License-Identifier: GPL-2.0
/*
 * Generated code that makes, sets and starts a timer on each event, and passes 0 for the clock.
 * Clock 0 is CLOCK_REALTIME, but the code takes absolute times from bpf_ktime_get_ns().
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_field_common.h"

#define EVENTS 32

char _license[] SEC("license") = "GPL";

struct event {
	struct bpf_timer timer;
	__u64 due;	/* 0 if the timer is not armed */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * EVENTS);
	__type(key, __u32);
	__type(value, struct event);
} events SEC(".maps");

/* How far absolute times are ahead. */
__u64 ahead;

/* Counts for relative and for absolute starts. Odd keys are started absolutely. */
__u64 started[2], called[2], early[2];

static int callback(void *map, __u32 *key, struct event *event)
{
	__u32 absolute = *key & 1;

	if (bpf_ktime_get_ns() < event->due)
		count(early[absolute]);
	count(called[absolute]);
	WRITE_ONCE(event->due, 0);
	return 0;
}

SEC("tc")
int packet(struct __sk_buff *skb)
{
	__u32 key = bpf_get_prandom_u32() % EVENTS, absolute = key & 1;
	__u64 now = bpf_ktime_get_ns();
	__u64 nsecs = absolute ? ahead : bpf_get_prandom_u32() % (4 * NSEC_PER_MSEC);
	struct event *event, none = {};

	allow(UPDATE, bpf_map_update_elem(&events, &key, &none, BPF_NOEXIST), -EEXIST, 0);
	event = bpf_map_lookup_elem(&events, &key);
	/* One CPU starts the timer of an event that is over. */
	if (!event || __sync_val_compare_and_swap(&event->due, 0, now + nsecs))
		return 0;
	allow(INIT, bpf_timer_init(&event->timer, &events, 0), -EBUSY, 0);
	must(SET_CALLBACK, bpf_timer_set_callback(&event->timer, callback));
	count(started[absolute]);
	must(START, bpf_timer_start(&event->timer, absolute ? now + nsecs : nsecs,
				    absolute ? BPF_F_TIMER_ABS : 0));
	return 0;
}
