// SPDX-License-Identifier: GPL-2.0
/* Many operations at once that are left to the drain, and how many of them it does at a time. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_backlog.h"
#include "timer_common.h"

#define TIMERS 8192
#define HOUR (3600000 * NSEC_PER_MSEC)

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TIMERS);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

const volatile __u32 count = TIMERS;
__u32 cpu;
int error;

bool draining;
/* What the drain does to hrtimers. */
struct counts started, cancelled;

/* Not the timer that ends a pause of the drain, which is never far from now. */
static bool is_ours(const struct hrtimer *hrtimer)
{
	return draining && bpf_get_smp_processor_id() == cpu && hrtimer->is_soft &&
	       hrtimer->node.expires > bpf_ktime_get_ns() + HOUR / 2;
}

static void count_one(struct counts *counts)
{
	counts->now++;
	counts->all++;
	if (counts->most < counts->now)
		counts->most = counts->now;
}

SEC("tp_btf/irq_work_entry")
int enter(void *ctx)
{
	if (bpf_get_smp_processor_id() != cpu)
		return 0;
	draining = true;
	started.now = 0;
	cancelled.now = 0;
	return 0;
}

SEC("tp_btf/irq_work_exit")
int leave(void *ctx)
{
	if (bpf_get_smp_processor_id() == cpu)
		draining = false;
	return 0;
}

SEC("tp_btf/hrtimer_start")
int BPF_PROG(count_start, struct hrtimer *hrtimer)
{
	if (is_ours(hrtimer))
		count_one(&started);
	return 0;
}

SEC("tp_btf/hrtimer_cancel")
int BPF_PROG(count_cancel, struct hrtimer *hrtimer)
{
	if (is_ours(hrtimer))
		count_one(&cancelled);
	return 0;
}

static int do_nothing(void *map, int *key, struct elem *value)
{
	return 0;
}

static int make_one(__u32 key)
{
	struct elem *value, zero = {};
	int err;

	err = bpf_map_update_elem(&timers, &key, &zero, BPF_NOEXIST);
	if (err)
		return err;
	value = bpf_map_lookup_elem(&timers, &key);
	if (!value)
		return -ENOENT;
	return bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC) ?:
	       bpf_timer_set_callback(&value->timer, do_nothing);
}

static int start_one(__u32 key)
{
	struct elem *value = bpf_map_lookup_elem(&timers, &key);

	return value ? bpf_timer_start(&value->timer, HOUR, 0) : -ENOENT;
}

static int delete_one(__u32 key)
{
	return bpf_map_delete_elem(&timers, &key);
}

static __always_inline void do_all(int (*operation)(__u32 key))
{
	__u32 i;

	bpf_for(i, 0, count) {
		error = operation(i);
		if (error)
			break;
	}
}

static __always_inline void defer_all(int (*operation)(__u32 key))
{
	unsigned long irqs;

	bpf_local_irq_save(&irqs);
	do_all(operation);
	bpf_local_irq_restore(&irqs);
}

SEC("syscall")
int make(void *ctx)
{
	do_all(make_one);
	return 0;
}

SEC("syscall")
int start_all(void *ctx)
{
	defer_all(start_one);
	return 0;
}

SEC("syscall")
int delete_all(void *ctx)
{
	defer_all(delete_one);
	return 0;
}
