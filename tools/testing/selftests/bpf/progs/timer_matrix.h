/* SPDX-License-Identifier: GPL-2.0 */
/* Through which map of maps the timers of timer_matrix are reached, if through any. */
#ifndef __TIMER_MATRIX_H
#define __TIMER_MATRIX_H

enum { DIRECT, ARRAY_IN_HASH, HASH_IN_ARRAY, HASH_MALLOC_IN_ARRAY, LRU_IN_ARRAY, RHASH_IN_ARRAY };

#endif
