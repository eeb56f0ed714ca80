/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the programs of timer_stale and user space. */

/* Elements of a resizable hash: enough to make its allocator look for memory. */
#define ELEMENTS 64
/* Elements of an inner map, and how many of them are deleted at a time. */
#define LARGE 512
#define PART 16
