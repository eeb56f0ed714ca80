/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two objects that share a pinned map. The packets of each set its own callback. OWNER is the
 * object that includes this file.
 */
#include "timer_field_common.h"
#include "timer_field_shared.h"

#define PERIOD (500 * USEC)

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	struct record record;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KEYS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct elem);
} field_shared SEC(".maps");

/* Set before the object is loaded. */
const volatile __u32 constant;

static int callback(void *map, __u32 *key, struct elem *value)
{
	if (constant == CONSTANT(OWNER))
		count(value->record.calls[OWNER]);
	else
		count(value->record.wrong);
	must(START, bpf_timer_start(&value->timer, PERIOD, 0));
	return 0;
}

static void take(__u32 key)
{
	struct elem *value, none = {};

	value = bpf_map_lookup_elem(&field_shared, &key);
	if (!value) {
		allow(UPDATE, bpf_map_update_elem(&field_shared, &key, &none, BPF_NOEXIST),
		      -EEXIST, 0);
		value = bpf_map_lookup_elem(&field_shared, &key);
	}
	if (!value)
		return;
	allow(INIT, bpf_timer_init(&value->timer, &field_shared, CLOCK_MONOTONIC), -EBUSY, 0);
	must(SET_CALLBACK, bpf_timer_set_callback(&value->timer, callback));
	must(START, bpf_timer_start(&value->timer, PERIOD, 0));
}

/* Takes all timers for this object. */
SEC("syscall")
int take_all(void *ctx)
{
	__u32 key;

	bpf_for(key, 0, KEYS)
		take(key);
	return 0;
}
