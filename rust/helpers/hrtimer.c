// SPDX-License-Identifier: GPL-2.0

#include <linux/hrtimer_bases.h>

__rust_helper bool
rust_helper_hrtimer_callback_running_lockless(struct hrtimer *timer)
{
	/* The base changes, but not while the callback runs. */
	return READ_ONCE(READ_ONCE(timer->base)->running) == timer;
}
