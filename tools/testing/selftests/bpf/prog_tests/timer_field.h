/* SPDX-License-Identifier: GPL-2.0 */
/* Helpers of the tests that use timers in the manner of the field. */
#ifndef __TIMER_FIELD_TEST_H
#define __TIMER_FIELD_TEST_H

#include "../progs/timer_field.h"
#include "timer_helpers.h"

/* Programs that a CPU runs at the same time, each in a thread. */
#define LOADS 2

/* A thread that runs a program again and again, or takes naps if it has none. */
struct worker {
	pthread_t thread;
	const bool *stop;
	int cpu;
	int fd;
	int err;
};

struct load {
	struct worker workers[LOADS * FIELD_CPUS];
	int count;
	bool stop;
};

/* The programs do not look at what is in a packet. */
static const char empty_packet[64];

/* Lets @fd handle some packets. */
static inline int send_packets(int fd, int count)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = empty_packet,
		    .data_size_in = sizeof(empty_packet), .repeat = count);

	return bpf_prog_test_run_opts(fd, &opts);
}

static inline void *__work(void *arg)
{
	struct worker *worker = arg;

	worker->err = pin_to(worker->cpu) ? 0 : -errno;
	while (!READ_ONCE(*worker->stop) && !worker->err) {
		if (worker->fd >= 0)
			worker->err = send_packets(worker->fd, 64);
		else
			usleep(10);
	}
	return NULL;
}

static inline bool begin_worker(struct load *load, int cpu, int fd)
{
	struct worker *worker = &load->workers[load->count];

	worker->stop = &load->stop;
	worker->cpu = cpu;
	worker->fd = fd;
	if (!ASSERT_OK(pthread_create(&worker->thread, NULL, __work, worker), "thread"))
		return false;
	load->count++;
	return true;
}

static inline int field_cpus(void)
{
	int cpus = get_nprocs();

	return cpus < FIELD_CPUS ? cpus : FIELD_CPUS;
}

/* Sends packets to a program on each CPU, and to another one. Takes naps in place of NULL. */
static inline void begin_load(struct load *load, const struct bpf_program *prog,
			      const struct bpf_program *other)
{
	int cpu;

	memset(load, 0, sizeof(*load));
	for (cpu = 0; cpu < field_cpus(); cpu++)
		if (!begin_worker(load, cpu, prog ? bpf_program__fd(prog) : -1) ||
		    !begin_worker(load, cpu, other ? bpf_program__fd(other) : -1))
			break;
}

static inline void end_load(struct load *load)
{
	WRITE_ONCE(load->stop, true);
	while (load->count) {
		struct worker *worker = &load->workers[--load->count];

		pthread_join(worker->thread, NULL);
		ASSERT_OK(worker->err, "load");
	}
}

/* Runs the load for the time of a test, and until the test has seen what it wants to see. */
#define run_load(prog, other, has_seen)					\
	do {								\
		struct load __load;					\
									\
		begin_load(&__load, prog, other);			\
		sleep(stress_seconds());				\
		ASSERT_TRUE(comes_true(has_seen), #has_seen);		\
		end_load(&__load);					\
	} while (0)

/* Checks that each result was one that the documentation allows. */
static inline void __check_results(const int *unexpected)
{
	static const char * const names[OPERATIONS] = {
		"update", "delete", "init", "set_callback", "start", "cancel",
	};
	int i;

	for (i = 0; i < OPERATIONS; i++)
		ASSERT_OK(unexpected[i], names[i]);
}

#define check_results(skel) __check_results((skel)->bss->unexpected)

/* For maps with keys of at most eight bytes. */
static inline bool is_empty(const struct bpf_map *map)
{
	__u64 key;

	return bpf_map_get_next_key(bpf_map__fd(map), NULL, &key) == -ENOENT;
}

static inline __u64 count_elems(const struct bpf_map *map)
{
	__u64 key, count = 0;
	void *last = NULL;

	while (!bpf_map_get_next_key(bpf_map__fd(map), last, &key)) {
		last = &key;
		count++;
	}
	return count;
}

#endif
