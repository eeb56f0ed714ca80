// SPDX-License-Identifier: GPL-2.0
/* Programs cancel timers at their expiry, and callbacks start timers for the past. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_array.h"

char _license[] SEC("license") = "GPL";

/*
 * The hrtimers of our timers: a program of this test starts a timer, and notes the
 * hrtimer that its CPU starts.
 */
__u32 learning;	/* slot + 1 */
__u32 learning_cpu;
__u64 hrtimers[4];

SEC("tp_btf/hrtimer_start")
int BPF_PROG(learn, struct hrtimer *hrtimer)
{
	__u32 i = learning;

	if (i && bpf_get_smp_processor_id() == learning_cpu && hrtimer->is_soft)
		hrtimers[(i - 1) & 3] = (__u64)hrtimer;
	return 0;
}

SEC("syscall")
int start_and_learn(void *ctx)
{
	struct elem *value = elem(args.slot);

	if (!value)
		return 1;
	learning_cpu = bpf_get_smp_processor_id();
	learning = args.slot + 1;
	args.err = bpf_timer_start(&value->timer, args.nsecs, args.flags);
	learning = 0;
	return 0;
}

/* Programs cancel a timer right before and right after its callback. */
int cancelled_at_entry = -1;
int cancelled_at_exit = -1;

SEC("tp_btf/hrtimer_expire_entry")
int BPF_PROG(cancel_at_entry, struct hrtimer *hrtimer)
{
	struct elem *value = elem(0);

	if (value && (__u64)hrtimer == hrtimers[0])
		cancelled_at_entry = bpf_timer_cancel(&value->timer);
	return 0;
}

SEC("tp_btf/hrtimer_expire_exit")
int BPF_PROG(cancel_at_exit, struct hrtimer *hrtimer)
{
	struct elem *value = elem(0);

	if (value && (__u64)hrtimer == hrtimers[0])
		cancelled_at_exit = bpf_timer_cancel(&value->timer);
	return 0;
}

/* A program cancels each of two timers right before the callback of the other. */
int arrived;
int cancelled_other[2] = { -1, -1 };
int left_alone;

/* A CPU that gives up does not count as arrived. */
static bool meet(void)
{
	if (__sync_fetch_and_add(&arrived, 1))
		return true;
	spin_until(READ_ONCE(arrived) >= 2, MAX_SPIN);
	return __sync_val_compare_and_swap(&arrived, 1, 0) != 1;
}

SEC("tp_btf/hrtimer_expire_entry")
int BPF_PROG(cancel_each_other, struct hrtimer *hrtimer)
{
	struct elem *value;
	__u32 own;

	if ((__u64)hrtimer == hrtimers[0])
		own = 0;
	else if ((__u64)hrtimer == hrtimers[1])
		own = 1;
	else
		return 0;

	value = elem(!own);
	if (!value)
		return 0;
	if (meet())
		cancelled_other[own] = bpf_timer_cancel(&value->timer);
	else
		__sync_fetch_and_add(&left_alone, 1);
	return 0;
}

/*
 * A callback starts its timer for the past, again and again. Counts how often it runs
 * before its CPU does anything else, such as beginning another softirq.
 */
__u64 past;
bool irqs_off;
__u32 left;
__u32 past_cpu = -1;
__u32 in_a_row;
__u32 most_in_a_row;

/* Pinned, because begin_row() looks at one CPU only. */
#define PAST_FLAGS (BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN)

static void start_for_past(struct elem *value)
{
	unsigned long irqs;

	if (!irqs_off) {
		args.err = bpf_timer_start(&value->timer, past, PAST_FLAGS);
		return;
	}
	/* With interrupts off, the start is deferred: the drain interrupts the callback. */
	bpf_local_irq_save(&irqs);
	args.err = bpf_timer_start(&value->timer, past, PAST_FLAGS);
	bpf_local_irq_restore(&irqs);
}

static int run_in_past(void *map, int *key, struct elem *value)
{
	past_cpu = bpf_get_smp_processor_id();
	if (++in_a_row > most_in_a_row)
		most_in_a_row = in_a_row;
	value->runs++;
	if (left) {
		left--;
		start_for_past(value);
	}
	return 0;
}

SEC("tp_btf/softirq_entry")
int begin_row(void *ctx)
{
	if (bpf_get_smp_processor_id() == past_cpu)
		in_a_row = 0;
	return 0;
}

SEC("syscall")
int init_for_past(void *ctx)
{
	return init_with(run_in_past);
}
