/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TIMER_BACKLOG_H
#define __TIMER_BACKLOG_H

/* How often the drain does something: in this interrupt, in one at most, and in all. */
struct counts {
	__u64 now, most, all;
};

#endif
