// SPDX-License-Identifier: GPL-2.0
/*
 * The kfunc bpf_timer_info(), which tells when a timer is to expire.
 *
 * Covers "Observing timers" in Documentation/bpf/timers.rst.
 */
#include <pthread.h>
#include <test_progs.h>
#include "progs/timer_info.h"
#include "timer_helpers.h"
#include "timer_info.skel.h"

static void check_time(struct timer_info *skel, int state, __u64 nsecs)
{
	__u64 expires = skel->bss->infos[state].expires;
	__u64 earliest = skel->bss->before[state] + nsecs;

	ASSERT_GE(expires, earliest, "expires");
	/* The start and the question take less than a minute. */
	ASSERT_LT(expires, earliest + 60 * NSEC_PER_SEC, "expires");
	ASSERT_LE(skel->bss->infos[state].remaining, nsecs + 16, "remaining");
	ASSERT_GT(skel->bss->infos[state].remaining, nsecs - 60 * NSEC_PER_SEC, "remaining");
}

static void test_states(struct timer_info *skel)
{
	static const struct {
		const char *name;
		__u32 flags, clockid;
		bool has_cpu, has_prog;
	} expected[STATES] = {
		[IDLE] = { "idle", 0, CLOCK_BOOTTIME },
		[HAS_CALLBACK] = { "has callback", 0, CLOCK_BOOTTIME, false, true },
		[ARMED] = { "armed", IS_ARMED, CLOCK_BOOTTIME, true, true },
		[MOVED] = { "moved", IS_ARMED, CLOCK_BOOTTIME, true, true },
		[PINNED] = { "pinned", IS_ARMED | IS_PINNED, CLOCK_BOOTTIME, true, true },
		[CANCELLED] = { "cancelled", 0, CLOCK_BOOTTIME, false, true },
		[DEFERRED] = { "deferred", IS_ARMED, CLOCK_BOOTTIME, false, true },
		[WALL] = { "wall", IS_ARMED, CLOCK_REALTIME, true, true },
		[IN_CALLBACK] = { "in callback", IS_RUNNING, CLOCK_MONOTONIC, false, true },
		[RESTARTED] = { "restarted", IS_RUNNING | IS_ARMED, CLOCK_MONOTONIC, true, true },
	};
	__u32 id = id_of(skel->progs.ask_in_each_state);
	int i;

	skel->bss->nsecs = HOUR;
	if (!ASSERT_OK(run(skel->progs.ask_in_each_state), "run") ||
	    !ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->done)), "callback"))
		return;
	ASSERT_EQ(skel->bss->results[EMPTY], -EINVAL, "empty");
	for (i = IDLE; i < STATES; i++) {
		ASSERT_OK(skel->bss->results[i], expected[i].name);
		ASSERT_EQ(skel->bss->infos[i].flags, expected[i].flags, expected[i].name);
		ASSERT_EQ(skel->bss->infos[i].clockid, expected[i].clockid, expected[i].name);
		ASSERT_EQ(skel->bss->infos[i].cpu >= 0, expected[i].has_cpu, expected[i].name);
		ASSERT_EQ(skel->bss->infos[i].prog_id, expected[i].has_prog ? id : 0,
			  expected[i].name);
	}
	check_time(skel, ARMED, HOUR);
	check_time(skel, MOVED, 2 * HOUR);
	check_time(skel, RESTARTED, HOUR);
	ASSERT_EQ(skel->bss->infos[PINNED].cpu, skel->bss->cpus[PINNED], "cpu");
	ASSERT_EQ(skel->bss->infos[WALL].expires, 1ULL << 62, "time of day");
	ASSERT_EQ(skel->bss->infos[CANCELLED].expires, 0, "cancelled");
}

static void test_sizes(struct timer_info *skel)
{
	int i;

	ASSERT_OK(run(skel->progs.ask_for_other_sizes), "run");
	ASSERT_EQ(skel->bss->shortest.expires, 0, "expires");
	ASSERT_EQ(skel->bss->shortest.remaining, ~0ULL, "remaining");
	ASSERT_EQ(skel->bss->longest[0], 0, "expires");
	ASSERT_EQ(skel->bss->longest[3] >> 32, 0, "flags");
	for (i = sizeof(skel->bss->shortest) / 8; i < 8; i++)
		ASSERT_EQ(skel->bss->longest[i], 0, "beyond");
}

static void *run_churn(void *arg)
{
	struct timer_info *skel = arg;

	while (!READ_ONCE(skel->bss->done))
		run(skel->progs.churn);
	return NULL;
}

/* A walk while other timers come and go finds each timer that stays, once. */
static void test_walk_beside_churn(struct timer_info *skel)
{
	__u64 end = now(CLOCK_MONOTONIC) + stress_seconds() * NSEC_PER_SEC;
	pthread_t thread;

	if (!ASSERT_OK(run(skel->progs.fill), "fill") ||
	    !ASSERT_OK(pthread_create(&thread, NULL, run_churn, skel), "thread"))
		return;
	do {
		ASSERT_OK(run(skel->progs.walk_all), "walk");
		if (!ASSERT_EQ(skel->bss->armed, KEEP, "armed") ||
		    !ASSERT_EQ(skel->bss->missing, 0, "missing"))
			break;
	} while (now(CLOCK_MONOTONIC) < end);
	WRITE_ONCE(skel->bss->done, true);
	pthread_join(thread, NULL);
}

static const struct {
	const char *name;
	void (*test)(struct timer_info *skel);
} tests[] = {
	{ "states", test_states },
	{ "sizes", test_sizes },
	{ "walk_beside_churn", test_walk_beside_churn },
};

void test_timer_info(void)
{
	struct timer_info *skel;
	int i;

	if (!are_in_rust()) {
		test__skip();
		return;
	}
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!test__start_subtest(tests[i].name))
			continue;
		skel = load_timers(timer_info);
		if (skel)
			tests[i].test(skel);
		timer_info__destroy(skel);
	}
}
