// SPDX-License-Identifier: GPL-2.0
/* Counts what the hrtimer does while its timer is pushed back. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_common.h"

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct elem);
} timers SEC(".maps");

/* Set before the timer is made. */
__u32 tgid;
__u64 clock;
/* Each start is for @delay nanoseconds from now, as a time of the clock if @absolute. */
__u64 delay;
bool absolute;
/* The address of the timer, which is also the address of its hrtimer. */
__u64 watched;

__u64 starts, pushes, armings, expiries, calls;
/* The time that the last start was for, and the time of the call. */
__u64 due, called_at;
int err;

static int callback(void *map, int *key, struct elem *value)
{
	called_at = bpf_ktime_get_ns();
	__sync_fetch_and_add(&calls, 1);
	return 0;
}

SEC("tp_btf/bpf_timer_init")
int BPF_PROG(on_init, const void *timer, u32 map_id, int clockid, int ret)
{
	if (bpf_get_current_pid_tgid() >> 32 == tgid)
		watched = (__u64)timer;
	return 0;
}

SEC("tp_btf/bpf_timer_start")
int BPF_PROG(on_start, const void *timer, u32 map_id, u32 prog_id, u64 nsecs, u64 flags,
	     bool pushed, int ret)
{
	if ((__u64)timer == watched)
		pushes += pushed;
	return 0;
}

/* The tracepoint hrtimer_start is of no use: while it is on, each start arms the hrtimer. */
SEC("fentry/hrtimer_start_irqoff")
int BPF_PROG(on_arming, struct hrtimer *timer)
{
	if ((__u64)timer == watched)
		__sync_fetch_and_add(&armings, 1);
	return 0;
}

SEC("tp_btf/hrtimer_expire_entry")
int BPF_PROG(on_expiry, struct hrtimer *timer)
{
	if ((__u64)timer == watched)
		__sync_fetch_and_add(&expiries, 1);
	return 0;
}

static struct bpf_timer *timer(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&timers, &key);
}

SEC("syscall")
int init(void *ctx)
{
	struct bpf_timer *t = timer();

	if (!t)
		return 1;
	err |= bpf_timer_init(t, &timers, clock);
	err |= bpf_timer_set_callback(t, callback);
	return 0;
}

SEC("syscall")
int start(void *ctx)
{
	struct bpf_timer *t = timer();
	__u64 now;

	if (!t)
		return 1;
	now = clock == CLOCK_BOOTTIME ? bpf_ktime_get_boot_ns() : bpf_ktime_get_ns();
	due = bpf_ktime_get_ns() + delay;
	err |= bpf_timer_start(t, absolute ? now + delay : delay, absolute ? BPF_F_TIMER_ABS : 0);
	starts++;
	return 0;
}
