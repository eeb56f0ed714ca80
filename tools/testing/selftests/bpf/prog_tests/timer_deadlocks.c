// SPDX-License-Identifier: GPL-2.0
/*
 * A CPU that expires a timer does not hang: neither if programs cancel timers there, nor if a
 * callback starts its timer for a time that is past.
 *
 * Covers H1, R4 (h1_*), and H10 (h10_*).
 */
#include <pthread.h>
#include <test_progs.h>
#include "timer_array.h"
#include "timer_deadlocks.skel.h"

/* A thread on a CPU that wakes each millisecond, and the longest time that it did not run. */
struct pulse {
	pthread_t thread;
	int cpu;
	bool *stop;
	__u64 longest;
};

static void *beat(void *arg)
{
	struct pulse *pulse = arg;
	__u64 last, next;

	pin_to(pulse->cpu);
	last = now(CLOCK_MONOTONIC);
	while (!READ_ONCE(*pulse->stop)) {
		usleep(1000);
		next = now(CLOCK_MONOTONIC);
		if (next - last > pulse->longest)
			pulse->longest = next - last;
		last = next;
	}
	return NULL;
}

/* A CPU that hangs stays silent. A virtual CPU may be silent for a while. */
#define MAX_SILENCE (15 * NSEC_PER_SEC)

/* Returns the longest time for which a CPU did not run its thread while @action went on. */
static __u64 longest_silence(void (*action)(void *arg), void *arg)
{
	struct pulse pulses[MAX_CPUS] = {};
	__u64 longest = 0;
	bool stop = false;
	int i, cpus = get_nprocs();

	for (i = 0; i < cpus && i < MAX_CPUS; i++) {
		pulses[i].cpu = i;
		pulses[i].stop = &stop;
		if (!ASSERT_OK(pthread_create(&pulses[i].thread, NULL, beat, &pulses[i]), "thread"))
			break;
	}
	action(arg);
	usleep(300000);
	WRITE_ONCE(stop, true);
	while (i-- > 0) {
		pthread_join(pulses[i].thread, NULL);
		if (pulses[i].longest > longest)
			longest = pulses[i].longest;
	}
	return longest;
}

static void expire_with_cancellation(void *arg)
{
	struct timer_deadlocks *skel = arg;

	if (start_timer(skel, skel->progs.start_and_learn, 0, 10 * NSEC_PER_MSEC, 0))
		ASSERT_TRUE(comes_true(READ_ONCE(skel->data->cancelled_at_exit) == 0), "expired");
}

static void test_cancel_in_own_expiry(void)
{
	struct bpf_link *learn = NULL, *entry = NULL, *exit = NULL;
	struct timer_deadlocks *skel = load_timers(timer_deadlocks);

	if (!skel)
		return;
	if (init_timer(skel, 0, CLOCK_MONOTONIC) && attach(skel->progs.learn, &learn) &&
	    attach(skel->progs.cancel_at_entry, &entry) &&
	    attach(skel->progs.cancel_at_exit, &exit)) {
		ASSERT_LT(longest_silence(expire_with_cancellation, skel), MAX_SILENCE, "silence");
		/* The cancellation at entry came before the callback. */
		ASSERT_EQ(skel->data->cancelled_at_entry, 1, "at entry");
		ASSERT_EQ(skel->data->cancelled_at_exit, 0, "at exit");
		ASSERT_EQ(runs_of(skel->maps.timers, 0), 0, "runs");
	}
	bpf_link__destroy(learn);
	bpf_link__destroy(entry);
	bpf_link__destroy(exit);
	timer_deadlocks__destroy(skel);
}

static bool have_met(struct timer_deadlocks *skel)
{
	int *cancelled = skel->data->cancelled_other;

	return READ_ONCE(cancelled[0]) >= 0 && READ_ONCE(cancelled[1]) >= 0;
}

static void expire_both(void *arg)
{
	struct timer_deadlocks *skel = arg;
	int i, attempt;
	cpu_set_t cpus;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	/* Try again if one CPU was too slow for the other. */
	for (attempt = 0; attempt < 5 && !have_met(skel); attempt++) {
		skel->bss->left_alone = 0;
		for (i = 0; i < 2; i++) {
			if (!ASSERT_TRUE(pin_to(i), "pin") ||
			    !start_timer(skel, skel->progs.start_and_learn, i, 60 * NSEC_PER_MSEC,
					 BPF_F_TIMER_CPU_PIN))
				break;
		}
		ASSERT_TRUE(comes_true(have_met(skel) || READ_ONCE(skel->bss->left_alone) == 2),
			    "expired");
	}
	unpin(&cpus);
}

static void test_cancel_each_other_at_expiry(void)
{
	struct bpf_link *learn = NULL, *entry = NULL;
	struct timer_deadlocks *skel;
	int *cancelled;

	if (skip_one_cpu())
		return;
	skel = load_timers(timer_deadlocks);
	if (!skel)
		return;
	cancelled = skel->data->cancelled_other;
	if (init_timer(skel, 0, CLOCK_MONOTONIC) && init_timer(skel, 1, CLOCK_MONOTONIC) &&
	    attach(skel->progs.learn, &learn) && attach(skel->progs.cancel_each_other, &entry)) {
		ASSERT_LT(longest_silence(expire_both, skel), MAX_SILENCE, "silence");
		ASSERT_EQ(skel->bss->arrived, 2, "arrived");
		/* At least one cancellation came before the callback, and neither has hung. */
		ASSERT_TRUE(cancelled[0] == 1 || cancelled[1] == 1, "in time");
		ASSERT_TRUE(have_met(skel), "both");
	}
	bpf_link__destroy(learn);
	bpf_link__destroy(entry);
	timer_deadlocks__destroy(skel);
}

#define PAST_STARTS 200

static void check_past(__u32 clockid, __u64 past, bool irqs_off)
{
	struct timer_deadlocks *skel = load_timers(timer_deadlocks);
	/* A time beyond KTIME_MAX never comes. */
	__u64 runs = past > INT64_MAX ? 1 : PAST_STARTS + 1;
	struct bpf_link *link = NULL;

	if (!skel)
		return;
	skel->bss->args.clockid = clockid;
	skel->bss->past = past;
	skel->bss->irqs_off = irqs_off;
	skel->bss->left = PAST_STARTS;
	if (attach(skel->progs.begin_row, &link) &&
	    ASSERT_OK(run(skel->progs.init_for_past), "run init") &&
	    ASSERT_OK(skel->bss->args.err, "init") &&
	    start_timer(skel, skel->progs.start, 0, NSEC_PER_MSEC, BPF_F_TIMER_CPU_PIN)) {
		ASSERT_EQ(wait_for_runs(skel->maps.timers, 0, runs), runs, "runs");
		usleep(1000);
		ASSERT_EQ(runs_of(skel->maps.timers, 0), runs, "runs on");
		ASSERT_OK(skel->bss->args.err, "start in the callback");
		/* There may be two if something else is due when the first one runs. */
		ASSERT_LE(skel->bss->most_in_a_row, 2, "in a row");
		ASSERT_EQ(cancel_timer(skel, 0), past > INT64_MAX, "armed");
	}
	bpf_link__destroy(link);
	timer_deadlocks__destroy(skel);
}

static void test_starts_in_the_past(void)
{
	static const __u32 clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME };
	static const __u64 times[] = { 0, 1, UINT64_MAX };
	int i, j;

	for (i = 0; i < ARRAY_SIZE(clocks); i++) {
		for (j = 0; j < ARRAY_SIZE(times); j++) {
			check_past(clocks[i], times[j], false);
			check_past(clocks[i], times[j], true);
		}
	}
}

static const struct subtest tests[] = {
	{ "h1_cancel_in_own_expiry_returns", test_cancel_in_own_expiry },
	{ "h1_mutual_cancels_at_expiry_return", test_cancel_each_other_at_expiry },
	{ "h10_starts_in_the_past_yield_cpu", test_starts_in_the_past },
};

/* Serial: the programs trace all CPUs. */
void serial_test_timer_deadlocks(void)
{
	if (!skip_hazard())
		run_subtests(tests);
}
