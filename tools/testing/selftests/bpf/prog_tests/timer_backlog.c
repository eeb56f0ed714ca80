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
/* How many timers the drain does in an interrupt. */
#define AT_ONCE 32

static bool run_here(const struct timer_backlog *skel, const struct bpf_program *prog)
{
	return ASSERT_OK(run(prog), "run") && ASSERT_OK(skel->bss->error, "error");
}

/* Waits until the drain has done all. A slow machine may need long, but it goes on. */
static bool all_done(const struct counts *counts, __u64 all)
{
	__u64 done;

	do {
		done = READ_ONCE(counts->all);
		if (done >= all)
			return true;
	} while (comes_true(READ_ONCE(counts->all) != done));
	return false;
}

/* Runs @prog, which leaves an operation on each timer to the drain, and waits for the drain. */
static bool check_drain(const struct timer_backlog *skel, const struct bpf_program *prog,
			const struct counts *counts)
{
	return run_here(skel, prog) &&
	       ASSERT_TRUE(all_done(counts, skel->rodata->count), "all") &&
	       ASSERT_LE(counts->most, AT_ONCE, "at once");
}

static void check(bool delete)
{
	struct timer_backlog *skel = load_timers(timer_backlog);

	if (!skel)
		return;
	skel->bss->cpu = CPU;
	if (run_here(skel, skel->progs.make) &&
	    ASSERT_OK(timer_backlog__attach(skel), "attach") &&
	    check_drain(skel, skel->progs.start_all, &skel->bss->started) && delete)
		check_drain(skel, skel->progs.delete_all, &skel->bss->cancelled);
	timer_backlog__destroy(skel);
}

static void test_starts(void)
{
	check(false);
}

static void test_deletions(void)
{
	check(true);
}

static const struct subtest tests[] = {
	{ "starts", test_starts },
	{ "deletions", test_deletions },
};

/* Elsewhere, irq_works have no tracepoints. */
#ifdef __x86_64__
#define IRQ_WORKS_ARE_TRACED true
#else
#define IRQ_WORKS_ARE_TRACED false
#endif

/* Serial: the programs trace all interrupts of a CPU. */
void serial_test_timer_backlog(void)
{
	cpu_set_t cpus;

	if (!IRQ_WORKS_ARE_TRACED) {
		test__skip();
		return;
	}
	if (skip_hazard())
		return;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (ASSERT_TRUE(pin_to(CPU), "pin"))
		run_subtests(tests);
	unpin(&cpus);
}
