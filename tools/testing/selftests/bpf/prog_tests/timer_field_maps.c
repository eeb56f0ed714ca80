// SPDX-License-Identifier: GPL-2.0
/*
 * Programs in the manner of the field that share a map: a timer and a bpf_wq in one value
 * start each other, and two objects use the timers of a pinned map.
 *
 * Covers "References" in Documentation/bpf/timers.rst.
 */
#include <pthread.h>
#include <test_progs.h>
#include "../progs/timer_field_shared.h"
#include "../progs/timer_field_wq.h"
#include "timer_field.h"
#include "timer_field_shared_tc.skel.h"
#include "timer_field_shared_xdp.skel.h"
#include "timer_field_wq.skel.h"

#define PIN "/sys/fs/bpf/field_shared"

static void test_wq(void)
{
	struct timer_field_wq *skel = load_timers(timer_field_wq);
	__u64 least = -1;
	__u32 key;

	if (!skel)
		return;
	if (!ASSERT_OK(run(skel->progs.begin), "begin"))
		goto out;
	run_load(NULL, NULL, true);
	WRITE_ONCE(skel->bss->stop, true);
	ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->stopped) == PAIRS), "stopped");
	for (key = 0; key < PAIRS; key++) {
		/* The same as in the program. */
		struct {
			__u64 timer[2];
			__u64 wq[2];
			struct turns turns;
		} elem = {};

		ASSERT_OK(bpf_map_lookup_elem(bpf_map__fd(skel->maps.pairs), &key, &elem),
			  "lookup");
		ASSERT_EQ(elem.turns.of_timer, elem.turns.of_work, "turns");
		if (elem.turns.of_timer < least)
			least = elem.turns.of_timer;
	}
	ASSERT_GT(least, 1, "turns");
	ASSERT_EQ(skel->bss->wrong, 0, "out of turn");
	check_results(skel);
	printf("at least %llu turns\n", least);
out:
	timer_field_wq__destroy(skel);
}

/* Loads one of the objects that share the map, with the constant of @owner. */
#define load_sharer(name, owner)					\
	({								\
		struct name *__skel = name##__open();			\
									\
		if (ASSERT_OK_PTR(__skel, "open")) {			\
			__skel->rodata->constant = CONSTANT(owner);	\
			if (!have_timers(name##__load(__skel))) {	\
				name##__destroy(__skel);		\
				__skel = NULL;				\
			}						\
		}							\
		__skel;							\
	})

/* Reads the records of all timers from the pinned map, which is closed again. */
static bool read_records(struct record *records)
{
	/* The same as in the programs. */
	struct {
		__u64 timer[2];
		struct record record;
	} elem;
	int map = bpf_obj_get(PIN);
	int err = map < 0 ? map : 0;
	__u32 key;

	for (key = 0; key < KEYS && !err; key++) {
		err = bpf_map_lookup_elem(map, &key, &elem);
		records[key] = elem.record;
	}
	if (map >= 0)
		close(map);
	/* Callers poll: do not print each success. */
	return !err || ASSERT_OK(err, "read records");
}

static __u64 calls(const struct record *record)
{
	return record->calls[TC] + record->calls[XDP];
}

/* Tells whether each timer has called a callback since @before. */
static bool all_called(const struct record *before)
{
	struct record after[KEYS];
	__u32 key;

	if (!read_records(after))
		return false;
	for (key = 0; key < KEYS; key++)
		if (calls(&after[key]) <= calls(&before[key]))
			return false;
	return true;
}

/* Checks that all timers go on to call the callback of tc, with its constant. */
static void check_calls_of_tc(const char *name)
{
	struct record before[KEYS], after[KEYS];
	__u32 key;

	/* Let callbacks of the other object return. */
	kern_sync_rcu();
	if (!read_records(before))
		return;
	ASSERT_TRUE(comes_true(all_called(before)), name);
	if (!read_records(after))
		return;
	for (key = 0; key < KEYS; key++) {
		ASSERT_EQ(after[key].calls[XDP], before[key].calls[XDP], name);
		ASSERT_EQ(after[key].wrong, 0, "constant");
	}
}

/* Both objects set their callbacks, on all CPUs. */
static void race_for_timers(struct timer_field_shared_tc *tc, struct timer_field_shared_xdp *xdp)
{
	struct record records[KEYS];

	run_load(tc->progs.packet, xdp->progs.packet, true);
	if (!read_records(records))
		return;
	/* In C, a timer may expire between the two writes of a set_callback, and end (H13). */
	if (are_in_rust())
		ASSERT_TRUE(comes_true(all_called(records)), "all go on");
	check_results(tc);
	check_results(xdp);
}

static void test_shared(void)
{
	struct timer_field_shared_tc *tc;
	struct timer_field_shared_xdp *xdp = NULL;
	__u32 tc_id, xdp_id, map_id;

	unlink(PIN);
	tc = load_sharer(timer_field_shared_tc, TC);
	if (tc)
		xdp = load_sharer(timer_field_shared_xdp, XDP);
	if (!xdp)
		goto out;
	race_for_timers(tc, xdp);
	tc_id = id_of(tc->progs.take_all);
	xdp_id = id_of(xdp->progs.take_all);
	map_id = id_of_map(tc->maps.field_shared);
	ASSERT_OK(run(xdp->progs.take_all), "xdp");
	ASSERT_OK(run(tc->progs.take_all), "tc");

	timer_field_shared_tc__destroy(tc);
	tc = NULL;
	check_calls_of_tc("one object gone");
	timer_field_shared_xdp__destroy(xdp);
	xdp = NULL;
	ASSERT_TRUE(is_unloaded(xdp_id), "program of xdp unloaded");
	check_calls_of_tc("both objects gone");
	ASSERT_TRUE(is_loaded(tc_id), "program of tc loaded");

	ASSERT_OK(unlink(PIN), "unpin");
	ASSERT_TRUE(is_unloaded(tc_id), "program of tc unloaded");
	ASSERT_TRUE(comes_true(map_is_gone(map_id)), "map gone");
out:
	timer_field_shared_tc__destroy(tc);
	timer_field_shared_xdp__destroy(xdp);
	unlink(PIN);
}

static const struct subtest tests[] = {
	{ "wq", test_wq },
	{ "shared", test_shared },
};

/* Serial: the load takes all CPUs. */
void serial_test_timer_field_maps(void)
{
	run_subtests(tests);
}
