// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that feed the drain of deferred operations do not keep its CPU from other work
 * (H2). Each subtest attaches one feeder for BPF_TIMER_STRESS seconds, two by default. The
 * programs end by themselves, because user space cannot end them on a CPU that is starved.
 *
 * Covers R7 and H2.
 */
#include <test_progs.h>
#include "timer_feeders.skel.h"
#include "timer_helpers.h"

/* The kernel complains about a CPU that is starved for longer. */
#define MOST_SECONDS 10
/* The drain leaves about half of the CPU to others. */
#define LEAST_PERCENT 25
#define LEAST_FED 100
/* A virtual CPU may be away during one try. If the drain has no bound, every try gets nothing. */
#define TRIES 3

/* Counts how often this thread can read the clock until @end. */
static __u64 count_until(__u64 end)
{
	__u64 count = 0;

	while (now(CLOCK_MONOTONIC) < end)
		count++;
	return count;
}

/* Returns the percentage of the CPU that is left to this thread while the feeder runs. */
static __u64 share_while_fed(struct timer_feeders *skel, __u64 nsecs)
{
	__u64 alone, beside, end;

	alone = count_until(now(CLOCK_MONOTONIC) + nsecs / 4) * 4;
	end = now(CLOCK_MONOTONIC) + nsecs;
	skel->bss->end = end;
	ASSERT_OK(run(skel->progs.begin), "begin");
	beside = count_until(end);
	printf("%llu%% of the CPU, fed %llu times\n", beside * 100 / (alone ?: 1),
	       (unsigned long long)skel->bss->fed);
	return beside * 100 / (alone ?: 1);
}

static void check_share(struct timer_feeders *skel)
{
	__u64 seconds = stress_seconds(), share = 0;
	int i;

	if (seconds > MOST_SECONDS)
		seconds = MOST_SECONDS;
	for (i = 0; i < TRIES && share < LEAST_PERCENT; i++)
		share = share_while_fed(skel, seconds * NSEC_PER_SEC);
	ASSERT_GE(share, LEAST_PERCENT, "share");
	ASSERT_GT(skel->bss->fed, LEAST_FED, "fed");
	/* The drain also executes the last operation that is left to it. */
	ASSERT_OK(run(skel->progs.expire), "run");
	ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->runs)), "expires");
	ASSERT_OK(skel->bss->error, "operations");
}

static void feed(struct timer_feeders *skel)
{
	cpu_set_t cpus;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	/* The first CPU has more to do than others. */
	skel->bss->cpu = get_nprocs() > 1;
	if (ASSERT_TRUE(pin_to(skel->bss->cpu), "pin") && ASSERT_OK(run(skel->progs.init), "init"))
		check_share(skel);
	unpin(&cpus);
}

static void check_feeder(const char *feeder)
{
	struct timer_feeders *skel = load_timers_with(timer_feeders, feeder);

	if (!skel)
		return;
	if (ASSERT_OK(timer_feeders__attach(skel), "attach"))
		feed(skel);
	timer_feeders__destroy(skel);
}

static void test_at_irq_exit(void)
{
	check_feeder("irq_exit");
}

static void test_at_queue_work(void)
{
	struct timer_feeders *skel;

	if (are_on_rt()) {
		/* The thread irq_work/N queues the work, starts directly, and feeds itself. */
		test__skip();
		return;
	}
	skel = load_timers_with(timer_feeders, "workqueue");
	if (!skel)
		return;
	if (ASSERT_OK(run(skel->progs.workqueue_init), "init") &&
	    ASSERT_OK(timer_feeders__attach(skel), "attach"))
		feed(skel);
	timer_feeders__destroy(skel);
}

static void test_at_death(void)
{
	if (!skip_no_memory())
		check_feeder("death");
}

static void test_at_start(void)
{
	check_feeder("start");
}

#ifdef __x86_64__
static void test_at_irq_work_exit(void)
{
	check_feeder("irq_work_exit");
}

static void test_at_start_in_probe(void)
{
	struct timer_feeders *skel = load_timers_with(timer_feeders, "probe");

	if (!skel)
		return;
	/* Keep the probe a breakpoint: a probe that is a jump is no NMI. */
	write_sysctl(OPTIMIZATION, "0");
	skel->links.probe_start_two_more = attach_probe(skel->progs.probe_start_two_more,
							arming_function());
	if (ASSERT_OK_PTR(skel->links.probe_start_two_more, "attach"))
		feed(skel);
	write_sysctl(OPTIMIZATION, "1");
	timer_feeders__destroy(skel);
}
#endif

static const struct subtest tests[] = {
	{ "at_irq_exit", test_at_irq_exit },
	{ "at_queue_work", test_at_queue_work },
	{ "at_death", test_at_death },
	{ "at_start", test_at_start },
#ifdef __x86_64__
	{ "at_irq_work_exit", test_at_irq_work_exit },
	{ "at_start_in_probe", test_at_start_in_probe },
#endif
};

/* Serial: the programs also trace what all other tests do. */
void serial_test_timer_feeders(void)
{
	if (!skip_hazard())
		run_subtests(tests);
}
