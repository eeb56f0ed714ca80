// SPDX-License-Identifier: GPL-2.0
/*
 * bpf_timer_cancel() in all contexts (H14). Beside an expiry on another CPU, each start has one
 * outcome: either its callback is called, or it is cancelled.
 *
 * Covers H14 and "What is called".
 */
#include <pthread.h>
#include <test_progs.h>
#include "../progs/timer_cancel.h"
#include "timer_helpers.h"
#include "timer_cancel.skel.h"

/* The most seconds to wait for all outcomes. */
#define PATIENCE 30

struct starter {
	pthread_t thread;
	struct timer_cancel *skel;
	int err;
};

/* Starts the timer on CPU 1, where it expires. */
static void *start_there(void *arg)
{
	struct starter *starter = arg;
	struct timer_cancel *skel = starter->skel;

	starter->err = !pin_to(1);
	while (!READ_ONCE(skel->bss->stop) && !starter->err)
		starter->err = run(skel->progs.start_when_asked);
	return NULL;
}

static void check_results(struct timer_cancel *skel)
{
	__u64 *returned = skel->bss->returned;

	printf("%llu starts: %llu called, %llu cancelled, %llu busy\n",
	       (unsigned long long)skel->bss->starts, (unsigned long long)returned[0],
	       (unsigned long long)returned[1], (unsigned long long)returned[BUSY]);
	ASSERT_OK(skel->bss->unexpected, "result");
	ASSERT_EQ(skel->bss->late, 0, "callbacks after a cancellation");
	ASSERT_EQ(skel->bss->unfinished, 0, "callbacks during a cancellation");
	ASSERT_EQ(skel->bss->unaccounted, 0, "starts without an end");
	ASSERT_EQ(returned[0] + returned[1] + returned[BUSY], skel->bss->starts, "results");
	ASSERT_EQ(returned[0] + returned[BUSY], skel->bss->begun, "callbacks");
	ASSERT_GT(returned[0], 0, "called");
	ASSERT_GT(returned[1], 0, "cancelled");
	if (skel->bss->context <= SOFTIRQ)
		ASSERT_EQ(returned[BUSY], 0, "busy");
	else
		ASSERT_GT(returned[BUSY], 0, "busy");
}

/* Tells whether each outcome was seen. A busy machine may need long for that. */
static bool saw_all(const struct timer_cancel *skel)
{
	const __u64 *returned = skel->bss->returned;

	return returned[0] && returned[1] && (returned[BUSY] || skel->bss->context <= SOFTIRQ);
}

static void race(struct timer_cancel *skel)
{
	struct starter starter = { .skel = skel };
	__u64 begin = now(CLOCK_MONOTONIC), seconds;
	int err;

	if (!ASSERT_OK(pthread_create(&starter.thread, NULL, start_there, &starter), "thread"))
		return;
	do {
		err = run(skel->progs.in_task);
		seconds = (now(CLOCK_MONOTONIC) - begin) / NSEC_PER_SEC;
	} while (!err && !READ_ONCE(starter.err) &&
		 (seconds < stress_seconds() || (seconds < PATIENCE && !saw_all(skel))));
	WRITE_ONCE(skel->bss->stop, true);
	pthread_join(starter.thread, NULL);
	ASSERT_OK(starter.err, "starts");
	if (ASSERT_OK(err, "cancellations"))
		check_results(skel);
}

static void check_beside_expiry(__u32 context, const char *programs)
{
	struct bpf_link *probe = NULL;
	struct timer_cancel *skel;
	cpu_set_t cpus;

	if (skip_one_cpu())
		return;
	skel = load_timers_with(timer_cancel, programs);
	if (!skel)
		return;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	skel->bss->context = context;
	skel->bss->hour = HOUR;
	if (context == NMI) {
		write_sysctl(OPTIMIZATION, "0");
		probe = attach_probe(skel->progs.in_nmi, "bpf_get_numa_node_id");
		if (!ASSERT_OK_PTR(probe, "probe"))
			goto out;
	}
	if (ASSERT_OK(timer_cancel__attach(skel), "attach") && ASSERT_TRUE(pin_to(0), "pin") &&
	    ASSERT_OK(run(skel->progs.init), "init"))
		race(skel);
out:
	unpin(&cpus);
	bpf_link__destroy(probe);
	if (context == NMI)
		write_sysctl(OPTIMIZATION, "1");
	timer_cancel__destroy(skel);
}

static void test_with_interrupts_off(void)
{
	struct timer_cancel *skel = load_timers(timer_cancel);

	if (!skel)
		return;
	skel->bss->hour = HOUR;
	ASSERT_EQ(run(skel->progs.cancel_nothing), -EINVAL, "no timer");
	if (ASSERT_OK(run(skel->progs.init), "init") &&
	    ASSERT_OK(run(skel->progs.cancel_once), "cancel")) {
		ASSERT_EQ(skel->bss->once[0], 1, "armed");
		ASSERT_EQ(skel->bss->once[1], 0, "idle");
	}
	timer_cancel__destroy(skel);
}

static void test_interrupted_callback(void)
{
	struct timer_cancel *skel = load_timers(timer_cancel);

	if (!skel)
		return;
	if (ASSERT_OK(run(skel->progs.init), "init") &&
	    ASSERT_OK(run(skel->progs.start_own), "start")) {
		ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->own_called)), "called");
		ASSERT_EQ(skel->bss->own_result, -EDEADLK, "own");
	}
	timer_cancel__destroy(skel);
}

static void test_task_beside_expiry(void)
{
	check_beside_expiry(TASK, NULL);
}

static void test_softirq_beside_expiry(void)
{
	check_beside_expiry(SOFTIRQ, NULL);
}

static void test_interrupts_off_beside_expiry(void)
{
	check_beside_expiry(IRQS_OFF, NULL);
}

#ifdef __x86_64__
static void test_hardirq_beside_expiry(void)
{
	check_beside_expiry(HARDIRQ, "in_hardirq");
}

static void test_nmi_beside_expiry(void)
{
	check_beside_expiry(NMI, "in_nmi");
}
#endif

static const struct subtest tests[] = {
	{ "with_interrupts_off", test_with_interrupts_off },
	{ "interrupted_callback", test_interrupted_callback },
	{ "task_beside_expiry", test_task_beside_expiry },
	{ "softirq_beside_expiry", test_softirq_beside_expiry },
	{ "interrupts_off_beside_expiry", test_interrupts_off_beside_expiry },
#ifdef __x86_64__
	{ "hardirq_beside_expiry", test_hardirq_beside_expiry },
	{ "nmi_beside_expiry", test_nmi_beside_expiry },
#endif
};

/* Serial: the other CPU must be free. */
void serial_test_timer_cancel(void)
{
	if (!skip_hazard())
		run_subtests(tests);
}
