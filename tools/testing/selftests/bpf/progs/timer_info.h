/* SPDX-License-Identifier: GPL-2.0 */
/* What the test of bpf_timer_info() and its programs share. */
#ifndef __TIMER_INFO_H
#define __TIMER_INFO_H

/* The states in which the program asks, in this order. */
enum {
	EMPTY, IDLE, HAS_CALLBACK, ARMED, MOVED, PINNED, CANCELLED, DEFERRED, WALL, IN_CALLBACK,
	RESTARTED, STATES
};

/*
 * As struct bpf_timer_info and its flags, which user space does not have, nor kernels with
 * timers in C.
 */
#define IS_ARMED 1
#define IS_RUNNING 2
#define IS_PINNED 4

struct answer {
	__u64 expires;
	__u64 remaining;
	__u32 prog_id;
	__u32 clockid;
	__s32 cpu;
	__u32 flags;
};

/* How many elements stay where they are during a walk, and how many may come and go. */
#define KEEP 4096
#define CHURN 1024

#endif
