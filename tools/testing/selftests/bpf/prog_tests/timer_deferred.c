// SPDX-License-Identifier: GPL-2.0
/*
 * With interrupts off, operations are deferred: the drain executes them soon. A newer operation
 * still wins, and a deferred operation needs no memory.
 *
 * Covers H4 (h4_*), and H5 and R5 (h5_*).
 */
#include <test_progs.h>
#include "timer_array.h"
#include "timer_deferred.skel.h"

/* @overtakes cancels on the other CPU before the start of @starts is executed. */
static void check_newest_wins(struct timer_deferred *skel, const struct bpf_program *starts,
			      const struct bpf_program *overtakes)
{
	struct run_on_cpu overtaking;
	cpu_set_t cpus;
	int i;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	pin_to(0);
	/* Try again if a CPU was too slow for the other. */
	for (i = 0; i < 10 && !skel->bss->overtaken; i++) {
		skel->bss->stage = 0;
		skel->bss->waiting = false;
		if (!begin_run(&overtaking, 1, bpf_program__fd(overtakes)))
			break;
		ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->waiting)), "waiting");
		start_timer(skel, starts, 0, HOUR, 0);
		end_run(&overtaking);
	}
	ASSERT_TRUE(skel->bss->overtaken, "overtaken");
	/* The start came first, so the cancellation found the timer armed. */
	ASSERT_EQ(skel->data->overtaking, 1, "cancelled");
	ASSERT_EQ(cancel_timer(skel, 0), 0, "not armed");
	unpin(&cpus);
}

static void check_order(bool hold_drain)
{
	struct bpf_link *link = NULL;
	struct timer_deferred *skel;

	if (skip_one_cpu())
		return;
	skel = load_timers(timer_deferred);
	if (!skel)
		return;
	if (!init_timer(skel, 0, CLOCK_MONOTONIC))
		goto out;
	if (!hold_drain)
		check_newest_wins(skel, skel->progs.start_with_irqs_off, skel->progs.overtake);
	else if (attach(skel->progs.hold_drain, &link))
		check_newest_wins(skel, skel->progs.start_and_hold, skel->progs.overtake_held);
out:
	bpf_link__destroy(link);
	timer_deferred__destroy(skel);
}

static void test_newest_wins(void)
{
	check_order(false);
}

static void test_newest_waits(void)
{
	check_order(true);
}

static void test_deferred_needs_no_memory(void)
{
	struct timer_deferred *skel = load_timers(timer_deferred);
	struct bpf_link *nolock = NULL, *kmalloc = NULL, *cache = NULL;

	if (!skel)
		return;
	if (init_timer(skel, 0, CLOCK_MONOTONIC) &&
	    attach(skel->progs.count_kmalloc_nolock, &nolock) &&
	    attach(skel->progs.count_kmalloc, &kmalloc) &&
	    attach(skel->progs.count_kmem_cache_alloc, &cache)) {
		skel->bss->args.nsecs = 5 * NSEC_PER_MSEC;
		ASSERT_OK(run(skel->progs.operate_with_irqs_off), "run");
		ASSERT_EQ(skel->bss->results[0], 0, "start");
		ASSERT_EQ(skel->bss->results[1], -ECANCELED, "cancel_async");
		ASSERT_EQ(skel->bss->results[2], 0, "start again");
		ASSERT_EQ(skel->bss->allocations, 0, "allocations");
		ASSERT_EQ(wait_for_runs(skel->maps.timers, 0, 1), 1, "runs");
	}
	bpf_link__destroy(nolock);
	bpf_link__destroy(kmalloc);
	bpf_link__destroy(cache);
	timer_deferred__destroy(skel);
}

static const struct subtest tests[] = {
	{ "h4_newest_wins_over_deferred", test_newest_wins },
	{ "h4_newest_waits_for_drain", test_newest_waits },
	{ "h5_deferred_needs_no_memory", test_deferred_needs_no_memory },
};

/* Serial: the programs trace all CPUs. */
void serial_test_timer_deferred(void)
{
	if (!skip_hazard())
		run_subtests(tests);
}
