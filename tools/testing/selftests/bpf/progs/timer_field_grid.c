// SPDX-License-Identifier: GPL-2.0
/* Synchronised sampling: a tick on each CPU at each whole millisecond, which starts the next. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_field_common.h"
#include "timer_field_grid.h"

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	struct ticks ticks;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FIELD_CPUS);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

__u64 first;	/* the first point, on all CPUs */
bool stop;

static int start(struct elem *value)
{
	return must(START, bpf_timer_start(&value->timer, value->ticks.next,
					   BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN));
}

static int tick(void *map, __u32 *cpu, struct elem *value)
{
	struct ticks *ticks = &value->ticks;
	__u64 now = bpf_ktime_get_ns(), missed;

	ticks->called++;
	if (*cpu != bpf_get_smp_processor_id())
		ticks->misplaced++;
	if (now < ticks->next) {
		ticks->early++;
		now = ticks->next;
	}
	missed = (now - ticks->next) / GRID;
	ticks->missed += missed;
	ticks->next += (missed + 1) * GRID;
	if (stop)
		ticks->ended = now;
	else
		start(value);
	return 0;
}

/* Runs on each CPU. */
SEC("syscall")
int begin(void *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct elem *value;
	int err;

	value = bpf_map_lookup_elem(&timers, &cpu);
	if (!value)
		return -ENOENT;
	value->ticks.next = first;
	err = must(INIT, bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC));
	err = err ?: must(SET_CALLBACK, bpf_timer_set_callback(&value->timer, tick));
	return err ?: start(value);
}
