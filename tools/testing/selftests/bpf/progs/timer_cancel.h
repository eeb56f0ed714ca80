/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs of timer_cancel share with user space. */

/* The one that is cancelled, and one by which to get into a context. */
#define TIMERS 2
/* Races in one run of a program. */
#define ROUNDS 256

enum { TASK, SOFTIRQ, IRQS_OFF, HARDIRQ, NMI };

/* Results of a cancellation that are counted: idle, armed, and -EBUSY. */
enum { BUSY = 2, RESULTS };
