// SPDX-License-Identifier: GPL-2.0-only
/* The parts of the BPF timers in Rust that only C can express. */
#include <linux/bpf.h>
#include <linux/bpf_timer.h>
#include <linux/btf.h>
#include <linux/init.h>

/* Before any program can be loaded. */
static int __init bpf_timer_init_queues(void)
{
	/* BPF programs find these types in BTF, and Rust emits no BTF. */
	BTF_TYPE_EMIT(struct bpf_timer);
	BTF_TYPE_EMIT_ENUM(BPF_F_TIMER_ABS);

	return bpf_timer_rust_init_queues();
}
core_initcall(bpf_timer_init_queues);
