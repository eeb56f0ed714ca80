// SPDX-License-Identifier: GPL-2.0
/*
 * Timers expire never early, on the requested CPU, and at the time of the last start.
 *
 * Covers the contract of clocks and flags.
 */
#include <test_progs.h>
#include "progs/timer_clocks.h"
#include "timer_clocks.skel.h"
#include "timer_helpers.h"

#define DELAY (10 * NSEC_PER_MSEC)
/* How much the clock that programs read may differ from the clock of timers. */
#define TOLERANCE 10000

static bool init(struct timer_clocks *skel, __u32 slot, clockid_t clock)
{
	skel->bss->slot = slot;
	skel->bss->clockid = clock;
	return ASSERT_OK(run(skel->progs.init), "run init") && ASSERT_OK(skel->bss->ret, "init");
}

/* Removes the timer, waits for its callback, and clears what the callback recorded. */
static void remove_timer(struct timer_clocks *skel, __u32 slot)
{
	__u64 empty[2] = {};

	ASSERT_OK(bpf_map_update_elem(bpf_map__fd(skel->maps.timers), &slot, empty, BPF_ANY),
		  "remove");
	kern_sync_rcu();
	memset(&skel->bss->seen[slot], 0, sizeof(skel->bss->seen[slot]));
}

static bool start(struct timer_clocks *skel, __u32 slot, __u64 nsecs, __u64 flags)
{
	skel->bss->slot = slot;
	skel->bss->nsecs = nsecs;
	skel->bss->flags = flags;
	return ASSERT_OK(run(skel->progs.start), "run start") &&
	       ASSERT_OK(skel->bss->ret, "start");
}

static __u64 runs(struct timer_clocks *skel, __u32 slot)
{
	return READ_ONCE(skel->bss->seen[slot].runs);
}

static int cancel(struct timer_clocks *skel, __u32 slot)
{
	skel->bss->slot = slot;
	ASSERT_OK(run(skel->progs.cancel), "run cancel");
	return skel->bss->ret;
}

/* Returns the time on @clock that a program recorded. */
static __u64 on_clock(const struct times *times, clockid_t clock)
{
	switch (clock) {
	case CLOCK_MONOTONIC:
		return times->mono;
	case CLOCK_BOOTTIME:
		return times->boot;
	default:
		/* CLOCK_TAI is a whole number of seconds ahead. */
		return times->tai - (now(CLOCK_TAI) - now(CLOCK_REALTIME) + NSEC_PER_SEC / 2) /
				    NSEC_PER_SEC * NSEC_PER_SEC;
	}
}

/* The hrtimer uses @clock. A CLOCK_REALTIME timer may have hrtimers of other clocks as well. */
static void check_base(struct timer_clocks *skel, clockid_t clock)
{
	struct bpf_link *link = bpf_program__attach(skel->progs.note_clock);

	if (ASSERT_OK_PTR(link, "attach") && init(skel, 0, clock)) {
		ASSERT_TRUE(skel->bss->clocks & (1 << clock), "clock");
		if (clock != CLOCK_REALTIME)
			ASSERT_EQ(skel->bss->clocks, 1 << clock, "no other");
	}
	bpf_link__destroy(link);
}

static void check_relative(struct timer_clocks *skel, clockid_t clock)
{
	__u64 ran;

	if (!init(skel, 0, clock) || !start(skel, 0, DELAY, 0) ||
	    !ASSERT_TRUE(comes_true(runs(skel, 0)), "runs"))
		return;
	ran = on_clock(&skel->bss->seen[0].times, clock) + TOLERANCE;
	ASSERT_GE(ran, on_clock(&skel->bss->started, clock) + DELAY, "not early");
	usleep(20000);
	ASSERT_EQ(runs(skel, 0), 1, "once");
}

/* The C timers are wrong about absolute times of CLOCK_REALTIME (H3). */
static bool is_wrong(clockid_t clock)
{
	return clock == CLOCK_REALTIME && skip_hazard();
}

static void check_absolute(struct timer_clocks *skel, clockid_t clock)
{
	__u64 expires, ran;

	if (is_wrong(clock) || !init(skel, 0, clock))
		return;
	expires = now(clock) + DELAY;
	if (!start(skel, 0, expires, BPF_F_TIMER_ABS) ||
	    !ASSERT_TRUE(comes_true(runs(skel, 0)), "runs"))
		return;
	ran = on_clock(&skel->bss->seen[0].times, clock) + TOLERANCE;
	ASSERT_GE(ran, expires, "not early");
	usleep(20000);
	ASSERT_EQ(runs(skel, 0), 1, "once");
}

/* A timer that is started for the past expires at once. */
static void check_past(struct timer_clocks *skel, clockid_t clock)
{
	if (is_wrong(clock) || !init(skel, 0, clock))
		return;
	ASSERT_TRUE(start(skel, 0, now(clock) - 1, BPF_F_TIMER_ABS) &&
		    comes_true(runs(skel, 0) == 1), "just past");
	ASSERT_TRUE(start(skel, 0, 1, BPF_F_TIMER_ABS) &&
		    comes_true(runs(skel, 0) == 2), "long past");
	ASSERT_TRUE(start(skel, 0, 0, BPF_F_TIMER_ABS) &&
		    comes_true(runs(skel, 0) == 3), "absolute zero");
	ASSERT_TRUE(start(skel, 0, 0, 0) && comes_true(runs(skel, 0) == 4), "zero");
}

/* A timer that never expires stays armed, and does not keep others from expiring. */
static void check_never(struct timer_clocks *skel, clockid_t clock, __u64 nsecs, __u64 flags)
{
	__u64 before = runs(skel, 1);

	if (!start(skel, 0, nsecs, flags) || !start(skel, 1, DELAY, 0))
		return;
	ASSERT_TRUE(comes_true(runs(skel, 1) > before), "other");
	usleep(5000);
	ASSERT_EQ(runs(skel, 0), 0, "never");
	ASSERT_EQ(cancel(skel, 0), 1, "armed");
}

/* A negative time never comes. With the C timers, it may come when another timer expires. */
static void check_negative(struct timer_clocks *skel, __u64 nsecs)
{
	__u64 before = runs(skel, 1);

	if (!start(skel, 0, nsecs, BPF_F_TIMER_ABS) || !start(skel, 1, DELAY, 0))
		return;
	ASSERT_TRUE(comes_true(runs(skel, 1) > before), "other");
	ASSERT_LE(runs(skel, 0), !are_in_rust(), "runs");
	ASSERT_EQ(cancel(skel, 0) + runs(skel, 0), 1, "armed or expired");
}

static void check_far(struct timer_clocks *skel, clockid_t clock)
{
	if (!init(skel, 0, clock) || !init(skel, 1, clock))
		return;
	check_never(skel, clock, INT64_MAX, 0);
	check_never(skel, clock, INT64_MAX, BPF_F_TIMER_ABS);
	check_never(skel, clock, INT64_MAX - 1, 0);
	check_never(skel, clock, 1ULL << 62, BPF_F_TIMER_ABS);
	check_never(skel, clock, UINT64_MAX, 0);
	check_negative(skel, UINT64_MAX);
}

static void check_pinned(struct timer_clocks *skel, clockid_t clock)
{
	int cpu, cpus = get_nprocs();
	__u64 count = 0;
	cpu_set_t old;

	if (is_wrong(clock) || !init(skel, 0, clock))
		return;
	sched_getaffinity(0, sizeof(old), &old);
	for (cpu = 0; cpu < cpus; cpu++) {
		if (!ASSERT_TRUE(pin_to(cpu), "pin"))
			break;
		start(skel, 0, DELAY, BPF_F_TIMER_CPU_PIN);
		/* The timer stays when the thread that started it moves away. */
		pin_to((cpu + 1) % cpus);
		count++;
		ASSERT_TRUE(comes_true(runs(skel, 0) == count), "runs");
		ASSERT_EQ(skel->bss->seen[0].cpu, cpu, "relative");

		pin_to(cpu);
		start(skel, 0, now(clock) + DELAY, BPF_F_TIMER_CPU_PIN | BPF_F_TIMER_ABS);
		pin_to((cpu + 1) % cpus);
		count++;
		ASSERT_TRUE(comes_true(runs(skel, 0) == count), "runs");
		ASSERT_EQ(skel->bss->seen[0].cpu, cpu, "absolute");
		/* A timer whose callback has not returned cannot go to the next CPU. */
		kern_sync_rcu();
	}
	unpin(&old);
}

static void check_moved_earlier(struct timer_clocks *skel, clockid_t clock)
{
	if (!init(skel, 0, clock) || !start(skel, 0, HOUR, 0) || !start(skel, 0, DELAY, 0))
		return;
	ASSERT_TRUE(comes_true(runs(skel, 0)), "runs");
	usleep(20000);
	ASSERT_EQ(runs(skel, 0), 1, "once");
	/* The callback has run, but may not have returned. */
	kern_sync_rcu();
	ASSERT_EQ(cancel(skel, 0), 0, "not armed");
}

static void check_moved_later(struct timer_clocks *skel, clockid_t clock)
{
	__u64 begin, ran, moved;
	bool in_time = false;

	/* Try again if the timer expired before it was moved. */
	for (moved = 20 * DELAY; moved < 400 * DELAY; moved *= 2) {
		begin = now(CLOCK_MONOTONIC);
		if (!init(skel, 0, clock) || !start(skel, 0, moved / 2, 0) ||
		    !start(skel, 0, moved, 0))
			return;
		in_time = now(CLOCK_MONOTONIC) < begin + moved / 2;
		if (in_time)
			break;
		remove_timer(skel, 0);
	}
	if (!ASSERT_TRUE(in_time, "in time"))
		return;
	ASSERT_TRUE(comes_true(runs(skel, 0)), "runs");
	ran = on_clock(&skel->bss->seen[0].times, clock) + TOLERANCE;
	ASSERT_GE(ran, on_clock(&skel->bss->started, clock) + moved, "not early");
	usleep(20000);
	ASSERT_EQ(runs(skel, 0), 1, "once");
}

/* The callback that is set when the timer expires is the one that runs. */
static void check_switched(struct timer_clocks *skel, clockid_t clock)
{
	__u64 begin, nsecs;
	bool in_time = false;

	/* Try again if the timer expired before the other callback was set. */
	for (nsecs = DELAY; nsecs < 100 * DELAY; nsecs *= 2) {
		begin = now(CLOCK_MONOTONIC);
		if (!init(skel, 0, clock) || !start(skel, 0, nsecs, 0))
			return;
		ASSERT_OK(run(skel->progs.set_other_callback), "run");
		ASSERT_OK(skel->bss->ret, "set_callback");
		in_time = now(CLOCK_MONOTONIC) < begin + nsecs;
		if (in_time)
			break;
		remove_timer(skel, 0);
	}
	if (!ASSERT_TRUE(in_time, "in time"))
		return;
	ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->seen[0].runs_of_other)), "other runs");
	usleep(20000);
	ASSERT_EQ(runs(skel, 0), 0, "runs");
	ASSERT_EQ(skel->bss->seen[0].runs_of_other, 1, "once");
}

static const struct {
	const char *name;
	void (*check)(struct timer_clocks *skel, clockid_t clock);
} checks[] = {
	{ "base", check_base },
	{ "relative", check_relative },
	{ "absolute", check_absolute },
	{ "past", check_past },
	{ "far", check_far },
	{ "pinned", check_pinned },
	{ "moved_earlier", check_moved_earlier },
	{ "moved_later", check_moved_later },
	{ "switched", check_switched },
};

static const struct {
	const char *name;
	clockid_t clock;
} clocks[] = {
	{ "monotonic", CLOCK_MONOTONIC },
	{ "realtime", CLOCK_REALTIME },
	{ "boottime", CLOCK_BOOTTIME },
};

void serial_test_timer_clocks(void)
{
	struct timer_clocks *skel;
	char subtest[64];
	int i, clock;

	for (clock = 0; clock < ARRAY_SIZE(clocks); clock++) {
		for (i = 0; i < ARRAY_SIZE(checks); i++) {
			snprintf(subtest, sizeof(subtest), "%s_%s", clocks[clock].name,
				 checks[i].name);
			if (!test__start_subtest(subtest))
				continue;
			skel = load_timers(timer_clocks);
			if (skel)
				checks[i].check(skel, clocks[clock].clock);
			timer_clocks__destroy(skel);
		}
	}
}
