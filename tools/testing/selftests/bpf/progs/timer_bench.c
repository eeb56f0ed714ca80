// SPDX-License-Identifier: GPL-2.0
/*
 * Operations on many timers, in each context. A program does one operation to each
 * of the elements and leaves in @cost how long that took.
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_common.h"
#include "timer_bench.h"
#include "timer_info.h"
#include "timer_raw.h"

#define HOUR (3600ULL * 1000 * 1000 * 1000)

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	__u64 data;
};

/* User space sets the type and the number of entries. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHARED);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

/* The timer in whose callback operations are measured. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct elem);
} driver SEC(".maps");

/* Set if operations are also done with interrupts off. If not, the verifier skips that code. */
const volatile bool with_irqs_off = false;
/* The operation to do next, for how many elements, and whether with interrupts off. */
__u32 operation;
__u32 total;
bool irqs_off;
/* The time for which start_at() starts the timers. */
__u64 expires;

/* User space waits until @done. */
bool pending;
bool done;
__u64 cost;
/* How many operations returned something unexpected, and the result of one of them. */
__u64 failures;
__s64 result;

/* The times of the first and the last expiry, and how many there were. */
__u64 first, last, fired;

/* How many timers the CPUs started together until @stop. */
__u64 starts;
bool stop;

void bpf_local_irq_save(unsigned long *flags) __ksym __weak;
void bpf_local_irq_restore(unsigned long *flags) __ksym __weak;

struct bpf_timer_info;

extern int bpf_timer_info(struct bpf_timer *timer, struct bpf_timer_info *info,
			  u32 info__sz) __ksym __weak;

static int nothing(void *map, __u32 *key, struct elem *value)
{
	return 0;
}

/* Notes when it was first and last called. */
static int note(void *map, __u32 *key, struct elem *value)
{
	last = bpf_ktime_get_ns();
	if (!fired++)
		first = last;
	return 0;
}

static void check(__s64 ret, __s64 wanted, bool deferred)
{
	if (ret == wanted || (deferred && ret == -ECANCELED))
		return;
	failures++;
	result = ret;
}

/*
 * Defines @_name(), which does @_op for each @i below @total, and @_name_irqs_off(), which
 * turns interrupts off for a batch at a time. The drain executes deferred operations when
 * interrupts are on again.
 */
#define EACH(_name, _op)							\
	__noinline int _name(void)						\
	{									\
		const bool deferred = false;					\
		__u64 begin = bpf_ktime_get_ns();				\
		__u32 i, n = total;						\
										\
		bpf_for(i, 0, n)						\
			_op;							\
		cost = bpf_ktime_get_ns() - begin;				\
		return deferred;						\
	}									\
										\
	__noinline int _name##_irqs_off(void)					\
	{									\
		const bool deferred = true;					\
		__u64 begin = bpf_ktime_get_ns();				\
		unsigned long flags;						\
		__u32 i, j, n = total;						\
										\
		bpf_for(j, 0, (n + IRQS_OFF_BATCH - 1) / IRQS_OFF_BATCH) {	\
			__u32 from = j * IRQS_OFF_BATCH;			\
			__u32 to = from + IRQS_OFF_BATCH;			\
										\
			bpf_local_irq_save(&flags);				\
			bpf_for(i, from, to < n ? to : n)			\
				_op;						\
			bpf_local_irq_restore(&flags);				\
		}								\
		cost = bpf_ktime_get_ns() - begin;				\
		return deferred;						\
	}

/* Like EACH(), for the timer @t of each element. */
#define EACH_TIMER(_name, _op)							\
	EACH(_name, {								\
		__u32 key = i;							\
		struct bpf_timer *t = bpf_map_lookup_elem(&timers, &key);	\
										\
		if (!t) {							\
			failures++;						\
			break;							\
		}								\
		_op;								\
	})

EACH(loop, {})

EACH(fill, {
	struct elem empty = {};
	__u32 key = i;

	check(bpf_map_update_elem(&timers, &key, &empty, BPF_ANY), 0, false);
})

/* Some elements may be missing. */
EACH(empty, {
	__u32 key = i;

	bpf_map_delete_elem(&timers, &key);
})

#define DELETE(_name)								\
	EACH(_name, {								\
		__u32 key = i;							\
										\
		check(bpf_map_delete_elem(&timers, &key), 0, false);		\
	})

DELETE(delete_armed)
DELETE(delete_idle)
DELETE(delete_empty)

EACH_TIMER(lookup, barrier_var(t))
EACH_TIMER(init, check(bpf_timer_init(t, &timers, CLOCK_MONOTONIC), 0, false))
EACH_TIMER(set_callback, check(bpf_timer_set_callback(t, nothing), 0, false))
EACH_TIMER(set_callback_same, check(bpf_timer_set_callback(t, nothing), 0, false))
EACH_TIMER(set_note, check(bpf_timer_set_callback(t, note), 0, false))
EACH_TIMER(start_first, check(bpf_timer_start(t, HOUR, 0), 0, false))
EACH_TIMER(start_again, check(bpf_timer_start(t, HOUR, 0), 0, false))
EACH_TIMER(start_later, check(bpf_timer_start(t, 2 * HOUR, 0), 0, false))
EACH_TIMER(start_earlier, check(bpf_timer_start(t, HOUR / 2, 0), 0, false))
EACH_TIMER(start_at, check(bpf_timer_start(t, expires, BPF_F_TIMER_ABS), 0, false))
EACH_TIMER(info, {
	struct answer info = {};

	if (bpf_ksym_exists(bpf_timer_info))
		check(bpf_timer_info(t, (void *)&info, sizeof(info)), 0, false);
})
EACH_TIMER(cancel_idle, check(bpf_timer_cancel(t), 0, false))
EACH_TIMER(cancel_armed, check(bpf_timer_cancel(t), 1, false))
EACH_TIMER(cancel_async_idle, check(bpf_timer_cancel_async(t), 0, deferred))
EACH_TIMER(cancel_async_armed, check(bpf_timer_cancel_async(t), 1, deferred))
EACH_TIMER(set_cancel, {
	check(bpf_timer_set_callback(t, nothing), 0, false);
	check(bpf_timer_cancel(t), 0, false);
})
EACH_TIMER(set_start_cancel, {
	check(bpf_timer_set_callback(t, nothing), 0, false);
	check(bpf_timer_start(t, HOUR, 0), 0, false);
	check(bpf_timer_cancel(t), 1, false);
})

/* Like EACH(), for the hrtimers of bpf_timer_raw.ko, if it is loaded. */
#define EACH_RAW(_name, _op)							\
	EACH(_name, {								\
		if (bpf_ksym_exists(bpf_timer_raw_start))			\
			_op;							\
	})

EACH_RAW(raw_setup, check(bpf_timer_raw_setup(i), 0, false))
EACH_RAW(raw_start_first, check(bpf_timer_raw_start(i, HOUR, 0), 0, false))
EACH_RAW(raw_start_again, check(bpf_timer_raw_start(i, HOUR, 0), 0, false))
EACH_RAW(raw_start_later, check(bpf_timer_raw_start(i, 2 * HOUR, 0), 0, false))
EACH_RAW(raw_start_earlier, check(bpf_timer_raw_start(i, HOUR / 2, 0), 0, false))
EACH_RAW(raw_start_at, check(bpf_timer_raw_start(i, expires, BPF_F_TIMER_ABS), 0, false))
EACH_RAW(raw_cancel_idle, check(bpf_timer_raw_cancel(i), 0, false))
EACH_RAW(raw_cancel_armed, check(bpf_timer_raw_cancel(i), 1, false))
EACH_RAW(raw_try_idle, check(bpf_timer_raw_try_to_cancel(i), 0, false))
EACH_RAW(raw_try_armed, check(bpf_timer_raw_try_to_cancel(i), 1, false))
EACH_RAW(raw_start_cancel, {
	check(bpf_timer_raw_start(i, HOUR, 0), 0, false);
	check(bpf_timer_raw_cancel(i), 1, false);
})

#define PERFORM(_name)								\
	case OP_##_name: {							\
		if (with_irqs_off && irqs_off)					\
			return _name##_irqs_off();				\
		return _name();							\
	}

__noinline int perform(void)
{
	switch (operation) {
	OPERATIONS(PERFORM)
	}
	failures++;
	return 0;
}

SEC("?syscall")
int in_task(void *ctx)
{
	perform();
	done = true;
	return 0;
}

/* Attached to the loopback device, where it runs in the softirq that receives packets. */
SEC("?xdp")
int in_softirq(struct xdp_md *ctx)
{
	if (!pending)
		return XDP_PASS;
	pending = false;
	perform();
	done = true;
	return XDP_DROP;
}

static int in_callback(void *map, __u32 *key, struct elem *value)
{
	perform();
	done = true;
	return 0;
}

SEC("?syscall")
int start_callback(void *ctx)
{
	struct bpf_timer *t;
	__u32 key = 0;

	t = bpf_map_lookup_elem(&driver, &key);
	if (!t)
		return 1;
	bpf_timer_init(t, &driver, CLOCK_MONOTONIC);
	return bpf_timer_set_callback(t, in_callback) ?: bpf_timer_start(t, 0, 0);
}

/* Copies what the hrtimers of bpf_timer_raw.ko recorded. */
SEC("syscall")
int read_raw(void *ctx)
{
	if (!bpf_ksym_exists(bpf_timer_raw_seen))
		return 1;
	fired = bpf_timer_raw_seen(0);
	first = bpf_timer_raw_seen(1);
	last = bpf_timer_raw_seen(2);
	return 0;
}

SEC("syscall")
int start_shared(void *ctx)
{
	__u64 own = 0;
	struct bpf_timer *t;
	int i, j;

	bpf_for(j, 0, BPF_MAX_LOOPS) {
		if (stop)
			break;
		bpf_for(i, 0, SHARED) {
			t = bpf_map_lookup_elem(&timers, &i);
			if (t)
				check(bpf_timer_start(t, HOUR, 0), 0, false);
		}
		own += SHARED;
	}
	__sync_fetch_and_add(&starts, own);
	return 0;
}
