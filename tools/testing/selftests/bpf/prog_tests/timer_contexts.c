// SPDX-License-Identifier: GPL-2.0
/*
 * All operations on the same 16 timers, from task, irqs-off, hardirq, NMI and
 * expiry, on all CPUs at once, for BPF_TIMER_STRESS seconds, two by default.
 * The kernel's own checks (KASAN, lockdep) find other mistakes. This test looks for
 * failed allocations, memory that is not freed, and programs that do not unload.
 *
 * Covers R5 and R6.
 */
#include <pthread.h>
#include <test_progs.h>
#include "timer_contexts.skel.h"
#include "timer_memory.h"

#define TAINTED_BY_WARN (1 << 9)

enum { TASK, IRQS_OFF, HARDIRQ, NMI, EXPIRY, CONTEXTS };

static bool stop;

struct job {
	pthread_t thread;
	struct timer_contexts *skel;
	int cpu;
	long err;
};

static void *work(void *arg)
{
	struct job *job = arg;

	job->err = !pin_to(job->cpu);
	while (!READ_ONCE(stop) && !job->err)
		job->err = run(job->skel->progs.in_task) ?: run(job->skel->progs.cancel);
	return NULL;
}

/* Sends NMIs many times a second. */
static void send_nmis_for(unsigned int seconds)
{
	time_t end = time(NULL) + seconds;

	while (send_nmis() && time(NULL) <= end)
		usleep(20000);
}

/* A WARN fails no test by itself, but it taints the kernel. */
static bool has_warned(void)
{
	FILE *file = fopen("/proc/sys/kernel/tainted", "r");
	unsigned long taint = 0;

	if (!ASSERT_OK_PTR(file, "tainted"))
		return false;
	ASSERT_EQ(fscanf(file, "%lu", &taint), 1, "tainted");
	fclose(file);
	return taint & TAINTED_BY_WARN;
}

void serial_test_timer_contexts(void)
{
	struct job jobs[MAX_CPUS] = {};
	struct timer_contexts *skel;
	struct timer_memory *memory;
	int i, level, context, cpus = get_nprocs();
	bool tainted;
	__u32 id = 0;

	memory = watch_memory();
	if (!memory)
		return;
	skel = load_timers(timer_contexts);
	if (!skel)
		goto out;
	id = id_of(skel->progs.in_task);
	if (!ASSERT_OK(timer_contexts__attach(skel), "attach") || !ASSERT_GT(id, 0, "id"))
		goto out;

	WRITE_ONCE(stop, false);
	for (i = 0; i < cpus && i < MAX_CPUS; i++) {
		jobs[i].skel = skel;
		jobs[i].cpu = i;
		if (!ASSERT_OK(pthread_create(&jobs[i].thread, NULL, work, &jobs[i]), "thread"))
			break;
	}
	tainted = has_warned();
	/* Keep backtraces off the console: they are warnings, a problem is an error or a taint. */
	level = set_console_loglevel(4);
	skel->bss->on = true;
	send_nmis_for(stress_seconds());
	skel->bss->on = false;
	set_console_loglevel(level);
	ASSERT_EQ(has_warned(), tainted, "no warning");
	WRITE_ONCE(stop, true);
	while (i-- > 0) {
		pthread_join(jobs[i].thread, NULL);
		ASSERT_OK(jobs[i].err, "run");
	}
	for (context = 0; context < CONTEXTS; context++) {
		/* The CPU that asks the others for backtraces gets no NMI itself. */
		if (context != NMI || (cpus > 1 && BACKTRACES_ARE_NMIS))
			ASSERT_GT(skel->bss->operations[context], 0, "operations");
		printf("context %d: %llu operations\n", context,
		       (unsigned long long)skel->bss->operations[context]);
	}
	ASSERT_GT(skel->bss->runs, 0, "runs");
	ASSERT_EQ(skel->bss->no_memory, 0, "no memory");
out:
	timer_contexts__destroy(skel);
	if (id)
		ASSERT_TRUE(is_unloaded(id), "unloaded");
	check_memory(memory, 1);
	timer_memory__destroy(memory);
}
