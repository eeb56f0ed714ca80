/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs on the tracepoints count. src/events.rs has the same layouts. */
#ifndef EVENTS_H
#define EVENTS_H

/* Four buckets for each power of two, in ns; the last one is for 2^40 and more. */
#define BUCKETS 160

struct counts_key {
	__u32 map_id;
	__u32 prog_id;	/* 0: no callback was set */
};

struct counts {
	__u64 inits;
	__u64 starts;
	__u64 pushes;		/* starts that left the hrtimer alone */
	__u64 cancels;
	__u64 cancelled;	/* cancellations of a timer that was armed */
	__u64 expiries;
	__u64 frees;
	__u64 freed_armed;
	__u64 callback_ns;	/* all callbacks together */
	__u64 longest_late;	/* ns */
	__u64 longest_callback;
	__u32 late[BUCKETS];	/* expiries by ns after their time */
	__u32 callback[BUCKETS];/* callbacks by ns */
};

enum operation { OP_INIT, OP_START, OP_CANCEL };

struct error_key {
	__u32 map_id;
	__u32 prog_id;
	__u32 operation;
	__s32 code;
};

#endif
