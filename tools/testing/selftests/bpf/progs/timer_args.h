/* SPDX-License-Identifier: GPL-2.0 */
/* The arguments and the result of the programs in timer_array.h. */
#ifndef __TIMER_ARGS_H
#define __TIMER_ARGS_H

struct timer_args {
	__u32 slot;
	__u32 clockid;
	__u64 nsecs;
	__u64 flags;
	int err;
};

#endif
