// SPDX-License-Identifier: GPL-2.0
/* A timer whose callback takes its time, for tests of PREEMPT_RT. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_array.h"

char _license[] SEC("license") = "GPL";

__u64 spin_nsecs;
bool began, ended;

static int spin(void *map, int *key, struct elem *value)
{
	WRITE_ONCE(began, true);
	spin_until(false, spin_nsecs);
	WRITE_ONCE(ended, true);
	return 0;
}

SEC("syscall")
int init_spinning(void *ctx)
{
	return init_with(spin);
}
