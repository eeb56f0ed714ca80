// SPDX-License-Identifier: GPL-2.0
/*
 * The drain keeps a CPU for a short time only, however many operations were left to it (R7): it
 * does a few in an interrupt. In the end it has done all.
 */
#include <test_progs.h>
#include "../progs/timer_backlog.h"
#include "timer_helpers.h"
#include "timer_backlog.skel.h"

#define CPU 0
/* How many timers the drain does in an interrupt, and the timer that ends a pause. */
#define AT_ONCE (32 + 1)

static bool run_here(const struct timer_backlog *skel, const struct bpf_program *prog)
{
	return ASSERT_OK(run(prog), "run") && ASSERT_OK(skel->bss->error, "error");
}

static void test_starts(struct timer_backlog *skel)
{
	__u32 count = skel->rodata->count;

	if (!run_here(skel, skel->progs.start_all))
		return;
	ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->started.all) >= count), "all are armed");
	ASSERT_LE(skel->bss->started.most, AT_ONCE, "armed at once");
}

static void test_deletions(struct timer_backlog *skel)
{
	__u32 count = skel->rodata->count;

	if (!run_here(skel, skel->progs.start_all) ||
	    !ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->started.all) >= count), "all are armed") ||
	    !run_here(skel, skel->progs.delete_all))
		return;
	ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->cancelled.all) >= count), "all are cancelled");
	ASSERT_LE(skel->bss->cancelled.most, AT_ONCE, "cancelled at once");
}

static const struct {
	const char *name;
	void (*test)(struct timer_backlog *skel);
} tests[] = {
	{ "starts", test_starts },
	{ "deletions", test_deletions },
};

static void run_tests(void)
{
	struct timer_backlog *skel;
	int i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!test__start_subtest(tests[i].name))
			continue;
		skel = load_timers(timer_backlog);
		if (!skel)
			continue;
		skel->bss->cpu = CPU;
		if (run_here(skel, skel->progs.make) &&
		    ASSERT_OK(timer_backlog__attach(skel), "attach"))
			tests[i].test(skel);
		timer_backlog__destroy(skel);
	}
}

/* Serial: the programs trace all interrupts of a CPU. */
void serial_test_timer_backlog(void)
{
#ifdef __x86_64__
	cpu_set_t cpus;

	if (skip_hazard())
		return;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (ASSERT_TRUE(pin_to(CPU), "pin"))
		run_tests();
	unpin(&cpus);
#else
	/* Elsewhere, irq_works have no tracepoints. */
	test__skip();
#endif
}
