// SPDX-License-Identifier: GPL-2.0
/*
 * A timer is started again and again, each time for later, and is called at the time of the
 * last start. Only a few of the starts arm its hrtimer, and each arming leads to one expiry.
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

static void push_back(clockid_t clock, bool absolute)
{
	struct timer_push *skel;
	bool pushed = false;
	int i;

	skel = load_timers(timer_push);
	if (!skel)
		return;
	skel->bss->tgid = getpid();
	skel->bss->clock = clock;
	skel->bss->delay = DELAY;
	skel->bss->absolute = absolute;
	if (!ASSERT_OK(timer_push__attach(skel), "attach"))
		goto out;
	ASSERT_OK(run(skel->progs.init), "init");

	for (i = 0; i < TRIES && !pushed; i++) {
		/* Try again if this task was away for too long. */
		ASSERT_TRUE(comes_true(skel->bss->armings == skel->bss->expiries), "expired");
		skel->bss->starts = 0;
		skel->bss->pushes = 0;
		skel->bss->armings = 0;
		skel->bss->expiries = 0;
		skel->bss->calls = 0;
		pushed = push(skel);
	}
	if (!ASSERT_TRUE(pushed, "pushed"))
		goto out;
	ASSERT_TRUE(comes_true(skel->bss->calls), "called");
	ASSERT_OK(skel->bss->err, "err");
	ASSERT_GE(skel->bss->called_at, skel->bss->due, "called_at");

	/* Each arming that led to no call was for almost a whole delay. */
	ASSERT_TRUE(comes_true(skel->bss->armings == skel->bss->expiries), "armings");
	ASSERT_GE(skel->bss->expiries, 2, "expiries");
	ASSERT_LE(skel->bss->expiries, 2 + 2 * PUSHING / DELAY, "expiries");
	/* A start during an expiry is no push: it arms the hrtimer, or the expiry calls for it. */
	ASSERT_GE(skel->bss->pushes, skel->bss->starts - skel->bss->expiries, "pushes");
	ASSERT_EQ(skel->bss->calls, 1, "calls");
out:
	timer_push__destroy(skel);
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
