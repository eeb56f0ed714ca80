/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the BPF programs and user space (src/session.rs). */
#ifndef FUZZ_H
#define FUZZ_H

#include <linux/bpf.h>

#define FUZZ_CPUS 8
#define FUZZ_PROGS 5
#define FUZZ_EVENTS 4096
#define FUZZ_LEFT 8	/* the most that fuzz_behaviour.left is set to */
/* The result of an operation if the key is not in the map. */
#define FUZZ_NO_ELEMENT 1000

enum fuzz_map {
	FUZZ_ARRAY,
	FUZZ_HASH,
	FUZZ_MALLOC,	/* a hash that is not preallocated */
	FUZZ_RHASH,
	FUZZ_LRU,
	FUZZ_INNER,	/* an array in an array of maps */
	FUZZ_MAPS,
};

/* The number of keys in each map that have timers. A slot is a map and a key. */
#define FUZZ_KEYS 3
#define FUZZ_SLOTS (FUZZ_MAPS * FUZZ_KEYS)

enum fuzz_kind {
	FUZZ_INIT,		/* arg: flags */
	FUZZ_SET_CALLBACK,	/* arg: which of two */
	FUZZ_START,		/* arg: nanoseconds */
	FUZZ_CANCEL,
	FUZZ_CANCEL_ASYNC,
	FUZZ_DELETE,
	FUZZ_UPDATE,		/* arg: data */
};

/* The first of two operations is deferred until the second is done. */
enum fuzz_role {
	FUZZ_ALONE,
	FUZZ_OVERTAKEN,
	FUZZ_OVERTAKES,
};

enum fuzz_state {
	FUZZ_IDLE,
	FUZZ_REQUESTED,		/* of the program in hardirq */
	FUZZ_REQUESTED_NMI,
	FUZZ_TAKEN,		/* too late to withdraw the request */
	FUZZ_DONE,
};

struct fuzz_op {
	__u32 kind;
	__u32 map;
	__u32 key;
	__u32 irqs_off;
	__u32 role;
	__u32 state;
	__u64 arg;
	__u64 flags;
	__s64 ret;
};

enum fuzz_action {
	FUZZ_NOTHING,
	FUZZ_RESTART,		/* its own timer, nsecs from now */
	FUZZ_CANCEL_SELF,
	FUZZ_CANCEL_ASYNC_SELF,
	FUZZ_INIT_SELF,
	FUZZ_DELETE_SELF,
	FUZZ_UPDATE_SELF,
	FUZZ_START_OTHER,	/* nsecs from now */
	FUZZ_CANCEL_OTHER,
	FUZZ_CANCEL_ASYNC_OTHER,
	FUZZ_DELETE_OTHER,
	FUZZ_ACTIONS,
};

/* The callback of a slot does @action the next @left times. */
struct fuzz_behaviour {
	__u32 action;
	__u32 left;
	__u32 other_map;	/* FUZZ_ARRAY or FUZZ_HASH */
	__u32 other_key;
	__u64 nsecs;
};

/* A callback that has run. */
struct fuzz_event {
	__u32 slot;
	__u32 callback;		/* program * 2 + which */
	__u32 cpu;
	__u32 action;
	__s64 ret;		/* of the action */
	__u32 ready;
	__u32 padding;
};

struct fuzz_shared {
	struct fuzz_op ops[FUZZ_CPUS];	/* the next one of each CPU */
	struct fuzz_behaviour behaviours[FUZZ_SLOTS];
	__u32 stage;
	__u32 logged;
	struct fuzz_event events[FUZZ_EVENTS];

	/* Starts of a slot's timer that have begun, and that have ended. */
	__u32 begun[FUZZ_SLOTS];
	__u32 ended[FUZZ_SLOTS];
	/* One more than the starts before the cancellation that stopped the timer. */
	__u32 stopped[FUZZ_SLOTS];
	__u32 running[FUZZ_SLOTS];	/* callbacks */
	/* The same for set_callback, and for the cancellation that drops the callback. */
	__u32 sets_begun[FUZZ_SLOTS];
	__u32 sets_ended[FUZZ_SLOTS];
	__u32 dropped[FUZZ_SLOTS];
	__u32 without;			/* timers that were armed without a callback */
	__u32 late;			/* callbacks that ran on a stopped timer */

	/* With several threads at once, callbacks are counted instead of logged. */
	__u32 counting;
	__u32 quiet;			/* no actions any more */
	__u64 started[FUZZ_MAPS];
	__u64 cancelled[FUZZ_MAPS];	/* cancellations that returned 1 */
	__u64 fired[FUZZ_MAPS];
	__u64 fired_of[2 * FUZZ_PROGS];	/* by callback */
	__u64 seen[FUZZ_ACTIONS];	/* results, a bit each */
};

/* Bits of fuzz_shared.seen for results of actions: errno for -errno, except for these. */
#define FUZZ_SEEN_ONE 63
#define FUZZ_SEEN_ECANCELED 62
#define FUZZ_SEEN_EOPNOTSUPP 61
#define FUZZ_SEEN_MORE 60
#define FUZZ_SEEN_NO_ELEMENT 59
#define FUZZ_SEEN_ETIMEDOUT 58	/* the lowest */

/* The argument of a syscall program. A tc program gets it as the packet's mark. */
struct fuzz_args {
	__u32 cpu;		/* whose operation to do, wherever the program runs */
};

struct fuzz_stale {
	__u32 map;
	__u32 key;
	__s64 found;
	__s64 deleted;
	__s64 init;
};

struct fuzz_orphan {
	__s64 prepared;
	__s64 gone;		/* the map had no user in the end */
	__s64 set_callback;	/* 0 if it succeeded after that, or else its last error */
	__s64 init;
};

#endif
