/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs of the tests of BPF timers have in common. */
#ifndef __TIMER_COMMON_H
#define __TIMER_COMMON_H

#include <errno.h>

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_BOOTTIME 7
#define NSEC_PER_MSEC 1000000ULL

#endif
