/* SPDX-License-Identifier: GPL-2.0 */
/* Whether all memory of timers is freed: kmemleak does not know where it comes from. */
#ifndef __TIMER_MEMORY_H
#define __TIMER_MEMORY_H

#include "timer_memory.skel.h"
#include "timer_helpers.h"

/* Counts what is allocated from here on. */
static inline struct timer_memory *watch_memory(void)
{
	struct timer_memory *skel = load_timers(timer_memory);

	if (skel && ASSERT_OK(timer_memory__attach(skel), "attach"))
		return skel;
	timer_memory__destroy(skel);
	return NULL;
}

/* How many frees it cannot know of: the program was already at work on that CPU, or the map. */
static inline __u64 missed_frees(struct timer_memory *skel)
{
	return info_of(skel->progs.count_freed).recursion_misses + READ_ONCE(skel->bss->lost);
}

/* How many are not freed, as far as it knows. */
static inline __s64 left_of(struct timer_memory *skel)
{
	return READ_ONCE(skel->bss->known) - READ_ONCE(skel->bss->freed) - missed_frees(skel);
}

static inline bool is_all_freed(struct timer_memory *skel)
{
	return left_of(skel) <= 0;
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
