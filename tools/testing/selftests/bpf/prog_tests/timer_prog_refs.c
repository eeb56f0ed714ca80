// SPDX-License-Identifier: GPL-2.0
/*
 * A timer may hold the last reference to a program. A program can drop it in any context, even
 * while its CPU holds a lock that the end of a program takes.
 *
 * Covers H11.
 */
#include <test_progs.h>
#include "timer_array.h"
#include "timer_prog_refs.skel.h"

/* Makes a timer that holds the last reference to its program. Returns the program's id. */
static __u32 init_alone(struct timer_prog_refs *skel, __u32 slot)
{
	__u32 id;

	skel->bss->args.slot = slot;
	skel->bss->args.clockid = CLOCK_MONOTONIC;
	id = run_alone(skel->progs.init);
	ASSERT_OK(skel->bss->args.err, "init");
	return id;
}

static void test_drop_at_new_id(void)
{
	struct timer_prog_refs *skel = load_timers(timer_prog_refs);
	struct bpf_link *link = NULL;
	cpu_set_t cpus;
	int i, fd;
	__u32 id;

	if (!skel)
		return;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	pin_to(0);
	skel->bss->loader = getpid();
	id = init_alone(skel, 0);
	if (id && attach(skel->progs.drop_at_new_id, &link)) {
		skel->bss->drop_on = 1;
		/* The table of IDs grows for every 64th one, because IDs are not reused soon. */
		for (i = 0; i < 200 && READ_ONCE(skel->data->dropped) > 0; i++) {
			fd = bpf_program__clone(skel->progs.start, NULL);
			if (!ASSERT_OK_FD(fd, "new program"))
				break;
			close(fd);
		}
		ASSERT_OK(skel->data->dropped, "dropped");
		ASSERT_TRUE(is_unloaded(id), "unloaded");
	}
	unpin(&cpus);
	bpf_link__destroy(link);
	timer_prog_refs__destroy(skel);
}

static void test_drop_at_queue_work(void)
{
	struct timer_prog_refs *skel = load_timers(timer_prog_refs);
	struct bpf_link *link = NULL;
	__u32 id, first;

	if (!skel)
		return;
	id = init_alone(skel, 1);
	first = init_alone(skel, 2);
	if (id && first && attach(skel->progs.drop_at_queue_work, &link) &&
	    ASSERT_OK(run(skel->progs.drop_with_irqs_off), "run") &&
	    ASSERT_OK(skel->bss->args.err, "first")) {
		ASSERT_TRUE(comes_true(READ_ONCE(skel->data->dropped) <= 0), "queued");
		ASSERT_OK(skel->data->dropped, "dropped");
		ASSERT_TRUE(is_unloaded(first), "first, unloaded");
		ASSERT_TRUE(is_unloaded(id), "unloaded");
	}
	bpf_link__destroy(link);
	timer_prog_refs__destroy(skel);
}

static const struct subtest tests[] = {
	{ "h11_drop_under_id_lock_unloads_program", test_drop_at_new_id },
	{ "h11_drop_under_workqueue_lock_unloads_program", test_drop_at_queue_work },
};

/* Serial: the programs trace all CPUs. */
void serial_test_timer_prog_refs(void)
{
	if (!skip_hazard())
		run_subtests(tests);
}
