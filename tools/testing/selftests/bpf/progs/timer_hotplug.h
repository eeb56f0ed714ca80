/* SPDX-License-Identifier: GPL-2.0 */
/* Timers and operations of the programs that run while a CPU goes offline or comes back. */
#ifndef __TIMER_HOTPLUG_H
#define __TIMER_HOTPLUG_H

/* Each timer of the array has one use. */
enum { STARTED, CANCELLED, HELD, LATER, TIMERS };

/* The operations that a program is asked for. */
enum { DO_START = 1, DO_CANCEL = 2, DO_DELETE = 4, DO_DROP = 8 };

#endif
