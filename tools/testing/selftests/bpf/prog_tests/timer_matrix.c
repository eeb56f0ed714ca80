// SPDX-License-Identifier: GPL-2.0
/*
 * Every operation on timers in every type of map that can hold them.
 *
 * Covers the contract of map types and return codes.
 */
#include <bpf/btf.h>
#include <sys/mman.h>
#include <test_progs.h>
#include "progs/timer_matrix.h"
#include "timer_helpers.h"
#include "timer_matrix.skel.h"

#define PIN "/sys/fs/bpf/timer_matrix"
#define KEY 5
#define COOKIE 0x0123456789abcdefULL
#define MAX_ATTEMPTS 8

struct kind {
	const char *name;
	enum bpf_map_type type;
	__u32 flags;
	__u32 through;
};

static const struct kind kinds[] = {
	{ "hash", BPF_MAP_TYPE_HASH },
	{ "hash_malloc", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC },
	{ "lru_hash", BPF_MAP_TYPE_LRU_HASH },
	{ "rhash", BPF_MAP_TYPE_RHASH, BPF_F_NO_PREALLOC },
	{ "array", BPF_MAP_TYPE_ARRAY },
	{ "array_in_hash", BPF_MAP_TYPE_ARRAY, 0, ARRAY_IN_HASH },
	{ "hash_in_array", BPF_MAP_TYPE_HASH, 0, HASH_IN_ARRAY },
	{ "hash_malloc_in_array", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, HASH_MALLOC_IN_ARRAY },
	{ "lru_hash_in_array", BPF_MAP_TYPE_LRU_HASH, 0, LRU_IN_ARRAY },
	{ "rhash_in_array", BPF_MAP_TYPE_RHASH, BPF_F_NO_PREALLOC, RHASH_IN_ARRAY },
};

/* The same as in the program. */
struct elem {
	__u64 timer[2];
	__u64 cookie;
};

struct locked_elem {
	__u64 timer[2];
	__u32 lock;
	__u64 cookie;
};

/* Maps of one kind, loaded when needed. A test that closes them sets @skel to NULL. */
struct matrix {
	const struct kind *kind;
	struct timer_matrix *skel;
	int cancelled;		/* the result of the cancellation, if there was one */
};

static bool is_array(const struct matrix *m)
{
	return m->kind->type == BPF_MAP_TYPE_ARRAY;
}

static bool is_hash(const struct matrix *m)
{
	return !is_array(m);
}

static bool is_lru(const struct matrix *m)
{
	return m->kind->type == BPF_MAP_TYPE_LRU_HASH;
}

static bool is_inner(const struct matrix *m)
{
	return m->kind->through != DIRECT;
}

static bool can_lock(const struct matrix *m)
{
	return !is_inner(m) && !is_lru(m);
}

static struct bpf_map *outer_of(const struct matrix *m)
{
	switch (m->kind->through) {
	case ARRAY_IN_HASH:
		return m->skel->maps.array_in_hash;
	case HASH_IN_ARRAY:
		return m->skel->maps.hash_in_array;
	case HASH_MALLOC_IN_ARRAY:
		return m->skel->maps.hash_malloc_in_array;
	case LRU_IN_ARRAY:
		return m->skel->maps.lru_in_array;
	default:
		return m->skel->maps.rhash_in_array;
	}
}

static bool set_type(const struct matrix *m, struct bpf_map *map)
{
	return ASSERT_OK(bpf_map__set_type(map, m->kind->type), "type") &&
	       ASSERT_OK(bpf_map__set_map_flags(map, m->kind->flags), "flags");
}

static bool choose_types(const struct matrix *m)
{
	m->skel->rodata->through = m->kind->through;
	if (!can_lock(m)) {
		bpf_map__set_autocreate(m->skel->maps.locked, false);
		bpf_program__set_autoload(m->skel->progs.arm_locked, false);
	}
	return set_type(m, m->skel->maps.timers) && set_type(m, m->skel->maps.locked);
}

static bool load(struct matrix *m)
{
	__u32 zero = 0;
	int fd;

	if (m->skel)
		return true;
	m->skel = timer_matrix__open();
	if (!ASSERT_OK_PTR(m->skel, "open"))
		return false;
	if (!choose_types(m))
		return false;
	if (!have_timers(timer_matrix__load(m->skel)))
		return false;
	fd = bpf_map__fd(m->skel->maps.timers);
	return !is_inner(m) ||
	       ASSERT_OK(bpf_map_update_elem(bpf_map__fd(outer_of(m)), &zero, &fd, BPF_ANY),
			 "inner map");
}

static int map_fd(const struct matrix *m)
{
	return bpf_map__fd(m->skel->maps.timers);
}

/* Puts a new element without a timer into a map. */
static void renew_in(const struct matrix *m, int fd, __u32 key)
{
	struct elem elem = { .cookie = COOKIE };

	ASSERT_OK(bpf_map_update_elem(fd, &key, &elem, BPF_ANY), "renew");
	m->skel->bss->key = key;
}

static void renew(const struct matrix *m)
{
	renew_in(m, map_fd(m), KEY);
	m->skel->bss->flags = 0;
	m->skel->bss->nsecs = 0;
	m->skel->bss->runs = 0;
}

/* Runs an operation and returns its result. */
static long do_op(const struct matrix *m, const struct bpf_program *prog)
{
	m->skel->bss->ret = -ENODATA;
	ASSERT_OK(run(prog), bpf_program__name(prog));
	return m->skel->bss->ret;
}

static long do_init(const struct matrix *m, __u64 flags)
{
	m->skel->bss->flags = flags;
	return do_op(m, m->skel->progs.init);
}

static long do_start(const struct matrix *m, __u64 nsecs, __u64 flags)
{
	m->skel->bss->nsecs = nsecs;
	m->skel->bss->flags = flags;
	return do_op(m, m->skel->progs.start);
}

/*
 * Arms the timer with a callback of a program that nothing else keeps loaded. Returns the
 * program's id.
 */
static __u32 arm_alone(const struct matrix *m, struct bpf_program *prog, __u64 nsecs, __u64 flags)
{
	__u32 id;

	m->skel->bss->nsecs = nsecs;
	m->skel->bss->flags = flags;
	m->skel->bss->ret = -ENODATA;
	id = run_alone(prog);
	if (id)
		ASSERT_OK(m->skel->bss->ret, "arm");
	return id;
}

/* The programs of three timers of a map. None of these timers goes away by itself. */
struct progs {
	__u32 ids[3];
};

/* Makes a timer that repeats, one that is far from expiring, and one that is not armed. */
static struct progs arm_three(const struct matrix *m, int fd)
{
	struct progs progs;

	renew_in(m, fd, KEY + 1);
	progs.ids[1] = arm_alone(m, m->skel->progs.arm, HOUR, 0);
	renew_in(m, fd, KEY + 2);
	ASSERT_OK(do_init(m, CLOCK_MONOTONIC), "init");
	progs.ids[2] = arm_alone(m, m->skel->progs.set_callback, 0, 0);
	renew_in(m, fd, KEY);
	progs.ids[0] = arm_alone(m, m->skel->progs.arm_repeat, 0, 0);
	return progs;
}

static bool are_loaded(const struct progs *progs)
{
	return is_loaded(progs->ids[0]) && is_loaded(progs->ids[1]) && is_loaded(progs->ids[2]);
}

static bool are_unloaded(const struct progs *progs)
{
	return is_unloaded(progs->ids[0]) && is_unloaded(progs->ids[1]) &&
	       is_unloaded(progs->ids[2]);
}

static void test_init(struct matrix *m)
{
	static const __u64 good[] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME };
	static const __u64 bad[] = {
		CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
		CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM, CLOCK_TAI, 15, 16,
		16 + CLOCK_MONOTONIC, (1ULL << 32) + CLOCK_MONOTONIC, ~0ULL,
	};
	int i;

	renew(m);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		ASSERT_EQ(do_init(m, bad[i]), -EINVAL, "bad clock or flags");
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		renew(m);
		ASSERT_OK(do_init(m, good[i]), "first");
		ASSERT_EQ(do_init(m, good[i]), -EBUSY, "second");
	}
}

static void test_set_callback(struct matrix *m)
{
	renew(m);
	ASSERT_EQ(do_op(m, m->skel->progs.set_callback), -EINVAL, "not initialised");
	ASSERT_OK(do_init(m, CLOCK_MONOTONIC), "init");
	ASSERT_OK(do_op(m, m->skel->progs.set_callback), "first");
	ASSERT_OK(do_op(m, m->skel->progs.set_callback), "again");
}

static void test_start(struct matrix *m)
{
	renew(m);
	ASSERT_EQ(do_start(m, HOUR, 0), -EINVAL, "not initialised");
	ASSERT_OK(do_init(m, CLOCK_MONOTONIC), "init");
	ASSERT_EQ(do_start(m, HOUR, 0), -EINVAL, "no callback");
	ASSERT_OK(do_op(m, m->skel->progs.set_callback), "set_callback");
	ASSERT_EQ(do_start(m, HOUR, 4), -EINVAL, "unknown flag");
	ASSERT_EQ(do_start(m, HOUR, 1ULL << 32), -EINVAL, "unknown high flag");
	ASSERT_EQ(do_op(m, m->skel->progs.cancel_async), 0, "none has armed it");
	ASSERT_OK(do_start(m, HOUR, 0), "start");
	ASSERT_OK(do_start(m, HOUR, BPF_F_TIMER_ABS), "absolute");
	ASSERT_OK(do_start(m, HOUR, BPF_F_TIMER_CPU_PIN), "pinned");
	ASSERT_OK(do_start(m, HOUR, BPF_F_TIMER_ABS | BPF_F_TIMER_CPU_PIN), "both");
}

static void test_fires(struct matrix *m)
{
	struct timer_matrix__bss *bss = m->skel->bss;

	renew(m);
	bss->nsecs = NSEC_PER_MSEC;
	ASSERT_OK(do_op(m, m->skel->progs.arm), "arm");
	ASSERT_TRUE(comes_true(READ_ONCE(bss->runs)), "fires");
	usleep(20000);
	ASSERT_EQ(bss->runs, 1, "once");
	ASSERT_EQ(bss->seen_map_id, id_of_map(m->skel->maps.timers), "map");
	ASSERT_EQ(bss->seen_key, KEY, "key");
	ASSERT_EQ(bss->seen_cookie, COOKIE, "value");
	ASSERT_TRUE(bss->seen_value_of_key, "value of key in map");
	/* The callback has run, but may not have returned. */
	kern_sync_rcu();
	ASSERT_EQ(do_op(m, m->skel->progs.cancel_async), 0, "idle then");
}

static void test_cancel(struct matrix *m)
{
	renew(m);
	ASSERT_EQ(do_op(m, m->skel->progs.cancel), -EINVAL, "not initialised");
	ASSERT_OK(do_init(m, CLOCK_MONOTONIC), "init");
	ASSERT_EQ(do_op(m, m->skel->progs.cancel), 0, "no callback");
	ASSERT_OK(do_op(m, m->skel->progs.set_callback), "set_callback");
	ASSERT_EQ(do_op(m, m->skel->progs.cancel), 0, "idle");
	ASSERT_EQ(do_start(m, HOUR, 0), -EINVAL, "the callback is gone");
	ASSERT_OK(do_op(m, m->skel->progs.set_callback), "set_callback");
	ASSERT_OK(do_start(m, HOUR, 0), "start");
	ASSERT_EQ(do_op(m, m->skel->progs.cancel), 1, "armed");
	ASSERT_EQ(do_op(m, m->skel->progs.cancel), 0, "idle again");
}

static void test_cancel_async(struct matrix *m)
{
	renew(m);
	ASSERT_EQ(do_op(m, m->skel->progs.cancel_async), -EINVAL, "not initialised");
	ASSERT_OK(do_init(m, CLOCK_MONOTONIC), "init");
	ASSERT_EQ(do_op(m, m->skel->progs.cancel_async), 0, "no callback");
	ASSERT_OK(do_op(m, m->skel->progs.set_callback), "set_callback");
	ASSERT_EQ(do_op(m, m->skel->progs.cancel_async), 0, "idle");
	ASSERT_OK(do_start(m, HOUR, 0), "start");
	ASSERT_EQ(do_op(m, m->skel->progs.cancel_async), 1, "armed");
	/* The callback and its program stay. */
	ASSERT_OK(do_start(m, NSEC_PER_MSEC, 0), "start again");
	ASSERT_TRUE(comes_true(READ_ONCE(m->skel->bss->runs)), "fires");
}

/* User space can neither read nor write the bytes of a timer. */
static void test_hidden(struct matrix *m)
{
	struct elem elem = { .timer = { ~0ULL, ~0ULL }, .cookie = COOKIE };
	__u32 key = KEY;

	renew(m);
	ASSERT_OK(bpf_map_update_elem(map_fd(m), &key, &elem, BPF_ANY), "update");
	ASSERT_OK(do_init(m, CLOCK_MONOTONIC), "init");
	ASSERT_OK(bpf_map_lookup_elem(map_fd(m), &key, &elem), "lookup");
	ASSERT_EQ(elem.timer[0] | elem.timer[1], 0, "timer");
	ASSERT_EQ(elem.cookie, COOKIE, "cookie");
}

static void cancel(struct matrix *m)
{
	m->cancelled = do_op(m, m->skel->progs.cancel);
}

static void delete(struct matrix *m)
{
	__u32 key = KEY;

	ASSERT_OK(bpf_map_delete_elem(map_fd(m), &key), "delete");
}

static void delete_by_program(struct matrix *m)
{
	ASSERT_OK(do_op(m, m->skel->progs.delete), "delete");
}

static void update(struct matrix *m)
{
	struct elem elem = {};
	__u32 key = KEY;

	ASSERT_OK(bpf_map_update_elem(map_fd(m), &key, &elem, BPF_EXIST), "update");
}

static void update_by_program(struct matrix *m)
{
	ASSERT_OK(do_op(m, m->skel->progs.update), "update");
}

static void update_locked(struct matrix *m)
{
	struct locked_elem elem = {};
	__u32 key = KEY;

	ASSERT_OK(bpf_map_update_elem(bpf_map__fd(m->skel->maps.locked), &key, &elem, BPF_F_LOCK),
		  "update");
}

static void lookup_and_delete(struct matrix *m)
{
	struct elem elem = { .timer = { 1, 1 } };
	__u32 key = KEY;

	ASSERT_OK(bpf_map_lookup_and_delete_elem(map_fd(m), &key, &elem), "lookup and delete");
	ASSERT_EQ(elem.timer[0] | elem.timer[1], 0, "timer");
	ASSERT_EQ(elem.cookie, COOKIE, "cookie");
}

static void update_batch(struct matrix *m)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	struct elem elem = {};
	__u32 key = KEY, count = 1;

	ASSERT_OK(bpf_map_update_batch(map_fd(m), &key, &elem, &count, &opts), "update");
}

static void delete_batch(struct matrix *m)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 key = KEY, count = 1;

	ASSERT_OK(bpf_map_delete_batch(map_fd(m), &key, &count, &opts), "delete");
}

static void lookup_and_delete_batch(struct matrix *m)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 max = bpf_map__max_entries(m->skel->maps.timers);
	__u32 count = max, batch = 0, i, *keys = calloc(max, sizeof(*keys));
	struct elem *elems = calloc(max, sizeof(*elems));
	int err;

	err = bpf_map_lookup_and_delete_batch(map_fd(m), NULL, &batch, keys, elems, &count, &opts);
	ASSERT_TRUE(!err || errno == ENOENT, "lookup and delete");
	for (i = 0; i < count && keys[i] != KEY; i++)
		;
	if (ASSERT_LT(i, count, "key")) {
		ASSERT_EQ(elems[i].timer[0] | elems[i].timer[1], 0, "timer");
		ASSERT_EQ(elems[i].cookie, COOKIE, "cookie");
	}
	free(elems);
	free(keys);
}

static void evict(struct matrix *m)
{
	int cpu, cpus = get_nprocs();
	struct elem elem = {};
	__u32 key = KEY;
	cpu_set_t old;

	/* Use all CPUs: each CPU keeps its newest elements from being evicted by the others. */
	sched_getaffinity(0, sizeof(old), &old);
	for (cpu = 0; cpu < cpus; cpu++) {
		ASSERT_TRUE(pin_to(cpu), "pin");
		ASSERT_OK(run(m->skel->progs.crowd_out), "run");
	}
	unpin(&old);
	ASSERT_EQ(bpf_map_lookup_elem(map_fd(m), &key, &elem), -ENOENT, "evicted");
}

/*
 * After @act on the element of an armed timer, the timer does not fire and no longer keeps
 * its program loaded. Tries again if the timer expired before @act.
 */
static void check_cancels(struct matrix *m, struct bpf_program *arm, void (*act)(struct matrix *m))
{
	__u64 nsecs = 50 * NSEC_PER_MSEC, expires;
	bool in_time = false;
	int i;
	__u32 id;

	for (i = 0; i < MAX_ATTEMPTS && !in_time; i++) {
		renew(m);
		expires = now(CLOCK_MONOTONIC) + nsecs;
		id = arm_alone(m, arm, nsecs, 0);
		if (!id || !ASSERT_TRUE(is_loaded(id), "loaded"))
			return;
		m->cancelled = 1;
		act(m);
		in_time = now(CLOCK_MONOTONIC) < expires;
		nsecs *= 2;
		/* A callback that was not cancelled must not run into the next attempt. */
		if (!in_time)
			kern_sync_rcu();
	}
	if (!ASSERT_TRUE(in_time, "in time"))
		return;
	ASSERT_EQ(m->cancelled, 1, "cancelled");
	ASSERT_TRUE(is_unloaded(id), "unloaded");
	sleep_until(expires + 10 * NSEC_PER_MSEC);
	ASSERT_EQ(m->skel->bss->runs, 0, "runs");
}

static void test_locked_update(struct matrix *m)
{
	struct locked_elem elem = {};
	__u32 key = KEY;

	if (skip_hazard())
		return;
	ASSERT_OK(bpf_map_update_elem(bpf_map__fd(m->skel->maps.locked), &key, &elem, BPF_ANY),
		  "renew");
	check_cancels(m, m->skel->progs.arm_locked, update_locked);
}

/* Elements of arrays cannot be deleted. Trying to does nothing to their timers. */
static void test_no_delete(struct matrix *m)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 key = KEY, count = 1;
	struct elem elem = {};

	renew(m);
	m->skel->bss->nsecs = HOUR;
	ASSERT_OK(do_op(m, m->skel->progs.arm), "arm");
	ASSERT_EQ(bpf_map_delete_elem(map_fd(m), &key), -EINVAL, "delete");
	ASSERT_EQ(do_op(m, m->skel->progs.delete), -EINVAL, "delete by program");
	ASSERT_ERR(bpf_map_lookup_and_delete_elem(map_fd(m), &key, &elem), "lookup and delete");
	ASSERT_ERR(bpf_map_delete_batch(map_fd(m), &key, &count, &opts), "delete batch");
	ASSERT_EQ(do_op(m, m->skel->progs.cancel), 1, "armed");
}

/* Maps the variables of the programs, for use after the skeleton is gone. */
static struct timer_matrix__bss *keep_bss(const struct matrix *m)
{
	struct timer_matrix__bss *bss;

	bss = mmap(NULL, sizeof(*bss), PROT_READ | PROT_WRITE, MAP_SHARED,
		   bpf_map__fd(m->skel->maps.bss), 0);
	return ASSERT_NEQ(bss, MAP_FAILED, "mmap") ? bss : NULL;
}

static void unload(struct matrix *m)
{
	timer_matrix__destroy(m->skel);
	m->skel = NULL;
}

/* Closing the last file descriptor of a map frees its timers. */
static void test_last_close(struct matrix *m)
{
	struct timer_matrix__bss *bss = keep_bss(m);
	struct progs progs;
	__u64 before;

	if (!bss)
		return;
	renew(m);
	progs = arm_three(m, map_fd(m));
	ASSERT_TRUE(comes_true(READ_ONCE(bss->runs) > 1), "runs");
	ASSERT_TRUE(are_loaded(&progs), "loaded");
	unload(m);
	ASSERT_TRUE(are_unloaded(&progs), "unloaded");
	before = READ_ONCE(bss->runs);
	usleep(20000);
	ASSERT_EQ(READ_ONCE(bss->runs), before, "runs");
	munmap(bss, sizeof(*bss));
}

/* A pinned map keeps its timers until it is unpinned. */
static void test_pin(struct matrix *m)
{
	struct timer_matrix__bss *bss = keep_bss(m);
	struct progs progs;
	__u64 before;

	if (!bss)
		return;
	renew(m);
	unlink(PIN);
	if (!ASSERT_OK(bpf_obj_pin(map_fd(m), PIN), "pin"))
		goto out;
	progs = arm_three(m, map_fd(m));
	unload(m);
	before = READ_ONCE(bss->runs);
	ASSERT_TRUE(comes_true(READ_ONCE(bss->runs) > before + 2), "runs on");
	ASSERT_TRUE(are_loaded(&progs), "loaded");
	ASSERT_OK(unlink(PIN), "unpin");
	ASSERT_TRUE(are_unloaded(&progs), "unloaded");
	before = READ_ONCE(bss->runs);
	usleep(20000);
	ASSERT_EQ(READ_ONCE(bss->runs), before, "runs");
out:
	munmap(bss, sizeof(*bss));
}

/* An inner map needs a user like any other map, and the outer map is no user. */
static void test_inner_replaced(struct matrix *m)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = m->kind->flags,
		    .btf_fd = bpf_object__btf_fd(m->skel->obj),
		    .btf_key_type_id = bpf_map__btf_key_type_id(m->skel->maps.timers),
		    .btf_value_type_id = bpf_map__btf_value_type_id(m->skel->maps.timers));
	int outer = bpf_map__fd(outer_of(m)), fd, own = map_fd(m);
	struct timer_matrix__bss *bss = m->skel->bss;
	struct progs progs;
	__u32 id, zero = 0;
	__u64 before;

	renew(m);
	id = arm_alone(m, m->skel->progs.arm_repeat, 0, 0);
	fd = bpf_map_create(m->kind->type, "other", sizeof(zero), sizeof(struct elem),
			    bpf_map__max_entries(m->skel->maps.timers), &opts);
	if (!ASSERT_OK_FD(fd, "create"))
		return;
	/* The file descriptor keeps the timers of the map that is no longer in the outer map. */
	ASSERT_OK(bpf_map_update_elem(outer, &zero, &fd, BPF_ANY), "replace");
	before = READ_ONCE(bss->runs);
	ASSERT_TRUE(comes_true(READ_ONCE(bss->runs) > before + 2), "runs on");
	renew(m);
	ASSERT_TRUE(is_unloaded(id), "unloaded");

	/* Nothing keeps the timers of a map that only the outer map holds. */
	progs = arm_three(m, fd);
	close(fd);
	ASSERT_TRUE(are_unloaded(&progs), "unloaded");
	before = READ_ONCE(bss->runs);
	usleep(20000);
	ASSERT_EQ(READ_ONCE(bss->runs), before, "runs");
	if (is_array(m))
		ASSERT_EQ(do_init(m, CLOCK_MONOTONIC), -EPERM, "no user");
	ASSERT_OK(bpf_map_update_elem(outer, &zero, &own, BPF_ANY), "as it was");
}

/*
 * Holds a callback on CPU 1. It must not interrupt the thread that arms the timer, because
 * that may have a lock of this process. Tries again if the thread was too slow to end.
 */
static bool begin_hold(struct matrix *m, struct timer_matrix__bss *bss, int fd)
{
	struct run_on_cpu arming;
	__u64 nsecs;

	for (nsecs = 50 * NSEC_PER_MSEC; nsecs < 5 * NSEC_PER_SEC; nsecs *= 2) {
		/* A callback of the last attempt must neither run into this one nor count. */
		renew(m);
		kern_sync_rcu();
		bss->runs = 0;
		bss->flags = BPF_F_TIMER_CPU_PIN;
		bss->nsecs = nsecs;
		bss->held = false;
		bss->release = false;
		bss->ended = false;
		bss->restarted = 0;
		if (!begin_run(&arming, 1, fd) || !ASSERT_OK(end_run(&arming), "run"))
			return false;
		if (!READ_ONCE(bss->held))
			return ASSERT_TRUE(comes_true(READ_ONCE(bss->held)), "held");
		WRITE_ONCE(bss->release, true);
		if (!ASSERT_TRUE(comes_true(READ_ONCE(bss->ended)), "ended"))
			return false;
	}
	return ASSERT_FALSE(true, "out of the way");
}

/* @act on an element does not wait for the timer's callback, which runs on another CPU. */
static void check_in_flight(struct matrix *m, void (*act)(struct matrix *m))
{
	struct timer_matrix__bss *bss;
	cpu_set_t cpus;
	__u32 id;
	int fd;

	if (skip_one_cpu())
		return;
	bss = keep_bss(m);
	if (!bss)
		return;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	pin_to(0);
	fd = bpf_program__clone(m->skel->progs.arm_hold, NULL);
	if (!ASSERT_OK_FD(fd, "clone"))
		goto out;
	if (!begin_hold(m, bss, fd)) {
		close(fd);
		goto out;
	}
	act(m);
	id = id_from_prog_fd(fd);
	/* Now only the running callback keeps its program and, after unload(), the map. */
	close(fd);
	ASSERT_FALSE(READ_ONCE(bss->ended), "nothing has waited");
	WRITE_ONCE(bss->release, true);
	ASSERT_TRUE(comes_true(READ_ONCE(bss->ended)), "ended");
	ASSERT_TRUE(is_unloaded(id), "unloaded");
	ASSERT_EQ(bss->runs, 1, "runs");
	ASSERT_TRUE(bss->restarted == -EINVAL || bss->restarted == -ENOENT, "not started again");
out:
	/* A callback that is still held would disturb the next test. */
	WRITE_ONCE(bss->release, true);
	unpin(&cpus);
	munmap(bss, sizeof(*bss));
}

static void test_delete_in_flight(struct matrix *m)
{
	check_in_flight(m, delete);
}

static void test_update_in_flight(struct matrix *m)
{
	check_in_flight(m, update);
}

static void test_close_in_flight(struct matrix *m)
{
	check_in_flight(m, unload);
}

static const struct {
	const char *name;
	void (*test)(struct matrix *m);
	bool (*applies)(const struct matrix *m);
} tests[] = {
	{ "init", test_init },
	{ "set_callback", test_set_callback },
	{ "start", test_start },
	{ "fires", test_fires },
	{ "cancel", test_cancel },
	{ "cancel_async", test_cancel_async },
	{ "hidden", test_hidden },
	{ "locked_update_cancels", test_locked_update, can_lock },
	{ "no_delete", test_no_delete, is_array },
	{ "inner_replaced", test_inner_replaced, is_inner },
	{ "delete_in_flight", test_delete_in_flight, is_hash },
	{ "update_in_flight", test_update_in_flight },
	{ "close_in_flight", test_close_in_flight },
	{ "last_close", test_last_close },
	{ "pin", test_pin },
};

static const struct {
	const char *name;
	void (*act)(struct matrix *m);
	bool (*applies)(const struct matrix *m);
} cancelling[] = {
	{ "cancel", cancel },
	{ "delete", delete, is_hash },
	{ "delete_by_program", delete_by_program, is_hash },
	{ "update", update },
	{ "update_by_program", update_by_program },
	{ "lookup_and_delete", lookup_and_delete, is_hash },
	{ "update_batch", update_batch },
	{ "delete_batch", delete_batch, is_hash },
	{ "lookup_and_delete_batch", lookup_and_delete_batch, is_hash },
	{ "evict", evict, is_lru },
};

static bool begin(struct matrix *m, const char *format, const char *name)
{
	char subtest[64], what[48];

	snprintf(what, sizeof(what), format, name);
	snprintf(subtest, sizeof(subtest), "%s_%s", m->kind->name, what);
	return test__start_subtest(subtest) && load(m);
}

static void test_kind(const struct kind *kind)
{
	struct matrix m = { .kind = kind };
	int i;

	for (i = 0; i < ARRAY_SIZE(cancelling); i++)
		if ((!cancelling[i].applies || cancelling[i].applies(&m)) &&
		    begin(&m, "%s_cancels", cancelling[i].name))
			check_cancels(&m, m.skel->progs.arm, cancelling[i].act);
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		if ((!tests[i].applies || tests[i].applies(&m)) && begin(&m, "%s", tests[i].name))
			tests[i].test(&m);
	unload(&m);
}

/* Types of maps that cannot have timers: the kernel refuses to create such a map. */
static const struct {
	const char *name;
	enum bpf_map_type type;
	__u32 flags;
	__u32 max_entries;
	const char *key;
} without[] = {
	{ "percpu_hash", BPF_MAP_TYPE_PERCPU_HASH, 0, 1, "__u32" },
	{ "percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, 0, 1, "__u32" },
	{ "lru_percpu_hash", BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, 1, "__u32" },
	{ "lpm_trie", BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, 1, "__u64" },
	{ "sk_storage", BPF_MAP_TYPE_SK_STORAGE, BPF_F_NO_PREALLOC, 0, "__u32" },
	{ "task_storage", BPF_MAP_TYPE_TASK_STORAGE, BPF_F_NO_PREALLOC, 0, "__u32" },
	{ "cgrp_storage", BPF_MAP_TYPE_CGRP_STORAGE, BPF_F_NO_PREALLOC, 0, "__u32" },
};

static void test_without(struct timer_matrix *skel, int i)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = without[i].flags,
		    .btf_fd = bpf_object__btf_fd(skel->obj),
		    .btf_value_type_id = bpf_map__btf_value_type_id(skel->maps.timers));
	const struct btf *btf = bpf_object__btf(skel->obj);
	int fd;

	opts.btf_key_type_id = btf__find_by_name_kind(btf, without[i].key, BTF_KIND_TYPEDEF);
	fd = bpf_map_create(without[i].type, "without",
			    btf__resolve_size(btf, opts.btf_key_type_id), sizeof(struct elem),
			    without[i].max_entries, &opts);
	ASSERT_EQ(fd, -EOPNOTSUPP, without[i].name);
	if (fd >= 0)
		close(fd);
}

void serial_test_timer_matrix(void)
{
	struct matrix m = { .kind = &kinds[0] };
	char subtest[64];
	int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		test_kind(&kinds[i]);
	for (i = 0; i < ARRAY_SIZE(without); i++) {
		snprintf(subtest, sizeof(subtest), "none_in_%s", without[i].name);
		if (test__start_subtest(subtest) && load(&m))
			test_without(m.skel, i);
	}
	unload(&m);
}
