/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by timer_bench and its programs. */
#ifndef __TIMER_BENCH_H
#define __TIMER_BENCH_H

/* Timers that two CPUs share. */
#define SHARED 64
/* The number of operations for which interrupts stay off. */
#define IRQS_OFF_BATCH 64

/* The operations. A function of each name does it to each element. */
#define OPERATIONS(X)		\
	X(loop)			\
	X(lookup)		\
	X(fill)			\
	X(empty)		\
	X(init)			\
	X(set_callback)		\
	X(set_callback_same)	\
	X(set_note)		\
	X(start_first)		\
	X(start_again)		\
	X(start_later)		\
	X(start_earlier)	\
	X(start_at)		\
	X(info)			\
	X(cancel_idle)		\
	X(cancel_armed)		\
	X(cancel_async_idle)	\
	X(cancel_async_armed)	\
	X(set_cancel)		\
	X(set_start_cancel)	\
	X(delete_armed)		\
	X(delete_idle)		\
	X(delete_empty)		\
	X(raw_setup)		\
	X(raw_start_first)	\
	X(raw_start_again)	\
	X(raw_start_later)	\
	X(raw_start_earlier)	\
	X(raw_start_at)		\
	X(raw_cancel_idle)	\
	X(raw_cancel_armed)	\
	X(raw_try_idle)		\
	X(raw_try_armed)	\
	X(raw_start_cancel)

#define __OPERATION(_name) OP_##_name,
enum { OPERATIONS(__OPERATION) };

#endif
