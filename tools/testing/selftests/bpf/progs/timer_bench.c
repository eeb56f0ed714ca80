// SPDX-License-Identifier: GPL-2.0
/* What each operation costs, in nanoseconds of the guest: the least of many batches. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_common.h"
#include "timer_bench.h"

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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MANY);
	__type(key, int);
	__type(value, struct elem);
} many SEC(".maps");

/* Of a batch. */
__u64 least;
/* Of all of the many. */
__u64 total;
__u64 expires;
__u64 first, last, fired;
/* What the CPUs have started together until @stop. */
__u64 starts;
bool stop;
int err;

void bpf_local_irq_save(unsigned long *flags) __ksym __weak;
void bpf_local_irq_restore(unsigned long *flags) __ksym __weak;

static int callback(void *map, int *key, struct elem *value)
{
	return 0;
}

/* Notes when it was first and last called. */
static int note_time(void *map, int *key, struct elem *value)
{
	last = bpf_ktime_get_ns();
	if (!fired++)
		first = last;
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

/* The drain follows at once. */
BENCH(start_deferred_and_cancel,
	unsigned long irqs;

	bpf_local_irq_save(&irqs);
	err |= bpf_timer_start(t, HOUR, 0);
	bpf_local_irq_restore(&irqs);
	err |= bpf_timer_cancel_async(t) != 1)

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

/* An operation on each of many timers. */
#define BENCH_MANY(_name, _op)						\
	SEC("syscall")							\
	int _name(void *ctx)						\
	{								\
		__u64 begin = bpf_ktime_get_ns();			\
		struct bpf_timer *t;					\
		int i;							\
									\
		bpf_for(i, 0, MANY) {					\
			t = bpf_map_lookup_elem(&many, &i);		\
			if (!t)						\
				break;					\
			_op;						\
		}							\
		total = bpf_ktime_get_ns() - begin;			\
		return 0;						\
	}

BENCH_MANY(many_nothing, (void)t)
BENCH_MANY(many_init,
	err |= bpf_timer_init(t, &many, CLOCK_MONOTONIC);
	err |= bpf_timer_set_callback(t, note_time))
BENCH_MANY(many_start_first, err |= bpf_timer_start(t, HOUR, 0))
BENCH_MANY(many_start_later, err |= bpf_timer_start(t, 2 * HOUR, 0))
BENCH_MANY(many_start_earlier, err |= bpf_timer_start(t, HOUR, 0))
BENCH_MANY(many_cancel_async, err |= bpf_timer_cancel_async(t) != 1)
BENCH_MANY(many_start_at, err |= bpf_timer_start(t, expires, BPF_F_TIMER_ABS))

SEC("syscall")
int start_shared(void *ctx)
{
	__u64 own = 0;
	struct bpf_timer *t;
	int i, j;

	bpf_for(j, 0, BPF_MAX_LOOPS) {
		if (stop)
			break;
		bpf_for(i, 0, BATCH) {
			t = timer(i);
			if (t)
				err |= bpf_timer_start(t, HOUR, 0);
		}
		own += BATCH;
	}
	__sync_fetch_and_add(&starts, own);
	return 0;
}

SEC("syscall")
int init_shared(void *ctx)
{
	struct bpf_timer *t;
	int i;

	bpf_for(i, 0, BATCH) {
		t = timer(i);
		if (!t)
			return 1;
		bpf_timer_init(t, &timers, CLOCK_MONOTONIC);
		err |= bpf_timer_set_callback(t, callback);
	}
	return 0;
}
