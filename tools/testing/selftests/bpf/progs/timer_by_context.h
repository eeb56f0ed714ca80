/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by timer_by_context and its programs. */
#ifndef __TIMER_BY_CONTEXT_H
#define __TIMER_BY_CONTEXT_H

enum {
	TASK, RCU_READER, CALLBACK, XDP, FENTRY, SIGNAL, IRQS_OFF, KPROBE, HARDIRQ, NMI, CONTEXTS
};

/* What the operations returned in a context. */
struct results {
	int init;
	int set_callback;
	int start;
	int cancel_async;
	/* A timer is cancelled whose callback runs. Has the callback returned afterwards? */
	int cancel;
	bool waited;
};

#endif
