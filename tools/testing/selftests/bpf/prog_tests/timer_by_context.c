// SPDX-License-Identifier: GPL-2.0
/*
 * Each operation in each context. In some, bpf_timer_cancel() waits for a callback that runs. On
 * PREEMPT_RT, these are fewer.
 *
 * Covers the table of contexts in Documentation/bpf/timers.rst.
 */
#include <signal.h>
#include <test_progs.h>
#include "../progs/timer_by_context.h"
#include "timer_by_context.skel.h"
#include "timer_helpers.h"

/* A callback that somebody waits for. */
#define SHORT (100 * NSEC_PER_MSEC)
/* A callback that must not end by itself before the program is done. */
#define LONG (5 * NSEC_PER_SEC)

/* Elsewhere, irq_works have no tracepoints, and a probe has interrupts off but is no NMI. */
#define HAS_ALL PROBES_ARE_NMIS

static struct timer_by_context *skel;

static bool enter_by_program(void)
{
	return ASSERT_OK(run(skel->progs.enter), "enter");
}

/* Here and below, the program makes the operations due, and then user space enters the context. */
static bool enter_xdp(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	char packet[64] = {};

	opts.data_in = packet;
	opts.data_size_in = sizeof(packet);
	return enter_by_program() &&
	       ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.in_xdp), &opts), "xdp");
}

static bool enter_fentry(void)
{
	return enter_by_program() && ASSERT_OK(run(skel->progs.in_fentry), "fentry");
}

static bool enter_kprobe(void)
{
	struct timespec moment = { .tv_nsec = 1 };

	return enter_by_program() && ASSERT_OK(nanosleep(&moment, NULL), "nanosleep");
}

static bool enter_signal(void)
{
	/* Is ignored. */
	return enter_by_program() && ASSERT_OK(kill(getpid(), SIGURG), "kill");
}

static bool enter_nmi(void)
{
	struct bpf_link *link;
	bool entered;

	write_sysctl(OPTIMIZATION, "0");
	link = attach_probe(skel->progs.in_nmi, "bpf_get_numa_node_id");
	entered = ASSERT_OK_PTR(link, "probe") && enter_by_program();
	bpf_link__destroy(link);
	write_sysctl(OPTIMIZATION, "1");
	return entered;
}

static const struct {
	const char *name;
	bool (*enter)(void);
	/* Results that are not the same in all contexts. */
	int cancel_async, cancel;
	int rt_init, rt_cancel;
} contexts[CONTEXTS] = {
	[TASK]		= { "task", enter_by_program, 1 },
	[RCU_READER]	= { "rcu_reader", enter_by_program, 1, 0, 0, -EBUSY },
	[CALLBACK]	= { "callback", enter_by_program, 1 },
	[XDP]		= { "xdp", enter_xdp, 1, 0, 0, -EBUSY },
	[FENTRY]	= { "fentry", enter_fentry, 1, 0, 0, -EBUSY },
	[SIGNAL]	= { "signal", enter_signal, -ECANCELED, -EBUSY, 0, -EBUSY },
	[IRQS_OFF]	= { "irqs_off", enter_by_program, -ECANCELED, -EBUSY, 0, -EBUSY },
	[KPROBE]	= { "kprobe", enter_kprobe, 1, 0, 0, -EBUSY },
	[HARDIRQ]	= { "hardirq", enter_by_program, -ECANCELED, -EBUSY, -ENOMEM, -EBUSY },
	[NMI]		= { "nmi", enter_nmi, -ECANCELED, -EBUSY, -ENOMEM, -EBUSY },
};

static int wanted_cancel(int context)
{
	return are_on_rt() ? contexts[context].rt_cancel : contexts[context].cancel;
}

static void check_results(int context)
{
	const struct results *results = &skel->bss->results;
	bool rt = are_on_rt();

	/* Elsewhere, memory may be hard to come by where interrupts are off. */
	if (rt || context < SIGNAL || (context < NMI && !MEMORY_IS_SCARCE))
		ASSERT_EQ(results->init, rt ? contexts[context].rt_init : 0, "init");
	ASSERT_OK(results->set_callback, "set_callback");
	ASSERT_OK(results->start, "start");
	/* On PREEMPT_RT, interrupts are on under most locks. */
	ASSERT_EQ(results->cancel_async,
		  rt && context == SIGNAL ? 1 : contexts[context].cancel_async, "cancel_async");
	ASSERT_EQ(results->cancel, wanted_cancel(context), "cancel");
	ASSERT_EQ(results->waited, !results->cancel, "waited");
}

/* Beside a callback that runs on CPU 1. */
static void enter_context(int context)
{
	if (ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->began)), "callback") &&
	    contexts[context].enter() &&
	    ASSERT_TRUE(comes_true(READ_ONCE(skel->bss->done)), "done"))
		check_results(context);
}

static void test_context(int context)
{
	struct run_on_cpu job;

	memset(&skel->bss->results, 0xff, sizeof(skel->bss->results));
	skel->bss->context = context;
	skel->bss->began = false;
	skel->bss->spin_nsecs = wanted_cancel(context) ? LONG : SHORT;
	/* The callback keeps the thread that starts the timer from returning. */
	if (!begin_run(&job, 1, bpf_program__fd(skel->progs.begin)))
		return;
	enter_context(context);
	ASSERT_OK(end_run(&job), "begin");
}

/* Serial: the other CPU must be free. */
void serial_test_timer_by_context(void)
{
	cpu_set_t cpus;
	int i;

	if (skip_hazard() || skip_one_cpu())
		return;
	skel = load_timers_with(timer_by_context, HAS_ALL ? "in_" : NULL);
	if (!skel)
		return;
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (ASSERT_TRUE(pin_to(0), "pin") && ASSERT_OK(timer_by_context__attach(skel), "attach"))
		for (i = 0; i < CONTEXTS; i++)
			if ((i < KPROBE || HAS_ALL) && test__start_subtest(contexts[i].name))
				test_context(i);
	unpin(&cpus);
	timer_by_context__destroy(skel);
}
