// SPDX-License-Identifier: GPL-2.0
/* A start beside a set_callback on another CPU, and a callback beside a step of the clock. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_common.h"
#include "timer_races.h"

/* The number of bytes of a timer that are compared. */
#define SIZE 128

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

struct timers {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RACES);
	__type(key, __u32);
	__type(value, struct elem);
};

struct timers timers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct timers);
} outer SEC(".maps");

__u32 clockid = CLOCK_MONOTONIC;

static struct elem *elem(__u32 key)
{
	return bpf_map_lookup_elem(&timers, &key);
}

SEC("syscall")
int init(void *ctx)
{
	struct elem *value;
	int key, err;

	bpf_for(key, 0, RACES) {
		value = elem(key);
		if (!value)
			return -ENOENT;
		err = bpf_timer_init(&value->timer, &timers, clockid);
		if (err)
			return err;
	}
	return 0;
}

/*
 * A start beside a set_callback. Two CPUs go through the timers in step: one CPU says which
 * timer it starts, and the other CPU sets the callback of that timer.
 */
__u32 starting;	/* index + 1 */
__u32 rounds;
__u32 set;	/* the last round in which all callbacks were set */
__u64 attempts;
__u64 started;
__u64 called;

static int count_call(void *map, __u32 *key, struct elem *value)
{
	__sync_fetch_and_add(&called, 1);
	return 0;
}

/* Drops the callbacks of the last round, and waits for those that run. */
SEC("syscall")
int cancel_all(void *ctx)
{
	struct elem *value;
	int key, err;

	bpf_for(key, 0, RACES) {
		value = elem(key);
		if (!value)
			return -ENOENT;
		err = bpf_timer_cancel(&value->timer);
		if (err < 0)
			return err;
	}
	return 0;
}

/* If the other CPU is away for long, it misses the race for a timer. */
SEC("syscall")
int set_callbacks(void *ctx)
{
	struct elem *value;
	int key, err;

	bpf_for(key, 0, RACES) {
		value = elem(key);
		if (!value)
			return -ENOENT;
		spin_until(READ_ONCE(starting) > key, MAX_SPIN);
		err = bpf_timer_set_callback(&value->timer, count_call);
		if (err)
			return err;
	}
	set = rounds;
	return 0;
}

static int try_to_start(struct bpf_timer *timer)
{
	attempts++;
	return bpf_timer_start(timer, 0, 0);
}

SEC("syscall")
int start_all(void *ctx)
{
	struct elem *value;
	int key, err = 0;

	bpf_for(key, 0, RACES) {
		value = elem(key);
		if (!value)
			return -ENOENT;
		starting = key + 1;
		spin_until((err = try_to_start(&value->timer)) != -EINVAL, MAX_SPIN);
		if (!err)
			started++;
		else if (err != -EINVAL)
			return err;
	}
	return 0;
}

/* User space watches the words of the first timer that a set_callback changes. */
__u64 words[MAX_WORDS];
__u32 words_found;
__u64 before[SIZE / 8];
__u64 after[SIZE / 8];

SEC("syscall")
int find_words(void *ctx)
{
	struct elem *value = elem(0);
	void *timer;
	int i, err;

	if (!value)
		return -ENOENT;
	/* The slot begins with the address of the timer. */
	err = bpf_probe_read_kernel(&timer, sizeof(timer), value);
	err = err ?: bpf_probe_read_kernel(before, sizeof(before), timer);
	err = err ?: bpf_timer_set_callback(&value->timer, count_call);
	err = err ?: bpf_probe_read_kernel(after, sizeof(after), timer);
	for (i = 0; i < SIZE / 8; i++)
		if (before[i] != after[i] && words_found < MAX_WORDS)
			words[words_found++ % MAX_WORDS] = (__u64)timer + i * 8;
	return err;
}

/* Holds a write until the other CPU has tried to start the timer and had time to expire it. */
__u64 held;

SEC("perf_event")
int hold_write(void *ctx)
{
	__u64 wanted = attempts + 2;

	held++;
	spin_until(READ_ONCE(attempts) >= wanted || READ_ONCE(started), MAX_SPIN);
	if (started)
		spin_until(READ_ONCE(called), 100 * NSEC_PER_MSEC);
	return 0;
}

/*
 * An init beside the release of the last user of an inner map. User space watches the slot, so
 * that the init is held when it has just put the timer there.
 */
__u64 slot;
bool published;
bool released;
int result;

SEC("syscall")
int find_slot(void *ctx)
{
	__u32 key = 0;
	void *inner = bpf_map_lookup_elem(&outer, &key);

	slot = inner ? (__u64)bpf_map_lookup_elem(inner, &key) : 0;
	return 0;
}

SEC("syscall")
int init_inner(void *ctx)
{
	struct elem *value;
	__u32 key = 0;
	void *inner;

	inner = bpf_map_lookup_elem(&outer, &key);
	if (!inner)
		return -ENOENT;
	value = bpf_map_lookup_elem(inner, &key);
	if (!value)
		return -ENOENT;
	result = bpf_timer_init(&value->timer, inner, CLOCK_MONOTONIC);
	return 0;
}

SEC("perf_event")
int hold_init(void *ctx)
{
	published = true;
	spin_until(READ_ONCE(released), MAX_SPIN);
	return 0;
}

/*
 * The clock is set back while a callback runs. The callback then starts its timer for a time
 * between the new and the old one, and again if it is called before that time.
 */
__u64 first;		/* the first time, on the wall clock */
__u64 target;		/* the time that the callback starts for */
__s64 tai_offset;	/* how far the clock that programs can read is ahead */
bool waiting;
bool stepped;
bool missed;		/* one of the times was over before the start for it */
__u64 runs;
__u64 early;
int error;

static __u64 wall_clock(void)
{
	return bpf_ktime_get_tai_ns() - tai_offset;
}

static int wait_for_target(void *map, __u32 *key, struct elem *value)
{
	bool is_first = !runs++;

	if (is_first) {
		waiting = true;
		missed |= !spin_until(READ_ONCE(stepped), MAX_SPIN);
		missed |= wall_clock() >= target;
	}
	if (missed || wall_clock() >= target)
		return 0;
	early += !is_first;
	if (runs < MAX_RUNS)
		error = bpf_timer_start(&value->timer, target, BPF_F_TIMER_ABS);
	return 0;
}

SEC("syscall")
int start_waiting(void *ctx)
{
	struct elem *value = elem(0);
	int err;

	if (!value)
		return -ENOENT;
	/* A start for the past counts as a start for now, as if it were relative. */
	missed = wall_clock() >= first;
	err = bpf_timer_set_callback(&value->timer, wait_for_target);
	return err ?: bpf_timer_start(&value->timer, first, BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN);
}
