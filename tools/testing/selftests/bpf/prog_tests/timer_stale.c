// SPDX-License-Identifier: GPL-2.0
/*
 * Programs make timers in elements that have just been deleted (H7). A hash refuses that. A
 * resizable hash does not, but such a timer has no effect until the memory is an element again.
 *
 * Covers H7.
 */
#include <pthread.h>
#include <test_progs.h>
#include "../progs/timer_stale.h"
#include "timer_helpers.h"
#include "timer_stale.skel.h"

#define ATTEMPTS 1000

struct elem {
	__u64 timer[2];
	__u64 data;
};

static struct timer_stale *load(bool armed, __u64 nsecs)
{
	struct timer_stale *skel = load_timers(timer_stale);

	if (skel) {
		skel->bss->armed = armed;
		skel->bss->nsecs = nsecs;
	}
	return skel;
}

static bool fill(int map, __u32 entries)
{
	struct elem elem = {};
	__u32 key;
	int err;

	for (key = 0; key < entries; key++) {
		err = bpf_map_update_elem(map, &key, &elem, BPF_ANY);
		if (err)
			return ASSERT_OK(err, "fill");
	}
	return true;
}

/* Adds an element. @prog deletes it and then makes a timer in it. */
static bool make_stale(struct timer_stale *skel, const struct bpf_map *map,
		       const struct bpf_program *prog, int err)
{
	return fill(bpf_map__fd(map), 1) && ASSERT_OK(run(prog), "run") &&
	       ASSERT_EQ(skel->bss->err, err, "make a timer");
}

/* Closes everything. No timer may keep the program, which holds the map. */
static void check_nothing_left(struct timer_stale *skel, const struct bpf_map *map,
			       const struct bpf_program *prog, const char *name)
{
	__u32 prog_id = id_of(prog), map_id = id_of_map(map);

	timer_stale__destroy(skel);
	ASSERT_TRUE(prog_id && map_id, name);
	if (ASSERT_TRUE(is_unloaded(prog_id), name))
		ASSERT_TRUE(comes_true(map_is_gone(map_id)), name);
}

/* The timer must not call its callback, which would get an element that may be freed. */
static void test_deleted_element_gets_no_callback(void)
{
	struct timer_stale *skel = load(true, NSEC_PER_MSEC);

	if (!skel)
		return;
	if (make_stale(skel, skel->maps.rhash, skel->progs.stale_in_rhash, 0)) {
		usleep(100000);
		ASSERT_EQ(skel->bss->runs, 0, "runs");
	}
	timer_stale__destroy(skel);
}

/* Deletes and adds elements until some have the memory, and the timers, of deleted ones. */
static bool __recycle(struct timer_stale *skel)
{
	__u32 i, before = skel->bss->recycled;
	int rhash = bpf_map__fd(skel->maps.rhash);

	for (i = 0; i < ATTEMPTS; i++) {
		if (!fill(rhash, ELEMENTS) ||
		    !ASSERT_OK(run(skel->progs.use_recycled), "run use_recycled"))
			return false;
		if (skel->bss->recycled > before)
			return ASSERT_OK(skel->bss->err, "make timers");
		if (!ASSERT_OK(run(skel->progs.stale_in_rhash), "run stale_in_rhash"))
			return false;
		/* The allocator reuses memory after a grace period. */
		if (i % 4 == 3)
			kern_sync_rcu();
	}
	return ASSERT_TRUE(false, "recycled");
}

/* Stays on one CPU, because the allocator keeps memory for each CPU. */
static bool recycle(struct timer_stale *skel)
{
	cpu_set_t cpus;
	bool ok;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	ok = ASSERT_TRUE(pin_to(0), "pin") && __recycle(skel);
	unpin(&cpus);
	return ok;
}

/* The program deletes each element of a full map, and makes a timer in none of them. */
#define check_refused(name)								\
	({										\
		struct timer_stale *__skel = load(true, HOUR);				\
											\
		if (__skel) {								\
			if (fill(bpf_map__fd(__skel->maps.name), ELEMENTS) &&		\
			    ASSERT_OK(run(__skel->progs.stale_in_##name), #name))	\
				ASSERT_EQ(__skel->bss->refused, ELEMENTS, #name);	\
			check_nothing_left(__skel, __skel->maps.name,			\
					   __skel->progs.stale_in_##name, #name);	\
		}									\
	})

/* Many elements share a bucket with others, which are still in the map. */
static void test_nothing_left_in_hash(void)
{
	check_refused(hash);
	check_refused(hash_malloc);
	check_refused(lru);
}

/* The map's allocator keeps some of the memory, with the timers that are in it. */
static void check_nothing_left_in_rhash(bool armed)
{
	struct timer_stale *skel = load(armed, HOUR);

	if (!skel)
		return;
	while (recycle(skel) && skel->bss->recycled < ELEMENTS)
		;
	check_nothing_left(skel, skel->maps.rhash, skel->progs.stale_in_rhash, "rhash");
}

static void test_nothing_left_in_rhash(void)
{
	check_nothing_left_in_rhash(false);
}

static void test_nothing_left_in_rhash_if_armed(void)
{
	check_nothing_left_in_rhash(true);
}

static void test_recycled_is_usable(void)
{
	struct timer_stale *skel = load(true, NSEC_PER_MSEC);

	if (!skel)
		return;
	if (recycle(skel)) {
		ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->runs) >= skel->bss->recycled),
			    "called");
		usleep(100000);
		ASSERT_EQ(skel->bss->runs, skel->bss->recycled, "runs");
	}
	timer_stale__destroy(skel);
}

/* Makes timers in a new inner map, and drops the map @usecs later. */
static bool use_inner(struct timer_stale *skel, useconds_t usecs)
{
	int fd = create_like(skel->obj, skel->maps.large), outer = bpf_map__fd(skel->maps.outer);
	__u32 zero = 0, i;
	bool ok;

	if (!ASSERT_OK_FD(fd, "create"))
		return false;
	ok = fill(fd, LARGE) &&
	     ASSERT_OK(bpf_map_update_elem(outer, &zero, &fd, BPF_ANY), "insert");
	for (i = 0; i < LARGE && ok; i += PART) {
		skel->bss->first = i;
		ok = ASSERT_OK(run(skel->progs.stale_in_inner), "run stale_in_inner") &&
		     ASSERT_OK(skel->bss->err, "make timers");
		usleep(10000);
	}
	usleep(usecs);
	close(fd);
	return ok && ASSERT_OK(bpf_map_delete_elem(outer, &zero), "delete");
}

/* No expiry uses a freed element or a freed inner map. KASAN would report that as well. */
static void test_inner_map_replaced(void)
{
	__u64 end = now(CLOCK_MONOTONIC) + stress_seconds() * NSEC_PER_SEC;
	struct timer_stale *skel = load(true, NSEC_PER_SEC);
	cpu_set_t cpus;
	int rounds = 0;

	if (!skel)
		return;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	/* The first CPU frees the elements. */
	ASSERT_TRUE(pin_to(get_nprocs() > 1), "pin");
	ASSERT_OK(timer_stale__attach(skel), "attach");
	/* The elements are freed first in one map, and the map first in the other. */
	while (use_inner(skel, 500000) && use_inner(skel, 0) && now(CLOCK_MONOTONIC) < end)
		rounds++;
	usleep(1100000);
	printf("%d rounds\n", rounds);
	ASSERT_EQ(skel->bss->freed_in_use, 0, "freed in use");
	ASSERT_EQ(skel->bss->runs, 0, "runs");
	unpin(&cpus);
	timer_stale__destroy(skel);
}

static const struct subtest tests[] = {
	{ "nothing_left_in_hash", test_nothing_left_in_hash },
	{ "nothing_left_in_rhash", test_nothing_left_in_rhash },
	{ "nothing_left_in_rhash_if_armed", test_nothing_left_in_rhash_if_armed },
	{ "deleted_element_gets_no_callback", test_deleted_element_gets_no_callback },
	{ "recycled_is_usable", test_recycled_is_usable },
	{ "inner_map_replaced", test_inner_map_replaced },
};

void test_timer_stale(void)
{
	if (!skip_hazard())
		run_subtests(tests);
}
