// SPDX-License-Identifier: GPL-2.0
/*
 * A log of flows. The flows are in an LRU hash, and their timers are in a hash beside it. A
 * timer looks after its flow, and reports it when the flow was idle or has been evicted.
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_field_common.h"

/* There are more flows than the map can hold, and a slow machine fills it, too. */
#define FLOWS 1024
#define ROOM 32
#define PERIOD (500 * USEC)
#define IDLE (6 * NSEC_PER_MSEC)

char _license[] SEC("license") = "GPL";

struct flow {
	__u64 id;
	__u64 last;	/* when the last packet came */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, ROOM);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

struct guardian {
	struct bpf_timer timer;
	__u32 key;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2048);
	__type(key, __u64);
	__type(value, struct guardian);
} guardians SEC(".maps");

__u64 ids, inserted, refused;
__u64 idle, orphaned, reported;

static int look_after(void *map, __u64 *id, struct guardian *guardian)
{
	__u32 key = guardian->key;
	struct flow *flow = bpf_map_lookup_elem(&flows, &key);

	if (flow && flow->id == *id) {
		if (bpf_ktime_get_boot_ns() < READ_ONCE(flow->last) + IDLE) {
			must(START, bpf_timer_start(&guardian->timer, PERIOD, 0));
			return 0;
		}
		count(idle);
		/* It may have been evicted by now. */
		allow(DELETE, bpf_map_delete_elem(&flows, &key), -ENOENT, 0);
	} else {
		count(orphaned);
	}
	if (!must(DELETE, bpf_map_delete_elem(&guardians, id)))
		count(reported);
	return 0;
}

static struct guardian *make_guardian(__u64 id, __u32 key)
{
	struct guardian *guardian, new = { .key = key };

	if (allow(UPDATE, bpf_map_update_elem(&guardians, &id, &new, BPF_NOEXIST),
		  -E2BIG, -ENOMEM))
		return NULL;
	guardian = bpf_map_lookup_elem(&guardians, &id);
	if (!guardian)
		return NULL;
	must(INIT, bpf_timer_init(&guardian->timer, &guardians, CLOCK_BOOTTIME));
	must(SET_CALLBACK, bpf_timer_set_callback(&guardian->timer, look_after));
	return guardian;
}

SEC("tc")
int packet(struct __sk_buff *skb)
{
	__u32 key = bpf_get_prandom_u32() % FLOWS;
	__u64 time = bpf_ktime_get_boot_ns(), id;
	struct guardian *guardian;
	struct flow *flow;

	if (is_pause())
		return 0;
	flow = bpf_map_lookup_elem(&flows, &key);
	if (flow) {
		WRITE_ONCE(flow->last, time);
		return 0;
	}
	id = count(ids);
	guardian = make_guardian(id, key);
	if (guardian) {
		struct flow new = { .id = id, .last = time };

		/* Another CPU may have inserted the flow. */
		if (!allow(UPDATE, bpf_map_update_elem(&flows, &key, &new, BPF_NOEXIST),
			   -EEXIST, -ENOMEM)) {
			count(inserted);
			must(START, bpf_timer_start(&guardian->timer, PERIOD, 0));
			return 0;
		}
		must(DELETE, bpf_map_delete_elem(&guardians, &id));
	}
	count(refused);
	return 0;
}
