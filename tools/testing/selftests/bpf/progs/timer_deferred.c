// SPDX-License-Identifier: GPL-2.0
/* Operations that are deferred, and newer ones. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_array.h"

char _license[] SEC("license") = "GPL";

/*
 * One CPU defers a start, because interrupts are off. Another CPU cancels the timer
 * before the start is executed.
 */
int stage;
bool waiting;
bool overtaken;

static bool reached(int wanted)
{
	return spin_until(READ_ONCE(stage) >= wanted, MAX_SPIN);
}

SEC("syscall")
int start_with_irqs_off(void *ctx)
{
	struct elem *value = elem(0);
	unsigned long irqs;

	if (!value)
		return 1;
	bpf_local_irq_save(&irqs);
	args.err = bpf_timer_start(&value->timer, args.nsecs, 0);
	WRITE_ONCE(stage, 1);
	overtaken = reached(2);
	bpf_local_irq_restore(&irqs);
	return 0;
}

int overtaking = -EBUSY;

SEC("syscall")
int overtake(void *ctx)
{
	struct elem *value = elem(0);

	if (!value)
		return 1;
	WRITE_ONCE(waiting, true);
	if (reached(1)) {
		overtaking = bpf_timer_cancel_async(&value->timer);
		WRITE_ONCE(stage, 2);
	}
	return 0;
}

/* The same when the drain is about to execute the start. */
bool holding;

SEC("fentry/hrtimer_start_range_ns")
int BPF_PROG(hold_drain, struct hrtimer *hrtimer)
{
	if (!holding || bpf_get_smp_processor_id() || !hrtimer->is_soft)
		return 0;
	holding = false;
	WRITE_ONCE(stage, 1);
	overtaken = reached(2);
	/* The other CPU is cancelling the timer, or is about to. */
	spin_until(false, 20 * NSEC_PER_MSEC);
	return 0;
}

SEC("syscall")
int start_and_hold(void *ctx)
{
	struct elem *value = elem(0);
	unsigned long irqs;

	if (!value)
		return 1;
	bpf_local_irq_save(&irqs);
	args.err = bpf_timer_start(&value->timer, args.nsecs, 0);
	holding = true;
	bpf_local_irq_restore(&irqs);
	holding = false;
	return 0;
}

SEC("syscall")
int overtake_held(void *ctx)
{
	struct elem *value = elem(0);

	if (!value)
		return 1;
	WRITE_ONCE(waiting, true);
	if (reached(1)) {
		WRITE_ONCE(stage, 2);
		overtaking = bpf_timer_cancel_async(&value->timer);
	}
	return 0;
}

/* Operations with interrupts off must not allocate memory, and the last one must win. */
int counting;
int allocations;

static void count_allocation(void)
{
	if (counting == bpf_get_smp_processor_id() + 1)
		allocations++;
}

SEC("fentry/_kmalloc_nolock_noprof")
int count_kmalloc_nolock(void *ctx)
{
	count_allocation();
	return 0;
}

SEC("tp_btf/kmalloc")
int count_kmalloc(void *ctx)
{
	count_allocation();
	return 0;
}

SEC("tp_btf/kmem_cache_alloc")
int count_kmem_cache_alloc(void *ctx)
{
	count_allocation();
	return 0;
}

int results[3];

SEC("syscall")
int operate_with_irqs_off(void *ctx)
{
	struct elem *value = elem(0);
	unsigned long irqs;

	if (!value)
		return 1;
	bpf_local_irq_save(&irqs);
	counting = bpf_get_smp_processor_id() + 1;
	results[0] = bpf_timer_start(&value->timer, 1000 * NSEC_PER_MSEC, 0);
	results[1] = bpf_timer_cancel_async(&value->timer);
	results[2] = bpf_timer_start(&value->timer, args.nsecs, 0);
	counting = 0;
	bpf_local_irq_restore(&irqs);
	return 0;
}
