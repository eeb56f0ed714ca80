// SPDX-License-Identifier: GPL-2.0-only
/* What the BPF timers in Rust need of C: a call at boot. */
#include <linux/bpf_timer.h>
#include <linux/init.h>

/* Before any program can be loaded. */
static int __init bpf_timer_init_queues(void)
{
	return bpf_timer_set_up_queues();
}
core_initcall(bpf_timer_init_queues);
