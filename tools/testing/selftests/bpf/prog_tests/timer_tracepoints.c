// SPDX-License-Identifier: GPL-2.0
/* The tracepoints of BPF timers, which those in Rust have. */
#include <bpf/btf.h>
#include <test_progs.h>

enum { INIT, START, EXPIRE_ENTRY, CALLBACK, EXPIRE_EXIT, CANCEL, EVENTS };

/* As in the program. */
struct event {
	__u64 order;
	__u64 timer;
	__u32 map_id;
	__u32 prog_id;
	__u64 nsecs;
	__u64 flags;
	int ret;
};

#include "timer_tracepoints.skel.h"

static int run(const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return bpf_prog_test_run_opts(bpf_program__fd(prog), &opts) ?: (int)opts.retval;
}

static bool have_tracepoints(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool found = btf && btf__find_by_name(btf, "btf_trace_bpf_timer_start") > 0;

	btf__free(btf);
	return found;
}

static __u32 id_of_map(const struct bpf_map *map)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return bpf_map_get_info_by_fd(bpf_map__fd(map), &info, &len) ? 0 : info.id;
}

static __u32 id_of_prog(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	return bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len) ? 0 : info.id;
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
	skel = timer_tracepoints__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	bss = skel->bss;
	bss->tgid = getpid();
	bss->nsecs = 5 * 1000 * 1000;
	if (!ASSERT_OK(timer_tracepoints__attach(skel), "attach") ||
	    !ASSERT_OK(run(skel->progs.arm), "run") || !ASSERT_OK(bss->err, "arm"))
		goto out;
	for (i = 0; i < 300 && !bss->events[EXPIRE_EXIT].order; i++)
		usleep(10000);
	ASSERT_OK(run(skel->progs.cancel), "run");
	ASSERT_EQ(bss->err, 0, "cancel");

	map_id = id_of_map(skel->maps.timers);
	prog_id = id_of_prog(skel->progs.arm);
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
