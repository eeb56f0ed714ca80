// SPDX-License-Identifier: GPL-2.0
/*
 * Programs in the manner of the field that have a timer for each CPU: a scheduler, a sampler,
 * and a source of entropy. The counts of each CPU have to add up.
 *
 * Covers "Contexts" and "Clocks and flags" in Documentation/bpf/timers.rst, and H14.
 */
#include <pthread.h>
#include <test_progs.h>
#include "../progs/timer_field_grid.h"
#include "../progs/timer_field_init_each_time.h"
#include "../progs/timer_field_sched.h"
#include "timer_field.h"
#include "timer_field_grid.skel.h"
#include "timer_field_init_each_time.skel.h"
#include "timer_field_sched.skel.h"

/* Reads the @size bytes that follow the timer in the value of a CPU. */
static void read_value(const struct bpf_map *map, __u32 cpu, void *result, size_t size)
{
	__u64 value[16] = {};
	int err = bpf_map_lookup_elem(bpf_map__fd(map), &cpu, value);

	/* Callers poll: do not print each success. */
	if (err)
		ASSERT_OK(err, "lookup");
	memcpy(result, &value[2], size);
}

static bool is_armed(const struct timer_field_sched *skel, int cpu)
{
	struct account account;

	read_value(skel->maps.timers, cpu, &account, sizeof(account));
	return account.is_armed;
}

static void check_account(const struct timer_field_sched *skel, int cpu)
{
	struct account account;

	ASSERT_TRUE(comes_true(!is_armed(skel, cpu)), "expired");
	read_value(skel->maps.timers, cpu, &account, sizeof(account));
	ASSERT_GT(account.called, 0, "called");
	ASSERT_GT(account.moved, 0, "moved");
	ASSERT_EQ(account.misplaced, 0, "on another CPU");
	if (are_in_rust()) {
		ASSERT_EQ(account.started, account.called + account.cancelled + account.moved,
			  "started == called + cancelled + moved");
		ASSERT_GT(account.cancelled, 0, "cancelled");
		ASSERT_EQ(account.refused, 0, "refused");
	} else {
		/* A deferred start may be overtaken by the expiry that it was to move. */
		ASSERT_LE(account.called, account.started, "called <= started");
		ASSERT_GE(account.called + account.moved, account.started,
			  "called + moved >= started");
		/* With interrupts off, C does not cancel (H14). */
		ASSERT_EQ(account.cancelled, 0, "cancelled");
		ASSERT_GT(account.refused, 0, "refused");
	}
	printf("CPU %d: %llu started, %llu called, %llu cancelled, %llu moved\n", cpu,
	       account.started, account.called, account.cancelled, account.moved);
}

static void test_sched(void)
{
	struct timer_field_sched *skel = load_timers(timer_field_sched);
	int cpu;

	if (!skel)
		return;
	if (!ASSERT_OK(run(skel->progs.init), "init") ||
	    !ASSERT_OK(timer_field_sched__attach(skel), "attach"))
		goto out;
	run_load(NULL, NULL, true);
	skel->bss->stop = true;
	/* Wait for programs that have not seen that. */
	kern_sync_rcu();
	for (cpu = 0; cpu < field_cpus(); cpu++)
		check_account(skel, cpu);
	check_results(skel);
out:
	timer_field_sched__destroy(skel);
}

static __u64 ended(const struct timer_field_grid *skel, int cpu)
{
	struct ticks ticks;

	read_value(skel->maps.timers, cpu, &ticks, sizeof(ticks));
	return ticks.ended;
}

/* Checks that the callback has accounted for each point up to its last run. */
static void check_ticks(const struct timer_field_grid *skel, int cpu, __u64 stopped)
{
	struct ticks ticks;

	ASSERT_TRUE(comes_true(ended(skel, cpu)), "ended");
	read_value(skel->maps.timers, cpu, &ticks, sizeof(ticks));
	ASSERT_EQ(ticks.called + ticks.missed, (ticks.ended - skel->bss->first) / GRID + 1,
		  "called + missed == elapsed");
	ASSERT_GE(ticks.ended, stopped, "ended");
	ASSERT_LE(ticks.ended, now(CLOCK_MONOTONIC), "ended");
	ASSERT_EQ(ticks.early, 0, "early");
	ASSERT_EQ(ticks.misplaced, 0, "on another CPU");
	printf("CPU %d: %llu called, %llu missed\n", cpu, ticks.called, ticks.missed);
}

static void test_grid(void)
{
	struct timer_field_grid *skel = load_timers(timer_field_grid);
	struct run_on_cpu job;
	__u64 stopped;
	int cpu;

	if (!skel)
		return;
	skel->bss->first = (now(CLOCK_MONOTONIC) / GRID + 10) * GRID;
	for (cpu = 0; cpu < field_cpus(); cpu++)
		if (!begin_run(&job, cpu, bpf_program__fd(skel->progs.begin)) ||
		    !ASSERT_OK(end_run(&job), "begin"))
			goto out;
	run_load(NULL, NULL, true);
	stopped = now(CLOCK_MONOTONIC);
	WRITE_ONCE(skel->bss->stop, true);
	for (cpu = 0; cpu < field_cpus(); cpu++)
		check_ticks(skel, cpu, stopped);
	check_results(skel);
out:
	timer_field_grid__destroy(skel);
}

static __u64 flushes(const struct timer_field_init_each_time *skel, int cpu)
{
	struct pool pool;

	read_value(skel->maps.timers, cpu, &pool, sizeof(pool));
	return pool.flushes;
}

/* Tells whether each CPU has called a callback since @before. */
static bool all_flushed(const struct timer_field_init_each_time *skel, const __u64 *before)
{
	int cpu;

	for (cpu = 0; cpu < field_cpus(); cpu++)
		if (flushes(skel, cpu) <= before[cpu])
			return false;
	return true;
}

static void test_init_each_time(void)
{
	struct timer_field_init_each_time *skel = load_timers(timer_field_init_each_time);
	__u64 before[FIELD_CPUS];
	struct load load;
	struct pool pool;
	int cpu;

	if (!skel)
		return;
	if (!ASSERT_OK(timer_field_init_each_time__attach(skel), "attach"))
		goto out;
	begin_load(&load, NULL, NULL);
	sleep(stress_seconds());
	for (cpu = 0; cpu < field_cpus(); cpu++)
		before[cpu] = flushes(skel, cpu);
	ASSERT_TRUE(comes_true(all_flushed(skel, before)), "callbacks go on");
	end_load(&load);
	timer_field_init_each_time__detach(skel);
	check_results(skel);
	for (cpu = 0; cpu < field_cpus(); cpu++) {
		read_value(skel->maps.timers, cpu, &pool, sizeof(pool));
		ASSERT_EQ(pool.inits, 1, "inits");
		ASSERT_GT(pool.events[0], 0, "context switches");
		ASSERT_GT(pool.events[1], 0, "hard interrupts");
		ASSERT_LE(pool.flushes, pool.events[0] + pool.events[1], "flushes <= events");
		printf("CPU %d: %llu switches, %llu interrupts, %llu flushes\n", cpu,
		       pool.events[0], pool.events[1], pool.flushes);
	}
out:
	timer_field_init_each_time__destroy(skel);
}

static const struct subtest tests[] = {
	{ "sched", test_sched },
	{ "grid", test_grid },
	{ "init_each_time", test_init_each_time },
};

/* Serial: the programs trace all CPUs. */
void serial_test_timer_field_cpus(void)
{
	run_subtests(tests);
}
