// SPDX-License-Identifier: GPL-2.0
/* Programs for bugs of timers that were fixed, in contexts that no other test has. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_common.h"

#define ENTRIES 65536
#define BATCH 64

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

#define TIMERS(_tag, _entries)				\
	struct _tag {					\
		__uint(type, BPF_MAP_TYPE_ARRAY);	\
		__uint(max_entries, _entries);		\
		__type(key, __u32);			\
		__type(value, struct elem);		\
	}

TIMERS(few, 64) timers SEC(".maps");
TIMERS(many, ENTRIES) many SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct few);
} outer SEC(".maps");

__u32 pid;
bool on;

/* Programs that trace. */
enum { KPROBE, TRACEPOINT, RAW_TRACEPOINT, PERF_EVENT, TRACERS };

__u64 runs[TRACERS];

static int count(void *map, __u32 *key, struct elem *value)
{
	if (*key < TRACERS)
		__sync_fetch_and_add(&runs[*key], 1);
	return 0;
}

static void arm(__u32 key)
{
	struct elem *value;

	if (bpf_get_current_pid_tgid() >> 32 != pid)
		return;
	value = bpf_map_lookup_elem(&timers, &key);
	if (!value)
		return;
	bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&value->timer, count);
	bpf_timer_start(&value->timer, 0, 0);
}

/* Makes the timer of the program that may have no memory for it. */
SEC("?syscall")
int arm_init(void *ctx)
{
	struct elem *value;
	__u32 key = PERF_EVENT;

	value = bpf_map_lookup_elem(&timers, &key);
	return value ? bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC) : -ENOENT;
}

SEC("?ksyscall/nanosleep")
int arm_in_kprobe(void *ctx)
{
	arm(KPROBE);
	return 0;
}

SEC("?tp/syscalls/sys_enter_nanosleep")
int arm_in_tracepoint(void *ctx)
{
	arm(TRACEPOINT);
	return 0;
}

SEC("?raw_tp/sys_enter")
int arm_in_raw_tracepoint(void *ctx)
{
	arm(RAW_TRACEPOINT);
	return 0;
}

SEC("?perf_event")
int arm_in_perf_event(void *ctx)
{
	arm(PERF_EVENT);
	return 0;
}

/* How often the timer of an inner map was used. */
__u64 uses;

SEC("?syscall")
int use_inner(void *ctx)
{
	struct elem *value;
	__u32 key = 0;
	void *inner;
	int i;

	bpf_for(i, 0, 1000) {
		inner = bpf_map_lookup_elem(&outer, &key);
		if (!inner)
			return 1;
		value = bpf_map_lookup_elem(inner, &key);
		if (!value)
			return 2;
		bpf_timer_init(&value->timer, inner, CLOCK_MONOTONIC);
		bpf_timer_set_callback(&value->timer, count);
		bpf_timer_start(&value->timer, 1000, 0);
		bpf_timer_cancel_async(&value->timer);
		uses++;
	}
	return 0;
}

/* The program runs under the lock of a run queue. */
__u32 next;
__u64 initialised;
__u64 no_memory;
__u64 unexpected;

SEC("?tp_btf/sched_switch")
int init_many(void *ctx)
{
	struct elem *value;
	__u32 key;
	int i, err;

	if (!on)
		return 0;
	bpf_for(i, 0, BATCH) {
		key = __sync_fetch_and_add(&next, 1);
		value = bpf_map_lookup_elem(&many, &key);
		if (!value)
			return 0;
		err = bpf_timer_init(&value->timer, &many, CLOCK_MONOTONIC);
		if (!err)
			__sync_fetch_and_add(&initialised, 1);
		else if (err == -ENOMEM)
			__sync_fetch_and_add(&no_memory, 1);
		else
			__sync_fetch_and_add(&unexpected, 1);
	}
	return 0;
}

/*
 * Programs that run inside RCU. Freeing a timer calls RCU again, so there is a
 * budget: the CPU would do nothing else without it.
 */
__u64 freed[2];
__s32 budget[2];

static void renew(__u32 what)
{
	__u32 key = (bpf_get_smp_processor_id() * 2 + what) % 64;
	struct elem *value, new = {};

	if (__sync_fetch_and_sub(&budget[what], 1) <= 0) {
		__sync_fetch_and_add(&budget[what], 1);
		return;
	}
	if (bpf_map_update_elem(&timers, &key, &new, BPF_ANY))
		return;
	value = bpf_map_lookup_elem(&timers, &key);
	if (!value || bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC)) {
		/* A hard interrupt gets no memory on PREEMPT_RT. */
		__sync_fetch_and_add(&budget[what], 1);
		return;
	}
	bpf_timer_set_callback(&value->timer, count);
	bpf_timer_start(&value->timer, 1000 * NSEC_PER_MSEC, 0);
	__sync_fetch_and_add(&freed[what], 1);
}

SEC("?tp_btf/rcu_utilization")
int free_in_rcu(void *ctx)
{
	renew(0);
	return 0;
}

/* Runs under the lock of a list of callbacks, which call_srcu() takes to add a callback. */
SEC("?fentry/rcu_segcblist_enqueue")
int free_in_call_rcu(void *ctx)
{
	renew(1);
	return 0;
}
