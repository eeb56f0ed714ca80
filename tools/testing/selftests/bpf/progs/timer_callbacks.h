/* SPDX-License-Identifier: GPL-2.0 */
/* The operations of the callbacks of timer_callbacks. */
#ifndef __TIMER_CALLBACKS_H
#define __TIMER_CALLBACKS_H

enum { NOTHING, REPEAT, CANCEL, CANCEL_ASYNC, DELETE, DELETE_OWN };

#endif
