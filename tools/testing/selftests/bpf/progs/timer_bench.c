// SPDX-License-Identifier: GPL-2.0
/* What each operation costs, in nanoseconds of the guest: the least of many batches. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_common.h"

#define BATCH 64
#define BATCHES 64
#define HOUR (3600ULL * 1000 * 1000 * 1000)

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BATCH);
	__type(key, int);
	__type(value, struct elem);
} timers SEC(".maps");

/* Of a batch. */
__u64 least;
int err;

static int callback(void *map, int *key, struct elem *value)
{
	return 0;
}

static struct bpf_timer *timer(int key)
{
	return bpf_map_lookup_elem(&timers, &key);
}

/* Operations on timer 0, which has a callback before and after each. */
#define BENCH(_name, _op)						\
	SEC("syscall")							\
	int _name(void *ctx)						\
	{								\
		struct bpf_timer *t = timer(0);				\
		__u64 begin, time;					\
		int i, j;						\
									\
		if (!t)							\
			return 1;					\
		least = ~0ULL;						\
		bpf_for(j, 0, BATCHES) {				\
			begin = bpf_ktime_get_ns();			\
			bpf_for(i, 0, BATCH) {				\
				_op;					\
			}						\
			time = bpf_ktime_get_ns() - begin;		\
			if (time < least)				\
				least = time;				\
		}							\
		return 0;						\
	}

BENCH(nothing, (void)t)
BENCH(set_callback_same, err |= bpf_timer_set_callback(t, callback))
/* The timer is armed, and moved. */
BENCH(start_again, err |= bpf_timer_start(t, HOUR, 0))
/* The timer is idle, and made so again. */
BENCH(start_and_cancel_async,
	err |= bpf_timer_start(t, HOUR, 0);
	err |= bpf_timer_cancel_async(t) != 1)
BENCH(cancel_async_idle, err |= bpf_timer_cancel_async(t))
BENCH(cancel_idle, err |= bpf_timer_cancel(t))
BENCH(set_callback_and_cancel,
	err |= bpf_timer_set_callback(t, callback);
	err |= bpf_timer_cancel(t))
BENCH(set_callback_start_cancel,
	err |= bpf_timer_set_callback(t, callback);
	err |= bpf_timer_start(t, HOUR, 0);
	err |= bpf_timer_cancel(t) != 1)

SEC("syscall")
int prepare(void *ctx)
{
	struct bpf_timer *t = timer(0);

	if (!t)
		return 1;
	bpf_timer_init(t, &timers, CLOCK_MONOTONIC);
	bpf_timer_cancel(t);
	err = bpf_timer_set_callback(t, callback);
	return 0;
}

/* One batch: user space empties the slots in between. */
SEC("syscall")
int init(void *ctx)
{
	struct bpf_timer *t;
	__u64 begin, time;
	int i;

	begin = bpf_ktime_get_ns();
	bpf_for(i, 0, BATCH) {
		t = timer(i);
		if (t)
			err |= bpf_timer_init(t, &timers, CLOCK_MONOTONIC);
	}
	time = bpf_ktime_get_ns() - begin;
	if (time < least)
		least = time;
	return 0;
}

SEC("syscall")
int find(void *ctx)
{
	__u64 begin, time;
	int i;

	begin = bpf_ktime_get_ns();
	bpf_for(i, 0, BATCH)
		err |= !timer(i);
	time = bpf_ktime_get_ns() - begin;
	if (time < least)
		least = time;
	return 0;
}
