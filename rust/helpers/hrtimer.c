// SPDX-License-Identifier: GPL-2.0

#include <linux/hrtimer_bases.h>
#include <linux/smp.h>

/*
 * While its callback runs, @timer stays on the base that runs it. So a base
 * that is another CPU's, or that does not run it, says no for good, and so does
 * the base of timers under migration, which never runs any.
 */
__rust_helper bool
rust_helper_hrtimer_callback_running_here(const struct hrtimer *timer)
{
	const struct hrtimer_clock_base *base = READ_ONCE(timer->base);

	return base->cpu_base->cpu == raw_smp_processor_id() &&
	       READ_ONCE(base->running) == timer;
}
