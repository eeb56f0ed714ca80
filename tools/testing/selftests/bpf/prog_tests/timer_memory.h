/* SPDX-License-Identifier: GPL-2.0 */
/* Whether all memory of timers is freed: kmemleak does not know where it comes from. */
#ifndef __TIMER_MEMORY_H
#define __TIMER_MEMORY_H

#include "timer_memory.skel.h"
#include "timer_helpers.h"

/* How often a program was not run since it was already at work on its CPU. */
static inline __u64 misses_of(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	return bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len) ?
		       0 : info.recursion_misses;
}

/* Counts what is allocated from here on. */
static inline struct timer_memory *watch_memory(void)
{
	struct timer_memory *skel = load_timers(timer_memory);

	if (skel && ASSERT_OK(timer_memory__attach(skel), "attach"))
		return skel;
	timer_memory__destroy(skel);
	return NULL;
}

/* How many frees it cannot know of. */
static inline __u64 missed_frees(struct timer_memory *skel)
{
	return misses_of(skel->progs.count_freed) + READ_ONCE(skel->bss->lost);
}

static inline bool is_all_freed(struct timer_memory *skel)
{
	return READ_ONCE(skel->bss->known) <=
	       READ_ONCE(skel->bss->freed) + missed_frees(skel);
}

/* To be called when no timer is left. */
static inline void check_memory(struct timer_memory *skel, __u64 at_least)
{
	ASSERT_TRUE(comes_true(is_all_freed(skel)), "all is freed");
	ASSERT_GE(skel->bss->allocated, at_least, "allocated");
	ASSERT_GE(skel->bss->known, skel->bss->allocated / 2, "known");
	printf("allocated %llu, known %llu, freed %llu, missed %llu\n",
	       (unsigned long long)skel->bss->allocated, (unsigned long long)skel->bss->known,
	       (unsigned long long)skel->bss->freed,
	       (unsigned long long)missed_frees(skel));
}

#endif
