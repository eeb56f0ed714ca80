/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the programs of timer_field and user space. */
#ifndef __TIMER_FIELD_H
#define __TIMER_FIELD_H

/* Operations whose results are checked. */
enum { UPDATE, DELETE, INIT, SET_CALLBACK, START, CANCEL, OPERATIONS };

/* The most CPUs that can have a timer each. */
#define FIELD_CPUS 64

#endif
