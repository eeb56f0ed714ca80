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
	bpf_prog_count_run(prog, nsecs);
}
