// SPDX-License-Identifier: GPL-2.0
/*
 * Absolute CLOCK_REALTIME timers follow the wall clock when it is set. Relative ones do not.
 *
 * Covers H3.
 */
#include <test_progs.h>
#include "timer_array.h"
#include "timer_wall_clock.skel.h"

/* Loads the programs and makes two timers. */
static struct timer_wall_clock *load(void)
{
	struct timer_wall_clock *skel = load_timers(timer_wall_clock);

	if (skel && init_timer(skel, 0, CLOCK_REALTIME) &&
	    init_timer(skel, 1, CLOCK_REALTIME))
		return skel;
	timer_wall_clock__destroy(skel);
	return NULL;
}

static void start_absolute(struct timer_wall_clock *skel, __u32 slot, __u64 time)
{
	start_timer(skel, skel->progs.start, slot, time, BPF_F_TIMER_ABS);
}

static void start_relative(struct timer_wall_clock *skel, __u32 slot, __u64 nsecs)
{
	start_timer(skel, skel->progs.start, slot, nsecs, 0);
}

static void test_forward_step(void)
{
	struct timer_wall_clock *skel = load();

	if (!skel)
		return;
	/* An absolute timer expires at its time of day. */
	start_absolute(skel, 0, now(CLOCK_REALTIME) + 20 * NSEC_PER_MSEC);
	ASSERT_EQ(wait_for_runs(skel->maps.timers, 0, 1), 1, "absolute");

	/* The clock steps over the absolute timer's time: it expires, the relative one stays. */
	start_absolute(skel, 0, now(CLOCK_REALTIME) + HOUR / 2);
	start_relative(skel, 1, 60 * NSEC_PER_SEC);
	if (step_clock(HOUR)) {
		ASSERT_EQ(wait_for_runs(skel->maps.timers, 0, 2), 2, "absolute, forward");
		ASSERT_EQ(runs_of(skel->maps.timers, 1), 0, "relative, forward");
		step_clock(-HOUR);
	}
	timer_wall_clock__destroy(skel);
}

/* Steps the wall clock back when an absolute timer and a relative one are about to expire. */
static void check_step_back(struct timer_wall_clock *skel)
{
	const struct bpf_map *timers = skel->maps.timers;
	__u64 nsecs, begin, absolute, relative;
	bool in_time = false;

	/* Try again if the timers expired before the step. */
	for (nsecs = 100 * NSEC_PER_MSEC; nsecs < 10 * NSEC_PER_SEC; nsecs *= 2) {
		absolute = runs_of(timers, 0);
		relative = runs_of(timers, 1);
		begin = now(CLOCK_MONOTONIC);
		start_absolute(skel, 0, now(CLOCK_REALTIME) + nsecs);
		start_relative(skel, 1, nsecs);
		if (!step_clock(-HOUR))
			return;
		in_time = now(CLOCK_MONOTONIC) < begin + nsecs;
		if (in_time)
			break;
		step_clock(HOUR);
		wait_for_runs(timers, 0, absolute + 1);
		wait_for_runs(timers, 1, relative + 1);
	}
	if (!ASSERT_TRUE(in_time, "in time"))
		return;
	/* The time of the absolute timer is far off now. The relative timer does not move. */
	ASSERT_EQ(wait_for_runs(timers, 1, relative + 1), relative + 1, "relative, back");
	usleep(100000);
	ASSERT_EQ(runs_of(timers, 0), absolute, "absolute, back");
	step_clock(HOUR);
	ASSERT_EQ(wait_for_runs(timers, 0, absolute + 1), absolute + 1, "absolute, and forth");
}

static void test_backward_step(void)
{
	struct timer_wall_clock *skel = load();

	if (!skel)
		return;
	check_step_back(skel);
	timer_wall_clock__destroy(skel);
}

static void check_replaced(struct timer_wall_clock *skel)
{
	__u64 nsecs, expires, runs = 0;
	bool in_time = false;

	/* If it expired too early, try again after its callback has returned. */
	for (nsecs = 50 * NSEC_PER_MSEC; !in_time && nsecs < 10 * NSEC_PER_SEC; nsecs *= 2) {
		kern_sync_rcu();
		runs = runs_of(skel->maps.timers, 0);
		expires = now(CLOCK_REALTIME) + nsecs;
		start_absolute(skel, 0, expires);
		start_relative(skel, 0, 60 * NSEC_PER_SEC);
		in_time = now(CLOCK_REALTIME) < expires;
	}
	if (!ASSERT_TRUE(in_time, "in time"))
		return;
	usleep(nsecs / 1000);
	ASSERT_EQ(runs_of(skel->maps.timers, 0), runs, "absolute replaced");
	start_absolute(skel, 0, now(CLOCK_REALTIME) + 20 * NSEC_PER_MSEC);
	ASSERT_EQ(wait_for_runs(skel->maps.timers, 0, runs + 1), runs + 1, "relative replaced");
	ASSERT_EQ(cancel_timer(skel, 0), 0, "nothing was armed");
}

/* One timer is started absolutely and relatively: only the last start counts. */
static void test_last_start(void)
{
	struct timer_wall_clock *skel = load();

	if (!skel)
		return;
	check_replaced(skel);
	timer_wall_clock__destroy(skel);
}

static const struct subtest tests[] = {
	{ "h3_forward_step_expires_absolute_timer", test_forward_step },
	{ "h3_backward_step_delays_absolute_timer", test_backward_step },
	{ "h3_last_start_decides_if_absolute", test_last_start },
};

/* Serial: the tests set the clock. */
void serial_test_timer_wall_clock(void)
{
	if (!skip_hazard())
		run_subtests(tests);
}
