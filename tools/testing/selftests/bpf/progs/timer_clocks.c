// SPDX-License-Identifier: GPL-2.0
/* Records when and where timers expire. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "timer_clocks.h"
#include "timer_common.h"

#define TIMERS 4

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TIMERS);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

/* Arguments and result of a program. */
__u32 slot;
__u32 clockid;
__u64 nsecs;
__u64 flags;
int ret;

/* The time of the last start. */
struct times started;

struct {
	__u64 runs;
	__u64 runs_of_other;
	struct times times;
	__u32 cpu;
} seen[TIMERS];

/* The clocks of the hrtimers that init sets up, a bit for each. */
__u64 clocks;
__u32 initing;	/* CPU + 1 */

SEC("tp_btf/hrtimer_setup")
int BPF_PROG(note_clock, struct hrtimer *hrtimer, clockid_t clock, enum hrtimer_mode mode)
{
	if (initing == bpf_get_smp_processor_id() + 1 && mode & HRTIMER_MODE_SOFT)
		clocks |= 1ULL << (clock & 63);
	return 0;
}

static long init_timer(struct elem *value)
{
	long err;

	initing = bpf_get_smp_processor_id() + 1;
	err = bpf_timer_init(&value->timer, &timers, clockid);
	initing = 0;
	return err;
}

static void read_clocks(struct times *times)
{
	times->mono = bpf_ktime_get_ns();
	times->boot = bpf_ktime_get_boot_ns();
	times->tai = bpf_ktime_get_tai_ns();
}

static int callback(void *map, __u32 *key, struct elem *value)
{
	__u32 own = *key % TIMERS;

	read_clocks(&seen[own].times);
	seen[own].cpu = bpf_get_smp_processor_id();
	__sync_fetch_and_add(&seen[own].runs, 1);
	return 0;
}

static int other_callback(void *map, __u32 *key, struct elem *value)
{
	__sync_fetch_and_add(&seen[*key % TIMERS].runs_of_other, 1);
	return 0;
}

#define OPERATION(_name, _op)						\
	SEC("syscall")							\
	int _name(void *ctx)						\
	{								\
		struct elem *value;					\
									\
		value = bpf_map_lookup_elem(&timers, &slot);		\
		if (!value)						\
			return 1;					\
		ret = _op;						\
		return 0;						\
	}

OPERATION(init, init_timer(value) ?:
		bpf_timer_set_callback(&value->timer, callback))
OPERATION(set_other_callback, bpf_timer_set_callback(&value->timer, other_callback))
OPERATION(start, (read_clocks(&started), bpf_timer_start(&value->timer, nsecs, flags)))
OPERATION(cancel, bpf_timer_cancel_async(&value->timer))
