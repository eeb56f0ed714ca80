// SPDX-License-Identifier: GPL-2.0
/* Programs drop the last reference to a program under locks. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_array.h"

char _license[] SEC("license") = "GPL";

/*
 * A timer has the last reference to a program. A program drops it while it traces code
 * that holds a lock which the end of a program takes.
 */
__u32 loader;
__u32 drop_on;	/* CPU + 1 */
int dropped = 1;

static void drop_under_lock(__u32 i)
{
	struct elem *value = elem(i);

	if (value && drop_on == bpf_get_smp_processor_id() + 1) {
		drop_on = 0;
		dropped = bpf_timer_set_callback(&value->timer, count_run);
	}
}

/*
 * The table of program IDs grows under its lock. It allocates a node with GFP_ATOMIC;
 * page caches allocate nodes that are not __GFP_HIGH.
 */
SEC("tp_btf/kmem_cache_alloc")
int BPF_PROG(drop_at_new_id, unsigned long call_site, const void *ptr, struct kmem_cache *cache,
	     gfp_t gfp)
{
	char name[16] = {};

	if (gfp & (1 << ___GFP_DIRECT_RECLAIM_BIT) || !(gfp & (1 << ___GFP_HIGH_BIT)) ||
	    bpf_get_current_pid_tgid() >> 32 != loader)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name), cache->name);
	if (!bpf_strncmp(name, sizeof(name), "radix_tree_node"))
		drop_under_lock(0);
	return 0;
}

SEC("tp_btf/workqueue_queue_work")
int drop_at_queue_work(void *ctx)
{
	drop_under_lock(1);
	return 0;
}

/* Drops another last reference first, so that there is something to queue. */
SEC("syscall")
int drop_with_irqs_off(void *ctx)
{
	struct elem *value = elem(2);
	unsigned long irqs;

	if (!value)
		return 1;
	bpf_local_irq_save(&irqs);
	drop_on = bpf_get_smp_processor_id() + 1;
	args.err = bpf_timer_set_callback(&value->timer, count_run);
	bpf_local_irq_restore(&irqs);
	return 0;
}
