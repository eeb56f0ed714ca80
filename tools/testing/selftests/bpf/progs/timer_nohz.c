// SPDX-License-Identifier: GPL-2.0
/* A timer that repeats, and counts on which CPU it expires. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_array.h"

char _license[] SEC("license") = "GPL";

__u32 watched_cpu;
__u64 runs_there, runs_elsewhere;

static int repeat(void *map, int *key, struct elem *value)
{
	if (bpf_get_smp_processor_id() == watched_cpu)
		__sync_fetch_and_add(&runs_there, 1);
	else
		__sync_fetch_and_add(&runs_elsewhere, 1);
	bpf_timer_start(&value->timer, args.nsecs, args.flags);
	return 0;
}

SEC("syscall")
int init_repeating(void *ctx)
{
	return init_with(repeat);
}
