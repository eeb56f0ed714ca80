// SPDX-License-Identifier: GPL-2.0
/*
 * A scheduler that starts and cancels a timer of the CPU at each context switch, where
 * interrupts are off. All that concerns a timer happens on its CPU: so the program always
 * knows whether the timer is armed.
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_field_common.h"
#include "timer_field_sched.h"

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	struct account account;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FIELD_CPUS);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

bool stop;

static int callback(void *map, __u32 *cpu, struct elem *value)
{
	value->account.called++;
	value->account.is_armed = false;
	if (*cpu != bpf_get_smp_processor_id())
		value->account.misplaced++;
	return 0;
}

SEC("syscall")
int init(void *ctx)
{
	struct elem *value;
	__u32 cpu;

	bpf_for(cpu, 0, FIELD_CPUS) {
		value = bpf_map_lookup_elem(&timers, &cpu);
		if (value)
			must(INIT, bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC));
	}
	return 0;
}

static void start(struct elem *value)
{
	struct account *account = &value->account;
	__u64 nsecs = 1 << bpf_get_prandom_u32() % 20;

	must(SET_CALLBACK, bpf_timer_set_callback(&value->timer, callback));
	/* The timers in C need memory for this. */
	if (allow(START, bpf_timer_start(&value->timer, nsecs, BPF_F_TIMER_CPU_PIN), -ENOMEM, 0))
		return;
	account->started++;
	account->moved += account->is_armed;
	account->is_armed = true;
}

static void cancel(struct elem *value)
{
	struct account *account = &value->account;
	int result = bpf_timer_cancel(&value->timer);

	if (result == -EOPNOTSUPP) {
		account->refused++;
		return;
	}
	if (result != account->is_armed)
		unexpected[CANCEL] = result ?: -ENOENT;
	account->cancelled += result == 1;
	account->is_armed = false;
}

SEC("tp_btf/sched_switch")
int on_switch(void *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct elem *value;

	value = bpf_map_lookup_elem(&timers, &cpu);
	if (!value || stop)
		return 0;
	if (bpf_get_prandom_u32() % 3)
		start(value);
	else
		cancel(value);
	return 0;
}
