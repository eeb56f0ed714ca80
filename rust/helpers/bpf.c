// SPDX-License-Identifier: GPL-2.0

#include <linux/bpf.h>
#include <linux/filter.h>

__rust_helper void *rust_helper_bpf_map_kmalloc_nolock(const struct bpf_map *map,
						       size_t size, gfp_t flags,
						       int node)
{
	return bpf_map_kmalloc_nolock(map, size, flags, node);
}

__rust_helper void rust_helper_bpf_prog_count_run(const struct bpf_prog *prog,
						  u64 nsecs)
{
	struct bpf_prog_stats *stats;
	unsigned long flags;

	if (!prog->stats)
		return;

	stats = get_cpu_ptr(prog->stats);
	flags = u64_stats_update_begin_irqsave(&stats->syncp);
	u64_stats_inc(&stats->cnt);
	u64_stats_add(&stats->nsecs, nsecs);
	u64_stats_update_end_irqrestore(&stats->syncp, flags);
	put_cpu_ptr(prog->stats);
}
