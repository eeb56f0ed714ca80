// SPDX-License-Identifier: GPL-2.0
/*
 * Timers of a program on a CPU that should not be disturbed (nohz_full=). They expire on other
 * CPUs, unless they are pinned.
 *
 * Covers "Clocks and flags" in Documentation/bpf/timers.rst.
 */
#include <test_progs.h>
#include "timer_array.h"
#include "timer_nohz.skel.h"

#define NOHZ_CPUS "/sys/devices/system/cpu/nohz_full"
#define PERIOD (50 * NSEC_PER_MSEC)
#define SECONDS 2

/* Returns the first of these CPUs, or -1. */
static int nohz_cpu(void)
{
	FILE *file = fopen(NOHZ_CPUS, "r");
	int cpu = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &cpu) != 1)
		cpu = -1;
	fclose(file);
	return cpu;
}

/* Returns how many interrupts @cpu has had. The rows are NAME: COUNT COUNT... */
static __u64 interrupts_of(int cpu)
{
	FILE *file = fopen("/proc/interrupts", "r");
	__u64 count = 0, sum = 0;
	char line[4096], *word, *end;
	int i;

	if (!ASSERT_OK_PTR(file, "interrupts"))
		return 0;
	while (fgets(line, sizeof(line), file)) {
		word = strchr(line, ':');
		for (i = 0; word && i <= cpu; i++) {
			count = strtoull(++word, &end, 10);
			/* Some rows have one count for all CPUs. */
			word = end > word ? end : NULL;
		}
		if (word)
			sum += count;
	}
	fclose(file);
	return sum;
}

static void keep_busy(__u64 nsecs)
{
	__u64 end = now(CLOCK_MONOTONIC) + nsecs;

	while (now(CLOCK_MONOTONIC) < end)
		;
}

/* Keeps @cpu, where this runs, busy in user space. Returns how many interrupts it had. */
static __u64 interrupts_while_busy(int cpu)
{
	__u64 before;

	/* The tick stops some time after there is one task. */
	keep_busy(NSEC_PER_SEC / 2);
	before = interrupts_of(cpu);
	keep_busy(SECONDS * NSEC_PER_SEC);
	return interrupts_of(cpu) - before;
}

/* A timer that @cpu starts repeats with @flags. Returns the interrupts of @cpu. */
static __u64 run_timer(struct timer_nohz *skel, int cpu, __u64 flags)
{
	__u64 interrupts;

	skel->bss->watched_cpu = cpu;
	if (!__init_timer(skel->progs.init_repeating, &skel->bss->args, 0, CLOCK_MONOTONIC) ||
	    !start_timer(skel, skel->progs.start, 0, PERIOD, flags))
		return 0;
	interrupts = interrupts_while_busy(cpu);
	printf("%llu interrupts in %d s, %llu expiries there, %llu elsewhere\n",
	       (unsigned long long)interrupts, SECONDS,
	       (unsigned long long)skel->bss->runs_there,
	       (unsigned long long)skel->bss->runs_elsewhere);
	return interrupts;
}

static void test_unpinned(struct timer_nohz *skel, int cpu)
{
	run_timer(skel, cpu, 0);
	ASSERT_EQ(skel->bss->runs_there, 0, "there");
	ASSERT_GT(skel->bss->runs_elsewhere, 0, "elsewhere");
}

static void test_pinned(struct timer_nohz *skel, int cpu)
{
	__u64 alone = interrupts_while_busy(cpu);

	printf("%llu interrupts in %d s without timers\n", (unsigned long long)alone, SECONDS);
	ASSERT_GT(run_timer(skel, cpu, BPF_F_TIMER_CPU_PIN), alone, "interrupts");
	ASSERT_GT(skel->bss->runs_there, 0, "there");
	ASSERT_EQ(skel->bss->runs_elsewhere, 0, "elsewhere");
}

static const struct {
	const char *name;
	void (*test)(struct timer_nohz *skel, int cpu);
} tests[] = {
	{ "unpinned_expires_elsewhere", test_unpinned },
	{ "pinned_expires_there", test_pinned },
};

static void test_on(int cpu)
{
	struct timer_nohz *skel;
	int i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!test__start_subtest(tests[i].name))
			continue;
		skel = load_timers(timer_nohz);
		if (skel)
			tests[i].test(skel, cpu);
		timer_nohz__destroy(skel);
	}
}

/* Serial: other tests disturb the CPU. */
void serial_test_timer_nohz(void)
{
	int cpu = nohz_cpu();
	cpu_set_t cpus;

	if (cpu < 0) {
		/* The kernel was not booted with nohz_full=. */
		test__skip();
		return;
	}
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (ASSERT_TRUE(pin_to(cpu), "pin"))
		test_on(cpu);
	unpin(&cpus);
}
