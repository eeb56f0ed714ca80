/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the programs of timer_field_init_each_time and user space. */

/* Counts of one CPU. */
struct pool {
	__u64 events[2];	/* in context switches, and in hard interrupts */
	__u64 inits;		/* that returned 0 */
	__u64 flushes;
};
