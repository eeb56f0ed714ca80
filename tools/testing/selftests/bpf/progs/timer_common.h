/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the programs of the tests of BPF timers. */
#ifndef __TIMER_COMMON_H
#define __TIMER_COMMON_H

#include <errno.h>

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_BOOTTIME 7
#define NSEC_PER_MSEC 1000000ULL

#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, val) (*(volatile typeof(x) *)&(x) = (val))

/*
 * Spins until @cond, for @nsecs at most. Tells whether it came true. There are two loops
 * because one ends after BPF_MAX_LOOPS, in less than a second.
 */
#define spin_until(cond, nsecs)						\
	({								\
		__u64 __end = bpf_ktime_get_ns() + (nsecs);		\
		bool __true = false;					\
		int __i, __j;						\
									\
		bpf_for(__i, 0, BPF_MAX_LOOPS) {			\
			bpf_for(__j, 0, 64) {				\
				__true = (cond);			\
				if (__true)				\
					break;				\
			}						\
			if (__true || bpf_ktime_get_ns() > __end)	\
				break;					\
		}							\
		/* It may have come true while this CPU was away. */	\
		__true || (cond);					\
	})

/* Longer than a virtual CPU is away, but too short for the kernel to complain. */
#define MAX_SPIN (2000 * NSEC_PER_MSEC)

#endif
