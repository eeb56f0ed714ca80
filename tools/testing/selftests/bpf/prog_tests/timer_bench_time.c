// SPDX-License-Identifier: GPL-2.0
/*
 * The costs of timers in real time and in memory. The test has few timers and takes a short
 * time by default. With BPF_TIMER_BENCH set it measures:
 *
 * lateness:  timers on a grid of one millisecond, one on each CPU
 * neighbour: a thread that sleeps until each millisecond, while 100 000 timers tick
 * memory:    the slab that each of 100 000 armed timers needs
 * free:      the seconds from the last close of a map with 1 000 000 armed timers until its ID
 *            and the slab of its timers are gone; the least of several rounds
 */
#include <test_progs.h>
#include "timer_bench_time.skel.h"
#include "timer_helpers.h"
#include "timer_raw.h"
#include "../progs/timer_bench_time.h"

#define GRID NSEC_PER_MSEC
/* The timers beside the thread tick once in this time. */
#define PERIOD (4 * NSEC_PER_SEC)
/* Each quantile leaves this part of the tail of the one before; fifteen leave a tenth. */
#define NEXT_TAIL 0.857695898590894
#define QUANTILES 60
/* There are several rounds because the length of grace periods varies. */
#define FREE_ROUNDS 3

static __u32 late[SAMPLES];

static bool is_thorough(void)
{
	return getenv("BPF_TIMER_BENCH");
}

static __u64 measured_nsecs(void)
{
	return is_thorough() ? 5 * NSEC_PER_SEC : 200 * NSEC_PER_MSEC;
}

static const char *who(void)
{
	return are_in_rust() ? "rust" : "c";
}

static struct timer_bench_time *load_with(__u32 timers)
{
	struct timer_bench_time *skel = timer_bench_time__open();

	if (!ASSERT_OK_PTR(skel, "open"))
		return NULL;
	bpf_map__set_max_entries(skel->maps.timers, timers);
	if (have_timers(timer_bench_time__load(skel)))
		return skel;
	timer_bench_time__destroy(skel);
	return NULL;
}

/* Runs @prog on @cpu for the timers @from to @to - 1. */
static bool run_for(struct timer_bench_time *skel, const struct bpf_program *prog, int cpu,
		    __u32 from, __u32 to)
{
	struct run_on_cpu job;

	skel->bss->from = from;
	skel->bss->to = to;
	return begin_run(&job, cpu, bpf_program__fd(prog)) &&
	       ASSERT_OK(end_run(&job), bpf_program__name(prog)) &&
	       ASSERT_OK(skel->bss->err, bpf_program__name(prog));
}

static int compare(const void *a, const void *b)
{
	__u32 x = *(const __u32 *)a, y = *(const __u32 *)b;

	return x < y ? -1 : x > y;
}

static void print_quantile(double quantile, int nr)
{
	int i = quantile * nr;

	printf(" %.6f:%u", quantile, late[i < nr ? i : nr - 1]);
}

/* Prints how late @nr expiries were: QUANTILE:NANOSECONDS, denser towards the latest. */
static void print_quantiles(int nr)
{
	double tail = 1;
	int i;

	qsort(late, nr, sizeof(late[0]), compare);
	for (i = 0; i < QUANTILES; i++) {
		if (tail >= 0.5 && tail * NEXT_TAIL < 0.5) {
			print_quantile(1 - tail, nr);
			print_quantile(0.5, nr);
		} else {
			print_quantile(1 - tail, nr);
		}
		tail *= NEXT_TAIL;
	}
	print_quantile(1, nr);
	printf("\n");
}

static void report_lateness(struct timer_bench_time *skel, const char *name, int cpus)
{
	int cpu, nr;

	for (cpu = 0; cpu < cpus; cpu++) {
		nr = skel->bss->seen[cpu];
		if (!ASSERT_GT(nr, 0, "seen"))
			continue;
		memcpy(late, skel->bss->late[cpu], sizeof(late));
		printf("bench_lateness %s %d %d %llu", name, cpu, nr,
		       (unsigned long long)skel->bss->missed[cpu]);
		print_quantiles(nr);
	}
}

/* Loads the programs, and lets a timer on each CPU tick on the grid, an hrtimer if @raw. */
static struct timer_bench_time *tick_for_a_while(bool raw, int cpus)
{
	struct timer_bench_time *skel = load_with(RECORDERS);
	int cpu;

	if (!skel)
		return NULL;
	skel->bss->period = GRID;
	skel->bss->begin = (now(CLOCK_MONOTONIC) / GRID + 20) * GRID;
	for (cpu = 0; cpu < cpus; cpu++)
		run_for(skel, raw ? skel->progs.start_raw_ticks : skel->progs.start_ticks, cpu,
			cpu, cpu + 1);
	sleep_until(skel->bss->begin + measured_nsecs());
	return skel;
}

static void test_lateness(void)
{
	int cpus = MIN(get_nprocs(), RECORDERS);
	struct timer_bench_time *skel;
	bool raw = load_raw(RECORDERS);

	skel = tick_for_a_while(false, cpus);
	if (!skel)
		goto out;
	report_lateness(skel, who(), cpus);
	timer_bench_time__destroy(skel);

	if (!raw)
		return;
	skel = tick_for_a_while(true, cpus);
	if (!skel)
		goto out;
	run_for(skel, skel->progs.stop_raw_ticks, 0, 0, cpus);
	ASSERT_OK(run(skel->progs.read_raw), "read_raw");
	report_lateness(skel, "hrtimer", cpus);
	timer_bench_time__destroy(skel);
out:
	unload_raw(raw);
}

/* A thread sleeps until each point of a grid and notes how late it wakes. */
static void report_neighbour(const char *name)
{
	__u64 time, wanted = (now(CLOCK_MONOTONIC) / GRID + 2) * GRID;
	__u64 end = wanted + measured_nsecs();
	int nr = 0;

	while (wanted < end && nr < SAMPLES) {
		struct timespec ts = {
			.tv_sec = wanted / NSEC_PER_SEC,
			.tv_nsec = wanted % NSEC_PER_SEC,
		};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
		time = now(CLOCK_MONOTONIC) - wanted;
		late[nr++] = MIN(time, UINT32_MAX);
		wanted += (time / GRID + 1) * GRID;
	}
	printf("bench_neighbour %s", name);
	print_quantiles(nr);
}

static void measure_neighbour(const char *name, __u32 timers, bool raw)
{
	int cpu, cpus = get_nprocs();
	struct timer_bench_time *skel = load_with(timers);
	const struct bpf_program *start;

	if (!skel)
		return;
	start = raw ? skel->progs.start_raw_ticks : skel->progs.start_ticks;
	skel->bss->period = PERIOD;
	skel->bss->apart = PERIOD / timers;
	skel->bss->begin = now(CLOCK_MONOTONIC) + NSEC_PER_SEC;
	for (cpu = 0; cpu < cpus; cpu++)
		run_for(skel, start, cpu, (__u64)timers * cpu / cpus,
			(__u64)timers * (cpu + 1) / cpus);
	sleep_until(skel->bss->begin);
	report_neighbour(name);
	if (raw)
		run_for(skel, skel->progs.stop_raw_ticks, 0, 0, timers);
	else
		ASSERT_GT(skel->bss->expiries, 0, "expiries");
	timer_bench_time__destroy(skel);
}

static void test_neighbour(void)
{
	__u32 timers = is_thorough() ? 100000 : 1000;
	bool raw = load_raw(timers);
	cpu_set_t cpus;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	pin_to(0);
	report_neighbour("none");
	measure_neighbour(who(), timers, false);
	if (raw)
		measure_neighbour("hrtimer", timers, true);
	unpin(&cpus);
	unload_raw(raw);
}

static void test_memory(void)
{
	__u32 timers = is_thorough() ? 100000 : 10000;
	struct timer_bench_time *skel = load_with(timers);
	__s64 bytes;

	if (!skel)
		return;
	bytes = slab_bytes();
	run_for(skel, skel->progs.start_far, 0, 0, timers);
	bytes = slab_bytes() - bytes;
	ASSERT_GT(bytes, 0, "bytes");
	printf("bench_memory %s %u %.2f\n", who(), timers, (double)bytes / timers);
	timer_bench_time__destroy(skel);
}

/* Arms @timers and closes their map; returns the nanoseconds until all memory is free. */
static __u64 free_timers(__u32 timers)
{
	struct timer_bench_time *skel = load_with(timers);
	__s64 before, used;
	__u64 time;
	__u32 id;

	if (!skel)
		return 0;
	id = id_of_map(skel->maps.timers);
	before = slab_bytes();
	run_for(skel, skel->progs.start_far, 0, 0, timers);
	used = slab_bytes() - before;
	time = now(CLOCK_MONOTONIC);
	timer_bench_time__destroy(skel);
	ASSERT_TRUE(comes_true(map_is_gone(id)), "map is gone");
	/* The allocator keeps a little. */
	ASSERT_TRUE(comes_true(slab_bytes() <= before + used / 20), "slab is free");
	return now(CLOCK_MONOTONIC) - time;
}

static void test_free(void)
{
	__u32 timers = is_thorough() ? 1000000 : 10000;
	__u64 time, least = UINT64_MAX;
	int i;

	for (i = 0; i < (is_thorough() ? FREE_ROUNDS : 1); i++) {
		time = free_timers(timers);
		least = MIN(least, time);
	}
	printf("bench_free %s %u %.4f\n", who(), timers, (double)least / NSEC_PER_SEC);
}

static const struct subtest tests[] = {
	{ "lateness", test_lateness },
	{ "neighbour", test_neighbour },
	{ "memory", test_memory },
	{ "free", test_free },
};

void serial_test_timer_bench_time(void)
{
	run_subtests(tests);
}
