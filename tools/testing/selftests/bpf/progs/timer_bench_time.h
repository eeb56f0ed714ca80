/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by timer_bench_time and its programs. */
#ifndef __TIMER_BENCH_TIME_H
#define __TIMER_BENCH_TIME_H

/* RECORDERS timers record SAMPLES times how late they are. bpf_timer_raw.c has the same values. */
#define RECORDERS 8
#define SAMPLES 8192

#endif
