/* SPDX-License-Identifier: GPL-2.0 */
/* Helpers for the programs in progs/timer_array.h. */
#ifndef __TIMER_ARRAY_H
#define __TIMER_ARRAY_H

#include "../progs/timer_args.h"
#include "timer_helpers.h"

/* The same as in the programs. */
struct elem {
	__u64 timer[2];
	__u64 runs;
};

static inline bool __init_timer(const struct bpf_program *prog, struct timer_args *args,
				__u32 slot, __u32 clockid)
{
	args->slot = slot;
	args->clockid = clockid;
	return ASSERT_OK(run(prog), "run init") && ASSERT_OK(args->err, "init");
}

static inline bool __start_timer(const struct bpf_program *prog, struct timer_args *args,
				 __u32 slot, __u64 nsecs, __u64 flags)
{
	args->slot = slot;
	args->nsecs = nsecs;
	args->flags = flags;
	return ASSERT_OK(run(prog), "run start") && ASSERT_OK(args->err, "start");
}

/* Returns what bpf_timer_cancel() returns. */
static inline int __cancel_timer(const struct bpf_program *prog, struct timer_args *args,
				 __u32 slot)
{
	args->slot = slot;
	ASSERT_OK(run(prog), "run cancel");
	return args->err;
}

/* Operate on a timer of the skeleton. @prog starts it. */
#define init_timer(skel, slot, clockid)	\
	__init_timer((skel)->progs.init, &(skel)->bss->args, slot, clockid)
#define start_timer(skel, prog, slot, nsecs, flags)	\
	__start_timer(prog, &(skel)->bss->args, slot, nsecs, flags)
#define cancel_timer(skel, slot)	\
	__cancel_timer((skel)->progs.cancel, &(skel)->bss->args, slot)

static inline __u64 runs_of(const struct bpf_map *timers, __u32 slot)
{
	struct elem elem = {};

	bpf_map_lookup_elem(bpf_map__fd(timers), &slot, &elem);
	return elem.runs;
}

/* Waits until a timer has run @runs times. Returns how often it has run. */
static inline __u64 wait_for_runs(const struct bpf_map *timers, __u32 slot, __u64 runs)
{
	comes_true(runs_of(timers, slot) >= runs);
	return runs_of(timers, slot);
}

#endif
