/* SPDX-License-Identifier: GPL-2.0 */
/* What a program does to timers while a CPU goes or comes. */
#ifndef __TIMER_HOTPLUG_H
#define __TIMER_HOTPLUG_H

/* Each timer of the array has one use. */
enum { STARTED, CANCELLED, HELD, LATER, TIMERS };

/* The operations that a program is asked for. */
enum { DO_START = 1, DO_CANCEL = 2, DO_DELETE = 4, DO_DROP = 8 };

#endif
