/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the programs of timer_field_sched and user space. */

/* The starts of a timer, and how they ended. */
struct account {
	__u64 is_armed;
	__u64 started;
	__u64 called;
	__u64 cancelled;
	__u64 moved;		/* replaced by another start */
	__u64 refused;		/* cancellations that C refuses */
	__u64 misplaced;	/* callbacks on another CPU */
};
