/* SPDX-License-Identifier: GPL-2.0 */
/* What the callbacks of timer_callbacks can be told to do. */
#ifndef __TIMER_CALLBACKS_H
#define __TIMER_CALLBACKS_H

enum { NOTHING, REPEAT, CANCEL, CANCEL_ASYNC, DELETE, DELETE_OWN };

#endif
