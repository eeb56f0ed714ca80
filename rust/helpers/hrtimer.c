// SPDX-License-Identifier: GPL-2.0

#include <linux/hrtimer_bases.h>
#include <linux/percpu.h>

/*
 * For softirq context. Softirqs do not nest, so at most one of the bases runs a
 * timer. Whatever the caller has interrupted, it cannot change before the caller
 * returns. The pointer may dangle: a callback may have freed its timer.
 */
__rust_helper struct hrtimer *rust_helper_hrtimer_soft_expiring_here(void)
{
	const struct hrtimer_cpu_base *cpu_base = raw_cpu_ptr(&hrtimer_bases);

	for (int i = HRTIMER_BASE_MONOTONIC_SOFT; i < HRTIMER_MAX_CLOCK_BASES; i++) {
		struct hrtimer *running = READ_ONCE(cpu_base->clock_base[i].running);

		if (running)
			return running;
	}
	return NULL;
}

__rust_helper bool rust_helper_hrtimer_callback_running(struct hrtimer *timer)
{
	/* The base changes, but not while the callback runs. */
	return READ_ONCE(READ_ONCE(timer->base)->running) == timer;
}
