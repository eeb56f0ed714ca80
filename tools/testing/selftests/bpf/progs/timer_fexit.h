/* SPDX-License-Identifier: GPL-2.0 */
/* A call of a function that the fexit programs of timer_fexit trace. */
#ifndef __TIMER_FEXIT_H
#define __TIMER_FEXIT_H

enum { INIT, SET_CALLBACK, START, CANCEL, CANCEL_ASYNC, CANCEL_AND_FREE, FUNCTIONS };

struct call {
	__u64 timer;
	/* The second and third argument. A map or a program is recorded by its id. */
	__u64 args[2];
	__s64 ret;
	__u32 count;
};

#endif
