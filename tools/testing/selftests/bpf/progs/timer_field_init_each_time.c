// SPDX-License-Identifier: GPL-2.0
/*
 * A source of entropy that flushes its pool with a timer of the CPU. Each event makes the
 * timer, sets its callback and starts it, because the program does not know which event is
 * the first. It may interrupt another event.
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "bpf_experimental.h"
#include "timer_field_common.h"
#include "timer_field_init_each_time.h"

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	struct pool pool;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FIELD_CPUS);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

static int flush(void *map, __u32 *cpu, struct elem *value)
{
	count(value->pool.flushes);
	return 0;
}

static void collect(bool is_hardirq)
{
	__u32 cpu = bpf_get_smp_processor_id();
	__u64 nsecs = 1 << bpf_get_prandom_u32() % 21;
	struct elem *value;
	int err;

	value = bpf_map_lookup_elem(&timers, &cpu);
	if (!value)
		return;
	count(value->pool.events[is_hardirq]);
	err = allow(INIT, bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC),
		    -EBUSY, -ENOMEM);
	if (err == -ENOMEM)
		return;
	if (!err)
		count(value->pool.inits);
	must(SET_CALLBACK, bpf_timer_set_callback(&value->timer, flush));
	/* The timers in C need memory for a start with interrupts off. */
	allow(START, bpf_timer_start(&value->timer, nsecs, 0), -ENOMEM, 0);
}

SEC("tp_btf/sched_switch")
int on_switch(void *ctx)
{
	collect(false);
	return 0;
}

/* Most hrtimers expire in a hard interrupt, among them the tick. BPF timers do not. */
SEC("tp_btf/hrtimer_expire_entry")
int on_expiry(void *ctx)
{
	if (bpf_in_hardirq())
		collect(true);
	return 0;
}
