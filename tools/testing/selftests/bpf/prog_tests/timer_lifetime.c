// SPDX-License-Identifier: GPL-2.0
/*
 * Only a map that has a user keeps a timer and the program of its callback.
 *
 * Covers R2, and R3 (init_races_with_close).
 */
#include <test_progs.h>
#include "timer_helpers.h"
#include "timer_lifetime.skel.h"

#define PIN "/sys/fs/bpf/timer_lifetime"
#define RACES 40

/* The same as in the program. */
struct elem {
	__u64 timer[2];
	__u64 runs;
};

static bool renew(struct timer_lifetime *skel)
{
	struct elem elem = {};
	__u32 key = 0;

	return ASSERT_OK(bpf_map_update_elem(bpf_map__fd(skel->maps.timers), &key, &elem, BPF_ANY),
			 "renew");
}

static int do_op(struct timer_lifetime *skel, const struct bpf_program *prog)
{
	ASSERT_OK(run(prog), bpf_program__name(prog));
	return skel->bss->ret;
}

static int do_start(struct timer_lifetime *skel, __u64 nsecs)
{
	skel->bss->nsecs = nsecs;
	return do_op(skel, skel->progs.start);
}

/* Runs a copy of a program and closes it. Returns the copy's id. */
static __u32 do_alone(struct timer_lifetime *skel, struct bpf_program *prog)
{
	__u32 id = run_alone(prog);

	if (id)
		ASSERT_OK(skel->bss->ret, bpf_program__name(prog));
	return id;
}

static __u64 runs(int map_fd)
{
	struct elem elem = {};
	__u32 key = 0;

	bpf_map_lookup_elem(map_fd, &key, &elem);
	return elem.runs;
}

/* One program initialises the timer, the second sets the callback, the third starts it. */
static void test_three_programs(struct timer_lifetime *skel)
{
	int map = bpf_map__fd(skel->maps.timers);

	if (!renew(skel))
		return;
	ASSERT_EQ(do_op(skel, skel->progs.set_callback), -EINVAL, "set_callback before init");
	ASSERT_EQ(do_start(skel, 0), -EINVAL, "start before init");
	ASSERT_OK(do_op(skel, skel->progs.init), "init");
	ASSERT_EQ(do_start(skel, 0), -EINVAL, "start before set_callback");
	ASSERT_OK(do_op(skel, skel->progs.set_callback), "set_callback");
	ASSERT_OK(do_start(skel, 0), "start");
	ASSERT_TRUE(comes_true(runs(map) == 1), "runs");
}

/* A callback keeps its program until the timer is cancelled, even if it is not armed. */
static void test_callback_keeps_program(struct timer_lifetime *skel)
{
	int map = bpf_map__fd(skel->maps.timers);
	__u32 id;

	if (!renew(skel) || !ASSERT_OK(do_op(skel, skel->progs.init), "init"))
		return;
	id = do_alone(skel, skel->progs.set_callback);
	kern_sync_rcu();
	ASSERT_TRUE(is_loaded(id), "idle");
	ASSERT_OK(do_start(skel, NSEC_PER_MSEC), "start");
	ASSERT_TRUE(comes_true(runs(map) == 1), "runs");
	kern_sync_rcu();
	ASSERT_TRUE(is_loaded(id), "expired");
	ASSERT_EQ(do_op(skel, skel->progs.cancel), 0, "cancel");
	ASSERT_TRUE(is_unloaded(id), "cancelled");
}

static void check_release(struct timer_lifetime *skel, struct bpf_program *set_other)
{
	__u32 first, second;

	if (!renew(skel) || !ASSERT_OK(do_op(skel, skel->progs.init), "init"))
		return;
	first = do_alone(skel, skel->progs.set_callback);
	ASSERT_OK(do_start(skel, HOUR), "start");
	second = do_alone(skel, set_other);
	ASSERT_TRUE(is_unloaded(first), "first");
	ASSERT_TRUE(is_loaded(second), "second");
	ASSERT_EQ(do_op(skel, skel->progs.cancel), 1, "still armed");
	ASSERT_TRUE(is_unloaded(second), "second, cancelled");
}

static void test_other_callback_releases(struct timer_lifetime *skel)
{
	check_release(skel, skel->progs.set_callback);
}

/* The last reference to the first program is dropped where a program cannot be unloaded. */
static void test_release_with_irqs_off(struct timer_lifetime *skel)
{
	check_release(skel, skel->progs.set_with_irqs_off);
}

struct ids {
	__u32 prog;
	__u32 map;
};

static bool arm_repeat(struct timer_lifetime *skel, __u64 nsecs, struct ids *ids)
{
	ids->prog = id_of(skel->progs.set_repeat);
	ids->map = id_of_map(skel->maps.timers);
	return renew(skel) && ASSERT_OK(do_op(skel, skel->progs.init), "init") &&
	       ASSERT_OK(do_op(skel, skel->progs.set_repeat), "set_callback") &&
	       ASSERT_OK(do_start(skel, nsecs), "start");
}

static void exit_on_signal(int signal)
{
	_exit(0);
}

/* Forks a process with a timer that repeats, first after @nsecs. It runs until a signal. */
static pid_t fork_loader(bool pin, __u64 nsecs, struct ids *ids)
{
	struct timer_lifetime *skel;
	int fds[2];
	pid_t pid;

	if (!ASSERT_OK(pipe(fds), "pipe"))
		return -1;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		signal(SIGTERM, exit_on_signal);
		skel = timer_lifetime__open_and_load();
		if (!skel || !arm_repeat(skel, nsecs, ids) ||
		    (pin && bpf_obj_pin(bpf_map__fd(skel->maps.timers), PIN)) ||
		    write(fds[1], ids, sizeof(*ids)) != sizeof(*ids))
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	if (!ASSERT_GT(pid, 0, "fork") ||
	    !ASSERT_EQ(read(fds[0], ids, sizeof(*ids)), sizeof(*ids), "loaded"))
		ids->prog = 0;
	close(fds[0]);
	return pid;
}

/* Ends the process: SIGKILL kills it, and SIGTERM makes it exit. */
static void end_loader(pid_t pid, int signal)
{
	int status;

	if (pid <= 0)
		return;
	ASSERT_OK(kill(pid, signal), "signal");
	if (ASSERT_EQ(waitpid(pid, &status, 0), pid, "wait"))
		ASSERT_EQ(WIFSIGNALED(status), signal == SIGKILL, "killed");
}

static void test_killed_loader_leaves_nothing(struct timer_lifetime *skel)
{
	struct ids ids = {};
	/* A timer that is armed for an hour does not go away by itself. */
	pid_t pid = fork_loader(false, HOUR, &ids);

	if (ids.prog)
		ASSERT_TRUE(is_loaded(ids.prog), "loaded");
	end_loader(pid, SIGKILL);
	if (!ids.prog)
		return;
	ASSERT_TRUE(is_unloaded(ids.prog), "program");
	ASSERT_TRUE(comes_true(map_is_gone(ids.map)), "map");
}

static void test_pinned_map_needs_no_process(struct timer_lifetime *skel)
{
	struct ids ids = {};
	__u64 before;
	pid_t pid;
	int map;

	unlink(PIN);
	pid = fork_loader(true, 0, &ids);
	end_loader(pid, SIGTERM);
	if (!ids.prog)
		goto out;
	map = bpf_obj_get(PIN);
	if (!ASSERT_OK_FD(map, "open"))
		goto out;
	before = runs(map);
	ASSERT_TRUE(comes_true(runs(map) > before + 2), "runs on");
	close(map);
	ASSERT_TRUE(is_loaded(ids.prog), "loaded");
	ASSERT_OK(unlink(PIN), "unpin");
	ASSERT_TRUE(is_unloaded(ids.prog), "program");
	ASSERT_TRUE(comes_true(map_is_gone(ids.map)), "map");
	return;
out:
	unlink(PIN);
}

/* Creates a map that only the outer map and the caller hold. */
static int create_inner(struct timer_lifetime *skel)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_fd = bpf_object__btf_fd(skel->obj),
		    .btf_key_type_id = bpf_map__btf_key_type_id(skel->maps.timers),
		    .btf_value_type_id = bpf_map__btf_value_type_id(skel->maps.timers));
	__u32 key = 0;
	int fd;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "inner", sizeof(key), sizeof(struct elem), 4096,
			    &opts);
	if (ASSERT_OK_FD(fd, "create"))
		ASSERT_OK(bpf_map_update_elem(bpf_map__fd(skel->maps.outer), &key, &fd, BPF_ANY),
			  "outer");
	return fd;
}

/* Checks that no timer was left: it would make another init in its element fail. */
static bool none_is_left(struct timer_lifetime *skel, int prog_fd)
{
	__u64 before = skel->bss->initialised;

	return ASSERT_OK(run_fd(prog_fd), "run again") &&
	       ASSERT_EQ(skel->bss->initialised, before, "too late") &&
	       ASSERT_EQ(skel->bss->unexpected, 0, "none in the way");
}

/*
 * Makes timers while the last user goes. No timer stays, whether it is made before or after
 * that. Adds to @refused the inits that were too late.
 */
static bool race_init_with_close(struct timer_lifetime *skel, int prog_fd, int i, __u64 *refused)
{
	struct run_on_cpu job;
	__u64 before = skel->bss->initialised, refused_before = skel->bss->refused;
	int fd = create_inner(skel);

	if (fd < 0)
		return false;
	if (!begin_run(&job, 1, prog_fd)) {
		close(fd);
		return false;
	}
	ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->initialised) > before), "begun");
	usleep(i % 8 * 100);
	close(fd);
	if (!ASSERT_OK(end_run(&job), "run"))
		return false;
	*refused += skel->bss->refused - refused_before;
	return none_is_left(skel, prog_fd);
}

static void test_init_races_with_close(struct timer_lifetime *skel)
{
	__u64 before, refused = 0;
	cpu_set_t old;
	int i, fd;
	__u32 id;

	if (skip_one_cpu())
		return;
	fd = bpf_program__clone(skel->progs.init_all, NULL);
	if (!ASSERT_OK_FD(fd, "clone"))
		return;
	id = id_from_prog_fd(fd);
	skel->bss->nsecs = 50 * NSEC_PER_MSEC;
	sched_getaffinity(0, sizeof(old), &old);
	pin_to(0);
	for (i = 0; i < RACES && race_init_with_close(skel, fd, i, &refused); i++)
		;
	unpin(&old);
	close(fd);
	ASSERT_GT(skel->bss->initialised, 0, "before");
	ASSERT_GT(refused, 0, "after");
	ASSERT_EQ(skel->bss->unexpected, 0, "else");
	ASSERT_TRUE(is_unloaded(id), "unloaded");
	kern_sync_rcu();
	before = skel->bss->late_runs;
	usleep(60000);
	ASSERT_EQ(skel->bss->late_runs, before, "runs");
}

static const struct {
	const char *name;
	void (*test)(struct timer_lifetime *skel);
} tests[] = {
	{ "three_programs", test_three_programs },
	{ "callback_keeps_program", test_callback_keeps_program },
	{ "other_callback_releases", test_other_callback_releases },
	{ "release_with_irqs_off", test_release_with_irqs_off },
	{ "killed_loader_leaves_nothing", test_killed_loader_leaves_nothing },
	{ "pinned_map_needs_no_process", test_pinned_map_needs_no_process },
	{ "init_races_with_close", test_init_races_with_close },
};

void serial_test_timer_lifetime(void)
{
	struct timer_lifetime *skel;
	int i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!test__start_subtest(tests[i].name))
			continue;
		skel = load_timers(timer_lifetime);
		if (skel)
			tests[i].test(skel);
		timer_lifetime__destroy(skel);
	}
}
