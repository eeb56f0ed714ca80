/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the programs of timer_cancel and user space. */

/* The timer that is cancelled, and a timer that takes the program into a context. */
#define TIMERS 2
/* Races in one run of a program. */
#define ROUNDS 256

enum { TASK, SOFTIRQ, IRQS_OFF, HARDIRQ, NMI };

/* Results of a cancellation that are counted: idle, armed, and -EBUSY. */
enum { BUSY = 2, RESULTS };
