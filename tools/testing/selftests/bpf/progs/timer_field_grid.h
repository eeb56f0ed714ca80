/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the programs of timer_field_grid and user space. */

/* The distance of the points of the grid. */
#define GRID 1000000ULL

/* The points of the grid on one CPU. */
struct ticks {
	__u64 next;		/* the point for which the timer is started */
	__u64 called;
	__u64 missed;		/* points without a callback */
	__u64 early;
	__u64 misplaced;	/* callbacks on another CPU */
	__u64 ended;		/* the time of the last callback */
};
