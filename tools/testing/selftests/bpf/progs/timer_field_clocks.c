// SPDX-License-Identifier: GPL-2.0
/* Leases in an LRU hash: half of their timers are on CLOCK_BOOTTIME, half on CLOCK_REALTIME. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_field_common.h"

#define LEASES 32

char _license[] SEC("license") = "GPL";

struct lease {
	struct bpf_timer timer;
	__u64 due;	/* 0 if the timer is not armed */
};

/* There is room for all leases, so none is evicted. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64 * LEASES);
	__type(key, __u32);
	__type(value, struct lease);
} leases SEC(".maps");

/* Counts for the two clocks. CLOCK_REALTIME has the odd keys. */
__u64 started[2], called[2], early[2];
__u64 latest[2];	/* how late the latest callback was */

static int expire(void *map, __u32 *key, struct lease *lease)
{
	__u64 now = bpf_ktime_get_ns(), due = lease->due;
	__u32 clock = *key & 1;

	if (now < due)
		count(early[clock]);
	else if (now - due > latest[clock])
		latest[clock] = now - due;
	count(called[clock]);
	WRITE_ONCE(lease->due, 0);
	return 0;
}

SEC("tc")
int packet(struct __sk_buff *skb)
{
	__u32 key = bpf_get_prandom_u32() % LEASES, clock = key & 1;
	__u64 nsecs = bpf_get_prandom_u32() % (8 * NSEC_PER_MSEC);
	struct lease *lease, none = {};

	lease = bpf_map_lookup_elem(&leases, &key);
	if (!lease) {
		allow(UPDATE, bpf_map_update_elem(&leases, &key, &none, BPF_NOEXIST), -EEXIST, 0);
		lease = bpf_map_lookup_elem(&leases, &key);
		if (!lease)
			return 0;
	}
	/* One CPU starts the timer of a lease that has expired. */
	if (__sync_val_compare_and_swap(&lease->due, 0, bpf_ktime_get_ns() + nsecs))
		return 0;
	allow(INIT, bpf_timer_init(&lease->timer, &leases,
				   clock ? CLOCK_REALTIME : CLOCK_BOOTTIME), -EBUSY, 0);
	must(SET_CALLBACK, bpf_timer_set_callback(&lease->timer, expire));
	count(started[clock]);
	must(START, bpf_timer_start(&lease->timer, nsecs, 0));
	return 0;
}
