// SPDX-License-Identifier: GPL-2.0

#include <linux/bpf.h>

__rust_helper void *rust_helper_bpf_map_kmalloc_nolock(const struct bpf_map *map,
						       size_t size, gfp_t flags,
						       int node)
{
	return bpf_map_kmalloc_nolock(map, size, flags, node);
}
