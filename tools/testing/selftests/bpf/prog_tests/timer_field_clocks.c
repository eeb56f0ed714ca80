// SPDX-License-Identifier: GPL-2.0
/*
 * Programs in the manner of the field on clocks other than CLOCK_MONOTONIC. One has leases that
 * run out also while the wall clock is set. The other one is generated, and asks for clock 0.
 *
 * Covers "Clocks and flags" in Documentation/bpf/timers.rst, and H3.
 */
#include <pthread.h>
#include <test_progs.h>
#include "timer_field.h"
#include "timer_field_clock_zero.skel.h"
#include "timer_field_clocks.skel.h"

/* Steps the wall clock back and forth for the time of a test. In the end it is right again. */
static void step_for_a_while(void)
{
	__u64 end = now(CLOCK_MONOTONIC) + stress_seconds() * NSEC_PER_SEC;

	do {
		if (!step_clock(HOUR))
			break;
		usleep(20000);
		if (!step_clock(-2 * HOUR))
			break;
		usleep(20000);
		if (!step_clock(HOUR))
			break;
		usleep(20000);
	} while (now(CLOCK_MONOTONIC) < end);
}

static void test_clocks(void)
{
	static const char * const names[] = { "boottime", "realtime" };
	struct timer_field_clocks *skel = load_timers(timer_field_clocks);
	struct timer_field_clocks__bss *bss;
	struct load load;
	int i;

	if (!skel)
		return;
	bss = skel->bss;
	begin_load(&load, skel->progs.packet, NULL);
	step_for_a_while();
	end_load(&load);
	for (i = 0; i < 2; i++) {
		/* A timer that follows the clock would be an hour late. */
		ASSERT_TRUE(comes_true(READ_ONCE(bss->called[i]) == bss->started[i]), names[i]);
		ASSERT_EQ(bss->called[i], bss->started[i], "called == started");
		ASSERT_EQ(bss->early[i], 0, "early");
		ASSERT_GT(bss->called[i], 0, "called");
		printf("%s: %llu called, at most %llu us late\n", names[i], bss->called[i],
		       bss->latest[i] / 1000);
	}
	check_results(skel);
	timer_field_clocks__destroy(skel);
}

static void test_clock_zero(void)
{
	static const char * const names[] = { "relative", "absolute" };
	struct timer_field_clock_zero *skel = load_timers(timer_field_clock_zero);
	struct timer_field_clock_zero__bss *bss;
	bool rust = are_in_rust();
	int i;

	if (!skel)
		return;
	bss = skel->bss;
	/* In Rust, these times are in 1970, and so expire at once. In C, they come. */
	bss->ahead = rust ? HOUR : NSEC_PER_MSEC;
	run_load(skel->progs.packet, NULL, READ_ONCE(bss->called[0]) && READ_ONCE(bss->called[1]));
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(comes_true(READ_ONCE(bss->called[i]) == bss->started[i]), names[i]);
		ASSERT_EQ(bss->called[i], bss->started[i], "called == started");
		printf("%s: %llu called\n", names[i], bss->called[i]);
	}
	ASSERT_EQ(bss->early[0], 0, "early, relative");
	ASSERT_EQ(bss->early[1], rust ? bss->called[1] : 0, "early, absolute");
	check_results(skel);
	timer_field_clock_zero__destroy(skel);
}

static const struct subtest tests[] = {
	{ "clocks", test_clocks },
	{ "clock_zero", test_clock_zero },
};

/* Serial: a test sets the clock. */
void serial_test_timer_field_clocks(void)
{
	run_subtests(tests);
}
