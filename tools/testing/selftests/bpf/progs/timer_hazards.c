// SPDX-License-Identifier: GPL-2.0
/* Programs for the hazards of timers, which can hang a CPU or mislead their users. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_common.h"

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	__u64 runs;
	__u64 restarts;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, struct elem);
} timers SEC(".maps");

/* Arguments and result of a program. */
__u32 slot;
__u32 clockid = CLOCK_MONOTONIC;
__u64 nsecs;
__u64 flags;
__u64 restarts;
int err;

static int count_run(void *map, int *key, struct elem *value)
{
	__sync_fetch_and_add(&value->runs, 1);
	if (value->restarts) {
		value->restarts--;
		bpf_timer_start(&value->timer, NSEC_PER_MSEC, 0);
	}
	return 0;
}

static struct elem *elem(__u32 i)
{
	return bpf_map_lookup_elem(&timers, &i);
}

/* Inlined, because the verifier must know the callback. */
static __always_inline int init_with(int (*callback)(void *map, int *key, struct elem *value))
{
	struct elem *value = elem(slot);

	if (!value)
		return 1;
	value->runs = 0;
	value->restarts = restarts;
	err = bpf_timer_init(&value->timer, &timers, clockid);
	if (!err)
		err = bpf_timer_set_callback(&value->timer, callback);
	return 0;
}

SEC("syscall")
int init(void *ctx)
{
	return init_with(count_run);
}

SEC("syscall")
int start(void *ctx)
{
	struct elem *value = elem(slot);

	if (!value)
		return 1;
	err = bpf_timer_start(&value->timer, nsecs, flags);
	return 0;
}

SEC("syscall")
int cancel(void *ctx)
{
	struct elem *value = elem(slot);

	if (!value)
		return 1;
	err = bpf_timer_cancel(&value->timer);
	return 0;
}

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
	struct elem *value = elem(slot);

	if (!value)
		return 1;
	learning_cpu = bpf_get_smp_processor_id();
	learning = slot + 1;
	err = bpf_timer_start(&value->timer, nsecs, flags);
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
	spin_until(*(volatile int *)&arrived >= 2, MAX_SPIN);
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
		err = bpf_timer_start(&value->timer, past, PAST_FLAGS);
		return;
	}
	/* With interrupts off, the start is deferred: the drain interrupts the callback. */
	bpf_local_irq_save(&irqs);
	err = bpf_timer_start(&value->timer, past, PAST_FLAGS);
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

/*
 * A timer has the last reference to a program. A program drops it while it traces code
 * that holds a lock which the end of a program takes.
 */
__u32 loader;
__u32 drop_on;	/* CPU + 1 */
int dropped = 1;

static void drop_under_lock(__u32 i)
{
	struct elem *value = elem(i);

	if (value && drop_on == bpf_get_smp_processor_id() + 1) {
		drop_on = 0;
		dropped = bpf_timer_set_callback(&value->timer, count_run);
	}
}

/*
 * The table of program IDs grows under its lock. It allocates a node with GFP_ATOMIC;
 * page caches allocate nodes that are not __GFP_HIGH.
 */
SEC("tp_btf/kmem_cache_alloc")
int BPF_PROG(drop_at_new_id, unsigned long call_site, const void *ptr, struct kmem_cache *cache,
	     gfp_t gfp)
{
	char name[16] = {};

	if (gfp & (1 << ___GFP_DIRECT_RECLAIM_BIT) || !(gfp & (1 << ___GFP_HIGH_BIT)) ||
	    bpf_get_current_pid_tgid() >> 32 != loader)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name), cache->name);
	if (!bpf_strncmp(name, sizeof(name), "radix_tree_node"))
		drop_under_lock(0);
	return 0;
}

SEC("tp_btf/workqueue_queue_work")
int drop_at_queue_work(void *ctx)
{
	drop_under_lock(1);
	return 0;
}

/* Drops another last reference first, so that there is something to queue. */
SEC("syscall")
int drop_with_irqs_off(void *ctx)
{
	struct elem *value = elem(2);
	unsigned long irqs;

	if (!value)
		return 1;
	bpf_local_irq_save(&irqs);
	drop_on = bpf_get_smp_processor_id() + 1;
	err = bpf_timer_set_callback(&value->timer, count_run);
	bpf_local_irq_restore(&irqs);
	return 0;
}

/*
 * One CPU defers a start, because interrupts are off. Another CPU cancels the timer
 * before the start is executed.
 */
int stage;
bool waiting;
bool overtaken;

static bool reached(int wanted)
{
	return spin_until(*(volatile int *)&stage >= wanted, MAX_SPIN);
}

SEC("syscall")
int start_with_irqs_off(void *ctx)
{
	struct elem *value = elem(0);
	unsigned long irqs;

	if (!value)
		return 1;
	bpf_local_irq_save(&irqs);
	err = bpf_timer_start(&value->timer, nsecs, 0);
	stage = 1;
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
	waiting = true;
	if (reached(1)) {
		overtaking = bpf_timer_cancel_async(&value->timer);
		stage = 2;
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
	stage = 1;
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
	err = bpf_timer_start(&value->timer, nsecs, 0);
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
	waiting = true;
	if (reached(1)) {
		stage = 2;
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
	results[2] = bpf_timer_start(&value->timer, nsecs, 0);
	counting = 0;
	bpf_local_irq_restore(&irqs);
	return 0;
}
