// SPDX-License-Identifier: GPL-2.0
/*
 * Prints the costs of the operations: "bench OPERATION MAP CONTEXT TIMERS WHO COST". COST is in
 * nanoseconds for each timer; under QEMU's -icount these are instructions. The test fails if an
 * operation returns something unexpected. BPF_TIMER_BENCH="MAP:CONTEXT:TIMERS ..." selects what
 * to measure.
 *
 * The cost of a loop that only looks up the elements is subtracted. Each operation is measured
 * in several rounds. The cheapest one counts, because interrupts delay the others.
 */
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <test_progs.h>
#include "timer_bench.skel.h"
#include "timer_helpers.h"
#include "timer_raw.h"
#include "../progs/timer_bench.h"

#define CLOCKSOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define LOOPBACK 1
/* Measures this many timers in all rounds together, but does at most MOST_ROUNDS rounds. */
#define ENOUGH 16000
#define MOST_ROUNDS 32
/* Elements of an LRU hash beyond those that are used. */
#define SPARE 1024
/* Freeing this many timers shows in a measurement. */
#define MANY 1000
/* The time for which two CPUs start the same timers. */
#define SHARED_USECS (getenv("BPF_TIMER_BENCH") ? 2000000 : 500000)

/* The words that are measured if BPF_TIMER_BENCH is not set. */
static const char * const usual[] = {
	"array:task:1", "array:task:64", "hash:task:64", "lru:task:64", "array:softirq:64",
	"hash:softirq:64", "array:callback:64", "array:irqs_off:64", "hash:irqs_off:64",
};

enum context { TASK, SOFTIRQ, CALLBACK, IRQS_OFF, CONTEXTS };

static const char * const contexts[] = { "task", "softirq", "callback", "irqs_off" };

static const char * const operations[] = {
#define NAME(_name) #_name,
	OPERATIONS(NAME)
};

#define NR_OPERATIONS ARRAY_SIZE(operations)

struct bench {
	struct timer_bench *skel;
	const char *map;
	enum context context;
	__u32 timers;
	bool thorough;
	int rounds;
	bool can_delete;
	/* bpf_timer_cancel() works in @context with both implementations. */
	bool can_cancel;
	bool has_raw;
	/* UINT64_MAX if it was not measured. */
	__u64 least[NR_OPERATIONS];
	bool failed;
};

/* Tells whether the kernel has its final clocksource. Reading the time takes longer before. */
static bool has_clock(void)
{
	FILE *file = fopen(CLOCKSOURCE, "r");
	char name[32] = "";

	if (!file)
		return true;
	if (!fgets(name, sizeof(name), file))
		name[0] = 0;
	fclose(file);
	return strcmp(name, "tsc-early\n");
}

/* Makes the loopback device receive a packet. */
static bool send_packet(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool sent;

	if (!ASSERT_OK_FD(fd, "socket"))
		return false;
	sent = ASSERT_EQ(sendto(fd, "", 1, 0, (struct sockaddr *)&address, sizeof(address)), 1,
			 "sendto");
	close(fd);
	return sent;
}

/* Does @operation to all elements in @context. Returns whether it worked. */
static bool perform(struct bench *bench, enum context context, int operation)
{
	struct timer_bench__bss *bss = bench->skel->bss;
	bool begun = false;

	if (bench->failed)
		return false;
	bss->operation = operation;
	bss->irqs_off = context == IRQS_OFF;
	bss->failures = 0;
	bss->done = false;
	switch (context) {
	case TASK:
	case IRQS_OFF:
		begun = ASSERT_OK(run(bench->skel->progs.in_task), "run");
		break;
	case SOFTIRQ:
		bss->pending = true;
		begun = send_packet();
		break;
	default:
		begun = ASSERT_OK(run(bench->skel->progs.start_callback), "run");
		break;
	}
	if (begun && ASSERT_TRUE(comes_true(READ_ONCE(bss->done)), "done") &&
	    ASSERT_EQ(bss->failures, 0, operations[operation]))
		return true;
	printf("%s, %u timers in %s, %s: %lld\n", operations[operation], bench->timers, bench->map,
	       contexts[context], (long long)bss->result);
	bench->failed = true;
	return false;
}

/* Prepares the next measurement, and with interrupts on, so that nothing is deferred. */
static void prepare(struct bench *bench, int operation)
{
	perform(bench, bench->context == IRQS_OFF ? TASK : bench->context, operation);
}

static void note_cost(struct bench *bench, int operation, __u64 cost)
{
	if (cost < bench->least[operation])
		bench->least[operation] = cost;
}

static void measure(struct bench *bench, int operation)
{
	if (perform(bench, bench->context, operation))
		note_cost(bench, operation, bench->skel->bss->cost);
}

/* Waits until deleted timers are freed, because freeing interrupts a measurement. */
static void settle(const struct bench *bench)
{
	int tries = 100;
	__s64 bytes;

	if (!bench->thorough || bench->timers < MANY)
		return;
	do {
		bytes = slab_bytes();
		usleep(50000);
	} while (slab_bytes() != bytes && --tries);
}

/* Leaves fresh elements without timers. */
static void refill(struct bench *bench)
{
	if (bench->can_delete)
		prepare(bench, OP_empty);
	prepare(bench, OP_fill);
	settle(bench);
}

/* @start arms all timers for one time, and one softirq expires them: measures first to last. */
static void measure_expiry(struct bench *bench, int start)
{
	struct timer_bench__bss *bss = bench->skel->bss;

	if (bench->context != TASK || bench->timers < 2)
		return;
	bss->fired = 0;
	bss->expires = now(CLOCK_MONOTONIC) + 50 * NSEC_PER_MSEC + 4000ULL * bench->timers;
	prepare(bench, start);
	if (bench->failed)
		return;
	sleep_until(bss->expires);
	if (start == OP_raw_start_at)
		ASSERT_TRUE(comes_true(!run(bench->skel->progs.read_raw) &&
				       bss->fired == bench->timers), "fired");
	else
		ASSERT_TRUE(comes_true(READ_ONCE(bss->fired) == bench->timers), "fired");
	note_cost(bench, start, bss->last - bss->first);
}

static void measure_deletions(struct bench *bench)
{
	prepare(bench, OP_set_callback);
	measure(bench, OP_delete_idle);
	refill(bench);
	prepare(bench, OP_init);
	prepare(bench, OP_set_callback);
	prepare(bench, OP_start_first);
	measure(bench, OP_delete_armed);
	refill(bench);
	measure(bench, OP_delete_empty);
}

/* The order makes each operation find the timers in the state that its name says. */
static void measure_round(struct bench *bench)
{
	refill(bench);
	/* The first lookup marks the elements of an LRU hash. */
	prepare(bench, OP_lookup);
	measure(bench, OP_loop);
	measure(bench, OP_lookup);
	measure(bench, OP_init);
	prepare(bench, OP_set_callback);
	measure(bench, OP_set_callback_same);
	measure(bench, OP_cancel_async_idle);
	measure(bench, OP_start_first);
	measure(bench, OP_start_again);
	if (are_in_rust())
		measure(bench, OP_info);
	measure(bench, OP_start_later);
	measure(bench, OP_start_earlier);
	measure(bench, OP_cancel_async_armed);
	if (bench->can_cancel) {
		prepare(bench, OP_cancel_async_idle);
		prepare(bench, OP_start_first);
		measure(bench, OP_cancel_armed);
		measure(bench, OP_cancel_idle);
		measure(bench, OP_set_cancel);
		measure(bench, OP_set_start_cancel);
	}
	prepare(bench, OP_set_note);
	measure_expiry(bench, OP_start_at);
	if (bench->can_delete)
		measure_deletions(bench);
}

static void measure_raw_round(struct bench *bench)
{
	prepare(bench, OP_raw_setup);
	measure(bench, OP_loop);
	measure(bench, OP_raw_setup);
	measure(bench, OP_raw_try_idle);
	measure(bench, OP_raw_start_first);
	measure(bench, OP_raw_start_again);
	measure(bench, OP_raw_start_later);
	measure(bench, OP_raw_start_earlier);
	measure(bench, OP_raw_try_armed);
	prepare(bench, OP_raw_start_first);
	measure(bench, OP_raw_cancel_armed);
	measure(bench, OP_raw_cancel_idle);
	measure(bench, OP_raw_start_cancel);
	measure_expiry(bench, OP_raw_start_at);
}

/* Prints what an operation costs beyond @base. */
static void report(const struct bench *bench, const char *name, const char *who,
		   int operation, int base)
{
	__u64 cost = bench->least[operation];
	__s64 beyond;

	if (bench->failed || cost == UINT64_MAX)
		return;
	if (operation == OP_start_at || operation == OP_raw_start_at)
		beyond = cost * 100 / (bench->timers - 1);
	else
		beyond = (__s64)(cost - bench->least[base]) * 100 / bench->timers;
	printf("bench %s %s %s %u %s %lld.%02lld\n", name, bench->map, contexts[bench->context],
	       bench->timers, who, (long long)beyond / 100, llabs(beyond) % 100);
}

/* Names of operations in reports, and how they are measured with hrtimers. */
static const struct {
	const char *name;
	int operation;
	int raw;
} reports[] = {
	{ "init", OP_init, OP_raw_setup },
	{ "set_callback_same", OP_set_callback_same },
	{ "start_first", OP_start_first, OP_raw_start_first },
	{ "start_again", OP_start_again, OP_raw_start_again },
	{ "start_later", OP_start_later, OP_raw_start_later },
	{ "start_earlier", OP_start_earlier, OP_raw_start_earlier },
	{ "info", OP_info },
	{ "cancel_idle", OP_cancel_idle, OP_raw_cancel_idle },
	{ "cancel_armed", OP_cancel_armed, OP_raw_cancel_armed },
	{ "cancel_async_idle", OP_cancel_async_idle, OP_raw_try_idle },
	{ "cancel_async_armed", OP_cancel_async_armed, OP_raw_try_armed },
	{ "set_cancel", OP_set_cancel },
	{ "set_start_cancel", OP_set_start_cancel, OP_raw_start_cancel },
	{ "expiry", OP_start_at, OP_raw_start_at },
	{ "delete_armed", OP_delete_armed },
	{ "delete_idle", OP_delete_idle },
	{ "delete_empty", OP_delete_empty },
};

static void report_all(const struct bench *bench)
{
	const char *who = are_in_rust() ? "rust" : "c";
	int i;

	for (i = 0; i < ARRAY_SIZE(reports); i++) {
		int base = strncmp(reports[i].name, "delete", 6) ? OP_lookup : OP_loop;

		report(bench, reports[i].name, who, reports[i].operation, base);
		if (bench->has_raw && reports[i].raw)
			report(bench, reports[i].name, "hrtimer", reports[i].raw, OP_loop);
	}
	/* Print now, to show the progress. */
	fflush(stdout);
}

static bool load_bench(struct bench *bench, enum bpf_map_type type)
{
	struct timer_bench *skel = timer_bench__open();
	struct bpf_program *prog;

	bench->skel = skel;
	if (!ASSERT_OK_PTR(skel, "open"))
		return false;
	if (bench->context == SOFTIRQ)
		prog = skel->progs.in_softirq;
	else if (bench->context == CALLBACK)
		prog = skel->progs.start_callback;
	else
		prog = skel->progs.in_task;
	bpf_program__set_autoload(prog, true);
	skel->rodata->with_irqs_off = bench->context == IRQS_OFF;
	bpf_map__set_type(skel->maps.timers, type);
	/* An LRU hash that is nearly full evicts elements. */
	bpf_map__set_max_entries(skel->maps.timers,
				 bench->timers + (type == BPF_MAP_TYPE_LRU_HASH ? SPARE : 0));
	if (!have_timers(timer_bench__load(skel)))
		return false;
	skel->bss->total = bench->timers;
	return bench->context != SOFTIRQ ||
	       ASSERT_OK(bpf_xdp_attach(LOOPBACK, bpf_program__fd(skel->progs.in_softirq),
					XDP_FLAGS_SKB_MODE, NULL), "attach");
}

/* Measures in a map of @type. */
static void run_bench(struct bench *bench, enum bpf_map_type type)
{
	int i;

	bench->can_delete = type != BPF_MAP_TYPE_ARRAY;
	/* C's bpf_timer_cancel() refuses to work with interrupts off. */
	bench->can_cancel = bench->context != IRQS_OFF;
	/* The costs of hrtimers do not depend on the map. */
	bench->has_raw = bench->has_raw && type == BPF_MAP_TYPE_ARRAY;
	for (i = 0; i < NR_OPERATIONS; i++)
		bench->least[i] = UINT64_MAX;
	if (load_bench(bench, type)) {
		for (i = 0; i < bench->rounds && !bench->failed; i++) {
			measure_round(bench);
			if (bench->has_raw)
				measure_raw_round(bench);
		}
		report_all(bench);
	}
	if (bench->context == SOFTIRQ)
		bpf_xdp_detach(LOOPBACK, XDP_FLAGS_SKB_MODE, NULL);
	timer_bench__destroy(bench->skel);
}

static bool find_word(const char *word, const char * const *words, int nr, int *found)
{
	for (*found = 0; *found < nr; ++*found)
		if (!strcmp(word, words[*found]))
			return true;
	return false;
}

/* Measures one word of BPF_TIMER_BENCH: MAP:CONTEXT:TIMERS. */
static void bench_word(const char *word, bool has_raw, bool thorough)
{
	static const char * const maps[] = { "array", "hash", "lru" };
	static const enum bpf_map_type types[] = {
		BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH,
	};
	struct bench bench = { .has_raw = has_raw, .thorough = thorough, .rounds = 2 };
	char map[16], context[16];
	int parts, i, j;

	parts = sscanf(word, "%15[^:]:%15[^:]:%u", map, context, &bench.timers);
	if (!ASSERT_EQ(parts, 3, word) || !ASSERT_GT(bench.timers, 0, word) ||
	    !ASSERT_TRUE(find_word(map, maps, ARRAY_SIZE(maps), &i), word) ||
	    !ASSERT_TRUE(find_word(context, contexts, CONTEXTS, &j), word))
		return;
	bench.map = maps[i];
	bench.context = j;
	if (thorough)
		bench.rounds = MAX(1, MIN(MOST_ROUNDS, ENOUGH / bench.timers));
	run_bench(&bench, types[i]);
}

void serial_test_timer_bench(void)
{
	char *wanted = getenv("BPF_TIMER_BENCH"), *words, *rest, *word;
	cpu_set_t cpus;
	bool has_raw;
	int i;

	/* Stay on one CPU, because the allocator keeps memory for each CPU. */
	sched_getaffinity(0, sizeof(cpus), &cpus);
	pin_to(0);
	ASSERT_TRUE(comes_true(has_clock()), "clock");
	has_raw = load_raw(1000000);
	if (wanted) {
		words = strdup(wanted);
		rest = words;
		while ((word = strsep(&rest, " ")))
			if (*word)
				bench_word(word, has_raw, true);
		free(words);
	} else {
		for (i = 0; i < ARRAY_SIZE(usual); i++)
			bench_word(usual[i], has_raw, false);
	}
	unload_raw(has_raw);
	unpin(&cpus);
}

/* Prints how many starts of the same timers two CPUs do in a second: "bench_shared STARTS". */
void serial_test_timer_bench_shared(void)
{
	struct bench bench = { .map = "array", .context = TASK, .timers = SHARED };
	struct run_on_cpu jobs[2];
	int fd, begun;
	__u64 time;

	if (skip_one_cpu())
		return;
	if (!load_bench(&bench, BPF_MAP_TYPE_ARRAY))
		goto out;
	prepare(&bench, OP_init);
	prepare(&bench, OP_set_callback);
	fd = bpf_program__fd(bench.skel->progs.start_shared);
	time = now(CLOCK_MONOTONIC);
	for (begun = 0; begun < 2; begun++)
		if (!begin_run(&jobs[begun], begun, fd))
			break;
	usleep(SHARED_USECS);
	bench.skel->bss->stop = true;
	while (begun--)
		ASSERT_OK(end_run(&jobs[begun]), "start");
	time = now(CLOCK_MONOTONIC) - time;
	ASSERT_EQ(bench.skel->bss->failures, 0, "failures");
	ASSERT_GT(bench.skel->bss->starts, 0, "starts");
	printf("bench_shared %llu\n",
	       (unsigned long long)(bench.skel->bss->starts * NSEC_PER_SEC / time));
out:
	timer_bench__destroy(bench.skel);
}
