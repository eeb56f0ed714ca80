// SPDX-License-Identifier: GPL-2.0
/* The object for packets that go out. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

#define OWNER TC
#include "timer_field_shared_map.h"

SEC("tc")
int packet(struct __sk_buff *skb)
{
	if (!is_pause())
		take(bpf_get_prandom_u32() % KEYS);
	return 0;
}
