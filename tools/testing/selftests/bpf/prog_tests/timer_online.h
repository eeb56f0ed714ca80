/* SPDX-License-Identifier: GPL-2.0 */
/* Takes CPUs offline, and brings them back. */
#ifndef __TIMER_ONLINE_H
#define __TIMER_ONLINE_H

#include "timer_helpers.h"

static inline int open_online(int cpu)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	return open(path, O_WRONLY);
}

static inline bool write_online(int cpu, const char *value)
{
	int fd = open_online(cpu);
	bool written;

	if (fd < 0)
		return false;
	written = write(fd, value, 1) == 1;
	close(fd);
	return written;
}

/* Tries again, because the kernel may refuse it for a moment. */
static inline bool set_online(int cpu, bool online)
{
	__u64 end = now(CLOCK_MONOTONIC) + 30 * NSEC_PER_SEC;

	while (!write_online(cpu, online ? "1" : "0")) {
		if (!ASSERT_LT(now(CLOCK_MONOTONIC), end, online ? "online" : "offline"))
			return false;
		usleep(10000);
	}
	return true;
}

/* Skips a test if @cpu cannot go offline. */
static inline bool skip_no_hotplug(int cpu)
{
	int fd = open_online(cpu);

	if (fd < 0) {
		test__skip();
		return true;
	}
	close(fd);
	return false;
}

#endif
