// SPDX-License-Identifier: GPL-2.0
/*
 * A timer ends with the last user reference to its map, and when its element gets another value.
 *
 * Covers H6 (h6_*), H7 (h7_*), and H9 (h9_*).
 */
#include <pthread.h>
#include <test_progs.h>
#include "timer_helpers.h"
#include "timer_map_lifetime.skel.h"

static void *run_by_fd(void *arg)
{
	return (void *)(long)run_fd((long)arg);
}

static void test_set_callback_needs_user(void)
{
	struct timer_map_lifetime *skel;
	struct bpf_link *link = NULL;
	pthread_t thread;
	void *ret;
	long fd;

	if (skip_one_cpu())
		return;
	skel = load_timers(timer_map_lifetime);
	if (!skel)
		return;
	fd = dup(bpf_program__fd(skel->progs.set_until_refused));
	if (!ASSERT_GE(fd, 0, "dup") || !attach(skel->progs.hold_walk, &link) ||
	    !ASSERT_OK(pthread_create(&thread, NULL, run_by_fd, (void *)fd), "thread"))
		goto out;
	ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->ready)), "ready");
	/* The map loses its last user, but the program still holds the map. */
	timer_map_lifetime__destroy(skel);
	skel = NULL;
	pthread_join(thread, &ret);
	ASSERT_EQ((long)ret, -EPERM, "set_callback");
out:
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	timer_map_lifetime__destroy(skel);
}

/* The walk over a map without a user misses no timer, although a program moves elements. */
static void test_walk_misses_none(void)
{
	struct timer_map_lifetime *skel = load_timers(timer_map_lifetime);
	struct timer_map_lifetime__bss seen = {};
	struct bpf_link *link = NULL;
	__u32 id, zero = 0;
	int bss = -1;

	if (!skel)
		return;
	id = run_alone(skel->progs.fill_moving);
	ASSERT_GT(skel->bss->filled, 32, "filled");
	if (id && attach(skel->progs.move_away, &link))
		bss = dup(bpf_map__fd(skel->maps.bss));
	timer_map_lifetime__destroy(skel);
	if (ASSERT_GE(bss, 0, "attach, dup")) {
		ASSERT_OK(bpf_map_lookup_elem(bss, &zero, &seen), "bss");
		ASSERT_GE(seen.met, seen.filled, "met");
		ASSERT_TRUE(is_unloaded(id), "unloaded");
		close(bss);
	}
	bpf_link__destroy(link);
}

/* The same as in the programs. */
struct locked_elem {
	__u64 timer[2];
	__u32 lock;
	__u64 data;
};

static void check_locked_update(struct timer_map_lifetime *skel, const struct bpf_map *map,
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
	struct timer_map_lifetime *skel = load_timers(timer_map_lifetime);
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
	timer_map_lifetime__destroy(skel);
}

struct updates {
	int map;
	bool stop;
	__u64 count;
	int err;
};

static void *update_in_place(void *arg)
{
	struct updates *updates = arg;
	struct locked_elem elem = {};
	__u32 key = 1;

	pin_to(1);
	while (!READ_ONCE(updates->stop) && !updates->err) {
		WRITE_ONCE(updates->err,
			   bpf_map_update_elem(updates->map, &key, &elem, BPF_F_LOCK));
		WRITE_ONCE(updates->count, updates->count + 1);
	}
	return NULL;
}

/* An update that waits for the lock of its element does not keep others out of its bucket. */
static void check_bucket_is_free(struct timer_map_lifetime *skel)
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
		count = READ_ONCE(updates.count);
		ASSERT_OK(run(skel->progs.lock_for_long), "run");
		if (!ASSERT_TRUE(comes_true(READ_ONCE(updates.count) != count ||
					    READ_ONCE(updates.err)), "back"))
			break;
	}
	WRITE_ONCE(updates.stop, true);
	pthread_join(thread, NULL);
	ASSERT_OK(updates.err, "update");
	ASSERT_GT(updates.count, 0, "updates");
	ASSERT_GT(skel->bss->looked, 0, "looked");
	ASSERT_LT(skel->bss->timed_out, 2, "timed out");
}

static void test_locked_update_leaves_bucket(void)
{
	struct timer_map_lifetime *skel;
	struct bpf_link *link = NULL;
	cpu_set_t cpus;

	if (skip_one_cpu())
		return;
	skel = load_timers(timer_map_lifetime);
	if (!skel)
		return;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (attach(skel->progs.look_for_another, &link))
		check_bucket_is_free(skel);
	unpin(&cpus);
	bpf_link__destroy(link);
	timer_map_lifetime__destroy(skel);
}

static const struct subtest tests[] = {
	{ "h6_set_callback_needs_user", test_set_callback_needs_user },
	{ "h7_walk_misses_no_timer", test_walk_misses_none },
	{ "h9_locked_update_cancels_timer", test_locked_update_cancels },
	{ "h9_waiting_update_leaves_bucket_free", test_locked_update_leaves_bucket },
};

/* Serial: the programs trace all CPUs. */
void serial_test_timer_map_lifetime(void)
{
	if (!skip_hazard())
		run_subtests(tests);
}
