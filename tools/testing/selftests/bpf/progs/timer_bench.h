/* SPDX-License-Identifier: GPL-2.0 */
/* What timer_bench and its programs have in common. */
#ifndef __TIMER_BENCH_H
#define __TIMER_BENCH_H

#define BATCH 64
/* Timers in a map. */
#define MANY 100000

#endif
