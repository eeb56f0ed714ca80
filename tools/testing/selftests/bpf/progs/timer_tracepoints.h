/* SPDX-License-Identifier: GPL-2.0 */
/* Events that the programs on the tracepoints of BPF timers record. */
#ifndef __TIMER_TRACEPOINTS_H
#define __TIMER_TRACEPOINTS_H

enum { INIT, START, EXPIRE_ENTRY, CALLBACK, EXPIRE_EXIT, CANCEL, FREE, EVENTS };

struct event {
	__u64 order;	/* 1 is the first */
	__u64 timer;
	__u32 map_id;
	__u32 prog_id;
	__u64 nsecs;
	__u64 flags;
	int ret;
};

#endif
