// SPDX-License-Identifier: GPL-2.0
/*
 * A timer is started again and again, each time for later, and is called at the time of the
 * last start. Only a few of the starts arm its hrtimer, and an arming leads to one expiry at most.
 *
 * Covers "Look, act, look again".
 */
#include <test_progs.h>
#include "timer_push.skel.h"
#include "timer_helpers.h"

/* Usually longer than a virtual CPU is away. */
#define DELAY (200 * NSEC_PER_MSEC)
/* The time for which the timer is pushed back. */
#define PUSHING (5 * DELAY)
#define TRIES 5

/* Pushes the timer back for a while. Returns whether each start came before the expiry. */
static bool push(struct timer_push *skel)
{
	__u64 end = now(CLOCK_MONOTONIC) + PUSHING;

	while (now(CLOCK_MONOTONIC) < end) {
		ASSERT_OK(run(skel->progs.start), "start");
		usleep(500);
	}
	return !skel->bss->calls;
}

static void check_counts(struct timer_push *skel)
{
	struct timer_push__bss *bss = skel->bss;

	ASSERT_TRUE(comes_true(READ_ONCE(bss->calls)), "called");
	ASSERT_OK(bss->err, "err");
	ASSERT_GE(bss->called_at, bss->due, "called_at");

	/* Each arming that led to no call was for almost a whole delay. */
	ASSERT_GE(bss->expiries, 2, "expiries");
	ASSERT_LE(bss->expiries, 2 + 2 * PUSHING / DELAY, "expiries");
	/* A start during an expiry may arm the hrtimer beside that: it moves what is armed. */
	ASSERT_GE(bss->armings, bss->expiries, "armings");
	ASSERT_LE(bss->armings, 2 * bss->expiries, "armings");
	/* Such a start is no push. Nor is one that leaves the arming to the expiry. */
	ASSERT_GE(bss->pushes, bss->starts - bss->expiries, "pushes");
	ASSERT_EQ(bss->calls, 1, "calls");
}

/* Returns false if this task was away for too long. */
static bool try_to_push(clockid_t clock, bool absolute)
{
	struct timer_push *skel = load_timers(timer_push);
	bool done = true;

	if (!skel)
		return true;
	skel->bss->tgid = getpid();
	skel->bss->clock = clock;
	skel->bss->delay = DELAY;
	skel->bss->absolute = absolute;
	if (ASSERT_OK(timer_push__attach(skel), "attach") &&
	    ASSERT_OK(run(skel->progs.init), "init")) {
		done = push(skel);
		if (done)
			check_counts(skel);
	}
	timer_push__destroy(skel);
	return done;
}

static void push_back(clockid_t clock, bool absolute)
{
	int tries = TRIES;

	while (!try_to_push(clock, absolute) && --tries)
		;
	ASSERT_GT(tries, 0, "tries");
}

static const struct {
	const char *name;
	clockid_t clock;
	bool absolute;
} tests[] = {
	{ "monotonic", CLOCK_MONOTONIC },
	{ "monotonic_absolute", CLOCK_MONOTONIC, true },
	{ "boottime", CLOCK_BOOTTIME },
	{ "boottime_absolute", CLOCK_BOOTTIME, true },
	{ "realtime", CLOCK_REALTIME },
};

/* Serial: while anything traces hrtimer starts, each start arms the hrtimer. */
void serial_test_timer_push(void)
{
	int i;

	if (!are_in_rust()) {
		test__skip();
		return;
	}
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		if (test__start_subtest(tests[i].name))
			push_back(tests[i].clock, tests[i].absolute);
}
