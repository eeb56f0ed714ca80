// SPDX-License-Identifier: GPL-2.0
/*
 * What the operations cost: "bench NAME N", N in hundredths of a nanosecond,
 * which under QEMU's -icount are hundredths of an instruction. As a test, that
 * they all work.
 */
#include <test_progs.h>
#include "timer_bench.skel.h"
#include "timer_helpers.h"

#define BATCH 64
#define ROUNDS 32

static void report(const char *name, __s64 least, __s64 base)
{
	printf("bench %s %lld\n", name, (long long)(least - base) * 100 / BATCH);
}

static __u64 least_of_rounds(struct timer_bench *skel, const struct bpf_program *prog)
{
	__u64 empty[2] = {};
	__u32 key;
	int i;

	skel->bss->least = ~0ULL;
	for (i = 0; i < ROUNDS; i++) {
		for (key = 0; key < BATCH; key++)
			ASSERT_OK(bpf_map_update_elem(bpf_map__fd(skel->maps.timers), &key,
						      &empty, BPF_ANY), "empty");
		ASSERT_OK(run(prog), "run");
		ASSERT_OK(skel->bss->err, "err");
		/* The memory is back before the next round. */
		usleep(20000);
	}
	return skel->bss->least;
}

void serial_test_timer_bench(void)
{
	struct timer_bench *skel = load_timers(timer_bench);
	const struct bpf_program *progs[8];
	__s64 nothing, find;
	int i;

	if (!skel)
		return;
	progs[0] = skel->progs.nothing;
	progs[1] = skel->progs.set_callback_same;
	progs[2] = skel->progs.start_again;
	progs[3] = skel->progs.start_and_cancel_async;
	progs[4] = skel->progs.cancel_async_idle;
	progs[5] = skel->progs.cancel_idle;
	progs[6] = skel->progs.set_callback_and_cancel;
	progs[7] = skel->progs.set_callback_start_cancel;

	for (i = 0, nothing = 0; i < 8; i++) {
		ASSERT_OK(run(skel->progs.prepare), "prepare");
		ASSERT_OK(run(progs[i]), bpf_program__name(progs[i]));
		ASSERT_OK(skel->bss->err, bpf_program__name(progs[i]));
		if (!i)
			nothing = skel->bss->least;
		else
			report(bpf_program__name(progs[i]), skel->bss->least, nothing);
	}
	find = least_of_rounds(skel, skel->progs.find);
	report("init", least_of_rounds(skel, skel->progs.init), find);
	timer_bench__destroy(skel);
}
