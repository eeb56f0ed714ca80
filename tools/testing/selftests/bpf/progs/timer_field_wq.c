// SPDX-License-Identifier: GPL-2.0
/* Delayed work that may sleep: a timer queues a bpf_wq, which starts the timer again. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "bpf_experimental.h"
#include "timer_field_common.h"
#include "timer_field_wq.h"

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
	struct bpf_wq wq;
	struct turns turns;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PAIRS);
	__type(key, __u32);
	__type(value, struct elem);
} pairs SEC(".maps");

bool stop;
__u64 stopped;
__u64 wrong;	/* turns that were not due */

static int start(struct elem *value)
{
	return must(START, bpf_timer_start(&value->timer, bpf_get_prandom_u32() % 131072, 0));
}

/* It is the timer's turn if both had the same number of turns, and the work's turn if not. */
static int do_work(void *map, int *key, void *value)
{
	struct elem *elem = value;

	if (++elem->turns.of_work != elem->turns.of_timer)
		count(wrong);
	if (stop)
		count(stopped);
	else
		start(elem);
	return 0;
}

static int queue_work(void *map, __u32 *key, struct elem *elem)
{
	if (++elem->turns.of_timer != elem->turns.of_work + 1)
		count(wrong);
	must(START, bpf_wq_start(&elem->wq, 0));
	return 0;
}

SEC("syscall")
int begin(void *ctx)
{
	struct elem *elem;
	__u32 key;
	int err;

	bpf_for(key, 0, PAIRS) {
		elem = bpf_map_lookup_elem(&pairs, &key);
		if (!elem)
			return -ENOENT;
		err = bpf_wq_init(&elem->wq, &pairs, 0);
		err = err ?: bpf_wq_set_callback(&elem->wq, do_work, 0);
		err = err ?: bpf_timer_init(&elem->timer, &pairs, CLOCK_MONOTONIC);
		err = err ?: bpf_timer_set_callback(&elem->timer, queue_work);
		err = err ?: start(elem);
		if (err)
			return err;
	}
	return 0;
}
