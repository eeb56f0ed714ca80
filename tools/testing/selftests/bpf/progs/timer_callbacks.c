// SPDX-License-Identifier: GPL-2.0
/* Callbacks operate on their own timer and on others. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_callbacks.h"
#include "timer_common.h"

#define TIMERS 8
/* How much the clock that programs read may differ from the clock of timers. */
#define TOLERANCE 10000

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TIMERS);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

/* Arguments and result of a program. */
__u32 slot;
__u64 nsecs;
__u64 flags;
int ret;

/* For each timer: what its callback does to which timer, and the results. */
struct {
	__u32 op;
	__u32 target;
	__u64 runs;
	long result;
	long restarted;
	__u64 armed_at;
} scripts[TIMERS];

/* How many callbacks wait for each other before they act, and how many have arrived. */
__u32 parties;
__u32 arrived;

__u64 repeats;
__u64 interval;
__u64 early;

static void meet(void)
{
	__sync_fetch_and_add(&arrived, 1);
	spin_until(READ_ONCE(arrived) >= parties, MAX_SPIN);
}

static void repeat(__u32 own, struct elem *value)
{
	__u64 now = bpf_ktime_get_ns();

	if (now + TOLERANCE < scripts[own].armed_at + interval)
		early++;
	if (scripts[own].runs + 1 >= repeats)
		return;
	scripts[own].armed_at = bpf_ktime_get_ns();
	scripts[own].result = bpf_timer_start(&value->timer, interval, 0);
}

static int callback(void *map, __u32 *key, struct elem *value)
{
	__u32 own = *key % TIMERS, target = scripts[own].target;
	struct elem *other;

	meet();
	switch (scripts[own].op) {
	case REPEAT:
		repeat(own, value);
		break;
	case CANCEL:
		other = bpf_map_lookup_elem(map, &target);
		if (other)
			scripts[own].result = bpf_timer_cancel(&other->timer);
		break;
	case CANCEL_ASYNC:
		other = bpf_map_lookup_elem(map, &target);
		if (other)
			scripts[own].result = bpf_timer_cancel_async(&other->timer);
		break;
	case DELETE:
		scripts[own].result = bpf_map_delete_elem(map, &target);
		break;
	case DELETE_OWN:
		scripts[own].result = bpf_map_delete_elem(map, key);
		scripts[own].restarted = bpf_timer_start(&value->timer, 0, 0);
		break;
	}
	__sync_fetch_and_add(&scripts[own].runs, 1);
	return 0;
}

SEC("syscall")
int init(void *ctx)
{
	struct elem *value, new = {};

	bpf_map_update_elem(&timers, &slot, &new, BPF_ANY);
	value = bpf_map_lookup_elem(&timers, &slot);
	if (!value)
		return 1;
	ret = bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC) ?:
	      bpf_timer_set_callback(&value->timer, callback);
	return 0;
}

SEC("syscall")
int start(void *ctx)
{
	struct elem *value;

	value = bpf_map_lookup_elem(&timers, &slot);
	if (!value)
		return 1;
	scripts[slot % TIMERS].armed_at = bpf_ktime_get_ns();
	ret = bpf_timer_start(&value->timer, nsecs, flags);
	return 0;
}
