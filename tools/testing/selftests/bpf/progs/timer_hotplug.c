// SPDX-License-Identifier: GPL-2.0
/* Programs use timers while a CPU goes offline and comes back. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_experimental.h"
#include "timer_common.h"
#include "timer_hotplug.h"

#define HOUR (3600 * 1000 * NSEC_PER_MSEC)
#define CROWD 16

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	__u64 runs;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TIMERS);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

/* Holds an element until a step deletes it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct elem);
} deleted SEC(".maps");

/* The timers of the rounds under load. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * CROWD);
	__type(key, __u32);
	__type(value, struct elem);
} crowd SEC(".maps");

__u32 slot;
int err;

static struct elem *elem(__u32 i)
{
	return bpf_map_lookup_elem(&timers, &i);
}

static int count_run(void *map, __u32 *key, struct elem *value)
{
	__sync_fetch_and_add(&value->runs, 1);
	return 0;
}

/* Makes the timer of a slot, or resets it. */
SEC("syscall")
int init(void *ctx)
{
	struct elem *value = elem(slot);

	if (!value)
		return 1;
	value->runs = 0;
	err = bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC);
	if (!err || err == -EBUSY)
		err = bpf_timer_set_callback(&value->timer, count_run);
	return 0;
}

/* Adds an element whose timer is armed on this CPU. */
SEC("syscall")
int arm_deleted(void *ctx)
{
	struct elem new = {};
	struct elem *value;
	__u32 key = 0;

	err = bpf_map_update_elem(&deleted, &key, &new, BPF_NOEXIST);
	value = bpf_map_lookup_elem(&deleted, &key);
	if (err || !value)
		return 1;
	err = bpf_timer_init(&value->timer, &deleted, CLOCK_MONOTONIC) ?:
	      bpf_timer_set_callback(&value->timer, count_run) ?:
	      bpf_timer_start(&value->timer, HOUR, BPF_F_TIMER_CPU_PIN);
	return 0;
}

SEC("syscall")
int start_later(void *ctx)
{
	struct elem *value = elem(LATER);
	unsigned long irqs;

	if (!value)
		return 1;
	bpf_local_irq_save(&irqs);
	err = bpf_timer_start(&value->timer, 0, 0);
	bpf_local_irq_restore(&irqs);
	return 0;
}

/* User space asks for @actions on CPU @on_cpu or, if that is negative, on any CPU. */
bool armed;
int on_cpu;
__u32 actions;
__u32 hits;

int started = 1;
int cancel_started = 1;
int cancelled = 2;
__u64 cancelled_expiry;
int deleting = 1;
int dropped = 1;

static void start_and_cancel(void)
{
	struct elem *value = elem(CANCELLED);

	if (!value)
		return;
	cancelled_expiry = bpf_ktime_get_ns() + 20 * NSEC_PER_MSEC;
	cancel_started = bpf_timer_start(&value->timer, cancelled_expiry, BPF_F_TIMER_ABS);
	cancelled = bpf_timer_cancel_async(&value->timer);
}

static void act(void)
{
	struct elem *value;
	__u32 key = 0;

	value = elem(STARTED);
	if (value && actions & DO_START)
		started = bpf_timer_start(&value->timer, 0, 0);
	if (actions & DO_CANCEL)
		start_and_cancel();
	if (actions & DO_DELETE)
		deleting = bpf_map_delete_elem(&deleted, &key);
	value = elem(HELD);
	if (value && actions & DO_DROP)
		dropped = bpf_timer_set_callback(&value->timer, count_run);
}

/* Acts only the first time that the kernel comes here. */
static void act_once(void)
{
	if (!armed || (on_cpu >= 0 && on_cpu != bpf_get_smp_processor_id()))
		return;
	if (!__sync_fetch_and_add(&hits, 1))
		act();
}

/* User space attaches copies of this to other functions. */
SEC("?fentry/bpf_fentry_test1")
int at_entry(void *ctx)
{
	act_once();
	return 0;
}

SEC("?kprobe")
int at_probe(void *ctx)
{
	act_once();
	return 0;
}

/* Threads, NMIs and a CPU that is going offline use the same timers. */
bool on;
__u64 in_threads;
__u64 in_nmis;
__u64 in_dying;
__u64 crowd_runs;
__u64 no_memory;

static void use_crowd(__u64 *count)
{
	__u32 random = bpf_get_prandom_u32();
	__u32 key = random % CROWD;
	struct elem *value;
	long ret = 0;

	__sync_fetch_and_add(count, 1);
	random /= CROWD;
	value = bpf_map_lookup_elem(&crowd, &key);
	if (value && random % 4 < 2)
		ret = bpf_timer_start(&value->timer, random % 200000, 0);
	else if (value && random % 4 == 2)
		ret = bpf_timer_cancel_async(&value->timer);
	else
		bpf_map_delete_elem(&crowd, &key);
	if (ret == -ENOMEM)
		__sync_fetch_and_add(&no_memory, 1);
}

static int count_crowd_run(void *map, __u32 *key, struct elem *value)
{
	__sync_fetch_and_add(&crowd_runs, 1);
	return 0;
}

static void refill_crowd(void)
{
	__u32 key = bpf_get_prandom_u32() % CROWD;
	struct elem new = {};
	struct elem *value;

	bpf_map_update_elem(&crowd, &key, &new, BPF_NOEXIST);
	value = bpf_map_lookup_elem(&crowd, &key);
	if (!value)
		return;
	bpf_timer_init(&value->timer, &crowd, key & 1 ? CLOCK_REALTIME : CLOCK_MONOTONIC);
	bpf_timer_set_callback(&value->timer, count_crowd_run);
}

SEC("syscall")
int use_in_thread(void *ctx)
{
	unsigned long irqs;
	int i;

	bpf_for(i, 0, 64) {
		refill_crowd();
		bpf_local_irq_save(&irqs);
		use_crowd(&in_threads);
		bpf_local_irq_restore(&irqs);
	}
	return 0;
}

/* Called for a backtrace, which other CPUs print in an NMI. */
SEC("?fentry/__printk_cpu_sync_try_get")
int BPF_PROG(use_in_nmi)
{
	if (on && bpf_in_nmi())
		use_crowd(&in_nmis);
	return 0;
}

static void use_in_dying(void)
{
	int i;

	if (on)
		bpf_for(i, 0, 8)
			use_crowd(&in_dying);
}

SEC("?fentry/hrtimers_cpu_dying")
int use_with_hrtimers_dying(void *ctx)
{
	use_in_dying();
	return 0;
}

SEC("?fentry/cpuhp_report_idle_dead")
int use_when_dead(void *ctx)
{
	use_in_dying();
	return 0;
}
