// SPDX-License-Identifier: GPL-2.0
/*
 * The machine is suspended while timers are armed. CLOCK_MONOTONIC stands still then, and with it
 * timers that count on it. CLOCK_BOOTTIME and CLOCK_REALTIME go on: what they missed expires when
 * the machine is back. No timer wakes the machine.
 *
 * Covers the contract of bpf_timer_start() for each clock.
 */
#include <test_progs.h>
#include "timer_array.h"
#include "timer_online.h"
#include "timer_suspend.skel.h"

#define MODULE "bpf_timer_suspend.ko"
#define SUSPEND "/sys/module/bpf_timer_suspend/parameters/suspend"
/* Long enough for clocks that know only whole seconds of it. */
#define ASLEEP_MSECS 4000
/* The time of the timers: a slow machine needs some of it until it is suspended. */
#define DUE (2 * NSEC_PER_SEC)

enum expires { NEVER, AS_IT_WAKES, AWAKE };

/* A timer that is started for @first and then, if that is not 0, for @then. */
struct kind {
	const char *name;
	clockid_t clock;
	__u64 flags;
	__u64 first;
	__u64 then;
	bool cancel;
	enum expires expires;
};

static const struct kind kinds[] = {
	{ "monotonic", CLOCK_MONOTONIC, 0, DUE, .expires = AWAKE },
	{ "monotonic, absolute", CLOCK_MONOTONIC, BPF_F_TIMER_ABS, DUE, .expires = AWAKE },
	{ "monotonic, moved", CLOCK_MONOTONIC, 0, DUE / 2, DUE, .expires = AWAKE },
	{ "boot time", CLOCK_BOOTTIME, 0, DUE, .expires = AS_IT_WAKES },
	{ "boot time, absolute", CLOCK_BOOTTIME, BPF_F_TIMER_ABS, DUE, .expires = AS_IT_WAKES },
	{ "boot time, moved", CLOCK_BOOTTIME, 0, DUE / 2, DUE, .expires = AS_IT_WAKES },
	{ "wall clock", CLOCK_REALTIME, 0, DUE, .expires = AWAKE },
	{ "wall clock, absolute", CLOCK_REALTIME, BPF_F_TIMER_ABS, DUE, .expires = AS_IT_WAKES },
	/* These last: by then, they would have expired. */
	{ "boot time, moved far", CLOCK_BOOTTIME, 0, DUE, HOUR, .expires = NEVER },
	{ "boot time, cancelled", CLOCK_BOOTTIME, 0, DUE, .cancel = true, .expires = NEVER },
	{ "wall clock, moved far", CLOCK_REALTIME, BPF_F_TIMER_ABS, DUE, HOUR, .expires = NEVER },
};

/* The timers in C have no times of day (H3). */
static bool has_kind(const struct kind *kind)
{
	return kind->clock != CLOCK_REALTIME || !(kind->flags & BPF_F_TIMER_ABS) || are_in_rust();
}

static bool start(struct timer_suspend *skel, int slot, __u64 nsecs)
{
	const struct kind *kind = &kinds[slot];

	if (kind->flags & BPF_F_TIMER_ABS)
		nsecs += now(kind->clock);
	return start_timer(skel, skel->progs.start, slot, nsecs, kind->flags);
}

static bool start_all(struct timer_suspend *skel)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!has_kind(&kinds[i]))
			continue;
		if (!__init_timer(skel->progs.init_noting, &skel->bss->args, i, kinds[i].clock) ||
		    !start(skel, i, kinds[i].first) ||
		    (kinds[i].then && !start(skel, i, kinds[i].then)))
			return false;
		if (kinds[i].cancel && !ASSERT_EQ(cancel_timer(skel, i), 1, "cancel"))
			return false;
	}
	return true;
}

static bool suspend(void)
{
	FILE *file = fopen(SUSPEND, "w");
	bool done;

	if (!file)
		return false;
	done = fprintf(file, "%d", ASLEEP_MSECS) > 0;
	return !fclose(file) && done;
}

/* Returns how far CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC, in seconds. */
static __u64 seconds_asleep(void)
{
	return (now(CLOCK_BOOTTIME) - now(CLOCK_MONOTONIC) + NSEC_PER_SEC / 2) / NSEC_PER_SEC;
}

/* @begin is the time of the monotonic clock before the timers were started. */
static void check(struct timer_suspend *skel, int slot, __u64 begin)
{
	const char *name = kinds[slot].name;
	__u64 expired;

	if (kinds[slot].expires == NEVER) {
		ASSERT_EQ(runs_of(skel->maps.timers, slot), 0, name);
		ASSERT_EQ(cancel_timer(skel, slot), !kinds[slot].cancel, name);
		return;
	}
	expired = wait_for_runs(skel->maps.timers, slot, 1);
	if (!ASSERT_NEQ(expired, 0, name))
		return;
	if (kinds[slot].expires == AWAKE)
		ASSERT_GE(expired, begin + DUE, name);
	else
		ASSERT_LT(expired, begin + DUE, name);
}

/* Returns false if the kernel cannot do that, or does not know how long it was suspended. */
static bool check_suspend(struct timer_suspend *skel)
{
	__u64 asleep = seconds_asleep(), begin = now(CLOCK_MONOTONIC);
	int i;

	if (!start_all(skel))
		return true;
	if (!suspend() || seconds_asleep() == asleep)
		return false;
	/* The first may expire while the later ones are started. */
	if (!ASSERT_LT(now(CLOCK_MONOTONIC), begin + DUE, "suspended in time"))
		return true;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (has_kind(&kinds[i]))
			check(skel, i, begin);
	return true;
}

static bool other_cpus(bool online)
{
	int cpu;

	for (cpu = 1; cpu < get_nprocs_conf(); cpu++)
		if (!set_online(cpu, online))
			return false;
	return true;
}

/* Serial: all other CPUs are offline. */
void serial_test_timer_suspend(void)
{
	struct timer_suspend *skel;

	if (access(MODULE, R_OK) || (get_nprocs_conf() > 1 && skip_no_hotplug(1))) {
		test__skip();
		return;
	}
	skel = load_timers(timer_suspend);
	if (!skel)
		return;
	if (ASSERT_OK(load_module(MODULE, false), "load " MODULE)) {
		if (other_cpus(false) && !check_suspend(skel))
			test__skip();
		other_cpus(true);
		ASSERT_OK(unload_module("bpf_timer_suspend", false), "unload " MODULE);
	}
	timer_suspend__destroy(skel);
}
