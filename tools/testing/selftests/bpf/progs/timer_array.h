/* SPDX-License-Identifier: GPL-2.0 */
/* An array of timers that count their runs, and programs that operate on one of them. */
#ifndef __TIMER_ARRAY_H
#define __TIMER_ARRAY_H

#include "timer_args.h"
#include "timer_common.h"

struct elem {
	struct bpf_timer timer;
	__u64 runs;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, int);
	__type(value, struct elem);
} timers SEC(".maps");

struct timer_args args;

static int count_run(void *map, int *key, struct elem *value)
{
	__sync_fetch_and_add(&value->runs, 1);
	return 0;
}

static struct elem *elem(__u32 i)
{
	return bpf_map_lookup_elem(&timers, &i);
}

/* Inlined, because the verifier must know the callback. */
static __always_inline int init_with(int (*callback)(void *map, int *key, struct elem *value))
{
	struct elem *value = elem(args.slot);

	if (!value)
		return 1;
	value->runs = 0;
	args.err = bpf_timer_init(&value->timer, &timers, args.clockid);
	if (!args.err)
		args.err = bpf_timer_set_callback(&value->timer, callback);
	return 0;
}

SEC("syscall")
int init(void *ctx)
{
	return init_with(count_run);
}

SEC("syscall")
int start(void *ctx)
{
	struct elem *value = elem(args.slot);

	if (!value)
		return 1;
	args.err = bpf_timer_start(&value->timer, args.nsecs, args.flags);
	return 0;
}

SEC("syscall")
int cancel(void *ctx)
{
	struct elem *value = elem(args.slot);

	if (!value)
		return 1;
	args.err = bpf_timer_cancel(&value->timer);
	return 0;
}

#endif
