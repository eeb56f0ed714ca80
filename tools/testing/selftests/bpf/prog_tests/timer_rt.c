// SPDX-License-Identifier: GPL-2.0
/*
 * On PREEMPT_RT, callbacks run in a thread of low priority, which others preempt. Who cancels a
 * timer and waits for its callback lends the thread its own priority, so that nobody in between
 * holds it up.
 */
#include <sched.h>
#include <test_progs.h>
#include "timer_array.h"
#include "timer_rt.skel.h"

#define CPU 0
/* A slow machine needs some of the time for the steps until the timer is cancelled. */
#define SPIN (500 * NSEC_PER_MSEC)
#define HOG (4 * NSEC_PER_SEC)
#define HOG_PRIO 50
#define CANCEL_PRIO 90

struct scene {
	struct timer_rt *skel;
	bool hogging;
	__u64 waited;
	int err;
};

static bool become_fifo(int prio)
{
	struct sched_param param = { .sched_priority = prio };

	/* In this order: without its priority, it would wait for the callback on that CPU. */
	return !sched_setscheduler(0, SCHED_FIFO, &param) && pin_to(CPU);
}

/* Keeps the CPU from all threads of lower priority. */
static void *hog(void *arg)
{
	struct scene *scene = arg;
	__u64 end;

	if (!become_fifo(HOG_PRIO))
		return (void *)1;
	end = now(CLOCK_MONOTONIC) + HOG;
	WRITE_ONCE(scene->hogging, true);
	while (now(CLOCK_MONOTONIC) < end)
		;
	return NULL;
}

static void *cancel(void *arg)
{
	struct scene *scene = arg;
	__u64 begin;

	if (!become_fifo(CANCEL_PRIO))
		return (void *)1;
	begin = now(CLOCK_MONOTONIC);
	scene->err = run(scene->skel->progs.cancel);
	scene->waited = now(CLOCK_MONOTONIC) - begin;
	return NULL;
}

static bool finish(pthread_t thread, const char *name)
{
	void *ret;

	return ASSERT_OK(pthread_join(thread, &ret), name) && ASSERT_NULL(ret, name);
}

static void check_cancel(struct scene *scene)
{
	struct timer_rt *skel = scene->skel;
	pthread_t hogger, canceller;

	if (!ASSERT_OK(pthread_create(&hogger, NULL, hog, scene), "thread"))
		return;
	if (ASSERT_TRUE(comes_true(READ_ONCE(scene->hogging)), "hogging") &&
	    ASSERT_FALSE(READ_ONCE(skel->bss->ended), "in time") &&
	    ASSERT_OK(pthread_create(&canceller, NULL, cancel, scene), "thread") &&
	    finish(canceller, "cancel")) {
		ASSERT_OK(scene->err, "run");
		ASSERT_EQ(skel->bss->args.err, 0, "was not armed");
		ASSERT_TRUE(skel->bss->ended, "callback has returned");
		ASSERT_LT(scene->waited, HOG / 2, "waited for the callback alone");
	}
	finish(hogger, "hog");
}

static void test_waiter_lends_priority(void)
{
	struct scene scene = { .skel = load_timers(timer_rt) };
	struct timer_rt *skel = scene.skel;
	cpu_set_t cpus;

	if (!skel)
		return;
	skel->bss->spin_nsecs = SPIN;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (__init_timer(skel->progs.init_spinning, &skel->bss->args, 0, CLOCK_MONOTONIC) &&
	    ASSERT_TRUE(pin_to(CPU), "pin") &&
	    /* Not at once: this thread has to leave the CPU before. */
	    start_timer(skel, skel->progs.start, 0, 100 * NSEC_PER_MSEC, BPF_F_TIMER_CPU_PIN) &&
	    ASSERT_TRUE(pin_to(!CPU), "pin") &&
	    ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->began)), "callback"))
		check_cancel(&scene);
	unpin(&cpus);
	timer_rt__destroy(skel);
}

static const struct subtest tests[] = {
	{ "waiter_lends_its_priority", test_waiter_lends_priority },
};

/* Serial: a thread keeps a CPU for itself. */
void serial_test_timer_rt(void)
{
	if (!are_on_rt()) {
		test__skip();
		return;
	}
	if (!skip_one_cpu())
		run_subtests(tests);
}
