// SPDX-License-Identifier: GPL-2.0
/* fexit programs record the calls of the functions of BPF timers while a program uses a timer. */
#include <vmlinux.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_common.h"
#include "timer_fexit.h"

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct elem);
} timers SEC(".maps");

struct call calls[FUNCTIONS];
__u32 tgid;

/* The function that operate() calls, its arguments, and its result. */
__u32 function;
__u64 nsecs;
__u64 flags;
long ret;
/* The addresses of the timer and of the callback that operate() uses. */
__u64 timer_addr;
__u64 callback_addr;

static void record(int function, __u64 timer, __u64 arg2, __u64 arg3, __s64 ret)
{
	struct call *call = &calls[function];

	if (bpf_get_current_pid_tgid() >> 32 != tgid)
		return;
	call->timer = timer;
	call->args[0] = arg2;
	call->args[1] = arg3;
	call->ret = ret;
	call->count++;
}

/* BTF describes a helper as a function of five registers. */
SEC("fexit/bpf_timer_init")
int BPF_PROG(on_init, u64 timer, u64 map, u64 flags, u64 r4, u64 r5, u64 ret)
{
	record(INIT, timer, BPF_CORE_READ((struct bpf_map *)map, id), flags, ret);
	return 0;
}

SEC("fexit/bpf_timer_set_callback")
int BPF_PROG(on_set_callback, u64 timer, u64 callback_fn, u64 aux, u64 r4, u64 r5, u64 ret)
{
	record(SET_CALLBACK, timer, callback_fn, BPF_CORE_READ((struct bpf_prog_aux *)aux, id),
	       ret);
	return 0;
}

SEC("fexit/bpf_timer_start")
int BPF_PROG(on_start, u64 timer, u64 nsecs, u64 flags, u64 r4, u64 r5, u64 ret)
{
	record(START, timer, nsecs, flags, ret);
	return 0;
}

SEC("fexit/bpf_timer_cancel")
int BPF_PROG(on_cancel, u64 timer, u64 r2, u64 r3, u64 r4, u64 r5, u64 ret)
{
	record(CANCEL, timer, 0, 0, ret);
	return 0;
}

SEC("fexit/bpf_timer_cancel_async")
int BPF_PROG(on_cancel_async, struct bpf_timer *timer, int ret)
{
	record(CANCEL_ASYNC, (__u64)timer, 0, 0, ret);
	return 0;
}

SEC("fexit/bpf_timer_cancel_and_free")
int BPF_PROG(on_cancel_and_free, void *val)
{
	record(CANCEL_AND_FREE, (__u64)val, 0, 0, 0);
	return 0;
}

static int callback(void *map, int *key, struct elem *value)
{
	return 0;
}

SEC("syscall")
int operate(void *ctx)
{
	struct bpf_timer *timer;
	struct elem *value;
	int key = 0;

	value = bpf_map_lookup_elem(&timers, &key);
	if (!value)
		return 1;
	timer = &value->timer;
	timer_addr = (__u64)timer;
	callback_addr = (__u64)callback;
	switch (function) {
	case INIT:
		ret = bpf_timer_init(timer, &timers, flags);
		break;
	case SET_CALLBACK:
		ret = bpf_timer_set_callback(timer, callback);
		break;
	case START:
		ret = bpf_timer_start(timer, nsecs, flags);
		break;
	case CANCEL:
		ret = bpf_timer_cancel(timer);
		break;
	case CANCEL_ASYNC:
		ret = bpf_timer_cancel_async(timer);
		break;
	}
	return 0;
}
