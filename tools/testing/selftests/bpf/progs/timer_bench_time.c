// SPDX-License-Identifier: GPL-2.0
/* Timers that tick, and how late they are; timers that only use memory. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_common.h"
#include "timer_raw.h"
#include "timer_bench_time.h"

#define HOUR (3600ULL * 1000 * 1000 * 1000)

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	/* The point of the grid for which the timer is started. */
	__u64 wanted;
};

/* User space sets the number of entries. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RECORDERS);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

/* A program starts the timers @from to @to - 1. */
__u32 from, to;
/* Timer 0 ticks at @begin for the first time, each other one @apart later than the last. */
__u64 begin, apart, period;

/* How late the first timers were, in nanoseconds, and how many points of the grid they missed. */
__u32 late[RECORDERS][SAMPLES];
__u32 seen[RECORDERS];
__u64 missed[RECORDERS];
/* Expiries of all timers. */
__u64 expiries;
int err;

static void record(__u32 i, __u64 nsecs, __u64 skipped)
{
	__u32 j;

	if (i >= RECORDERS)
		return;
	missed[i] += skipped;
	j = seen[i];
	if (j >= SAMPLES)
		return;
	late[i][j] = nsecs < (__u32)-1 ? nsecs : (__u32)-1;
	seen[i] = j + 1;
}

static int tick(void *map, __u32 *key, struct elem *value)
{
	__u64 nsecs = bpf_ktime_get_ns() - value->wanted;
	__u64 skipped = period ? nsecs / period : 0;

	record(*key, nsecs, skipped);
	__sync_fetch_and_add(&expiries, 1);
	value->wanted += (skipped + 1) * period;
	bpf_timer_start(&value->timer, value->wanted, BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN);
	return 0;
}

static int nothing(void *map, __u32 *key, struct elem *value)
{
	return 0;
}

SEC("syscall")
int start_ticks(void *ctx)
{
	struct elem *value;
	__u32 i;

	bpf_for(i, from, to) {
		value = bpf_map_lookup_elem(&timers, &i);
		if (!value)
			return 1;
		value->wanted = begin + i * apart;
		err |= bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC);
		err |= bpf_timer_set_callback(&value->timer, tick);
		err |= bpf_timer_start(&value->timer, value->wanted,
				       BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN);
	}
	return 0;
}

/* Like start_ticks(), with hrtimers of bpf_timer_raw.ko. */
SEC("syscall")
int start_raw_ticks(void *ctx)
{
	__u32 i;

	if (!bpf_ksym_exists(bpf_timer_raw_tick))
		return 1;
	bpf_for(i, from, to)
		err |= bpf_timer_raw_tick(i, begin + i * apart, period);
	return 0;
}

SEC("syscall")
int stop_raw_ticks(void *ctx)
{
	__u32 i;

	if (!bpf_ksym_exists(bpf_timer_raw_cancel))
		return 1;
	bpf_for(i, from, to)
		bpf_timer_raw_cancel(i);
	return 0;
}

/* Copies what the hrtimers have recorded. */
SEC("syscall")
int read_raw(void *ctx)
{
	__u32 i, j;
	__s64 nsecs;

	if (!bpf_ksym_exists(bpf_timer_raw_late))
		return 1;
	bpf_for(i, 0, RECORDERS) {
		seen[i] = 0;
		missed[i] = 0;
		bpf_for(j, 0, SAMPLES) {
			nsecs = bpf_timer_raw_late(i, j);
			if (nsecs < 0)
				break;
			record(i, nsecs, 0);
		}
		missed[i] = bpf_timer_raw_missed(i);
	}
	return 0;
}

/* Arms timers that do not expire. */
SEC("syscall")
int start_far(void *ctx)
{
	struct elem *value;
	__u32 i;

	bpf_for(i, from, to) {
		value = bpf_map_lookup_elem(&timers, &i);
		if (!value)
			return 1;
		err |= bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC);
		err |= bpf_timer_set_callback(&value->timer, nothing);
		err |= bpf_timer_start(&value->timer, HOUR, 0);
	}
	return 0;
}
