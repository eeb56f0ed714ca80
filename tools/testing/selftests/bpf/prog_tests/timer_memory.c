// SPDX-License-Identifier: GPL-2.0
/*
 * Each timer is freed exactly once.
 *
 * Covers R6.
 */
#include <test_progs.h>
#include "timer_memory.h"

#define RUNS 4
#define MOST_RUNS 1000

static void test_each_is_freed(struct timer_memory *skel)
{
	int i;

	for (i = 0; i < RUNS; i++)
		if (!ASSERT_OK(run(skel->progs.make_and_delete), "run"))
			return;
	ASSERT_GT(skel->bss->made, 0, "made");
}

/* If two CPUs make a timer in the same element, the second one must free its own again. */
static void test_second_init_frees_its_timer(struct timer_memory *skel)
{
	int fd = bpf_program__fd(skel->progs.make_and_delete);
	struct run_on_cpu jobs[2];
	struct timer_memory__bss *seen = skel->bss;
	int i, begun;

	if (skip_one_cpu())
		return;
	/* In C, a timer that is made in a deleted element stays (H7). */
	if (skip_hazard())
		return;
	/* Repeat until one CPU has come second. */
	for (i = 0; i < MOST_RUNS && seen->allocated <= seen->made + seen->gone; i++) {
		seen->arrived = 0;
		seen->parties = ARRAY_SIZE(jobs);
		for (begun = 0; begun < ARRAY_SIZE(jobs); begun++)
			if (!begin_run(&jobs[begun], begun, fd))
				break;
		while (begun-- > 0)
			ASSERT_OK(end_run(&jobs[begun]), "run");
	}
	ASSERT_GT(seen->allocated, seen->made + seen->gone, "came second");
}

static const struct {
	const char *name;
	void (*test)(struct timer_memory *skel);
} tests[] = {
	{ "each_is_freed", test_each_is_freed },
	{ "second_init_frees_its_timer", test_second_init_frees_its_timer },
};

void serial_test_timer_memory(void)
{
	struct timer_memory *skel;
	__u32 key;
	int i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!test__start_subtest(tests[i].name))
			continue;
		skel = watch_memory();
		if (!skel)
			continue;
		tests[i].test(skel);
		for (key = 0; key < 2; key++)
			bpf_map_delete_elem(bpf_map__fd(skel->maps.timers), &key);
		check_memory(skel, skel->bss->made);
		timer_memory__destroy(skel);
	}
}
