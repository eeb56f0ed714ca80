/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the programs of timer_field_shared_* and user space. */
#ifndef __TIMER_FIELD_SHARED_H
#define __TIMER_FIELD_SHARED_H

#define KEYS 16

/* The two objects, and a constant of each. */
enum { TC, XDP, OWNERS };
#define CONSTANT(owner) (0x71e10000 + (owner))

struct record {
	__u64 calls[OWNERS];	/* of the callback of each object */
	__u64 wrong;		/* callbacks that had another constant */
};

#endif
