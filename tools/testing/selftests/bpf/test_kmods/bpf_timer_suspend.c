// SPDX-License-Identifier: GPL-2.0
/*
 * Suspends the clocks and the CPU's devices, as the last step of a suspend does. Other devices
 * stay as they are, since those of virtual machines may not come back. A number that is written
 * to the parameter "suspend" says for how many milliseconds. Then the machine wakes by itself.
 */
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/syscore_ops.h>

#ifdef CONFIG_PM_SLEEP
static int suspend(unsigned int msecs)
{
	int err;

	local_irq_disable();
	err = syscore_suspend();
	if (!err) {
		/* No clock may be read here. */
		mdelay(msecs);
		syscore_resume();
	}
	local_irq_enable();
	return err;
}
#else
static int suspend(unsigned int msecs)
{
	return -EOPNOTSUPP;
}
#endif

static int suspend_set(const char *val, const struct kernel_param *param)
{
	unsigned int msecs;
	int err = kstrtouint(val, 0, &msecs);

	if (err)
		return err;
	/* The other CPUs must be offline, as they are in a suspend. */
	cpus_read_lock();
	err = num_online_cpus() == 1 ? suspend(msecs) : -EBUSY;
	cpus_read_unlock();
	return err;
}

static const struct kernel_param_ops suspend_ops = {
	.set = suspend_set,
};
module_param_cb(suspend, &suspend_ops, NULL, 0200);
MODULE_PARM_DESC(suspend, "suspend for this number of milliseconds");

MODULE_DESCRIPTION("BPF timers: suspend the clocks of a machine");
MODULE_LICENSE("GPL");
