/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs of timer_stale share with user space. */

/* Elements of a resizable hash; enough to make its allocator look for memory. */
#define ELEMENTS 64
/* Elements of one whose allocator frees memory. */
#define LARGE 2048
