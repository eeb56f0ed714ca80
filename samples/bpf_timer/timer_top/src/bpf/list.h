/* SPDX-License-Identifier: GPL-2.0 */
/* What a walk over the timers of a map finds. src/list.rs has the same layout. */
#ifndef LIST_H
#define LIST_H

struct found {
	__u32 prog_id;
	__u32 running;
	__u64 timers;
	__u64 armed;
	__u64 next;	/* the shortest time in ns until one expires, if one is armed */
};

/* Programs whose timers are told apart; the timers of others are counted with the last. */
#define PROGS 64

#endif
