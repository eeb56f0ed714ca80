/* SPDX-License-Identifier: GPL-2.0-only */
/* What the Rust implementation of BPF timers offers to the rest of BPF. */
#ifndef _LINUX_BPF_TIMER_H
#define _LINUX_BPF_TIMER_H

#include <linux/types.h>

/* Helpers, called by BPF programs with the five argument registers. */
u64 bpf_timer_init(u64 timer, u64 map, u64 flags, u64 r4, u64 r5);
u64 bpf_timer_set_callback(u64 timer, u64 callback, u64 aux, u64 r4, u64 r5);
u64 bpf_timer_start(u64 timer, u64 nsecs, u64 flags, u64 r4, u64 r5);
u64 bpf_timer_cancel(u64 timer, u64 r2, u64 r3, u64 r4, u64 r5);

/* The body of the kfunc bpf_timer_cancel_async(). */
int bpf_timer_try_cancel(void *timer);

/* Called once at boot, before programs can be loaded. */
int bpf_timer_set_up_queues(void);

#endif /* _LINUX_BPF_TIMER_H */
