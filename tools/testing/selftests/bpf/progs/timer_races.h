/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs of timer_races share with user space. */

/* Timers that are started one after the other beside a set_callback. */
#define RACES 16
/* After so many runs a callback that is called too early gives up. */
#define MAX_RUNS 1000
/* Words of a timer that a set_callback changes; as many as a CPU can watch. */
#define MAX_WORDS 4
