// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints of BPF timers in Rust.
 *
 * Covers "Tracepoints" in Documentation/bpf/timers_rust.rst.
 */
#include <bpf/btf.h>
#include <test_progs.h>
#include "progs/timer_tracepoints.h"
#include "timer_helpers.h"
#include "timer_tracepoints.skel.h"

/* Deletes the timer of the one element. */
static void free_timer(struct timer_tracepoints *skel)
{
	__u64 value[2] = {};
	int key = 0;

	ASSERT_OK(bpf_map_update_elem(bpf_map__fd(skel->maps.timers), &key, value, BPF_ANY),
		  "update");
}

static void test_life(struct timer_tracepoints *skel)
{
	struct timer_tracepoints__bss *bss = skel->bss;
	__u32 map_id, prog_id;
	__u64 timer;
	int i;

	/* Long enough that the event of the start comes before the expiry on a slow machine. */
	bss->nsecs = 500 * NSEC_PER_MSEC;
	if (!ASSERT_OK(run(skel->progs.arm), "run") || !ASSERT_OK(bss->err, "arm"))
		return;
	comes_true(READ_ONCE(bss->events[EXPIRE_EXIT].order));
	ASSERT_OK(run(skel->progs.cancel), "run");
	ASSERT_EQ(bss->err, 0, "cancel");
	free_timer(skel);

	map_id = id_of_map(skel->maps.timers);
	prog_id = id_of(skel->progs.arm);
	timer = bss->events[INIT].timer;
	ASSERT_NEQ(timer, 0, "timer");
	for (i = 0; i < EVENTS; i++) {
		ASSERT_EQ(bss->events[i].order, i + 1, "order");
		if (i == CALLBACK)
			continue;
		ASSERT_EQ(bss->events[i].timer, timer, "timer");
		ASSERT_EQ(bss->events[i].map_id, map_id, "map_id");
		ASSERT_EQ(bss->events[i].ret, 0, "ret");
		/* The cancellation has dropped the callback. */
		ASSERT_EQ(bss->events[i].prog_id, i == INIT || i == FREE ? 0 : prog_id, "prog_id");
	}
	ASSERT_EQ(bss->events[START].nsecs, bss->nsecs, "nsecs");
	ASSERT_GT(bss->events[EXPIRE_ENTRY].nsecs, bss->nsecs, "expires");
	ASSERT_EQ(bss->events[EXPIRE_ENTRY].flags, CLOCK_MONOTONIC, "clockid");
	ASSERT_EQ(bss->events[CANCEL].flags, false, "async");
	ASSERT_EQ(bss->events[FREE].flags, false, "armed");
}

static void test_free(struct timer_tracepoints *skel)
{
	struct event *event = &skel->bss->events[FREE];

	skel->bss->nsecs = HOUR;
	if (!ASSERT_OK(run(skel->progs.arm), "run") || !ASSERT_OK(skel->bss->err, "arm"))
		return;
	free_timer(skel);
	ASSERT_EQ(event->order, 3, "order");
	ASSERT_EQ(event->map_id, id_of_map(skel->maps.timers), "map_id");
	ASSERT_EQ(event->prog_id, id_of(skel->progs.arm), "prog_id");
	ASSERT_EQ(event->flags, true, "armed");
	/* The element has no timer now. */
	free_timer(skel);
	ASSERT_EQ(skel->bss->seen, 3, "events");
}

static void test_results(struct timer_tracepoints *skel)
{
	skel->bss->nsecs = NSEC_PER_SEC * 1000;
	ASSERT_OK(run(skel->progs.operate), "run");
	ASSERT_EQ(skel->bss->steps, 11, "steps");
	ASSERT_EQ(skel->bss->wrong, 0, "wrong");
}

#define TRACEFS "/sys/kernel/tracing/"

/* Returns whether the trace has a line with the event @name, a map's id and @ret. */
static bool is_in_trace(const char *name, const char *ret)
{
	FILE *trace = fopen(TRACEFS "trace", "r");
	char line[512];
	bool found = false;

	if (!ASSERT_OK_PTR(trace, "trace"))
		return false;
	while (!found && fgets(line, sizeof(line), trace))
		found = strstr(line, name) && strstr(line, " map_id=") && strstr(line, ret);
	fclose(trace);
	return found;
}

static void test_text(struct timer_tracepoints *skel)
{
	if (access(TRACEFS "trace", R_OK)) {
		test__skip();
		return;
	}
	ASSERT_OK(write_sysctl(TRACEFS "trace", ""), "empty");
	if (!ASSERT_OK(write_sysctl(TRACEFS "events/bpf_timer/enable", "1"), "enable"))
		return;
	skel->bss->nsecs = NSEC_PER_SEC * 1000;
	ASSERT_OK(run(skel->progs.operate), "run");
	write_sysctl(TRACEFS "events/bpf_timer/enable", "0");
	ASSERT_TRUE(is_in_trace("bpf_timer_init: timer=", " clockid=7 ret=-16"), "init");
	ASSERT_TRUE(is_in_trace("bpf_timer_start: timer=",
				" nsecs=1000000000000 flags=0x2 pushed=0 ret=0"),
		    "start");
	ASSERT_TRUE(is_in_trace("bpf_timer_cancel: timer=", " async=1 ret=-125"), "cancel");
}

static const struct {
	const char *name;
	void (*test)(struct timer_tracepoints *skel);
} tests[] = {
	{ "life", test_life },
	{ "free", test_free },
	{ "results", test_results },
	{ "text", test_text },
};

void serial_test_timer_tracepoints(void)
{
	struct timer_tracepoints *skel;
	int i;

	if (!are_in_rust()) {
		test__skip();
		return;
	}
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!test__start_subtest(tests[i].name))
			continue;
		skel = load_timers(timer_tracepoints);
		if (skel) {
			skel->bss->tgid = getpid();
			if (ASSERT_OK(timer_tracepoints__attach(skel), "attach"))
				tests[i].test(skel);
		}
		timer_tracepoints__destroy(skel);
	}
}
