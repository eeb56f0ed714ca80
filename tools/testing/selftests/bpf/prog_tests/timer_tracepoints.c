// SPDX-License-Identifier: GPL-2.0
/* The tracepoints of BPF timers, which those in Rust have. */
#include <bpf/btf.h>
#include <test_progs.h>
#include "progs/timer_tracepoints.h"
#include "timer_helpers.h"
#include "timer_tracepoints.skel.h"

static bool have_tracepoints(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool found = btf && btf__find_by_name(btf, "btf_trace_bpf_timer_start") > 0;

	btf__free(btf);
	return found;
}

void serial_test_timer_tracepoints(void)
{
	struct timer_tracepoints__bss *bss;
	struct timer_tracepoints *skel;
	__u32 map_id, prog_id;
	__u64 timer;
	int i;

	if (!have_tracepoints()) {
		test__skip();
		return;
	}
	skel = load_timers(timer_tracepoints);
	if (!skel)
		return;
	bss = skel->bss;
	bss->tgid = getpid();
	/* So long that the start is told of before the expiry, even on a slow machine. */
	bss->nsecs = 500 * NSEC_PER_MSEC;
	if (!ASSERT_OK(timer_tracepoints__attach(skel), "attach") ||
	    !ASSERT_OK(run(skel->progs.arm), "run") || !ASSERT_OK(bss->err, "arm"))
		goto out;
	comes_true(READ_ONCE(bss->events[EXPIRE_EXIT].order));
	ASSERT_OK(run(skel->progs.cancel), "run");
	ASSERT_EQ(bss->err, 0, "cancel");

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
		ASSERT_EQ(bss->events[i].prog_id, i == INIT ? 0 : prog_id, "prog_id");
	}
	ASSERT_EQ(bss->events[START].nsecs, bss->nsecs, "nsecs");
	ASSERT_GT(bss->events[EXPIRE_ENTRY].nsecs, bss->nsecs, "expires");
	ASSERT_EQ(bss->events[CANCEL].flags, false, "async");
out:
	timer_tracepoints__destroy(skel);
}
