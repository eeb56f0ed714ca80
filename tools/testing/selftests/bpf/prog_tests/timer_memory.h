/* SPDX-License-Identifier: GPL-2.0 */
/* Checks that all memory of timers is freed: kmemleak does not know kmalloc_nolock(). */
#ifndef __TIMER_MEMORY_H
#define __TIMER_MEMORY_H

#include "timer_memory.skel.h"
#include "timer_helpers.h"

/* Counts all allocations from here on. */
static inline struct timer_memory *watch_memory(void)
{
	struct timer_memory *skel = load_timers(timer_memory);

	if (skel && ASSERT_OK(timer_memory__attach(skel), "attach"))
		return skel;
	timer_memory__destroy(skel);
	return NULL;
}

/* How many frees were not seen, because the CPU was already in the program or in the map. */
static inline __u64 missed_frees(struct timer_memory *skel)
{
	return info_of(skel->progs.count_freed).recursion_misses + READ_ONCE(skel->bss->lost);
}

/* How many of the known objects are not freed. */
static inline __s64 left_of(struct timer_memory *skel)
{
	return READ_ONCE(skel->bss->known) - READ_ONCE(skel->bss->freed) - missed_frees(skel);
}

static inline bool is_all_freed(struct timer_memory *skel)
{
	return left_of(skel) <= 0;
}

/* Call this when no timer is left. */
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
