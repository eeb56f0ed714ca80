// SPDX-License-Identifier: GPL-2.0
/*
 * Programs in the manner of the field that have a timer for each flow: a filter, a proxy, an
 * address translator, and a log. The test sends packets on all CPUs. In the end, the counts
 * of what was inserted, started, called and deleted have to add up.
 *
 * Covers "Callbacks", "Map types" and "Return codes" in Documentation/bpf/timers.rst.
 */
#include <pthread.h>
#include <test_progs.h>
#include "../progs/timer_field_nat.h"
#include "timer_field.h"
#include "timer_field_flows.skel.h"
#include "timer_field_nat.skel.h"
#include "timer_field_orphans.skel.h"
#include "timer_field_remake.skel.h"

static void test_flows(void)
{
	struct timer_field_flows *skel = load_timers(timer_field_flows);
	struct timer_field_flows__bss *bss;
	__u64 left;

	if (!skel)
		return;
	bss = skel->bss;
	bss->is_preemptible = are_on_rt();
	run_load(skel->progs.packet, NULL, READ_ONCE(bss->full) && READ_ONCE(bss->deleted));
	ASSERT_TRUE(comes_true(is_empty(skel->maps.flows)), "all gone");
	left = count_elems(skel->maps.flows);
	check_results(skel);
	ASSERT_EQ(bss->inserted, bss->deleted + left, "inserted == deleted + left");
	ASSERT_EQ(bss->misplaced, 0, "on another CPU");
	if (!are_on_rt()) {
		ASSERT_EQ(bss->early, 0, "early");
		ASSERT_EQ(bss->missing, 0, "missing");
	}
	printf("%llu packets, %llu flows, %llu times full\n", bss->packets, bss->inserted,
	       bss->full);
	timer_field_flows__destroy(skel);
}

/* A packet alone makes a timer, whose callback is called once. Nothing is armed after that. */
static void check_last_packet(struct timer_field_remake *skel)
{
	struct timer_field_remake__bss *bss = skel->bss;
	__u64 called;

	ASSERT_GE(run(skel->progs.cancel), 0, "cancel");
	/* In C, a timer in a deleted element may still be armed (H7). */
	usleep(20000);
	ASSERT_LE(bss->called, bss->started, "called <= started");
	called = bss->called;
	ASSERT_OK(send_packets(bpf_program__fd(skel->progs.packet), 1), "packet");
	ASSERT_TRUE(comes_true(READ_ONCE(bss->last_called) == bss->packets), "last start");
	ASSERT_OK(run(skel->progs.cancel), "idle");
	usleep(20000);
	ASSERT_EQ(bss->called, called + 1, "called once");
}

static void test_remake(void)
{
	struct timer_field_remake *skel;
	__u32 id;

	if (skip_one_cpu())
		return;
	skel = load_timers(timer_field_remake);
	if (!skel)
		return;
	id = id_of(skel->progs.packet);
	run_load(skel->progs.packet, NULL, READ_ONCE(skel->bss->called));
	check_last_packet(skel);
	check_results(skel);
	printf("%llu packets, %llu starts, %llu calls\n", skel->bss->packets,
	       skel->bss->started, skel->bss->called);
	timer_field_remake__destroy(skel);
	/* In C, timers in deleted elements may hold the program (H7). */
	if (are_in_rust())
		ASSERT_TRUE(is_unloaded(id), "unloaded");
}

/* The moves that packets and the timer may do. */
static const bool is_legal[STATES][STATES] = {
	[NONE] = { [SYN] = true },
	[SYN] = { [OPEN] = true, [DEAD] = true },
	[OPEN] = { [IDLE] = true, [FIN] = true },
	[IDLE] = { [OPEN] = true, [DEAD] = true },
	[FIN] = { [WAIT] = true },
	[WAIT] = { [DEAD] = true },
};

static bool saw_all_moves(const struct timer_field_nat *skel)
{
	int from, to;

	for (from = 0; from < STATES; from++)
		for (to = 0; to < STATES; to++)
			if (is_legal[from][to] && !READ_ONCE(skel->bss->moves[from][to]))
				return false;
	return true;
}

/* Checks that no move is illegal, and that each entry has left all states but the last one. */
static void check_moves(struct timer_field_nat *skel)
{
	__u64 left[STATES] = {}, reached[STATES] = {};
	int from, to;

	for (from = 0; from < STATES; from++) {
		for (to = 0; to < STATES; to++) {
			__u64 moves = skel->bss->moves[from][to];

			if (moves && !is_legal[from][to])
				PRINT_FAIL("%llu moves from %d to %d\n", moves, from, to);
			left[from] += moves;
			reached[to] += moves;
		}
	}
	for (to = SYN; to < DEAD; to++)
		ASSERT_EQ(left[to], reached[to], "left == reached");
	ASSERT_EQ(left[NONE], skel->bss->created, "created");
	ASSERT_EQ(reached[DEAD], skel->bss->created, "dead");
}

static void test_nat(void)
{
	struct timer_field_nat *skel = load_timers(timer_field_nat);
	struct timer_field_nat__bss *bss;
	int i;

	if (!skel)
		return;
	bss = skel->bss;
	for (i = 0; i < PORTS; i++)
		bss->stack[i] = i;
	run_load(skel->progs.packet, NULL, saw_all_moves(skel) && READ_ONCE(bss->full));
	ASSERT_TRUE(comes_true(is_empty(skel->maps.entries)), "all entries gone");
	ASSERT_TRUE(is_empty(skel->maps.ports), "all ports gone");
	check_moves(skel);
	check_results(skel);
	ASSERT_EQ(bss->ended, bss->created, "ended == created");
	ASSERT_EQ(bss->haunted, 0, "callbacks of the dead");
	ASSERT_EQ(bss->given_twice, 0, "given back twice");
	ASSERT_EQ(skel->data->left, PORTS, "ports given back");
	printf("%llu packets, %llu entries, %llu times without a port\n", bss->packets,
	       bss->created, bss->full);
	timer_field_nat__destroy(skel);
}

static void test_orphans(void)
{
	struct timer_field_orphans *skel = load_timers(timer_field_orphans);
	struct timer_field_orphans__bss *bss;

	if (!skel)
		return;
	bss = skel->bss;
	run_load(skel->progs.packet, NULL, READ_ONCE(bss->idle) && READ_ONCE(bss->orphaned));
	ASSERT_TRUE(comes_true(is_empty(skel->maps.guardians)), "all timers gone");
	ASSERT_TRUE(is_empty(skel->maps.flows), "all flows gone");
	check_results(skel);
	ASSERT_EQ(bss->reported, bss->inserted, "reported == inserted");
	ASSERT_EQ(bss->reported, bss->idle + bss->orphaned, "reported == idle + orphaned");
	ASSERT_EQ(bss->inserted + bss->refused, bss->ids, "inserted + refused == ids");
	printf("%llu flows, %llu idle, %llu orphaned\n", bss->inserted, bss->idle, bss->orphaned);
	timer_field_orphans__destroy(skel);
}

static const struct subtest tests[] = {
	{ "flows", test_flows },
	{ "remake", test_remake },
	{ "nat", test_nat },
	{ "orphans", test_orphans },
};

/* Serial: the load takes all CPUs. */
void serial_test_timer_field_flows(void)
{
	run_subtests(tests);
}
