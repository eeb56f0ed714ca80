// SPDX-License-Identifier: GPL-2.0
/* Timers of any clock. The test sets the wall clock. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_array.h"

char _license[] SEC("license") = "GPL";
