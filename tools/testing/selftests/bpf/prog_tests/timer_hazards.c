// SPDX-License-Identifier: GPL-2.0
/*
 * Timers can hang a CPU or mislead their users. The name of a subtest begins with the
 * number of such a hazard in Documentation/bpf/timers_rust.rst, and says what is
 * expected instead.
 *
 * Covers H1, H3 to H11, R4 (h1_*), R5 (h5_*), and times of day (h3_wall_clock).
 */
#include <pthread.h>
#include <test_progs.h>
#include "timer_hazards.skel.h"
#include "timer_hazards_maps.skel.h"
#include "timer_helpers.h"

struct elem {
	__u64 timer[2];
	__u64 runs;
	__u64 restarts;
};

static __u64 runs_of(struct timer_hazards *skel, __u32 index)
{
	struct elem elem = {};

	bpf_map_lookup_elem(bpf_map__fd(skel->maps.timers), &index, &elem);
	return elem.runs;
}

/* Waits until a timer has run @runs times. Returns how often it has run. */
static __u64 wait_for_runs(struct timer_hazards *skel, __u32 index, __u64 runs)
{
	comes_true(runs_of(skel, index) >= runs);
	return runs_of(skel, index);
}

static bool init(struct timer_hazards *skel, __u32 index, __u32 clockid)
{
	skel->bss->slot = index;
	skel->data->clockid = clockid;
	return ASSERT_OK(run(skel->progs.init), "run init") && ASSERT_OK(skel->bss->err, "init");
}

static bool start(struct timer_hazards *skel, const struct bpf_program *prog, __u32 index,
		  __u64 nsecs, __u64 flags)
{
	skel->bss->slot = index;
	skel->bss->nsecs = nsecs;
	skel->bss->flags = flags;
	return ASSERT_OK(run(prog), "run start") && ASSERT_OK(skel->bss->err, "start");
}

static bool attach(struct bpf_program *prog, struct bpf_link **link)
{
	*link = bpf_program__attach(prog);
	return ASSERT_OK_PTR(*link, "attach");
}

/* A thread on a CPU that wakes each millisecond, and the longest time that it did not run. */
struct pulse {
	pthread_t thread;
	int cpu;
	volatile bool *stop;
	__u64 longest;
};

static void *beat(void *arg)
{
	struct pulse *pulse = arg;
	__u64 last, next;

	pin_to(pulse->cpu);
	last = now(CLOCK_MONOTONIC);
	while (!*pulse->stop) {
		usleep(1000);
		next = now(CLOCK_MONOTONIC);
		if (next - last > pulse->longest)
			pulse->longest = next - last;
		last = next;
	}
	return NULL;
}

/* A CPU that hangs stays silent. A virtual CPU may be silent for a while. */
#define MAX_SILENCE (15 * NSEC_PER_SEC)

/* Returns the longest time for which a CPU did not run its thread while @action went on. */
static __u64 longest_silence(void (*action)(void *arg), void *arg)
{
	struct pulse pulses[MAX_CPUS] = {};
	volatile bool stop = false;
	__u64 longest = 0;
	int i, cpus = get_nprocs();

	for (i = 0; i < cpus && i < MAX_CPUS; i++) {
		pulses[i].cpu = i;
		pulses[i].stop = &stop;
		if (!ASSERT_OK(pthread_create(&pulses[i].thread, NULL, beat, &pulses[i]), "thread"))
			break;
	}
	action(arg);
	usleep(300000);
	stop = true;
	while (i-- > 0) {
		pthread_join(pulses[i].thread, NULL);
		if (pulses[i].longest > longest)
			longest = pulses[i].longest;
	}
	return longest;
}

static void expire_with_cancellation(void *arg)
{
	struct timer_hazards *skel = arg;

	if (start(skel, skel->progs.start_and_learn, 0, 10 * NSEC_PER_MSEC, 0))
		ASSERT_TRUE(comes_true(READ_ONCE(skel->data->cancelled_at_exit) == 0), "expired");
}

static void test_cancel_in_own_expiry(void)
{
	struct bpf_link *learn = NULL, *entry = NULL, *exit = NULL;
	struct timer_hazards *skel = load_timers(timer_hazards);

	if (!skel)
		return;
	if (init(skel, 0, CLOCK_MONOTONIC) && attach(skel->progs.learn, &learn) &&
	    attach(skel->progs.cancel_at_entry, &entry) &&
	    attach(skel->progs.cancel_at_exit, &exit)) {
		ASSERT_LT(longest_silence(expire_with_cancellation, skel), MAX_SILENCE, "silence");
		/* The cancellation at entry came before the callback. */
		ASSERT_EQ(skel->data->cancelled_at_entry, 1, "at entry");
		ASSERT_EQ(skel->data->cancelled_at_exit, 0, "at exit");
		ASSERT_EQ(runs_of(skel, 0), 0, "runs");
	}
	bpf_link__destroy(learn);
	bpf_link__destroy(entry);
	bpf_link__destroy(exit);
	timer_hazards__destroy(skel);
}

static bool have_met(struct timer_hazards *skel)
{
	int *cancelled = skel->data->cancelled_other;

	return READ_ONCE(cancelled[0]) >= 0 && READ_ONCE(cancelled[1]) >= 0;
}

static void expire_both(void *arg)
{
	struct timer_hazards *skel = arg;
	int i, attempt;
	cpu_set_t cpus;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	/* Try again if one CPU was too slow for the other. */
	for (attempt = 0; attempt < 5 && !have_met(skel); attempt++) {
		skel->bss->left_alone = 0;
		for (i = 0; i < 2; i++) {
			if (!ASSERT_TRUE(pin_to(i), "pin") ||
			    !start(skel, skel->progs.start_and_learn, i, 60 * NSEC_PER_MSEC,
				   BPF_F_TIMER_CPU_PIN))
				break;
		}
		ASSERT_TRUE(comes_true(have_met(skel) || READ_ONCE(skel->bss->left_alone) == 2),
			    "expired");
	}
	unpin(&cpus);
}

static void test_cancel_each_other_at_expiry(void)
{
	struct bpf_link *learn = NULL, *entry = NULL;
	struct timer_hazards *skel;
	int *cancelled;

	if (skip_one_cpu())
		return;
	skel = load_timers(timer_hazards);
	if (!skel)
		return;
	cancelled = skel->data->cancelled_other;
	if (init(skel, 0, CLOCK_MONOTONIC) && init(skel, 1, CLOCK_MONOTONIC) &&
	    attach(skel->progs.learn, &learn) && attach(skel->progs.cancel_each_other, &entry)) {
		ASSERT_LT(longest_silence(expire_both, skel), MAX_SILENCE, "silence");
		ASSERT_EQ(skel->bss->arrived, 2, "arrived");
		/* At least one cancellation came before the callback, and neither has hung. */
		ASSERT_TRUE(cancelled[0] == 1 || cancelled[1] == 1, "in time");
		ASSERT_TRUE(have_met(skel), "both");
	}
	bpf_link__destroy(learn);
	bpf_link__destroy(entry);
	timer_hazards__destroy(skel);
}

/* Steps the wall clock back when an absolute timer and a relative one are about to expire. */
static void check_step_back(struct timer_hazards *skel)
{
	struct bpf_program *prog = skel->progs.start;
	__u64 nsecs, begin, absolute, relative;
	bool in_time = false;

	/* Try again if the timers expired before the step. */
	for (nsecs = 100 * NSEC_PER_MSEC; nsecs < 10 * NSEC_PER_SEC; nsecs *= 2) {
		absolute = runs_of(skel, 0);
		relative = runs_of(skel, 1);
		begin = now(CLOCK_MONOTONIC);
		start(skel, prog, 0, now(CLOCK_REALTIME) + nsecs, BPF_F_TIMER_ABS);
		start(skel, prog, 1, nsecs, 0);
		if (!step_clock(-HOUR))
			return;
		in_time = now(CLOCK_MONOTONIC) < begin + nsecs;
		if (in_time)
			break;
		step_clock(HOUR);
		wait_for_runs(skel, 0, absolute + 1);
		wait_for_runs(skel, 1, relative + 1);
	}
	if (!ASSERT_TRUE(in_time, "in time"))
		return;
	/* The time of the absolute timer is far off now. The relative timer does not move. */
	ASSERT_EQ(wait_for_runs(skel, 1, relative + 1), relative + 1, "relative, back");
	usleep(100000);
	ASSERT_EQ(runs_of(skel, 0), absolute, "absolute, back");
	step_clock(HOUR);
	ASSERT_EQ(wait_for_runs(skel, 0, absolute + 1), absolute + 1, "absolute, and forth");
}

/* One timer is started absolutely and relatively: only the last start counts. */
static void check_replaced(struct timer_hazards *skel)
{
	struct bpf_program *prog = skel->progs.start;
	__u64 nsecs, expires, runs = 0;
	bool in_time = false;

	/* If it expired too early, try again after its callback has returned. */
	for (nsecs = 50 * NSEC_PER_MSEC; !in_time && nsecs < 10 * NSEC_PER_SEC; nsecs *= 2) {
		kern_sync_rcu();
		runs = runs_of(skel, 0);
		expires = now(CLOCK_REALTIME) + nsecs;
		start(skel, prog, 0, expires, BPF_F_TIMER_ABS);
		start(skel, prog, 0, 60 * NSEC_PER_SEC, 0);
		in_time = now(CLOCK_REALTIME) < expires;
	}
	if (!ASSERT_TRUE(in_time, "in time"))
		return;
	usleep(nsecs / 1000);
	ASSERT_EQ(runs_of(skel, 0), runs, "absolute replaced");
	start(skel, prog, 0, now(CLOCK_REALTIME) + 20 * NSEC_PER_MSEC, BPF_F_TIMER_ABS);
	ASSERT_EQ(wait_for_runs(skel, 0, runs + 1), runs + 1, "relative replaced");
	skel->bss->slot = 0;
	ASSERT_OK(run(skel->progs.cancel), "run cancel");
	ASSERT_EQ(skel->bss->err, 0, "nothing was armed");
}

static void test_wall_clock(void)
{
	struct timer_hazards *skel = load_timers(timer_hazards);
	struct bpf_program *prog;

	if (!skel)
		return;
	prog = skel->progs.start;
	if (!init(skel, 0, CLOCK_REALTIME) || !init(skel, 1, CLOCK_REALTIME))
		goto out;

	/* An absolute timer expires at its time of day. */
	start(skel, prog, 0, now(CLOCK_REALTIME) + 20 * NSEC_PER_MSEC, BPF_F_TIMER_ABS);
	ASSERT_EQ(wait_for_runs(skel, 0, 1), 1, "absolute");

	/* The clock steps over the absolute timer's time: it expires, the relative one stays. */
	start(skel, prog, 0, now(CLOCK_REALTIME) + HOUR / 2, BPF_F_TIMER_ABS);
	start(skel, prog, 1, 60 * NSEC_PER_SEC, 0);
	if (step_clock(HOUR)) {
		ASSERT_EQ(wait_for_runs(skel, 0, 2), 2, "absolute, forward");
		ASSERT_EQ(runs_of(skel, 1), 0, "relative, forward");
		step_clock(-HOUR);
	}
	check_step_back(skel);
	check_replaced(skel);
out:
	timer_hazards__destroy(skel);
}

/* @overtakes cancels on the other CPU before the start of @starts is executed. */
static void check_newest_wins(struct timer_hazards *skel, const struct bpf_program *starts,
			      const struct bpf_program *overtakes)
{
	struct run_on_cpu overtaking;
	cpu_set_t cpus;
	int i;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	pin_to(0);
	/* Again if a CPU was too slow for the other. */
	for (i = 0; i < 10 && !skel->bss->overtaken; i++) {
		skel->bss->stage = 0;
		skel->bss->waiting = false;
		if (!begin_run(&overtaking, 1, bpf_program__fd(overtakes)))
			break;
		ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->waiting)), "waiting");
		start(skel, starts, 0, HOUR, 0);
		end_run(&overtaking);
	}
	ASSERT_TRUE(skel->bss->overtaken, "overtaken");
	/* The start came first, so the cancellation found the timer armed. */
	ASSERT_EQ(skel->data->overtaking, 1, "cancelled");
	ASSERT_OK(run(skel->progs.cancel), "run");
	ASSERT_EQ(skel->bss->err, 0, "not armed");
	unpin(&cpus);
}

static void test_newest_wins(bool hold_drain)
{
	struct bpf_link *link = NULL;
	struct timer_hazards *skel;

	if (skip_one_cpu())
		return;
	skel = load_timers(timer_hazards);
	if (!skel)
		return;
	if (!init(skel, 0, CLOCK_MONOTONIC))
		goto out;
	if (!hold_drain)
		check_newest_wins(skel, skel->progs.start_with_irqs_off, skel->progs.overtake);
	else if (attach(skel->progs.hold_drain, &link))
		check_newest_wins(skel, skel->progs.start_and_hold, skel->progs.overtake_held);
out:
	bpf_link__destroy(link);
	timer_hazards__destroy(skel);
}

static void test_deferred_needs_no_memory(void)
{
	struct timer_hazards *skel = load_timers(timer_hazards);
	struct bpf_link *nolock = NULL, *kmalloc = NULL, *cache = NULL;

	if (!skel)
		return;
	if (init(skel, 0, CLOCK_MONOTONIC) && attach(skel->progs.count_kmalloc_nolock, &nolock) &&
	    attach(skel->progs.count_kmalloc, &kmalloc) &&
	    attach(skel->progs.count_kmem_cache_alloc, &cache)) {
		skel->bss->nsecs = 5 * NSEC_PER_MSEC;
		ASSERT_OK(run(skel->progs.operate_with_irqs_off), "run");
		ASSERT_EQ(skel->bss->results[0], 0, "start");
		ASSERT_EQ(skel->bss->results[1], -ECANCELED, "cancel_async");
		ASSERT_EQ(skel->bss->results[2], 0, "start again");
		ASSERT_EQ(skel->bss->allocations, 0, "allocations");
		ASSERT_EQ(wait_for_runs(skel, 0, 1), 1, "runs");
	}
	bpf_link__destroy(nolock);
	bpf_link__destroy(kmalloc);
	bpf_link__destroy(cache);
	timer_hazards__destroy(skel);
}

static void *run_by_fd(void *arg)
{
	return (void *)(long)run_fd((long)arg);
}

static void test_set_callback_needs_user(void)
{
	struct timer_hazards_maps *skel;
	struct bpf_link *link = NULL;
	pthread_t thread;
	void *ret;
	long fd;

	if (skip_one_cpu())
		return;
	skel = load_timers(timer_hazards_maps);
	if (!skel)
		return;
	fd = dup(bpf_program__fd(skel->progs.set_until_refused));
	if (!ASSERT_GE(fd, 0, "dup") || !attach(skel->progs.hold_walk, &link) ||
	    !ASSERT_OK(pthread_create(&thread, NULL, run_by_fd, (void *)fd), "thread"))
		goto out;
	ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->ready)), "ready");
	/* The map loses its last user, but the program still holds the map. */
	timer_hazards_maps__destroy(skel);
	skel = NULL;
	pthread_join(thread, &ret);
	ASSERT_EQ((long)ret, -EPERM, "set_callback");
out:
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	timer_hazards_maps__destroy(skel);
}

struct locked_elem {
	__u64 timer[2];
	__u32 lock;
	__u64 data;
};

/* The walk over a map without a user misses no timer, although a program moves elements. */
static void test_walk_misses_none(void)
{
	struct timer_hazards_maps *skel = load_timers(timer_hazards_maps);
	struct timer_hazards_maps__bss seen = {};
	struct bpf_link *link = NULL;
	__u32 id, zero = 0;
	int bss = -1;

	if (!skel)
		return;
	id = run_alone(skel->progs.fill_moving);
	ASSERT_GT(skel->bss->filled, 32, "filled");
	if (id && attach(skel->progs.move_away, &link))
		bss = dup(bpf_map__fd(skel->maps.bss));
	timer_hazards_maps__destroy(skel);
	if (ASSERT_GE(bss, 0, "attach, dup")) {
		ASSERT_OK(bpf_map_lookup_elem(bss, &zero, &seen), "bss");
		ASSERT_GE(seen.met, seen.filled, "met");
		ASSERT_TRUE(is_unloaded(id), "unloaded");
		close(bss);
	}
	bpf_link__destroy(link);
}

static void test_callbacks_count_as_runs(void)
{
	struct timer_hazards *skel = load_timers(timer_hazards);
	struct bpf_prog_info before, after;
	int stats;

	if (!skel)
		return;
	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (!ASSERT_GE(stats, 0, "enable stats"))
		goto out;
	skel->bss->restarts = 9;
	if (!init(skel, 0, CLOCK_MONOTONIC))
		goto out;
	/* The callback belongs to the program that sets it. */
	before = info_of(skel->progs.init);
	start(skel, skel->progs.start, 0, 5 * NSEC_PER_MSEC, 0);
	ASSERT_EQ(wait_for_runs(skel, 0, 10), 10, "runs");
	/* The last run is counted when it has ended. */
	comes_true(info_of(skel->progs.init).run_cnt - before.run_cnt >= 10);
	after = info_of(skel->progs.init);
	ASSERT_EQ(after.run_cnt - before.run_cnt, 10, "run_cnt");
	ASSERT_GT(after.run_time_ns, before.run_time_ns, "run_time_ns");
out:
	if (stats >= 0)
		close(stats);
	timer_hazards__destroy(skel);
}

static void check_locked_update(struct timer_hazards_maps *skel, const struct bpf_map *map,
				const struct bpf_program *arm, const char *name)
{
	__u64 nsecs = 50 * NSEC_PER_MSEC, expires;
	struct locked_elem elem = {};
	__u32 key = 1;

	/* If it expired too early, try again after its callback has returned. */
	do {
		kern_sync_rcu();
		skel->bss->runs = 0;
		skel->bss->nsecs = nsecs;
		expires = now(CLOCK_MONOTONIC) + nsecs;
		ASSERT_OK(bpf_map_update_elem(bpf_map__fd(map), &key, &elem, BPF_ANY), name);
		ASSERT_OK(run(arm), name);
		ASSERT_OK(skel->bss->err, name);
		ASSERT_OK(bpf_map_update_elem(bpf_map__fd(map), &key, &elem, BPF_F_LOCK), name);
		nsecs *= 2;
	} while (now(CLOCK_MONOTONIC) >= expires && nsecs < 5 * NSEC_PER_SEC);
	sleep_until(expires + 20 * NSEC_PER_MSEC);
	ASSERT_EQ(skel->bss->runs, 0, name);
}

static void test_locked_update_cancels(void)
{
	struct timer_hazards_maps *skel = load_timers(timer_hazards_maps);
	struct locked_elem elem = {};
	__u32 key = 1;

	if (!skel)
		return;
	check_locked_update(skel, skel->maps.array, skel->progs.arm_array, "array");
	check_locked_update(skel, skel->maps.rhash, skel->progs.arm_rhash, "rhash");
	check_locked_update(skel, skel->maps.hash, skel->progs.arm_hash, "hash");
	check_locked_update(skel, skel->maps.hash_malloc, skel->progs.arm_hash_malloc,
			    "hash, not preallocated");
	/* LRU hashes refuse locked updates. */
	ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(skel->maps.lru), &key, &elem, BPF_F_LOCK),
		  -EINVAL, "lru");
	timer_hazards_maps__destroy(skel);
}

struct updates {
	int map;
	volatile bool stop;
	volatile __u64 count;
	volatile int err;
};

static void *update_in_place(void *arg)
{
	struct updates *updates = arg;
	struct locked_elem elem = {};
	__u32 key = 1;

	pin_to(1);
	while (!updates->stop && !updates->err) {
		updates->err = bpf_map_update_elem(updates->map, &key, &elem, BPF_F_LOCK);
		updates->count++;
	}
	return NULL;
}

/* An update that waits for the lock of its element does not keep others out of its bucket. */
static void check_bucket_is_free(struct timer_hazards_maps *skel)
{
	struct updates updates = { .map = bpf_map__fd(skel->maps.single) };
	struct locked_elem elem = {};
	pthread_t thread;
	__u32 key = 1;
	__u64 count;
	int i;

	ASSERT_OK(bpf_map_update_elem(updates.map, &key, &elem, BPF_ANY), "element");
	if (!ASSERT_OK(pthread_create(&thread, NULL, update_in_place, &updates), "thread"))
		return;
	pin_to(0);
	/* One timeout may come from a virtual CPU that was away with the bucket, and is back. */
	for (i = 0; i < 20 && skel->bss->timed_out < 2; i++) {
		count = updates.count;
		ASSERT_OK(run(skel->progs.lock_for_long), "run");
		if (!ASSERT_TRUE(comes_true(updates.count != count || updates.err), "back"))
			break;
	}
	updates.stop = true;
	pthread_join(thread, NULL);
	ASSERT_OK(updates.err, "update");
	ASSERT_GT(updates.count, 0, "updates");
	ASSERT_GT(skel->bss->looked, 0, "looked");
	ASSERT_LT(skel->bss->timed_out, 2, "timed out");
}

static void test_locked_update_leaves_bucket(void)
{
	struct timer_hazards_maps *skel;
	struct bpf_link *link = NULL;
	cpu_set_t cpus;

	if (skip_one_cpu())
		return;
	skel = load_timers(timer_hazards_maps);
	if (!skel)
		return;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (attach(skel->progs.look_for_another, &link))
		check_bucket_is_free(skel);
	unpin(&cpus);
	bpf_link__destroy(link);
	timer_hazards_maps__destroy(skel);
}

#define PAST_STARTS 200

static void check_past(__u32 clockid, __u64 past, bool irqs_off)
{
	struct timer_hazards *skel = load_timers(timer_hazards);
	/* A time beyond KTIME_MAX never comes. */
	__u64 runs = past > INT64_MAX ? 1 : PAST_STARTS + 1;
	struct bpf_link *link = NULL;

	if (!skel)
		return;
	skel->data->clockid = clockid;
	skel->bss->past = past;
	skel->bss->irqs_off = irqs_off;
	skel->bss->left = PAST_STARTS;
	if (attach(skel->progs.begin_row, &link) &&
	    ASSERT_OK(run(skel->progs.init_for_past), "run init") &&
	    ASSERT_OK(skel->bss->err, "init") &&
	    start(skel, skel->progs.start, 0, NSEC_PER_MSEC, BPF_F_TIMER_CPU_PIN)) {
		ASSERT_EQ(wait_for_runs(skel, 0, runs), runs, "runs");
		usleep(1000);
		ASSERT_EQ(runs_of(skel, 0), runs, "runs on");
		ASSERT_OK(skel->bss->err, "start in the callback");
		/* There may be two if something else is due when the first one runs. */
		ASSERT_LE(skel->bss->most_in_a_row, 2, "in a row");
		skel->bss->slot = 0;
		ASSERT_OK(run(skel->progs.cancel), "run cancel");
		ASSERT_EQ(skel->bss->err, past > INT64_MAX, "armed");
	}
	bpf_link__destroy(link);
	timer_hazards__destroy(skel);
}

static void test_starts_in_the_past(void)
{
	static const __u32 clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME };
	static const __u64 times[] = { 0, 1, UINT64_MAX };
	int i, j;

	for (i = 0; i < ARRAY_SIZE(clocks); i++) {
		for (j = 0; j < ARRAY_SIZE(times); j++) {
			check_past(clocks[i], times[j], false);
			check_past(clocks[i], times[j], true);
		}
	}
}

/* Makes a timer that holds the last reference to its program. Returns the program's id. */
static __u32 init_alone(struct timer_hazards *skel, __u32 index)
{
	__u32 id;

	skel->bss->slot = index;
	skel->data->clockid = CLOCK_MONOTONIC;
	id = run_alone(skel->progs.init);
	ASSERT_OK(skel->bss->err, "init");
	return id;
}

static void test_last_reference_at_new_id(void)
{
	struct timer_hazards *skel = load_timers(timer_hazards);
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
	timer_hazards__destroy(skel);
}

static void test_last_reference_at_queue_work(void)
{
	struct timer_hazards *skel = load_timers(timer_hazards);
	struct bpf_link *link = NULL;
	__u32 id, first;

	if (!skel)
		return;
	id = init_alone(skel, 1);
	first = init_alone(skel, 2);
	if (id && first && attach(skel->progs.drop_at_queue_work, &link) &&
	    ASSERT_OK(run(skel->progs.drop_with_irqs_off), "run") &&
	    ASSERT_OK(skel->bss->err, "first")) {
		ASSERT_TRUE(comes_true(READ_ONCE(skel->data->dropped) <= 0), "queued");
		ASSERT_OK(skel->data->dropped, "dropped");
		ASSERT_TRUE(is_unloaded(first), "first, unloaded");
		ASSERT_TRUE(is_unloaded(id), "unloaded");
	}
	bpf_link__destroy(link);
	timer_hazards__destroy(skel);
}

/* Serial: the programs trace all CPUs, and the tests set the clock. */
void serial_test_timer_hazards(void)
{
	if (skip_hazard())
		return;
	if (test__start_subtest("h1_cancel_in_own_expiry"))
		test_cancel_in_own_expiry();
	if (test__start_subtest("h1_cancel_each_other_at_expiry"))
		test_cancel_each_other_at_expiry();
	if (test__start_subtest("h3_wall_clock"))
		test_wall_clock();
	if (test__start_subtest("h4_newest_wins_over_deferred"))
		test_newest_wins(false);
	if (test__start_subtest("h4_newest_waits_for_drain"))
		test_newest_wins(true);
	if (test__start_subtest("h5_deferred_needs_no_memory"))
		test_deferred_needs_no_memory();
	if (test__start_subtest("h6_set_callback_needs_user"))
		test_set_callback_needs_user();
	if (test__start_subtest("h7_walk_misses_none"))
		test_walk_misses_none();
	if (test__start_subtest("h8_callbacks_count_as_runs"))
		test_callbacks_count_as_runs();
	if (test__start_subtest("h9_locked_update_cancels"))
		test_locked_update_cancels();
	if (test__start_subtest("h9_locked_update_leaves_bucket"))
		test_locked_update_leaves_bucket();
	if (test__start_subtest("h10_starts_in_the_past"))
		test_starts_in_the_past();
	if (test__start_subtest("h11_last_reference_at_new_id"))
		test_last_reference_at_new_id();
	if (test__start_subtest("h11_last_reference_at_queue_work"))
		test_last_reference_at_queue_work();
}
