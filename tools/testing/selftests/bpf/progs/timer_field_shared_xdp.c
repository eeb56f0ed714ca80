// SPDX-License-Identifier: GPL-2.0
/* The object for packets that come in. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

#define OWNER XDP
#include "timer_field_shared_map.h"

SEC("xdp")
int packet(struct xdp_md *xdp)
{
	if (!is_pause())
		take(bpf_get_prandom_u32() % KEYS);
	return XDP_PASS;
}
