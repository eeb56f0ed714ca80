/* SPDX-License-Identifier: GPL-2.0-only */
/* BPF timers in Rust: the functions that the C code of BPF calls. */
#ifndef _LINUX_BPF_TIMER_H
#define _LINUX_BPF_TIMER_H

#include <linux/types.h>

struct bpf_map;
struct bpf_prog;
struct bpf_timer;

/* Each does the work of the helper or kfunc of its name. */
long bpf_timer_rust_init(struct bpf_timer *timer, struct bpf_map *map, u64 flags);
long bpf_timer_rust_set_callback(struct bpf_timer *timer, void *callback_fn,
				 struct bpf_prog *prog);
long bpf_timer_rust_start(struct bpf_timer *timer, u64 nsecs, u64 flags);
long bpf_timer_rust_cancel(struct bpf_timer *timer);
int bpf_timer_rust_cancel_async(struct bpf_timer *timer);

/* Does the work of bpf_timer_cancel_and_free(), which the map code calls. */
void bpf_timer_rust_cancel_and_free(struct bpf_timer *timer);

/* Called once at boot, before programs can be loaded. */
int bpf_timer_rust_init_queues(void);

#endif /* _LINUX_BPF_TIMER_H */
