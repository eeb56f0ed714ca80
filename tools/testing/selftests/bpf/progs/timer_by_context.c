// SPDX-License-Identifier: GPL-2.0
/* Do each operation in each context. */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_experimental.h"
#include "timer_common.h"
#include "timer_by_context.h"

#define HOUR (3600000 * NSEC_PER_MSEC)

char _license[] SEC("license") = "GPL";

struct elem {
	struct bpf_timer timer;
};

#define TIMERS(_name)				\
	struct {				\
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(max_entries, CONTEXTS);	\
		__type(key, __u32);		\
		__type(value, struct elem);	\
	} _name SEC(".maps")

/* Timers that are made in each context, and timers that were made before. */
TIMERS(fresh);
TIMERS(made);
/* A timer whose callback runs on another CPU, and one that takes a program into a context. */
TIMERS(spinning);
TIMERS(vehicles);

/* User space names the context, and is told when the program there is @done. */
__u32 context;
bool due, done;
struct results results;

/* The callback spins until the program is done, but not for longer than @spin_nsecs. */
__u64 spin_nsecs;
bool began, ended;

static int spin(void *map, __u32 *key, struct elem *value)
{
	WRITE_ONCE(began, true);
	spin_until(READ_ONCE(done), spin_nsecs);
	WRITE_ONCE(ended, true);
	return 0;
}

static int do_nothing(void *map, __u32 *key, struct elem *value)
{
	return 0;
}

static __always_inline struct elem *elem(void *map)
{
	__u32 key = context;

	return bpf_map_lookup_elem(map, &key);
}

/* Does all operations, once, if the context is @where. The other CPU spins. */
static void operate(__u32 where)
{
	struct elem *own = elem(&fresh), *other = elem(&made), *running = elem(&spinning);

	if (context != where || !due || bpf_get_smp_processor_id() || !own || !other || !running)
		return;
	due = false;
	results.init = bpf_timer_init(&own->timer, &fresh, CLOCK_MONOTONIC);
	results.set_callback = bpf_timer_set_callback(&other->timer, do_nothing);
	results.start = bpf_timer_start(&other->timer, HOUR, 0);
	results.cancel_async = bpf_timer_cancel_async(&other->timer);
	results.cancel = bpf_timer_cancel(&running->timer);
	results.waited = READ_ONCE(ended);
	WRITE_ONCE(done, true);
}

static int in_callback(void *map, __u32 *key, struct elem *value)
{
	operate(CALLBACK);
	return 0;
}

SEC("xdp")
int in_xdp(struct xdp_md *ctx)
{
	operate(XDP);
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int in_fentry(void *ctx)
{
	operate(FENTRY);
	return 0;
}

SEC("ksyscall/nanosleep")
int in_kprobe(void *ctx)
{
	operate(KPROBE);
	return 0;
}

/* Runs under the lock of a process's signals. */
SEC("tp_btf/signal_generate")
int in_signal(void *ctx)
{
	operate(SIGNAL);
	return 0;
}

/* Runs in the interrupt of the drain. */
SEC("?tp_btf/irq_work_entry")
int in_hardirq(void *ctx)
{
	operate(HARDIRQ);
	return 0;
}

/* Attached as a breakpoint, which is an NMI on some architectures. */
SEC("?kprobe")
int in_nmi(void *ctx)
{
	operate(NMI);
	return 0;
}

/* Makes the timers of the context. Starts the one that spins on this CPU. */
SEC("syscall")
int begin(void *ctx)
{
	struct elem *other = elem(&made), *running = elem(&spinning), *vehicle = elem(&vehicles);
	int err;

	if (!other || !running || !vehicle)
		return -ENOENT;
	ended = false;
	done = false;
	err = bpf_timer_init(&other->timer, &made, CLOCK_MONOTONIC);
	err = err ?: bpf_timer_init(&vehicle->timer, &vehicles, CLOCK_MONOTONIC);
	err = err ?: bpf_timer_init(&running->timer, &spinning, CLOCK_MONOTONIC);
	err = err ?: bpf_timer_set_callback(&running->timer, spin);
	return err ?: bpf_timer_start(&running->timer, 0, BPF_F_TIMER_CPU_PIN);
}

/* Goes into the context, or to where it is reached from. */
SEC("syscall")
int enter(void *ctx)
{
	struct elem *vehicle = elem(&vehicles);
	unsigned long irqs;
	int err = 0;

	if (!vehicle)
		return -ENOENT;
	due = true;
	switch (context) {
	case TASK:
		operate(TASK);
		break;
	case RCU_READER:
		bpf_rcu_read_lock();
		operate(RCU_READER);
		bpf_rcu_read_unlock();
		break;
	case CALLBACK:
		err = bpf_timer_set_callback(&vehicle->timer, in_callback);
		err = err ?: bpf_timer_start(&vehicle->timer, 0, BPF_F_TIMER_CPU_PIN);
		break;
	case IRQS_OFF:
		bpf_local_irq_save(&irqs);
		operate(IRQS_OFF);
		bpf_local_irq_restore(&irqs);
		break;
	case HARDIRQ:
		err = bpf_timer_set_callback(&vehicle->timer, do_nothing);
		/* Leaves the start to the drain. */
		bpf_local_irq_save(&irqs);
		err = err ?: bpf_timer_start(&vehicle->timer, HOUR, BPF_F_TIMER_CPU_PIN);
		bpf_local_irq_restore(&irqs);
		break;
	case NMI:
		bpf_get_numa_node_id();
		break;
	}
	return err;
}
