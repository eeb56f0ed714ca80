/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the programs of timer_field. */
#ifndef __TIMER_FIELD_COMMON_H
#define __TIMER_FIELD_COMMON_H

#include "timer_common.h"
#include "timer_field.h"

#define USEC 1000ULL
#define count(counter) __sync_fetch_and_add(&(counter), 1)

/* For each operation, the last result that the documentation does not allow there. */
int unexpected[OPERATIONS];

/* Notes a result that is neither 0 nor one of two errors. Returns the result. */
static __always_inline int allow(__u32 operation, int result, int error, int other_error)
{
	if (result && result != error && result != other_error)
		unexpected[operation] = result;
	return result;
}

/* Notes a result that is not 0. Returns the result. */
static __always_inline int must(__u32 operation, int result)
{
	return allow(operation, result, 0, 0);
}

/*
 * Traffic comes in bursts of eight milliseconds, with pauses of the same length: timers
 * expire in these, however many packets the machine can handle.
 */
static __always_inline bool is_pause(void)
{
	return bpf_ktime_get_ns() >> 23 & 1;
}

#endif
