// SPDX-License-Identifier: GPL-2.0
/* Timers that several programs share, and maps that lose their users. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_common.h"

#define ENTRIES 4096

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	__u64 runs;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ENTRIES);
	__type(key, __u32);
	__type(value, struct elem);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps");

__u64 nsecs;
int ret;

static int count(void *map, __u32 *key, struct elem *value)
{
	__sync_fetch_and_add(&value->runs, 1);
	return 0;
}

static int repeat(void *map, __u32 *key, struct elem *value)
{
	__sync_fetch_and_add(&value->runs, 1);
	bpf_timer_start(&value->timer, NSEC_PER_MSEC, 0);
	return 0;
}

static int set_callback_with_irqs_off(struct elem *value)
{
	unsigned long irqs;
	int err;

	bpf_local_irq_save(&irqs);
	err = bpf_timer_set_callback(&value->timer, count);
	bpf_local_irq_restore(&irqs);
	return err;
}

#define OPERATION(_name, _op)						\
	SEC("syscall")							\
	int _name(void *ctx)						\
	{								\
		struct elem *value;					\
		__u32 key = 0;						\
									\
		value = bpf_map_lookup_elem(&timers, &key);		\
		if (!value)						\
			return 1;					\
		ret = _op;						\
		return 0;						\
	}

OPERATION(init, bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC))
OPERATION(set_callback, bpf_timer_set_callback(&value->timer, count))
OPERATION(set_repeat, bpf_timer_set_callback(&value->timer, repeat))
OPERATION(set_with_irqs_off, set_callback_with_irqs_off(value))
OPERATION(start, bpf_timer_start(&value->timer, nsecs, 0))
OPERATION(cancel, bpf_timer_cancel(&value->timer))

__u64 initialised;
__u64 refused;
__u64 unexpected;
__u64 late_runs;

static int count_late(void *map, __u32 *key, struct elem *value)
{
	__sync_fetch_and_add(&late_runs, 1);
	return 0;
}

/* Makes timers in one element after the other while the map loses its last user. */
SEC("syscall")
int init_all(void *ctx)
{
	struct elem *value;
	void *inner;
	__u32 i = 0;
	int err;

	inner = bpf_map_lookup_elem(&outer, &i);
	if (!inner)
		return 1;
	bpf_for(i, 0, ENTRIES) {
		__u32 key = i;

		value = bpf_map_lookup_elem(inner, &key);
		if (!value)
			return 2;
		err = bpf_timer_init(&value->timer, inner, CLOCK_MONOTONIC);
		/* -ENOMEM may come from an allocator that is busy and must not wait. */
		if (!err)
			initialised++;
		else if (err == -EPERM)
			refused++;
		else if (err != -ENOMEM)
			unexpected++;
		/* Both may fail because the timer has just been freed. */
		if (!err && !bpf_timer_set_callback(&value->timer, count_late))
			bpf_timer_start(&value->timer, nsecs, 0);
	}
	return 0;
}
