/* SPDX-License-Identifier: GPL-2.0 */
/* What the test of bpf_timer_info() and its programs share. */
#ifndef __TIMER_INFO_H
#define __TIMER_INFO_H

/* The states in which the program asks, in this order. */
enum {
	EMPTY, IDLE, HAS_CALLBACK, ARMED, MOVED, PINNED, CANCELLED, DEFERRED, WALL, IN_CALLBACK,
	RESTARTED, STATES
};

/* The element whose callback asks, and elements that stay where they are in a walk. */
#define KEEP 4096
#define CHURN 1024

#endif
