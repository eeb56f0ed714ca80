/* SPDX-License-Identifier: GPL-2.0 */
/* What the clocks of a program showed at once; instead of CLOCK_REALTIME there is CLOCK_TAI. */
#ifndef __TIMER_CLOCKS_H
#define __TIMER_CLOCKS_H

struct times {
	__u64 mono;
	__u64 boot;
	__u64 tai;
};

#endif
