// SPDX-License-Identifier: GPL-2.0
/* Asks for what bpf_timer_info() says. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_common.h"
#include "timer_info.h"

char _license[] SEC("license") = "GPL";

struct bpf_timer_info;

extern int bpf_timer_info(struct bpf_timer *timer, struct bpf_timer_info *info,
			  u32 info__sz) __ksym;

struct elem {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct elem);
} timers SEC(".maps");

/*
 * An array, since bpf_for_each_map_elem() may meet an element of a hash twice, or not at
 * all, when the memory of an element next to it is reused for another bucket.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KEEP + CHURN);
	__type(key, __u32);
	__type(value, struct elem);
} many SEC(".maps");

/* The answers, the results, and what the clocks and the CPU were before. */
struct answer infos[STATES];
int results[STATES];
__u64 before[STATES];
__u32 cpus[STATES];
__u64 nsecs;
bool done;

static void ask(struct bpf_timer *timer, __u32 state)
{
	struct answer info = {};

	if (state >= STATES)
		return;
	results[state] = bpf_timer_info(timer, (void *)&info, sizeof(info));
	infos[state] = info;
	cpus[state] = bpf_get_smp_processor_id();
}

static int callback(void *map, __u32 *key, struct elem *value)
{
	ask(&value->timer, IN_CALLBACK);
	before[RESTARTED] = bpf_ktime_get_ns();
	bpf_timer_start(&value->timer, nsecs, 0);
	ask(&value->timer, RESTARTED);
	done = true;
	return 0;
}

SEC("syscall")
int ask_in_each_state(void *ctx)
{
	struct bpf_timer *timer, *wall;
	struct elem *value;
	unsigned long irqs;
	__u32 key = 0;

	value = bpf_map_lookup_elem(&timers, &key);
	if (!value)
		return 1;
	timer = &value->timer;
	key = 1;
	value = bpf_map_lookup_elem(&timers, &key);
	if (!value)
		return 1;
	wall = &value->timer;

	ask(timer, EMPTY);
	if (bpf_timer_init(timer, &timers, CLOCK_BOOTTIME))
		return 2;
	ask(timer, IDLE);
	bpf_timer_set_callback(timer, callback);
	ask(timer, HAS_CALLBACK);
	before[ARMED] = bpf_ktime_get_boot_ns();
	bpf_timer_start(timer, nsecs, 0);
	ask(timer, ARMED);
	before[MOVED] = bpf_ktime_get_boot_ns();
	bpf_timer_start(timer, 2 * nsecs, 0);
	ask(timer, MOVED);
	bpf_timer_start(timer, nsecs, BPF_F_TIMER_CPU_PIN);
	ask(timer, PINNED);
	bpf_timer_cancel_async(timer);
	ask(timer, CANCELLED);
	bpf_local_irq_save(&irqs);
	bpf_timer_start(timer, nsecs, 0);
	ask(timer, DEFERRED);
	bpf_local_irq_restore(&irqs);

	if (bpf_timer_init(wall, &timers, CLOCK_REALTIME))
		return 3;
	bpf_timer_set_callback(wall, callback);
	bpf_timer_start(wall, 1ULL << 62, BPF_F_TIMER_ABS);
	ask(wall, WALL);
	/* The callback asks, too. */
	bpf_timer_start(wall, NSEC_PER_MSEC, 0);
	return 0;
}

/* Answers of another size, with all bits set before. */
struct answer shortest;
__u64 longest[8];

SEC("syscall")
int ask_for_other_sizes(void *ctx)
{
	struct elem *value;
	__u32 key = 0;

	value = bpf_map_lookup_elem(&timers, &key);
	if (!value || bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC))
		return 1;
	__builtin_memset(&shortest, 0xff, sizeof(shortest));
	__builtin_memset(longest, 0xff, sizeof(longest));
	if (bpf_timer_info(&value->timer, (void *)&shortest, sizeof(shortest.expires)))
		return 2;
	return bpf_timer_info(&value->timer, (void *)longest, sizeof(longest));
}

static int arm(__u32 key)
{
	struct elem none = {}, *value;

	bpf_map_update_elem(&many, &key, &none, BPF_ANY);
	value = bpf_map_lookup_elem(&many, &key);
	if (!value || bpf_timer_init(&value->timer, &many, CLOCK_MONOTONIC))
		return 1;
	bpf_timer_set_callback(&value->timer, callback);
	return bpf_timer_start(&value->timer, 3600000 * NSEC_PER_MSEC + key, 0);
}

SEC("syscall")
int fill(void *ctx)
{
	__u32 key;
	int failed = 0;

	bpf_for(key, 0, KEEP)
		failed += !!arm(key);
	return failed;
}

/* Frees and makes timers while somebody walks. */
SEC("syscall")
int churn(void *ctx)
{
	__u32 i, key;

	bpf_for(i, 0, 4 * CHURN) {
		key = KEEP + bpf_get_prandom_u32() % CHURN;
		arm(key);
	}
	return 0;
}

__u64 armed, missing;

static long look(struct bpf_map *map, __u32 *key, struct elem *value, void *ctx)
{
	struct answer info = {};

	/* The others may be without a timer for a moment. */
	if (bpf_timer_info(&value->timer, (void *)&info, sizeof(info)) ||
	    !(info.flags & IS_ARMED)) {
		missing += *key < KEEP;
		return 0;
	}
	if (*key >= KEEP)
		return 0;
	armed++;
	return 0;
}

SEC("syscall")
int walk_all(void *ctx)
{
	armed = 0;
	missing = 0;
	bpf_for_each_map_elem(&many, look, NULL, 0);
	return 0;
}
