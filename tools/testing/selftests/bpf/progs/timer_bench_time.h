/* SPDX-License-Identifier: GPL-2.0 */
/* What timer_bench_time and its programs have in common. */
#ifndef __TIMER_BENCH_TIME_H
#define __TIMER_BENCH_TIME_H

/* So many timers record how late they are, as often. As in bpf_timer_raw.ko. */
#define RECORDERS 8
#define SAMPLES 8192

#endif
