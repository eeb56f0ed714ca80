// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that feed the drain of deferred operations. The drain, or the end of its
 * interrupt, calls each of them, and each always leaves another operation to the drain.
 * User space loads the programs of one feeder: their names begin with its name.
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_experimental.h"
#include "timer_common.h"

#define HOUR (3600000 * NSEC_PER_MSEC)

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct elem);
} mortals SEC(".maps");

struct work {
	struct bpf_wq wq;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct work);
} works SEC(".maps");

/* User space sets the CPU that is fed and the time, by bpf_ktime_get_ns(), when that ends. */
__u32 cpu;
__u64 end;

/* How many operations the programs left to the drain, and what the last failure returned. */
__u64 fed;
int error;
__u64 runs;

static bool is_feeding(void)
{
	return bpf_get_smp_processor_id() == cpu && bpf_ktime_get_ns() < end;
}

static int count_run(void *map, __u32 *key, struct elem *value)
{
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

static int do_nothing(void *map, int *key, void *value)
{
	return 0;
}

static void count(int err)
{
	if (err)
		error = err;
	else
		__sync_fetch_and_add(&fed, 1);
}

/* Pinned, because other starts need no drain if they are for a later time than before. */
static void start(__u32 key, __u64 nsecs)
{
	struct elem *value = bpf_map_lookup_elem(&timers, &key);

	if (value)
		count(bpf_timer_start(&value->timer, nsecs, BPF_F_TIMER_CPU_PIN));
}

/* A cancellation that is left to the drain returns -ECANCELED. */
static void cancel(__u32 key)
{
	struct elem *value = bpf_map_lookup_elem(&timers, &key);
	int err;

	if (!value)
		return;
	err = bpf_timer_cancel_async(&value->timer);
	if (err < -1 && err != -ECANCELED)
		error = err;
}

/* Makes an element with an armed timer, and deletes it. */
static void make_and_delete(void)
{
	struct elem *value, new = {};
	__u32 key = 0;
	int err;

	bpf_map_update_elem(&mortals, &key, &new, BPF_ANY);
	value = bpf_map_lookup_elem(&mortals, &key);
	if (!value)
		return;
	err = bpf_timer_init(&value->timer, &mortals, CLOCK_MONOTONIC);
	err = err ?: bpf_timer_set_callback(&value->timer, count_run);
	err = err ?: bpf_timer_start(&value->timer, HOUR, 0);
	count(bpf_map_delete_elem(&mortals, &key) ?: err);
}

static int init_timer(__u32 key)
{
	struct elem *value = bpf_map_lookup_elem(&timers, &key);
	int err;

	if (!value)
		return -ENOENT;
	err = bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC);
	return err ?: bpf_timer_set_callback(&value->timer, count_run);
}

SEC("syscall")
int init(void *ctx)
{
	return init_timer(0) ?: init_timer(1) ?: init_timer(2);
}

SEC("?syscall")
int workqueue_init(void *ctx)
{
	struct work *work;
	__u32 key = 0;
	int err;

	work = bpf_map_lookup_elem(&works, &key);
	if (!work)
		return -ENOENT;
	err = bpf_wq_init(&work->wq, &works, 0);
	return err ?: bpf_wq_set_callback(&work->wq, do_nothing, 0);
}

/* Leaves a start and a timer's death to the drain, so that the feeder is called. */
SEC("syscall")
int begin(void *ctx)
{
	unsigned long irqs;

	bpf_local_irq_save(&irqs);
	start(0, HOUR);
	make_and_delete();
	bpf_local_irq_restore(&irqs);
	return error;
}

/* Leaves a start to the drain after the feeder has ended. */
SEC("syscall")
int expire(void *ctx)
{
	unsigned long irqs;

	bpf_local_irq_save(&irqs);
	start(0, 0);
	bpf_local_irq_restore(&irqs);
	return error;
}

/* Called when the interrupt of the drain ends. */
SEC("?tp_btf/irq_work_exit")
int irq_work_exit(void *ctx)
{
	if (is_feeding())
		start(0, HOUR);
	return 0;
}

/* Called when the drain is done, but its interrupt is not. */
SEC("?fentry/irq_exit_rcu")
int irq_exit(void *ctx)
{
	if (is_feeding())
		start(0, HOUR);
	return 0;
}

/* The drain and the irq_work of a bpf_wq feed each other. */
SEC("?tp_btf/hrtimer_start")
int workqueue_at_start(void *ctx)
{
	struct work *work;
	__u32 key = 0;

	if (!is_feeding())
		return 0;
	work = bpf_map_lookup_elem(&works, &key);
	if (work)
		bpf_wq_start(&work->wq, 0);
	return 0;
}

SEC("?fentry/queue_work_on")
int workqueue_at_queue(void *ctx)
{
	if (is_feeding())
		start(0, HOUR);
	return 0;
}

/*
 * The drain calls this function to hand a dead timer to Tasks Trace RCU. The program acts in
 * hardirq only, so that each dead timer leads to one more.
 */
SEC("?fentry/call_srcu")
int death_at_call(void *ctx)
{
	unsigned long irqs;

	if (!is_feeding() || !bpf_in_hardirq())
		return 0;
	bpf_local_irq_save(&irqs);
	make_and_delete();
	bpf_local_irq_restore(&irqs);
	return 0;
}

/* Each start that the drain executes leads to two more starts and a cancellation. */
static void start_two(void)
{
	if (!is_feeding())
		return;
	start(1, HOUR);
	start(2, HOUR);
	cancel(0);
}

SEC("?tp_btf/hrtimer_start")
int start_two_more(void *ctx)
{
	start_two();
	return 0;
}

/* The same in a probe. On some architectures a breakpoint is an NMI. */
SEC("?kprobe")
int probe_start_two_more(void *ctx)
{
	start_two();
	return 0;
}
