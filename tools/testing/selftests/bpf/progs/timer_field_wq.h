/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the programs of timer_field_wq and user space. */

/* Values that have a timer and a bpf_wq. */
#define PAIRS 16

struct turns {
	__u64 of_timer;
	__u64 of_work;
};
