// SPDX-License-Identifier: GPL-2.0
/*
 * What the operations cost: "bench NAME N", N in hundredths of a nanosecond,
 * which under QEMU's -icount are hundredths of an instruction. As a test, that
 * they all work.
 */
#include <test_progs.h>
#include "timer_bench.skel.h"
#include "timer_helpers.h"
#include "../progs/timer_bench.h"

#define ROUNDS 32
/* How long two CPUs start the same timers. */
#define SHARED_USECS 500000

/* Tells of @count operations what each costs beyond @base. */
static void report(const char *name, __s64 cost, __s64 base, int count)
{
	printf("bench %s %lld\n", name, (long long)(cost - base) * 100 / count);
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

/*
 * Runs @progs, each after @prepare if there is one, and tells what each but the first costs
 * beyond that. A program leaves in @cost what @count operations have cost.
 */
static void bench(struct timer_bench *skel, const struct bpf_program *prepare,
		  const struct bpf_program **progs, int nr, const __u64 *cost, int count)
{
	__s64 nothing = 0;
	int i;

	for (i = 0; i < nr; i++) {
		if (prepare)
			ASSERT_OK(run(prepare), "prepare");
		ASSERT_OK(run(progs[i]), bpf_program__name(progs[i]));
		ASSERT_OK(skel->bss->err, bpf_program__name(progs[i]));
		if (!i)
			nothing = *cost;
		else
			report(bpf_program__name(progs[i]), *cost, nothing, count);
	}
}

/* What all of the operations on one timer cost. */
static void bench_one(struct timer_bench *skel)
{
	const struct bpf_program *progs[] = {
		skel->progs.nothing,
		skel->progs.set_callback_same,
		skel->progs.start_again,
		skel->progs.start_and_cancel_async,
		skel->progs.start_deferred_and_cancel,
		skel->progs.cancel_async_idle,
		skel->progs.cancel_idle,
		skel->progs.set_callback_and_cancel,
		skel->progs.set_callback_start_cancel,
	};
	__s64 find;

	bench(skel, skel->progs.prepare, progs, ARRAY_SIZE(progs), &skel->bss->least, BATCH);
	find = least_of_rounds(skel, skel->progs.find);
	report("init", least_of_rounds(skel, skel->progs.init), find, BATCH);
}

/* What operations cost that each of many timers goes through. */
static void bench_many(struct timer_bench *skel)
{
	const struct bpf_program *progs[] = {
		skel->progs.many_nothing,
		skel->progs.many_init,
		skel->progs.many_start_first,
		skel->progs.many_start_later,
		skel->progs.many_start_earlier,
		skel->progs.many_cancel_async,
	};

	bench(skel, NULL, progs, ARRAY_SIZE(progs), &skel->bss->total, MANY);

	/* All expire in one softirq, after the program. */
	skel->bss->expires = now(CLOCK_MONOTONIC) + NSEC_PER_SEC;
	ASSERT_OK(run(skel->progs.many_start_at), "start_at");
	ASSERT_TRUE(comes_true(skel->bss->fired == MANY), "fired");
	report("many_expiry", skel->bss->last - skel->bss->first, 0, MANY - 1);
}

void serial_test_timer_bench(void)
{
	struct timer_bench *skel = load_timers(timer_bench);

	if (!skel)
		return;
	bench_one(skel);
	bench_many(skel);
	timer_bench__destroy(skel);
}

/* How many starts of the same timers two CPUs do in a while: "bench shared_starts N". */
void serial_test_timer_bench_shared(void)
{
	struct run_on_cpu jobs[2];
	struct timer_bench *skel;
	int fd, begun;

	if (skip_one_cpu())
		return;
	skel = load_timers(timer_bench);
	if (!skel)
		return;
	fd = bpf_program__fd(skel->progs.start_shared);
	ASSERT_OK(run(skel->progs.init_shared), "init");
	for (begun = 0; begun < 2; begun++)
		if (!begin_run(&jobs[begun], begun, fd))
			break;
	usleep(SHARED_USECS);
	skel->bss->stop = true;
	while (begun--)
		ASSERT_OK(end_run(&jobs[begun]), "start");
	ASSERT_OK(skel->bss->err, "err");
	ASSERT_GT(skel->bss->starts, 0, "starts");
	printf("bench shared_starts %lld\n", (long long)skel->bss->starts * 100);
	timer_bench__destroy(skel);
}
