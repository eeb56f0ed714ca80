/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the programs of timer_races and user space. */

/* Timers that are started one after the other beside a set_callback. */
#define RACES 16
/* A callback that is called too early gives up after this many runs. */
#define MAX_RUNS 1000
/* Words of a timer that a set_callback changes. A CPU can watch no more. */
#define MAX_WORDS 4
