// SPDX-License-Identifier: GPL-2.0
/*
 * Callbacks operate on their own timer and on others, also all at once.
 *
 * Covers R4 (cancel_cycle_of_*), H8 (h8_*), and the contract of callbacks.
 */
#include <test_progs.h>
#include "progs/timer_callbacks.h"
#include "timer_callbacks.skel.h"
#include "timer_helpers.h"

#define CYCLE_ROUNDS 10

static bool init(struct timer_callbacks *skel, __u32 slot, __u32 op, __u32 target)
{
	memset(&skel->bss->scripts[slot], 0, sizeof(skel->bss->scripts[slot]));
	skel->bss->scripts[slot].op = op;
	skel->bss->scripts[slot].target = target;
	skel->bss->scripts[slot].result = -ENODATA;
	skel->bss->slot = slot;
	return ASSERT_OK(run(skel->progs.init), "run init") && ASSERT_OK(skel->bss->ret, "init");
}

static bool start(struct timer_callbacks *skel, __u32 slot, __u64 nsecs, __u64 flags)
{
	skel->bss->slot = slot;
	skel->bss->nsecs = nsecs;
	skel->bss->flags = flags;
	return ASSERT_OK(run(skel->progs.start), "run start") &&
	       ASSERT_OK(skel->bss->ret, "start");
}

static __u64 runs(struct timer_callbacks *skel, __u32 slot)
{
	return READ_ONCE(skel->bss->scripts[slot].runs);
}

/* Returns the result of @op on timer @target in the callback of timer 0. */
static long result_of(struct timer_callbacks *skel, __u32 op, __u32 target)
{
	if (!init(skel, 0, op, target) || !start(skel, 0, 0, 0) ||
	    !ASSERT_TRUE(comes_true(runs(skel, 0)), "runs"))
		return -ENODATA;
	return skel->bss->scripts[0].result;
}

static bool has(struct timer_callbacks *skel, __u32 slot)
{
	__u64 elem[2];

	return !bpf_map_lookup_elem(bpf_map__fd(skel->maps.timers), &slot, elem);
}

static void test_periodic(struct timer_callbacks *skel)
{
	skel->bss->repeats = 20;
	skel->bss->interval = 2 * NSEC_PER_MSEC;
	if (!init(skel, 0, REPEAT, 0) || !start(skel, 0, skel->bss->interval, 0))
		return;
	ASSERT_TRUE(comes_true(runs(skel, 0) == 20), "runs");
	usleep(20000);
	ASSERT_EQ(runs(skel, 0), 20, "no more");
	ASSERT_OK(skel->bss->scripts[0].result, "start");
	ASSERT_EQ(skel->bss->early, 0, "early");
}

/* A run of a callback counts as a run of the program that has set it. */
static void test_run_statistics(struct timer_callbacks *skel)
{
	struct bpf_prog_info before, after;
	int stats;

	if (skip_hazard())
		return;
	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (!ASSERT_GE(stats, 0, "enable stats"))
		return;
	skel->bss->repeats = 10;
	skel->bss->interval = NSEC_PER_MSEC;
	if (!init(skel, 0, REPEAT, 0))
		goto out;
	before = info_of(skel->progs.init);
	start(skel, 0, 5 * NSEC_PER_MSEC, 0);
	ASSERT_TRUE(comes_true(runs(skel, 0) >= 10), "runs");
	/* The last run is counted when it has ended. */
	comes_true(info_of(skel->progs.init).run_cnt - before.run_cnt >= 10);
	after = info_of(skel->progs.init);
	ASSERT_EQ(runs(skel, 0), 10, "runs");
	ASSERT_EQ(after.run_cnt - before.run_cnt, 10, "run_cnt");
	ASSERT_GT(after.run_time_ns, before.run_time_ns, "run_time_ns");
out:
	close(stats);
}

static void test_delete_own(struct timer_callbacks *skel)
{
	long restarted;

	ASSERT_OK(result_of(skel, DELETE_OWN, 0), "delete");
	restarted = skel->bss->scripts[0].restarted;
	ASSERT_TRUE(restarted == -EINVAL || restarted == -ENOENT, "not started again");
	ASSERT_FALSE(has(skel, 0), "element");
	usleep(20000);
	ASSERT_EQ(runs(skel, 0), 1, "runs");
}

static void test_cancel_own(struct timer_callbacks *skel)
{
	ASSERT_EQ(result_of(skel, CANCEL, 0), -EDEADLK, "cancel");
	/* The cancel that failed has left the callback set. */
	ASSERT_TRUE(start(skel, 0, 0, 0), "start");
	ASSERT_TRUE(comes_true(runs(skel, 0) == 2), "runs");
}

static void test_cancel_async_own(struct timer_callbacks *skel)
{
	ASSERT_EQ(result_of(skel, CANCEL_ASYNC, 0), -1, "cancel_async");
	ASSERT_TRUE(start(skel, 0, 0, 0), "start");
	ASSERT_TRUE(comes_true(runs(skel, 0) == 2), "runs");
}

static void check_cancel_other(struct timer_callbacks *skel, __u32 op)
{
	if (!init(skel, 1, NOTHING, 0))
		return;
	ASSERT_EQ(result_of(skel, op, 1), 0, "idle");
	/* Init again, because cancel has dropped the callback. */
	if (init(skel, 1, NOTHING, 0) && start(skel, 1, HOUR, 0))
		ASSERT_EQ(result_of(skel, op, 1), 1, "armed");
	ASSERT_EQ(result_of(skel, op, 1), 0, "idle again");
	ASSERT_EQ(runs(skel, 1), 0, "runs");
}

static void test_cancel_other(struct timer_callbacks *skel)
{
	check_cancel_other(skel, CANCEL);
}

static void test_cancel_async_other(struct timer_callbacks *skel)
{
	check_cancel_other(skel, CANCEL_ASYNC);
}

static void test_delete_other(struct timer_callbacks *skel)
{
	__u64 nsecs = 50 * NSEC_PER_MSEC, expires;

	/* If it expired before the deletion, try again after its callback has returned. */
	do {
		kern_sync_rcu();
		expires = now(CLOCK_MONOTONIC) + nsecs;
		if (!init(skel, 1, NOTHING, 0) || !start(skel, 1, nsecs, 0))
			return;
		ASSERT_OK(result_of(skel, DELETE, 1), "delete");
		nsecs *= 2;
	} while (now(CLOCK_MONOTONIC) >= expires && nsecs < 5 * NSEC_PER_SEC);
	ASSERT_FALSE(has(skel, 1), "element");
	ASSERT_EQ(result_of(skel, DELETE, 1), -ENOENT, "delete again");
	sleep_until(expires + 20 * NSEC_PER_MSEC);
	ASSERT_EQ(runs(skel, 1), 0, "runs");
}

/* Deletes all timers and waits until no callback runs. */
static void clear(struct timer_callbacks *skel)
{
	__u32 i;

	for (i = 0; i < ARRAY_SIZE(skel->bss->scripts); i++)
		bpf_map_delete_elem(bpf_map__fd(skel->maps.timers), &i);
	kern_sync_rcu();
}

/* Starts @n timers for one time, on all CPUs in turn. Returns whether all starts came before. */
static bool start_together(struct timer_callbacks *skel, __u32 n, __u64 nsecs)
{
	__u64 expires = now(CLOCK_MONOTONIC) + nsecs;
	int err, cpus = get_nprocs();
	cpu_set_t old;
	__u32 i;

	sched_getaffinity(0, sizeof(old), &old);
	skel->bss->nsecs = expires;
	skel->bss->flags = BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN;
	for (i = 0; i < n; i++) {
		ASSERT_TRUE(pin_to(i % cpus), "pin");
		skel->bss->slot = i;
		err = run(skel->progs.start) ?: skel->bss->ret;
		if (now(CLOCK_MONOTONIC) >= expires)
			break;
		ASSERT_OK(err, "start");
	}
	unpin(&old);
	return i == n;
}

/*
 * Starts @n timers for one time. Each callback waits for the others and then does @op to the
 * next timer. Doubles *@nsecs until that is long enough to start them all before; the next
 * cycle begins with that value.
 */
static bool start_cycle(struct timer_callbacks *skel, __u32 n, __u32 op, __u64 *nsecs)
{
	__u32 i, cpus = get_nprocs();

	for (; *nsecs < 5 * NSEC_PER_SEC; *nsecs *= 2) {
		clear(skel);
		skel->bss->parties = n < cpus ? n : cpus;
		skel->bss->arrived = 0;
		for (i = 0; i < n; i++)
			if (!init(skel, i, op, (i + 1) % n))
				return false;
		if (start_together(skel, n, *nsecs))
			return true;
	}
	return ASSERT_TRUE(false, "in time");
}

static __u32 count_results(struct timer_callbacks *skel, __u32 n, long result)
{
	__u32 i, count = 0;

	for (i = 0; i < n; i++)
		count += READ_ONCE(skel->bss->scripts[i].result) == result;
	return count;
}

static bool was_cancelled(struct timer_callbacks *skel, __u32 n, __u32 slot)
{
	long result = READ_ONCE(skel->bss->scripts[(slot + n - 1) % n].result);

	/* 0 counts too: the timer was expiring already, but found no callback any more. */
	return result == 0 || result == 1;
}

static __u32 count_ended(struct timer_callbacks *skel, __u32 n)
{
	__u32 i, count = 0;

	for (i = 0; i < n; i++)
		count += runs(skel, i) > 0;
	return count;
}

static bool is_settled(struct timer_callbacks *skel, __u32 n)
{
	__u32 i;

	for (i = 0; i < n; i++)
		if (!runs(skel, i) && !was_cancelled(skel, n, i))
			return false;
	return READ_ONCE(skel->bss->arrived) == count_ended(skel, n);
}

/* Each callback cancels the next timer. Each timer's callback ends, or never began. */
static void check_cancel_cycle(struct timer_callbacks *skel, __u32 n)
{
	__u64 nsecs = 20 * NSEC_PER_MSEC;
	__u32 i, known, all_at_once = 0;

	if (skip_one_cpu())
		return;
	/* A cycle of all timers needs @n CPUs. With fewer CPUs, the callbacks must still end. */
	if (get_nprocs() < n)
		test__skip();
	for (i = 0; i < CYCLE_ROUNDS; i++) {
		if (!start_cycle(skel, n, CANCEL, &nsecs))
			return;
		if (!ASSERT_TRUE(comes_true(is_settled(skel, n)), "settled"))
			return;
		known = count_results(skel, n, 0) + count_results(skel, n, 1) +
			count_results(skel, n, -EDEADLK);
		ASSERT_EQ(known, count_ended(skel, n), "results");
		/* If all ran at once, at least one must get -EDEADLK. */
		if (skel->bss->parties == n && count_ended(skel, n) == n) {
			ASSERT_GT(count_results(skel, n, -EDEADLK), 0, "gave way");
			all_at_once++;
		}
	}
	if (get_nprocs() >= n)
		ASSERT_GT(all_at_once, 0, "all at once");
}

static void test_cancel_cycle_of_2(struct timer_callbacks *skel)
{
	check_cancel_cycle(skel, 2);
}

static void test_cancel_cycle_of_3(struct timer_callbacks *skel)
{
	check_cancel_cycle(skel, 3);
}

static void test_cancel_cycle_of_8(struct timer_callbacks *skel)
{
	check_cancel_cycle(skel, 8);
}

/* Callbacks that delete each other's elements do not wait for each other. */
static void test_delete_each_other(struct timer_callbacks *skel)
{
	__u64 nsecs = 20 * NSEC_PER_MSEC;
	int i;

	if (skip_one_cpu())
		return;
	for (i = 0; i < CYCLE_ROUNDS; i++) {
		if (!start_cycle(skel, 2, DELETE, &nsecs) ||
		    !ASSERT_TRUE(comes_true(!has(skel, 0) || !has(skel, 1)), "end"))
			return;
		/* At least one has run; the other too, unless it was deleted before. */
		ASSERT_TRUE(comes_true(count_ended(skel, 2) >= skel->bss->arrived), "ended");
		ASSERT_GE(skel->bss->arrived, 1, "arrived");
		ASSERT_EQ(count_results(skel, 2, 0), skel->bss->arrived, "deleted");
	}
}

static const struct {
	const char *name;
	void (*test)(struct timer_callbacks *skel);
} tests[] = {
	{ "periodic", test_periodic },
	{ "h8_run_statistics_count_callbacks", test_run_statistics },
	{ "delete_own", test_delete_own },
	{ "cancel_own", test_cancel_own },
	{ "cancel_async_own", test_cancel_async_own },
	{ "cancel_other", test_cancel_other },
	{ "cancel_async_other", test_cancel_async_other },
	{ "delete_other", test_delete_other },
	{ "cancel_cycle_of_2", test_cancel_cycle_of_2 },
	{ "cancel_cycle_of_3", test_cancel_cycle_of_3 },
	{ "cancel_cycle_of_8", test_cancel_cycle_of_8 },
	{ "delete_each_other", test_delete_each_other },
};

void serial_test_timer_callbacks(void)
{
	struct timer_callbacks *skel;
	int i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!test__start_subtest(tests[i].name))
			continue;
		skel = load_timers(timer_callbacks);
		if (skel)
			tests[i].test(skel);
		timer_callbacks__destroy(skel);
	}
}
