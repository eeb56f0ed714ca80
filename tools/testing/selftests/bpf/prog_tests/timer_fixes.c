// SPDX-License-Identifier: GPL-2.0
/*
 * Tests for bugs of timers that were fixed. Other tests cover most of the fixes:
 *
 * b00628b1c7d5 types of maps			timer_matrix/none_in_*
 * 5e0bc3082e2e tracing programs		timer_fixes/tracing_programs
 * a8abb0c3dc1e overwritten beside a lock	timer_crash, timer_matrix/KIND_hidden
 * 5eaed6eedbe9 slots not initialised		timer, timer_matrix/hash_malloc_*
 * b5e9ad522c4c stack depth of callbacks	async_stack_depth
 * fd381ce60a2d init and the last user		timer_lifetime/init_races_with_close
 * e72d88d18df4 type of callbacks		any, with CONFIG_CFI
 * 876673364161 inner map freed in use		timer_mim, timer_fixes/inner_map_replaced
 * 0281b919e175 cancel and free			timer_stress, timer_contexts
 * d4523831f07a callbacks that cancel		timer_lockup, timer_callbacks/cancel_cycle_*
 * a6fcd19d7eac callbacks that delete		timer_callbacks/delete_each_other
 * 58f038e6d209 freed under a bucket's lock	free_timer, timer_matrix/KIND_lookup_and_delete_*
 * 6d78b4473cdb memory charged under a lock	timer_fixes/memory_limit
 * e25ddfb388c8 PREEMPT_RT			with timers in C, all tests are skipped
 * 5fb750e8a9ae kmemleak			free_timer, timer_memory
 * 469d638d1520 callbacks that sleep		timer_refusals/callback_sleeps
 * 1bfbc267ec91 operations in NMI		timer_stress_nmi_*, timer_contexts
 * b135beb07758 start and delete		timer_start_delete_race
 * 7d49635e3775 start in a start		timer_start_deadlock, timer_feeders
 * 81502d7f20bf delete while it repeats		timer_matrix/KIND_*_in_flight
 * 1ace9bac1ad2 freed in call_rcu_tasks_trace()	timer_fixes/freed_in_rcu
 * a3a81d247651 fields of recycled elements	htab_update
 * 5df46ddcb7b3 recycled resizable hash		rhash_timer, timer_stale
 * b90c5d770dad inner maps in callbacks		timer_mim
 *
 * Covers the contract.
 */
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <test_progs.h>
#include "cgroup_helpers.h"
#include "timer_fixes.skel.h"
#include "timer_helpers.h"

#define CGROUP "/timer_fixes"
#define REPLACEMENTS 50
/* The same as in the program. */
enum { KPROBE, TRACEPOINT, RAW_TRACEPOINT, PERF_EVENT, TRACERS };

/* Loads only the programs whose names begin with @prefix. */
static struct timer_fixes *load(const char *prefix)
{
	struct timer_fixes *skel = load_timers_with(timer_fixes, prefix);

	if (skel)
		skel->bss->pid = getpid();
	return skel;
}

static struct bpf_link *attach_to_clock(const struct bpf_program *prog)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.size = sizeof(attr),
		.sample_period = NSEC_PER_MSEC,
	};
	int fd = syscall(__NR_perf_event_open, &attr, 0, -1, -1, 0);
	struct bpf_link *link;

	if (!ASSERT_OK_FD(fd, "perf_event_open"))
		return NULL;
	link = bpf_program__attach_perf_event(prog, fd);
	if (!link)
		close(fd);
	return link;
}

static void test_tracing_programs(void)
{
	struct timespec moment = { .tv_nsec = 1 };
	struct timer_fixes *skel = load("arm_");
	int i;

	if (!skel)
		return;
	/* On PREEMPT_RT, the interrupt of the clock gets no memory. */
	ASSERT_OK(run(skel->progs.arm_init), "init");
	skel->links.arm_in_perf_event = attach_to_clock(skel->progs.arm_in_perf_event);
	if (!ASSERT_OK_PTR(skel->links.arm_in_perf_event, "attach") ||
	    !ASSERT_OK(timer_fixes__attach(skel), "attach"))
		goto out;
	syscall(__NR_nanosleep, &moment, NULL);
	for (i = 0; i < TRACERS; i++)
		/* A clock event needs this thread to run for a while. */
		ASSERT_TRUE(comes_true(getppid() && READ_ONCE(skel->bss->runs[i])), "runs");
out:
	timer_fixes__destroy(skel);
}

/* Puts a new map, which nothing else holds, into the outer map. */
static bool replace_inner(struct timer_fixes *skel)
{
	int fd = create_like(skel->obj, skel->maps.timers);
	__u32 key = 0;
	bool ok;

	if (!ASSERT_OK_FD(fd, "create"))
		return false;
	ok = ASSERT_OK(bpf_map_update_elem(bpf_map__fd(skel->maps.outer), &key, &fd, BPF_ANY),
		       "replace");
	/* Hold a user reference until the program has used the map. */
	usleep(500);
	close(fd);
	return ok;
}

struct use {
	pthread_t thread;
	int fd;
	int err;
	bool stop;
};

static void *use_inner(void *arg)
{
	struct use *use = arg;

	while (!READ_ONCE(use->stop) && !use->err)
		use->err = run_fd(use->fd);
	return NULL;
}

static void test_inner_map_replaced(void)
{
	struct timer_fixes *skel = load("use_inner");
	struct use use = {};
	__u32 id;
	int i;

	if (!skel)
		return;
	id = id_of(skel->progs.use_inner);
	use.fd = bpf_program__fd(skel->progs.use_inner);
	if (!replace_inner(skel) ||
	    !ASSERT_OK(pthread_create(&use.thread, NULL, use_inner, &use), "thread"))
		goto out;
	ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->uses)), "in use");
	for (i = 0; i < REPLACEMENTS && replace_inner(skel); i++)
		;
	WRITE_ONCE(use.stop, true);
	pthread_join(use.thread, NULL);
	ASSERT_OK(use.err, "run");
out:
	timer_fixes__destroy(skel);
	ASSERT_TRUE(is_unloaded(id), "unloaded");
}

/* Charges the maps to a cgroup, and then limits the cgroup to the memory that it has. */
static struct timer_fixes *load_at_limit(void)
{
	struct timer_fixes *skel;
	char current[32];
	int len, fd, cgroup;

	cgroup = cgroup_setup_and_join(CGROUP);
	if (!ASSERT_OK_FD(cgroup, "cgroup"))
		return NULL;
	skel = load("init_many");
	join_root_cgroup();
	fd = openat(cgroup, "memory.current", O_RDONLY);
	len = fd >= 0 ? read(fd, current, sizeof(current) - 1) : -1;
	close(fd);
	close(cgroup);
	if (len <= 0 || !skel) {
		/* Memory has no limit without the memory controller. */
		test__skip();
		timer_fixes__destroy(skel);
		return NULL;
	}
	current[len] = 0;
	ASSERT_OK(write_cgroup_file(CGROUP, "memory.max", current), "limit");
	return skel;
}

static void test_memory_limit(void)
{
	struct timer_fixes *skel = load_at_limit();
	__u32 entries;

	if (!skel)
		goto out;
	entries = bpf_map__max_entries(skel->maps.many);
	if (ASSERT_OK(timer_fixes__attach(skel), "attach")) {
		skel->bss->on = true;
		ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->next) >= entries), "all");
		skel->bss->on = false;
		/* CPUs have memory left for a few, and a few fail even if memory is not charged. */
		ASSERT_GT(skel->bss->no_memory, entries / 2, "no memory");
	}
	ASSERT_EQ(skel->bss->unexpected, 0, "unexpected");
	printf("%llu initialised\n", (unsigned long long)skel->bss->initialised);
	timer_fixes__destroy(skel);
out:
	cleanup_cgroup_environment();
}

/* Closes a socket, whose inode RCU frees. Returns true. */
static bool call_rcu(void)
{
	close(socket(AF_UNIX, SOCK_DGRAM, 0));
	return true;
}

static void test_freed_in_rcu(void)
{
	struct timer_fixes *skel = load("free_in_");
	__u32 id;

	if (!skel)
		return;
	id = id_of(skel->progs.free_in_rcu);
	if (ASSERT_OK(timer_fixes__attach(skel), "attach")) {
		skel->bss->budget[0] = 200;
		skel->bss->budget[1] = 200;
		ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->freed[0]) == 200), "in rcu");
		ASSERT_TRUE(comes_true(call_rcu() && READ_ONCE(skel->bss->freed[1]) == 200),
			    "in call_rcu");
	}
	timer_fixes__destroy(skel);
	ASSERT_TRUE(is_unloaded(id), "unloaded");
}

static const struct subtest tests[] = {
	{ "tracing_programs", test_tracing_programs },
	{ "inner_map_replaced", test_inner_map_replaced },
	{ "memory_limit", test_memory_limit },
	{ "freed_in_rcu", test_freed_in_rcu },
};

void serial_test_timer_fixes(void)
{
	run_subtests(tests);
}
