// SPDX-License-Identifier: GPL-2.0
/*
 * Races between two CPUs. One sets a callback while the other starts its timer; one makes a
 * timer while the other closes the map; one runs a callback while the other sets the clock
 * back.
 *
 * Covers H10 (h10_*), H13 (h13_*), and R3 (init_beside_last_close).
 */
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <test_progs.h>
#include "../progs/timer_races.h"
#include "timer_helpers.h"
#include "timer_races.skel.h"

/* Attaches @prog to the writes of the other CPU at an address in the kernel. */
static struct bpf_link *watch_writes(const struct bpf_program *prog, __u64 address)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.sample_period = 1,
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = address,
		.bp_len = HW_BREAKPOINT_LEN_8,
	};
	int fd = syscall(__NR_perf_event_open, &attr, -1, 1, -1, 0);
	struct bpf_link *link;

	if (fd < 0 && errno == ENOENT) {
		/* Some architectures have no breakpoints in hardware. */
		test__skip();
		return NULL;
	}
	if (!ASSERT_OK_FD(fd, "perf_event_open"))
		return NULL;
	link = bpf_program__attach_perf_event(prog, fd);
	if (!ASSERT_OK_PTR(link, "attach"))
		close(fd);
	return link;
}

/* Holds the other CPU whenever it writes to one of the words that set_callback changes. */
static bool hold_writes(struct timer_races *skel, struct bpf_link **links)
{
	int i;

	for (i = 0; i < skel->bss->words_found; i++) {
		links[i] = watch_writes(skel->progs.hold_write, skel->bss->words[i]);
		if (!links[i])
			return false;
	}
	return ASSERT_GT(i, 0, "words");
}

struct setter {
	pthread_t thread;
	struct timer_races *skel;
	bool stop;
	int err;
};

/* Sets the callbacks once in each round. */
static void *set_callbacks(void *arg)
{
	struct setter *setter = arg;
	struct timer_races *skel = setter->skel;

	setter->err = !pin_to(1);
	while (!READ_ONCE(setter->stop) && !setter->err)
		if (READ_ONCE(skel->bss->rounds) != skel->bss->set)
			setter->err = run(skel->progs.set_callbacks);
	return NULL;
}

/* Starts all timers while their callbacks are set, and waits until each start led to a call. */
static int race_once(struct setter *setter)
{
	struct timer_races *skel = setter->skel;
	__u32 round = skel->bss->rounds + 1;
	int err;

	err = run(skel->progs.cancel_all);
	if (err)
		return err;
	skel->bss->starting = 0;
	skel->bss->started = 0;
	skel->bss->called = 0;
	WRITE_ONCE(skel->bss->rounds, round);
	err = run(skel->progs.start_all);
	comes_true(READ_ONCE(skel->bss->set) == round || READ_ONCE(setter->err));
	comes_true(READ_ONCE(skel->bss->called) >= skel->bss->started);
	return err ?: setter->err;
}

static void race(struct timer_races *skel, __u64 nsecs)
{
	struct setter setter = { .skel = skel };
	__u64 begin = now(CLOCK_MONOTONIC);
	int err;

	if (!ASSERT_OK(pthread_create(&setter.thread, NULL, set_callbacks, &setter), "thread"))
		return;
	do {
		err = race_once(&setter);
	} while (!err && skel->bss->called == skel->bss->started &&
		 now(CLOCK_MONOTONIC) - begin < nsecs);
	ASSERT_OK(err, "operations");
	ASSERT_EQ(skel->bss->called, skel->bss->started, "calls for starts");
	printf("%u rounds, %llu writes held\n", skel->bss->rounds,
	       (unsigned long long)skel->bss->held);
	WRITE_ONCE(setter.stop, true);
	pthread_join(setter.thread, NULL);
}

static void test_start_beside_set_callback(void)
{
	struct timer_races *skel = load_timers(timer_races);
	struct bpf_link *links[MAX_WORDS] = {};
	cpu_set_t cpus;
	int i;

	if (!skel)
		return;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (ASSERT_TRUE(pin_to(0), "pin") && ASSERT_OK(run(skel->progs.init), "init") &&
	    ASSERT_OK(run(skel->progs.find_words), "find") && hold_writes(skel, links))
		race(skel, stress_seconds() * NSEC_PER_SEC);
	unpin(&cpus);
	for (i = 0; i < MAX_WORDS; i++)
		bpf_link__destroy(links[i]);
	timer_races__destroy(skel);
}

/* Closes the map while an init on the other CPU is held. */
static void close_beside_init(struct timer_races *skel, int inner)
{
	struct run_on_cpu job;
	bool begun = begin_run(&job, 1, bpf_program__fd(skel->progs.init_inner));

	if (begun)
		ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->published)), "published");
	close(inner);
	WRITE_ONCE(skel->bss->released, true);
	if (begun)
		ASSERT_OK(end_run(&job), "run");
	ASSERT_EQ(skel->bss->result, -EPERM, "init");
}

static void test_init_beside_last_close(void)
{
	struct timer_races *skel = load_timers(timer_races);
	struct bpf_link *link = NULL;
	cpu_set_t cpus;
	__u32 zero = 0;
	int inner;

	if (!skel)
		return;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	inner = create_like(skel->obj, skel->maps.timers);
	if (ASSERT_TRUE(pin_to(0), "pin") && ASSERT_OK_FD(inner, "create") &&
	    ASSERT_OK(bpf_map_update_elem(bpf_map__fd(skel->maps.outer), &zero, &inner, BPF_ANY),
		      "insert") &&
	    ASSERT_OK(run(skel->progs.find_slot), "find"))
		link = watch_writes(skel->progs.hold_init, skel->bss->slot);
	if (link)
		close_beside_init(skel, inner);
	else if (inner >= 0)
		close(inner);
	unpin(&cpus);
	bpf_link__destroy(link);
	timer_races__destroy(skel);
}

#define STEP (100 * NSEC_PER_SEC)

/* Programs can read the TAI clock. It is a number of seconds ahead of the wall clock. */
static __s64 tai_offset(void)
{
	__s64 nsecs = now(CLOCK_TAI) - now(CLOCK_REALTIME);

	return (nsecs + NSEC_PER_SEC / 2) / NSEC_PER_SEC * NSEC_PER_SEC;
}

/* Starts the timer on the other CPU, and waits for its callback. */
static bool begin_callback(struct timer_races *skel, struct run_on_cpu *job, __u64 nsecs)
{
	skel->bss->runs = 0;
	skel->bss->waiting = false;
	skel->bss->stepped = false;
	skel->bss->first = now(CLOCK_REALTIME) + nsecs;
	if (!begin_run(job, 1, bpf_program__fd(skel->progs.start_waiting)))
		return false;
	if (ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->waiting)), "called"))
		return true;
	end_run(job);
	return false;
}

/* Checks that the callback is called once more, when the time has come. */
static void check_target(struct timer_races *skel)
{
	ASSERT_TRUE(comes_true(now(CLOCK_REALTIME) > skel->bss->target + 100 * NSEC_PER_MSEC),
		    "time");
	ASSERT_EQ(skel->bss->early, 0, "too early");
	ASSERT_EQ(skel->bss->runs, 2, "runs");
	ASSERT_OK(skel->bss->error, "start");
}

/* Returns whether the test must try again with more time. */
static bool step_beside_callback(struct timer_races *skel, __u64 nsecs)
{
	struct run_on_cpu job;
	bool is_set_back;

	if (!begin_callback(skel, &job, nsecs))
		return false;
	is_set_back = step_clock(-STEP);
	skel->bss->target = now(CLOCK_REALTIME) + nsecs;
	WRITE_ONCE(skel->bss->stepped, true);
	ASSERT_OK(end_run(&job), "run");
	if (!is_set_back)
		return false;
	ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->runs) > 1 || READ_ONCE(skel->bss->missed)),
		    "called again");
	if (!skel->bss->missed)
		check_target(skel);
	step_clock(STEP);
	return skel->bss->missed;
}

static void test_clock_set_back_in_callback(void)
{
	struct timer_races *skel = load_timers(timer_races);
	__u64 nsecs = NSEC_PER_SEC / 2;
	cpu_set_t cpus;

	if (!skel)
		return;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	ASSERT_TRUE(pin_to(0), "pin");
	skel->data->clockid = CLOCK_REALTIME;
	skel->bss->tai_offset = tai_offset();
	if (ASSERT_OK(run(skel->progs.init), "init")) {
		/* Try again if one CPU was too slow for the other. */
		while (step_beside_callback(skel, nsecs) && nsecs < 10 * NSEC_PER_SEC)
			nsecs *= 2;
		ASSERT_FALSE(skel->bss->missed, "missed");
	}
	unpin(&cpus);
	timer_races__destroy(skel);
}

static const struct subtest tests[] = {
	{ "h10_clock_set_back_in_callback", test_clock_set_back_in_callback },
	{ "init_beside_last_close", test_init_beside_last_close },
	{ "h13_start_beside_set_callback", test_start_beside_set_callback },
};

/* Serial: the test sets the clock. */
void serial_test_timer_races(void)
{
	if (!skip_hazard() && !skip_one_cpu())
		run_subtests(tests);
}
