// SPDX-License-Identifier: GPL-2.0
/*
 * Counts what BPF timers do, by map and program, from their tracepoints.
 *
 * All maps are per CPU and allocated in advance, because the events come in any
 * context. Each field is written by one program, and the kernel does not let a
 * program interrupt itself on a CPU. So no count is lost without a trace: the
 * kernel counts what it has skipped in recursion_misses.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "events.h"

char _license[] SEC("license") = "GPL";

#define CLOCK_REALTIME	0
#define CLOCK_BOOTTIME	7

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct counts_key);
	__type(value, struct counts);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct error_key);
	__type(value, __u64);
} errors SEC(".maps");

/*
 * The callback that runs on this CPU. It may delete its own element, and the event at its
 * end does not know the map then.
 */
struct running {
	__u64 timer;
	__u64 began;
	struct counts_key key;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct running);
} running SEC(".maps");

/* Events that found no place in a map. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/* CLOCK_REALTIME minus CLOCK_MONOTONIC, which no helper reads; user space keeps it. */
__s64 real_offset;

static const struct counts no_counts;

static void lose(void)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&lost, &zero);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static struct counts *counts_of(__u32 map_id, __u32 prog_id)
{
	struct counts_key key = { .map_id = map_id, .prog_id = prog_id };
	struct counts *found = bpf_map_lookup_elem(&counts, &key);

	if (found)
		return found;
	bpf_map_update_elem(&counts, &key, &no_counts, BPF_NOEXIST);
	found = bpf_map_lookup_elem(&counts, &key);
	if (!found)
		lose();
	return found;
}

static void count_error(__u32 map_id, __u32 prog_id, enum operation operation, int code)
{
	struct error_key key = {
		.map_id = map_id, .prog_id = prog_id, .operation = operation, .code = code,
	};
	__u64 *count = bpf_map_lookup_elem(&errors, &key), zero = 0;

	if (!count) {
		bpf_map_update_elem(&errors, &key, &zero, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&errors, &key);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		lose();
}

/* Returns the bucket for a time: its highest bit and the two bits below. */
static __u32 bucket_of(__u64 ns)
{
	__u32 high = 0, shift;
	__u64 rest = ns;

	if (ns < 4)
		return ns;
	if (ns >> 40)
		return BUCKETS - 1;
	for (shift = 32; shift; shift /= 2) {
		if (rest >> shift) {
			rest >>= shift;
			high += shift;
		}
	}
	return (high - 1) * 4 + (ns >> (high - 2) & 3);
}

static __u64 now_on(int clockid)
{
	if (clockid == CLOCK_BOOTTIME)
		return bpf_ktime_get_boot_ns();
	if (clockid == CLOCK_REALTIME)
		return bpf_ktime_get_ns() + real_offset;
	return bpf_ktime_get_ns();
}

/* The arguments of the tracepoints are those in include/trace/events/bpf_timer.h. */

SEC("tp_btf/bpf_timer_init")
int on_init(__u64 *ctx)
{
	struct counts *counts = counts_of(ctx[1], 0);
	int ret = ctx[3];

	if (counts)
		counts->inits++;
	if (ret)
		count_error(ctx[1], 0, OP_INIT, ret);
	return 0;
}

SEC("tp_btf/bpf_timer_start")
int on_start(__u64 *ctx)
{
	struct counts *counts = counts_of(ctx[1], ctx[2]);
	bool pushed = ctx[5];
	int ret = ctx[6];

	if (counts) {
		counts->starts++;
		counts->pushes += pushed;
	}
	if (ret)
		count_error(ctx[1], ctx[2], OP_START, ret);
	return 0;
}

SEC("tp_btf/bpf_timer_cancel")
int on_cancel(__u64 *ctx)
{
	struct counts *counts = counts_of(ctx[1], ctx[2]);
	int ret = ctx[4];

	if (counts) {
		counts->cancels++;
		counts->cancelled += ret == 1;
	}
	if (ret < 0)
		count_error(ctx[1], ctx[2], OP_CANCEL, ret);
	return 0;
}

SEC("tp_btf/bpf_timer_expire_entry")
int on_expire_entry(__u64 *ctx)
{
	struct counts *counts = counts_of(ctx[1], ctx[2]);
	__u64 now = now_on(ctx[4]), expires = ctx[3], late;
	struct running *run;
	__u32 zero = 0;
	__u32 bucket;

	run = bpf_map_lookup_elem(&running, &zero);
	if (!run || !counts)
		return 0;
	/* The clock may have been set back. */
	late = now > expires ? now - expires : 0;
	counts->expiries++;
	bucket = bucket_of(late);
	if (bucket < BUCKETS)
		counts->late[bucket]++;
	if (late > counts->longest_late)
		counts->longest_late = late;
	run->timer = ctx[0];
	run->key.map_id = ctx[1];
	run->key.prog_id = ctx[2];
	run->began = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/bpf_timer_expire_exit")
int on_expire_exit(__u64 *ctx)
{
	struct counts *counts;
	struct running *run;
	__u32 zero = 0;
	__u32 bucket;
	__u64 took;

	run = bpf_map_lookup_elem(&running, &zero);
	if (!run || run->timer != ctx[0])
		return 0;
	took = bpf_ktime_get_ns() - run->began;
	run->timer = 0;
	counts = counts_of(run->key.map_id, run->key.prog_id);
	if (!counts)
		return 0;
	counts->callback_ns += took;
	bucket = bucket_of(took);
	if (bucket < BUCKETS)
		counts->callback[bucket]++;
	if (took > counts->longest_callback)
		counts->longest_callback = took;
	return 0;
}

SEC("tp_btf/bpf_timer_free")
int on_free(__u64 *ctx)
{
	struct counts *counts = counts_of(ctx[1], ctx[2]);
	bool armed = ctx[3];

	if (counts) {
		counts->frees++;
		counts->freed_armed += armed;
	}
	return 0;
}
