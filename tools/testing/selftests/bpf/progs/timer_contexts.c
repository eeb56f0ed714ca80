// SPDX-License-Identifier: GPL-2.0
/* All operations on the same timers, from all contexts and on all CPUs at once. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_experimental.h"
#include "timer_common.h"

#define TIMERS 16

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

enum { TASK, IRQS_OFF, HARDIRQ, NMI, EXPIRY, CONTEXTS };

bool on;
__u64 operations[CONTEXTS];
__u64 runs;
/* Start, cancel_async and delete must not fail for lack of memory in any context. */
__u64 no_memory;

static void operate(int context)
{
	__u32 random = bpf_get_prandom_u32();
	__u32 key = random % TIMERS;
	struct elem *value;
	long ret = 0;

	__sync_fetch_and_add(&operations[context], 1);
	value = bpf_map_lookup_elem(&timers, &key);
	random >>= 8;
	if (value && random % 8 < 1)
		/* This time is long past, so the timer expires at once. */
		ret = bpf_timer_start(&value->timer, 1, BPF_F_TIMER_ABS);
	else if (value && random % 8 < 4)
		ret = bpf_timer_start(&value->timer, (random >> 8) % 200000,
				      random & 0x100000 ? BPF_F_TIMER_CPU_PIN : 0);
	else if (value && random % 8 < 6)
		ret = bpf_timer_cancel_async(&value->timer);
	else if (value && random % 8 == 7)
		/* Fails with -EDEADLK for the own timer, and in a cycle of waits. */
		bpf_timer_cancel(&value->timer);
	else if (random % 8 == 6)
		bpf_map_delete_elem(&timers, &key);
	if (ret == -ENOMEM)
		__sync_fetch_and_add(&no_memory, 1);
}

static int callback(void *map, __u32 *key, struct elem *value)
{
	__sync_fetch_and_add(&runs, 1);
	operate(EXPIRY);
	return 0;
}

/* Adds an element again that was deleted. */
static void refill(void)
{
	__u32 key = bpf_get_prandom_u32() % TIMERS;
	struct elem new = {};
	struct elem *value;

	bpf_map_update_elem(&timers, &key, &new, BPF_NOEXIST);
	value = bpf_map_lookup_elem(&timers, &key);
	if (!value)
		return;
	/* Each clock has half of the timers. */
	bpf_timer_init(&value->timer, &timers, key & 1 ? CLOCK_REALTIME : CLOCK_MONOTONIC);
	bpf_timer_set_callback(&value->timer, callback);
}

SEC("syscall")
int in_task(void *ctx)
{
	unsigned long irqs;
	int i;

	bpf_for(i, 0, 256) {
		refill();
		operate(TASK);
		bpf_local_irq_save(&irqs);
		operate(IRQS_OFF);
		bpf_local_irq_restore(&irqs);
	}
	return 0;
}

/* Waits for callbacks on other CPUs, and drops the program. */
SEC("syscall")
int cancel(void *ctx)
{
	__u32 key = bpf_get_prandom_u32() % TIMERS;
	struct elem *value;

	value = bpf_map_lookup_elem(&timers, &key);
	if (value)
		bpf_timer_cancel(&value->timer);
	return 0;
}

/* Runs in hardirq for most hrtimers, among them the tick. */
SEC("tp_btf/hrtimer_expire_entry")
int BPF_PROG(in_hardirq, struct hrtimer *hrtimer)
{
	if (on)
		operate(HARDIRQ);
	return 0;
}

/* Called for a backtrace, which other CPUs print in an NMI. */
SEC("fentry/__printk_cpu_sync_try_get")
int BPF_PROG(in_nmi)
{
	int i;

	if (on && bpf_in_nmi())
		bpf_for(i, 0, 8)
			operate(NMI);
	return 0;
}
