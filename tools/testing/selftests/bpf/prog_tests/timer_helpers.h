/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Helpers of the tests of BPF timers.
 *
 * The head of each test says what it covers: rules R1 to R8 and sections of
 * Documentation/bpf/timers_rust_design.rst, hazards H1 to H14 of timers_rust.rst, or the
 * contract, which is timers.rst.
 */
#ifndef __TIMER_HELPERS_H
#define __TIMER_HELPERS_H

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#define NSEC_PER_MSEC 1000000LL
#define NSEC_PER_SEC 1000000000LL
#define HOUR (3600 * NSEC_PER_SEC)
#define MAX_CPUS 64

/* Checks the result of a load. Skips the test if the kernel refuses timers (PREEMPT_RT). */
static inline bool have_timers(int err)
{
	if (err != -EOPNOTSUPP)
		return ASSERT_OK(err, "load");
	test__skip();
	return false;
}

static inline bool kernel_has_type(const char *name)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool found = btf && btf__find_by_name(btf, name) > 0;

	btf__free(btf);
	return found;
}

/* Tells whether the kernel has timers in Rust: only these have tracepoints. */
static inline bool are_in_rust(void)
{
	return kernel_has_type("btf_trace_bpf_timer_start");
}

/* Tells whether the kernel is PREEMPT_RT. */
static inline bool are_on_rt(void)
{
	struct utsname name;

	return !uname(&name) && strstr(name.version, "PREEMPT_RT");
}

/* Returns the function that arms the hrtimers of BPF timers. */
static inline const char *arming_function(void)
{
	return are_in_rust() ? "hrtimer_start_irqoff" : "hrtimer_start_range_ns";
}

/*
 * Selects for loading the optional programs whose names begin with @prefix. Attaches the
 * programs whose section names C's function that arms hrtimers to the one that is in use.
 */
static inline void choose_programs(struct bpf_object *obj, const char *prefix)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj) {
		if (prefix && !strncmp(bpf_program__name(prog), prefix, strlen(prefix)))
			bpf_program__set_autoload(prog, true);
		if (strstr(bpf_program__section_name(prog), "hrtimer_start_range_ns"))
			ASSERT_OK(bpf_program__set_attach_target(prog, 0, arming_function()),
				  "target");
	}
}

/* Loads the skeleton @name, with the optional programs whose names begin with @prefix. */
#define load_timers_with(name, prefix)					\
	({								\
		struct name *__skel = name##__open();			\
									\
		if (ASSERT_OK_PTR(__skel, "open")) {			\
			choose_programs(__skel->obj, prefix);		\
			if (!have_timers(name##__load(__skel))) {	\
				name##__destroy(__skel);		\
				__skel = NULL;				\
			}						\
		}							\
		__skel;							\
	})

#define load_timers(name) load_timers_with(name, NULL)

/* Skips a test in which the C timers fail or hang, unless BPF_TIMER_HAZARDS is set. */
static inline bool skip_hazard(void)
{
	if (are_in_rust() || getenv("BPF_TIMER_HAZARDS"))
		return false;
	test__skip();
	return true;
}

/* Skips a test that needs two CPUs if there is only one. */
static inline bool skip_one_cpu(void)
{
	if (get_nprocs() >= 2)
		return false;
	test__skip();
	return true;
}

/* Architectures without a double-word cmpxchg, or with one that few machines have. */
#if defined(__riscv) || defined(__powerpc__)
#define MEMORY_IS_SCARCE true
#else
#define MEMORY_IS_SCARCE false
#endif

/*
 * Skips a test that makes timers in hard interrupts. These get no memory on PREEMPT_RT, and only
 * what the CPU has in stock where memory is scarce.
 */
static inline bool skip_no_memory(void)
{
	if (!are_on_rt() && !MEMORY_IS_SCARCE)
		return false;
	test__skip();
	return true;
}

/* A row in the table of a test's subtests. */
struct subtest {
	const char *name;
	void (*run)(void);
};

static inline void __run_subtests(const struct subtest *tests, int count)
{
	int i;

	for (i = 0; i < count; i++)
		if (test__start_subtest(tests[i].name))
			tests[i].run();
}

#define run_subtests(tests) __run_subtests(tests, ARRAY_SIZE(tests))

/* The time for which a test that looks for races runs. */
static inline unsigned int stress_seconds(void)
{
	const char *seconds = getenv("BPF_TIMER_STRESS");

	return seconds ? atoi(seconds) : 2;
}

static inline int run_fd(int fd)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return bpf_prog_test_run_opts(fd, &opts) ?: (int)opts.retval;
}

static inline int run(const struct bpf_program *prog)
{
	return run_fd(bpf_program__fd(prog));
}

/* Attaches @prog. The caller destroys *@link, which is NULL if that fails. */
static inline bool attach(const struct bpf_program *prog, struct bpf_link **link)
{
	*link = bpf_program__attach(prog);
	return ASSERT_OK_PTR(*link, "attach");
}

static inline __u64 now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* Moves the wall clock by @nsecs. A call with -@nsecs undoes that. */
static inline bool step_clock(__s64 nsecs)
{
	__s64 time = now(CLOCK_REALTIME) + nsecs;
	struct timespec ts = {
		.tv_sec = time / NSEC_PER_SEC,
		.tv_nsec = time % NSEC_PER_SEC,
	};

	return ASSERT_OK(clock_settime(CLOCK_REALTIME, &ts), "clock_settime");
}

/* @time is on the monotonic clock. */
static inline void sleep_until(__u64 time)
{
	while (now(CLOCK_MONOTONIC) < time)
		usleep(1000);
}

static inline bool pin_to(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	return !sched_setaffinity(0, sizeof(cpus), &cpus);
}

static inline void unpin(const cpu_set_t *cpus)
{
	sched_setaffinity(0, sizeof(*cpus), cpus);
}

/* A run of a program in a thread on @cpu. A callback on that CPU may keep it from returning. */
struct run_on_cpu {
	pthread_t thread;
	int cpu;
	int fd;
	int err;
};

static inline void *__run_on_cpu(void *arg)
{
	struct run_on_cpu *job = arg;

	job->err = pin_to(job->cpu) ? run_fd(job->fd) : -errno;
	return NULL;
}

static inline bool begin_run(struct run_on_cpu *job, int cpu, int fd)
{
	job->cpu = cpu;
	job->fd = fd;
	return ASSERT_OK(pthread_create(&job->thread, NULL, __run_on_cpu, job), "thread");
}

static inline int end_run(struct run_on_cpu *job)
{
	pthread_join(job->thread, NULL);
	return job->err;
}

/* Waits up to thirty seconds for @cond, which a slow machine may need. Tells if it came true. */
#define comes_true(cond)						\
	({								\
		int __tries = 30000;					\
									\
		while (!(cond) && --__tries)				\
			usleep(1000);					\
		!!__tries;						\
	})

/* Returns what the kernel tells about @prog, all zeroes if it tells nothing. */
static inline struct bpf_prog_info info_of(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len))
		memset(&info, 0, sizeof(info));
	return info;
}

static inline __u32 id_of(const struct bpf_program *prog)
{
	return info_of(prog).id;
}

static inline __u32 id_of_map(const struct bpf_map *map)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return bpf_map_get_info_by_fd(bpf_map__fd(map), &info, &len) ? 0 : info.id;
}

static inline bool map_is_gone(__u32 id)
{
	int fd = bpf_map_get_fd_by_id(id);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

/* Creates a map like @like, which belongs to @obj. */
static inline int create_like(const struct bpf_object *obj, const struct bpf_map *like)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_fd = bpf_object__btf_fd(obj),
		    .btf_key_type_id = bpf_map__btf_key_type_id(like),
		    .btf_value_type_id = bpf_map__btf_value_type_id(like),
		    .map_flags = bpf_map__map_flags(like));

	return bpf_map_create(bpf_map__type(like), "like", bpf_map__key_size(like),
			      bpf_map__value_size(like), bpf_map__max_entries(like), &opts);
}

/* Runs a copy of @prog and closes it. Returns the copy's id, or 0 if it cannot be made. */
static inline __u32 run_alone(struct bpf_program *prog)
{
	int fd = bpf_program__clone(prog, NULL);
	__u32 id;

	if (!ASSERT_OK_FD(fd, "clone"))
		return 0;
	id = id_from_prog_fd(fd);
	ASSERT_OK(run_fd(fd), "run");
	close(fd);
	return id;
}

static inline bool is_loaded(__u32 prog_id)
{
	int fd = bpf_prog_get_fd_by_id(prog_id);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static inline bool is_unloaded(__u32 prog_id)
{
	return comes_true(!is_loaded(prog_id));
}

#define OPTIMIZATION "/proc/sys/debug/kprobes-optimization"
/* attach_probe() is for x86, where a breakpoint is an NMI. */
#ifdef __x86_64__
#define PROBES_ARE_NMIS true
#else
#define PROBES_ARE_NMIS false
#endif
/* On arm64, if the kernel has NMIs. */
#if defined(__x86_64__) || defined(__aarch64__)
#define BACKTRACES_ARE_NMIS true
#else
#define BACKTRACES_ARE_NMIS false
#endif

/*
 * Attaches behind the first instruction of a function, so that ftrace does not serve the
 * probe. While OPTIMIZATION is off, the probe is a breakpoint, which is an NMI on x86.
 */
static inline struct bpf_link *attach_probe(const struct bpf_program *prog, const char *function)
{
	LIBBPF_OPTS(bpf_kprobe_opts, opts, .offset = 5);
	struct bpf_link *link = bpf_program__attach_kprobe_opts(prog, function, &opts);

	if (link)
		return link;
	/* The function may begin with an ENDBR. */
	opts.offset = 9;
	return bpf_program__attach_kprobe_opts(prog, function, &opts);
}

/* Makes the kernel send NMIs to all CPUs except this one. */
static inline bool send_nmis(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY);
	bool sent;

	if (!ASSERT_GE(fd, 0, "sysrq-trigger"))
		return false;
	sent = ASSERT_EQ(write(fd, "l", 1), 1, "sysrq-l");
	close(fd);
	return sent;
}

/* Returns the old level. */
static inline int set_console_loglevel(int level)
{
	int old = 7;
	FILE *file = fopen("/proc/sys/kernel/printk", "r+");

	if (!ASSERT_OK_PTR(file, "printk"))
		return old;
	ASSERT_EQ(fscanf(file, "%d", &old), 1, "loglevel");
	rewind(file);
	fprintf(file, "%d", level);
	fclose(file);
	return old;
}

/* Returns the size of the slab that cannot be reclaimed, in bytes. */
static inline __s64 slab_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	long long kib = -1;
	char line[128];

	if (!ASSERT_OK_PTR(file, "meminfo"))
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "SUnreclaim: %lld", &kib) == 1)
			break;
	fclose(file);
	ASSERT_GE(kib, 0, "SUnreclaim");
	return kib * 1024;
}

#endif
