/* SPDX-License-Identifier: GPL-2.0 */
/* The clocks that a program can read. It can read CLOCK_TAI, but not CLOCK_REALTIME. */
#ifndef __TIMER_CLOCKS_H
#define __TIMER_CLOCKS_H

struct times {
	__u64 mono;
	__u64 boot;
	__u64 tai;
};

#endif
