// SPDX-License-Identifier: GPL-2.0
/* Records the life of a timer from its tracepoints. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_common.h"
#include "timer_tracepoints.h"

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

struct event events[EVENTS];
__u64 seen;
__u32 tgid;
__u64 watched;	/* the timer, after its init */
__u64 nsecs;
int err;

static struct event *next(int kind)
{
	struct event *event = &events[kind];

	event->order = __sync_fetch_and_add(&seen, 1) + 1;
	return event;
}

static bool own(void)
{
	return bpf_get_current_pid_tgid() >> 32 == tgid;
}

SEC("tp_btf/bpf_timer_init")
int BPF_PROG(on_init, const void *timer, u32 map_id, int clockid, int ret)
{
	struct event *event;

	if (!own())
		return 0;
	event = next(INIT);
	event->timer = (__u64)timer;
	event->map_id = map_id;
	event->flags = clockid;
	event->ret = ret;
	watched = event->timer;
	return 0;
}

/* Added to the flags of a start if the timer was already armed for that time or an earlier one. */
#define PUSHED (1ULL << 32)

SEC("tp_btf/bpf_timer_start")
int BPF_PROG(on_start, const void *timer, u32 map_id, u32 prog_id, u64 nsecs, u64 flags,
	     bool pushed, int ret)
{
	struct event *event;

	if (!own())
		return 0;
	event = next(START);
	event->timer = (__u64)timer;
	event->map_id = map_id;
	event->prog_id = prog_id;
	event->nsecs = nsecs;
	event->flags = flags | (pushed ? PUSHED : 0);
	event->ret = ret;
	return 0;
}

SEC("tp_btf/bpf_timer_cancel")
int BPF_PROG(on_cancel, const void *timer, u32 map_id, u32 prog_id, bool async, int ret)
{
	struct event *event;

	if (!own())
		return 0;
	event = next(CANCEL);
	event->timer = (__u64)timer;
	event->map_id = map_id;
	event->prog_id = prog_id;
	event->flags = async;
	event->ret = ret;
	return 0;
}

SEC("tp_btf/bpf_timer_expire_entry")
int BPF_PROG(on_expire_entry, const void *timer, u32 map_id, u32 prog_id, s64 expires,
	     int clockid)
{
	struct event *event;

	if ((__u64)timer != watched)
		return 0;
	event = next(EXPIRE_ENTRY);
	event->timer = (__u64)timer;
	event->map_id = map_id;
	event->prog_id = prog_id;
	event->nsecs = expires;
	event->flags = clockid;
	return 0;
}

SEC("tp_btf/bpf_timer_expire_exit")
int BPF_PROG(on_expire_exit, const void *timer, u32 map_id, u32 prog_id)
{
	struct event *event;

	if ((__u64)timer != watched)
		return 0;
	event = next(EXPIRE_EXIT);
	event->timer = (__u64)timer;
	event->map_id = map_id;
	event->prog_id = prog_id;
	return 0;
}

SEC("tp_btf/bpf_timer_free")
int BPF_PROG(on_free, const void *timer, u32 map_id, u32 prog_id, bool armed)
{
	struct event *event;

	if ((__u64)timer != watched)
		return 0;
	event = next(FREE);
	event->timer = (__u64)timer;
	event->map_id = map_id;
	event->prog_id = prog_id;
	event->flags = armed;
	return 0;
}

static int callback(void *map, int *key, struct elem *value)
{
	next(CALLBACK);
	return 0;
}

SEC("syscall")
int arm(void *ctx)
{
	struct elem *value;
	int key = 0;

	value = bpf_map_lookup_elem(&timers, &key);
	if (!value)
		return 1;
	err = bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC);
	err = err ?: bpf_timer_set_callback(&value->timer, callback);
	err = err ?: bpf_timer_start(&value->timer, nsecs, 0);
	return 0;
}

/* A bit for each step whose event does not match what the operation did. */
__u32 wrong;
__u32 steps;

static void step(int kind, long ret, long expected, __u64 flags, bool has_prog)
{
	struct event *event = &events[kind];

	if (ret != expected || event->ret != ret || event->flags != flags ||
	    !!event->prog_id != has_prog || !event->map_id || event->timer != watched)
		wrong |= 1 << steps;
	steps++;
	event->ret = 1000;
}

/* Compares the results of operations with their events. */
SEC("syscall")
int operate(void *ctx)
{
	struct bpf_timer *timer;
	struct elem *value;
	unsigned long irqs;
	int key = 0;

	value = bpf_map_lookup_elem(&timers, &key);
	if (!value)
		return 1;
	timer = &value->timer;
	step(INIT, bpf_timer_init(timer, &timers, CLOCK_REALTIME), 0, CLOCK_REALTIME, false);
	step(INIT, bpf_timer_init(timer, &timers, CLOCK_BOOTTIME), -EBUSY, CLOCK_BOOTTIME, false);
	step(START, bpf_timer_start(timer, nsecs, 0), -EINVAL, 0, false);
	bpf_timer_set_callback(timer, callback);
	step(START, bpf_timer_start(timer, nsecs, BPF_F_TIMER_CPU_PIN), 0, BPF_F_TIMER_CPU_PIN,
	     true);
	/* This start is for a later time. */
	step(START, bpf_timer_start(timer, nsecs, 0), 0, PUSHED, true);
	step(CANCEL, bpf_timer_cancel_async(timer), 1, true, true);
	step(CANCEL, bpf_timer_cancel_async(timer), 0, true, true);
	bpf_local_irq_save(&irqs);
	step(START, bpf_timer_start(timer, nsecs, 0), 0, 0, true);
	step(CANCEL, bpf_timer_cancel_async(timer), -ECANCELED, true, true);
	bpf_local_irq_restore(&irqs);
	step(CANCEL, bpf_timer_cancel(timer), 0, false, true);
	step(CANCEL, bpf_timer_cancel(timer), 0, false, false);
	return 0;
}

SEC("syscall")
int cancel(void *ctx)
{
	struct elem *value;
	int key = 0;

	value = bpf_map_lookup_elem(&timers, &key);
	if (!value)
		return 1;
	err = bpf_timer_cancel(&value->timer);
	return 0;
}
