// SPDX-License-Identifier: GPL-2.0
/*
 * Walks over a map and counts its timers, by the program of the callback.
 *
 * User space loads this once for each map: it puts the map in the place of "target",
 * and says where in the values the timer is.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "list.h"

char _license[] SEC("license") = "GPL";

#define BPF_TIMER_ARMED		1
#define BPF_TIMER_RUNNING	2

struct bpf_timer_info {
	__u64 expires;
	__u64 remaining;
	__u32 prog_id;
	__u32 clockid;
	__s32 cpu;
	__u32 flags;
} __attribute__((preserve_access_index));

extern int bpf_timer_info(struct bpf_timer *timer, struct bpf_timer_info *info,
			  __u32 info__sz) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpf_timer);
} target SEC(".maps");

const volatile __u32 timer_offset = 0;

struct bpf_map;

struct found found[PROGS];	/* all of .bss */

static struct found *found_of(__u32 prog_id)
{
	int i;

	for (i = 0; i < PROGS - 1; i++) {
		if (found[i].prog_id == prog_id && found[i].timers)
			return &found[i];
		if (!found[i].timers) {
			found[i].prog_id = prog_id;
			return &found[i];
		}
	}
	return &found[PROGS - 1];
}

static long look(struct bpf_map *map, void *key, void *value, void *ctx)
{
	struct bpf_timer_info info = {};
	struct found *place;

	if (bpf_timer_info(value + timer_offset, &info, sizeof(info)))
		return 0;
	place = found_of(info.prog_id);
	place->timers++;
	if (info.flags & BPF_TIMER_RUNNING)
		place->running++;
	if (info.flags & BPF_TIMER_ARMED) {
		if (!place->armed || info.remaining < place->next)
			place->next = info.remaining;
		place->armed++;
	}
	return 0;
}

SEC("syscall")
int walk(void *ctx)
{
	int i;

	for (i = 0; i < PROGS; i++)
		found[i] = (struct found){};
	return bpf_for_each_map_elem(&target, look, 0, 0);
}
