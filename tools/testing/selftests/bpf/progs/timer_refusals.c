// SPDX-License-Identifier: GPL-2.0
/* Uses of timers that the verifier refuses. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "bpf_misc.h"
#include "timer_common.h"

char _license[] SEC("license") = "GPL";

struct elem {
	__u64 before;
	struct bpf_timer timer;
	struct bpf_spin_lock lock;
	__u64 after;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps"), other SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[4]);
} numbers SEC(".maps");

/* A program cannot name the map that holds this. */
SEC(".bss.timer") __hidden struct bpf_timer global;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct {
		struct bpf_timer first;
		struct bpf_timer second;
	});
} pairs SEC(".maps");

static int callback(void *map, __u32 *key, struct elem *value)
{
	return 0;
}

static int returns_one(void *map, __u32 *key, struct elem *value)
{
	return 1;
}

static int writes_key(void *map, __u32 *key, struct elem *value)
{
	*key = 1;
	return 0;
}

static int sleeps(void *map, __u32 *key, struct elem *value)
{
	char byte;

	bpf_copy_from_user(&byte, sizeof(byte), NULL);
	return 0;
}

static struct elem *find(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&timers, &key);
}

SEC("syscall")
__success
int all_right(void *ctx)
{
	struct elem *value = find();

	if (value) {
		bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC);
		bpf_timer_set_callback(&value->timer, callback);
		bpf_timer_start(&value->timer, 1000, 0);
		bpf_timer_cancel(&value->timer);
	}
	return 0;
}

/* A program of a type that needs no capability. It has no callback, which would need one. */
SEC("cgroup_skb/ingress")
__success
int needs_cap_for_timer(void *ctx)
{
	struct elem *value = find();

	if (value)
		bpf_timer_cancel(&value->timer);
	return 0;
}

SEC("syscall")
__failure __msg("timer pointer in R1 map_uid=0 doesn't match map pointer in R2 map_uid=0")
int init_with_other_map(void *ctx)
{
	struct elem *value = find();

	if (value)
		bpf_timer_init(&value->timer, &other, CLOCK_MONOTONIC);
	return 0;
}

SEC("syscall")
__failure __msg("doesn't match map pointer in R2")
int init_in_global_data(void *ctx)
{
	bpf_timer_init(&global, &timers, CLOCK_MONOTONIC);
	return 0;
}

SEC("syscall")
__failure __msg("off 0 doesn't point to 'struct bpf_timer' that is at 8")
int wrong_offset(void *ctx)
{
	struct elem *value = find();

	if (value)
		bpf_timer_start((void *)&value->before, 1000, 0);
	return 0;
}

SEC("syscall")
__failure __msg("doesn't have constant offset. bpf_timer has to be at the constant offset")
int variable_offset(void *ctx)
{
	struct elem *value = find();

	if (value)
		bpf_timer_start((void *)value + (bpf_get_prandom_u32() & 8), 1000, 0);
	return 0;
}

SEC("syscall")
__failure __msg("map 'numbers' has no valid bpf_timer")
int no_timer_in_value(void *ctx)
{
	__u32 key = 0;
	void *value;

	value = bpf_map_lookup_elem(&numbers, &key);
	if (value)
		bpf_timer_start(value, 1000, 0);
	return 0;
}

SEC("syscall")
__failure __msg("R1 type=fp expected=map_value")
int on_stack(void *ctx)
{
	struct bpf_timer timer = {};

	bpf_timer_start(&timer, 1000, 0);
	return 0;
}

SEC("syscall")
__failure __msg("R1 type=map_value_or_null expected=map_value")
int maybe_null(void *ctx)
{
	__u32 key = bpf_get_prandom_u32();

	bpf_timer_cancel(bpf_map_lookup_elem(&timers, &key));
	return 0;
}

SEC("syscall")
__failure __msg("map 'pairs' has no valid bpf_timer")
int two_in_a_value(void *ctx)
{
	__u32 key = 0;
	void *value;

	value = bpf_map_lookup_elem(&pairs, &key);
	if (value)
		bpf_timer_start(value, 1000, 0);
	return 0;
}

SEC("syscall")
__failure __msg("bpf_timer cannot be accessed directly by load/store")
int read_directly(void *ctx)
{
	struct elem *value = find();

	return value ? *(volatile __u64 *)&value->timer : 0;
}

SEC("syscall")
__failure __msg("bpf_timer cannot be accessed directly by load/store")
int write_directly(void *ctx)
{
	struct elem *value = find();

	if (value)
		*(volatile __u64 *)&value->timer = 0;
	return 0;
}

SEC("syscall")
__failure __msg("should have been in [0, 0]")
int callback_returns_one(void *ctx)
{
	struct elem *value = find();

	if (value)
		bpf_timer_set_callback(&value->timer, returns_one);
	return 0;
}

SEC("syscall")
__failure __msg("write to change key R2 not allowed")
int callback_writes_key(void *ctx)
{
	struct elem *value = find();

	if (value)
		bpf_timer_set_callback(&value->timer, writes_key);
	return 0;
}

SEC("syscall")
__failure __msg("sleepable helper bpf_copy_from_user#{{[0-9]+}} in non-sleepable prog")
int callback_sleeps(void *ctx)
{
	struct elem *value = find();

	if (value)
		bpf_timer_set_callback(&value->timer, sleeps);
	return 0;
}

#define UNDER_LOCK(_name, _op)							\
	SEC("syscall")								\
	__failure __msg("function calls are not allowed while holding a lock")	\
	int _name(void *ctx)							\
	{									\
		struct elem *value = find();					\
										\
		if (!value)							\
			return 0;						\
		bpf_spin_lock(&value->lock);					\
		_op;								\
		bpf_spin_unlock(&value->lock);					\
		return 0;							\
	}

UNDER_LOCK(init_under_lock, bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC))
UNDER_LOCK(set_callback_under_lock, bpf_timer_set_callback(&value->timer, callback))
UNDER_LOCK(start_under_lock, bpf_timer_start(&value->timer, 1000, 0))
UNDER_LOCK(cancel_under_lock, bpf_timer_cancel(&value->timer))
UNDER_LOCK(cancel_async_under_lock, bpf_timer_cancel_async(&value->timer))
