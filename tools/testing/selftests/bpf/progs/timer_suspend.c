// SPDX-License-Identifier: GPL-2.0
/* Timers that note when they expired. The test suspends the machine. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_array.h"

char _license[] SEC("license") = "GPL";

/* Counts no runs: keeps the time of the last one, on the monotonic clock. */
static int note_time(void *map, int *key, struct elem *value)
{
	value->runs = bpf_ktime_get_ns();
	return 0;
}

SEC("syscall")
int init_noting(void *ctx)
{
	return init_with(note_time);
}
