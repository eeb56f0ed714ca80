// SPDX-License-Identifier: GPL-2.0
/* Counts the expiries of the timers of each map. expiries.go loads this. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} expiries SEC(".maps");

SEC("tp_btf/bpf_timer_expire_entry")
int BPF_PROG(on_expire, const void *timer, __u32 map_id)
{
	__u64 *count, zero = 0;

	bpf_map_update_elem(&expiries, &map_id, &zero, BPF_NOEXIST);
	count = bpf_map_lookup_elem(&expiries, &map_id);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}
