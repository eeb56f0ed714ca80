// SPDX-License-Identifier: GPL-2.0
/* One CPU starts a timer, and another CPU cancels it in each context. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_common.h"
#include "timer_cancel.h"

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TIMERS);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

__u32 context;
__u64 hour;

/* Counts of starts and callbacks. A start waits until the outcome of the last one is known. */
__u64 starts;
__u64 begun;
__u64 ended;

/* The outcomes, by the result of the cancellation. */
__u64 returned[RESULTS];
__u64 late;		/* callbacks that began after a cancellation had returned */
__u64 unaccounted;	/* starts without an outcome, or with more than one */
__u64 unfinished;	/* callbacks that still ran after a cancellation that waits */
int unexpected;		/* any other result */
bool stop;

static struct elem *elem(__u32 key)
{
	return bpf_map_lookup_elem(&timers, &key);
}

static int count_run(void *map, __u32 *key, struct elem *value)
{
	__u64 end = bpf_ktime_get_ns() + bpf_get_prandom_u32() % 131072;

	__sync_fetch_and_add(&begun, 1);
	spin_until(bpf_ktime_get_ns() > end, NSEC_PER_MSEC);
	__sync_fetch_and_add(&ended, 1);
	return 0;
}

static int do_nothing(void *map, __u32 *key, struct elem *value)
{
	return 0;
}

/* The cancellation of the timer, and its result. */
int result;
bool due;	/* the program that runs in the context must cancel */
bool cancelled;

static void cancel(void)
{
	struct elem *value = elem(0);
	__u64 seen;

	if (!value)
		return;
	due = false;
	result = bpf_timer_cancel(&value->timer);
	seen = READ_ONCE(begun);
	if (result >= 0 && context <= SOFTIRQ && seen != READ_ONCE(ended))
		unfinished++;
	cancelled = true;
}

static int cancel_in_softirq(void *map, __u32 *key, struct elem *value)
{
	cancel();
	return 0;
}

SEC("syscall")
int init(void *ctx)
{
	struct elem *value;
	int key, err;

	bpf_for(key, 0, TIMERS) {
		value = elem(key);
		if (!value)
			return -ENOENT;
		err = bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC);
		if (err)
			return err;
	}
	return 0;
}

/* The other CPU starts the timer whenever it is asked to. */
__u32 asked;
__u32 answered;

SEC("syscall")
int start_when_asked(void *ctx)
{
	struct elem *value = elem(0);
	int i, err;

	if (!value)
		return -ENOENT;
	bpf_for(i, 0, ROUNDS) {
		spin_until(READ_ONCE(asked) != answered || READ_ONCE(stop), MAX_SPIN);
		if (stop || asked == answered)
			return 0;
		err = bpf_timer_start(&value->timer, bpf_get_prandom_u32() % 65536,
				      BPF_F_TIMER_CPU_PIN);
		if (err)
			return err;
		answered = asked;
	}
	return 0;
}

/* Runs in the interrupt that executes the drain when interrupts are on again. */
SEC("?tp_btf/irq_work_entry")
int in_hardirq(void *ctx)
{
	if (context == HARDIRQ && due && !bpf_get_smp_processor_id())
		cancel();
	return 0;
}

/* Runs in a breakpoint on a function that in_task() calls: an NMI on some architectures. */
SEC("?kprobe")
int in_nmi(void *ctx)
{
	if (context == NMI && due && !bpf_get_smp_processor_id())
		cancel();
	return 0;
}

static int cancel_in_context(struct elem *vehicle)
{
	unsigned long irqs;
	int err = 0;

	switch (context) {
	case TASK:
		cancel();
		return 0;
	case SOFTIRQ:
		err = bpf_timer_set_callback(&vehicle->timer, cancel_in_softirq);
		return err ?: bpf_timer_start(&vehicle->timer, 0, BPF_F_TIMER_CPU_PIN);
	case IRQS_OFF:
		bpf_local_irq_save(&irqs);
		cancel();
		bpf_local_irq_restore(&irqs);
		return 0;
	case HARDIRQ:
		err = bpf_timer_set_callback(&vehicle->timer, do_nothing);
		bpf_local_irq_save(&irqs);
		due = true;
		err = err ?: bpf_timer_start(&vehicle->timer, hour, BPF_F_TIMER_CPU_PIN);
		bpf_local_irq_restore(&irqs);
		return err;
	default:
		due = true;
		bpf_get_numa_node_id();
		return 0;
	}
}

/* Records the outcome of a start: it was cancelled, or its callback was called. */
static void account(__u64 before)
{
	__u64 after, end;

	switch (result) {
	case 1:
	case 0:
		returned[result]++;
		if (begun - before != !result)
			unaccounted++;
		after = begun;
		end = bpf_ktime_get_ns() + 32768;
		spin_until(bpf_ktime_get_ns() > end, NSEC_PER_MSEC);
		if (after != READ_ONCE(begun))
			late++;
		break;
	case -EBUSY:
		returned[BUSY]++;
		if (!spin_until(READ_ONCE(begun) != before, MAX_SPIN))
			unaccounted++;
		break;
	default:
		unexpected = result;
	}
	spin_until(READ_ONCE(ended) == READ_ONCE(begun), MAX_SPIN);
}

static int race(struct elem *value, struct elem *vehicle)
{
	__u64 before = begun, end;
	int err;

	cancelled = false;
	err = bpf_timer_set_callback(&value->timer, count_run);
	if (err)
		return err;
	asked++;
	if (!spin_until(READ_ONCE(answered) == asked, MAX_SPIN))
		return -ETIMEDOUT;
	starts++;
	end = bpf_ktime_get_ns() + bpf_get_prandom_u32() % 262144;
	spin_until(bpf_ktime_get_ns() > end, NSEC_PER_MSEC);
	err = cancel_in_context(vehicle);
	if (err)
		return err;
	if (!spin_until(READ_ONCE(cancelled), MAX_SPIN))
		return -ETIMEDOUT;
	account(before);
	return 0;
}

SEC("syscall")
int in_task(void *ctx)
{
	struct elem *value = elem(0), *vehicle = elem(1);
	int i, err;

	if (!value || !vehicle)
		return -ENOENT;
	bpf_for(i, 0, ROUNDS) {
		err = race(value, vehicle);
		if (err)
			return err;
	}
	return 0;
}

/* A callback cancels its own timer with interrupts off, as a program that interrupts it does. */
int own_result;
bool own_called;

static int cancel_own(void *map, __u32 *key, struct elem *value)
{
	unsigned long irqs;

	bpf_local_irq_save(&irqs);
	own_result = bpf_timer_cancel(&value->timer);
	bpf_local_irq_restore(&irqs);
	own_called = true;
	return 0;
}

SEC("syscall")
int start_own(void *ctx)
{
	struct elem *value = elem(1);
	int err;

	if (!value)
		return -ENOENT;
	err = bpf_timer_set_callback(&value->timer, cancel_own);
	return err ?: bpf_timer_start(&value->timer, 0, 0);
}

/* With interrupts off, cancels a timer while it is armed and again when it is idle. */
int once[2];

SEC("syscall")
int cancel_once(void *ctx)
{
	struct elem *value = elem(0);
	unsigned long irqs;
	int err;

	if (!value)
		return -ENOENT;
	err = bpf_timer_set_callback(&value->timer, count_run);
	err = err ?: bpf_timer_start(&value->timer, hour, 0);
	bpf_local_irq_save(&irqs);
	once[0] = bpf_timer_cancel(&value->timer);
	once[1] = bpf_timer_cancel(&value->timer);
	bpf_local_irq_restore(&irqs);
	return err;
}

/* With interrupts off, cancels in a value that has no timer. */
SEC("syscall")
int cancel_nothing(void *ctx)
{
	struct elem *value = elem(0);
	unsigned long irqs;
	int ret;

	if (!value)
		return -ENOENT;
	bpf_local_irq_save(&irqs);
	ret = bpf_timer_cancel(&value->timer);
	bpf_local_irq_restore(&irqs);
	return ret;
}
