/* SPDX-License-Identifier: GPL-2.0 */
/* The map of maps through which a program of timer_matrix reaches the timers. */
#ifndef __TIMER_MATRIX_H
#define __TIMER_MATRIX_H

enum { DIRECT, ARRAY_IN_HASH, HASH_IN_ARRAY, HASH_MALLOC_IN_ARRAY, LRU_IN_ARRAY, RHASH_IN_ARRAY };

#endif
