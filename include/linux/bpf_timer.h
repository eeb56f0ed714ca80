/* SPDX-License-Identifier: GPL-2.0-only */
/* BPF timers in Rust: the functions that the C code of BPF calls. */
#ifndef _LINUX_BPF_TIMER_H
#define _LINUX_BPF_TIMER_H

#include <linux/types.h>

struct bpf_map;
struct bpf_prog;
struct bpf_timer;

/* In the flags of struct bpf_timer_info. */
enum bpf_timer_info_flags {
	/* The timer is to expire. */
	BPF_TIMER_ARMED		= (1U << 0),
	/* The callback is running. */
	BPF_TIMER_RUNNING	= (1U << 1),
	/* The timer is to expire on the CPU that started it. */
	BPF_TIMER_PINNED	= (1U << 2),
};

/**
 * struct bpf_timer_info - what bpf_timer_info() says about a timer
 * @expires:	when the timer is to expire, in ns of @clockid; 0 if it is not
 *		armed
 * @remaining:	ns from now until then; 0 if it is not armed, or late
 * @prog_id:	the ID of the program that has set the callback; 0 if none is set
 * @clockid:	the clock of @expires
 * @cpu:	the CPU that will expire the timer unless it is moved; -1 if it is
 *		not armed or is being moved, or an irq_work has yet to arm its
 *		hrtimer
 * @flags:	see enum bpf_timer_info_flags
 *
 * New fields are added at the end.
 */
struct bpf_timer_info {
	__u64 expires;
	__u64 remaining;
	__u32 prog_id;
	__u32 clockid;
	__s32 cpu;
	__u32 flags;
};

/* Each does the work of the helper or kfunc of its name. */
long bpf_timer_rust_init(struct bpf_timer *timer, struct bpf_map *map, u64 flags);
long bpf_timer_rust_set_callback(struct bpf_timer *timer, void *callback_fn,
				 struct bpf_prog *prog);
long bpf_timer_rust_start(struct bpf_timer *timer, u64 nsecs, u64 flags);
long bpf_timer_rust_cancel(struct bpf_timer *timer);
int bpf_timer_rust_cancel_async(struct bpf_timer *timer);
int bpf_timer_rust_info(struct bpf_timer *timer, struct bpf_timer_info *info);

/* Does the work of bpf_timer_cancel_and_free(), which the map code calls. */
void bpf_timer_rust_cancel_and_free(struct bpf_timer *timer);

/* Called once at boot, before programs can be loaded. */
int bpf_timer_rust_init_queues(void);

#endif /* _LINUX_BPF_TIMER_H */
