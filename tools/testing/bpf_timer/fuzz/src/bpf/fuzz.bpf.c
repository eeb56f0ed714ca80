// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that do one timer operation at a time for user space: in a syscall
 * program or a tc program, with interrupts on or off, in hardirq or in an NMI.
 * Callbacks log that they run, and can do an operation themselves.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "fuzz.h"

#define BPF_MAP_TYPE_RHASH_	35	/* newer than the headers */
#define EINVAL		22
#define ECANCELED	125
#define EOPNOTSUPP	95
#define ETIMEDOUT	110
#define NMI_OFFSET	(1 << 28)	/* of the preempt count */
#define SPINS		(1 << 22)
#define ORPHANS		(1 << 15)
#define NSEC_PER_SEC	1000000000ULL

char _license[] SEC("license") = "GPL";

extern int bpf_timer_cancel_async(struct bpf_timer *timer) __ksym;
extern void bpf_local_irq_save(unsigned long *flags) __ksym;
extern void bpf_local_irq_restore(unsigned long *flags) __ksym;
extern const int __preempt_count __ksym __weak; /* of x86 */

struct hrtimer {
	bool is_soft;
} __attribute__((preserve_access_index));

struct atomic64 {
	__s64 counter;
};

struct bpf_map {
	struct atomic64 usercnt;
} __attribute__((preserve_access_index));

struct locked_elem {
	struct bpf_timer timer;
	__u64 data;
	struct bpf_spin_lock lock;
};

/* For maps that cannot have locks. */
struct elem {
	struct bpf_timer timer;
	__u64 data;
};

#define MAP(_name, _type, _flags, _entries, _value)	\
	struct {					\
		__uint(type, _type);			\
		__uint(map_flags, _flags);		\
		__uint(max_entries, _entries);		\
		__type(key, __u32);			\
		__type(value, struct _value);		\
	} _name SEC(".maps")

MAP(array, BPF_MAP_TYPE_ARRAY, 0, FUZZ_KEYS, locked_elem);
MAP(hash, BPF_MAP_TYPE_HASH, 0, 16, locked_elem);
MAP(hash_malloc, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 16, locked_elem);
MAP(rhash, BPF_MAP_TYPE_RHASH_, BPF_F_NO_PREALLOC, 16, locked_elem);
MAP(lru, BPF_MAP_TYPE_LRU_HASH, 0, 256, elem);
/* A large array: releasing its timers takes time. */
MAP(orphans, BPF_MAP_TYPE_ARRAY, 0, ORPHANS, elem);

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FUZZ_KEYS);
	__type(key, __u32);
	__type(value, struct elem);
} inner SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { &inner },
};

struct fuzz_shared shared;

/* In BPF, only an atomic operation whose result is used orders the accesses around it. */
static __always_inline void full_barrier(void)
{
	volatile __u32 word = 0;

	__sync_lock_test_and_set(&word, 1);
}

/* Loads before all that follows. */
#define LOAD_FIRST(_x)							\
	({								\
		__u32 __value = *(volatile __u32 *)&(_x);		\
									\
		full_barrier();						\
		__value;						\
	})

/* Stores after all that precedes. */
#define STORE_LAST(_x, _value)						\
	({								\
		full_barrier();						\
		*(volatile __u32 *)&(_x) = (_value);			\
	})

/* Counts in between. */
#define COUNT_BETWEEN(_x)						\
	({								\
		full_barrier();						\
		__sync_fetch_and_add(&(_x), 1);				\
		full_barrier();						\
	})

/*
 * Tells whether another CPU reaches @stage within @nsecs: a virtual CPU may be away. There
 * are two loops because one ends after BPF_MAX_LOOPS, in less than a second.
 */
static bool reached(__u32 stage, __u64 nsecs)
{
	__u64 end = bpf_ktime_get_ns() + nsecs;
	int i, j;

	bpf_for(i, 0, SPINS) {
		bpf_for(j, 0, 64)
			if (*(volatile __u32 *)&shared.stage >= stage)
				return true;
		if (bpf_ktime_get_ns() > end)
			break;
	}
	return false;
}

/* Starts a slot's timer, and counts that, so that cancel() sees a start that is under way. */
static __always_inline long start(__u32 slot, struct bpf_timer *timer, __u64 nsecs, __u64 flags)
{
	long ret;

	if (slot >= FUZZ_SLOTS)
		return bpf_timer_start(timer, nsecs, flags);
	COUNT_BETWEEN(shared.begun[slot]);
	ret = bpf_timer_start(timer, nsecs, flags);
	COUNT_BETWEEN(shared.ended[slot]);
	return ret;
}

/*
 * Cancels a timer. If that does not fail, the callback does not run, and does not begin before
 * the next start. Nothing is checked if a start is under way, because that may come later.
 */
static __always_inline long cancel(__u32 slot, struct bpf_timer *timer, bool async)
{
	__u32 ended, begun, sets_ended, sets, dropped;
	long ret;

	if (slot >= FUZZ_SLOTS)
		return 0;
	ended = LOAD_FIRST(shared.ended[slot]);
	begun = LOAD_FIRST(shared.begun[slot]);
	dropped = LOAD_FIRST(shared.dropped[slot]);
	sets_ended = LOAD_FIRST(shared.sets_ended[slot]);
	sets = LOAD_FIRST(shared.sets_begun[slot]);
	ret = async ? bpf_timer_cancel_async(timer) : bpf_timer_cancel(timer);
	full_barrier();
	/*
	 * A timer without a callback cannot be started. But a start that is under way may have
	 * found the callback before it was dropped, and may be cancelled after that.
	 */
	if (ret == 1 && dropped == sets + 1 && sets_ended == sets && ended == begun &&
	    *(volatile __u32 *)&shared.begun[slot] == begun &&
	    *(volatile __u32 *)&shared.sets_begun[slot] == sets)
		__sync_fetch_and_add(&shared.without, 1);
	if (!async && (ret == 0 || ret == 1) && sets_ended == sets)
		STORE_LAST(shared.dropped[slot], sets + 1);
	if ((ret != 0 && ret != 1) || ended != begun)
		return ret;
	STORE_LAST(shared.stopped[slot], begun + 1);
	full_barrier();
	/* A start that has begun since then may have led to a callback. */
	if (LOAD_FIRST(shared.running[slot]) &&
	    *(volatile __u32 *)&shared.begun[slot] == begun)
		__sync_fetch_and_add(&shared.late, 1);
	return ret;
}

static __always_inline void note_begin(__u32 slot)
{
	__u32 stopped = LOAD_FIRST(shared.stopped[slot]);

	if (stopped && stopped == *(volatile __u32 *)&shared.begun[slot] + 1)
		__sync_fetch_and_add(&shared.late, 1);
	COUNT_BETWEEN(shared.running[slot]);
}

/*
 * Callbacks. The verifier checks a global function once, but a static function again for
 * each callback, which would take most of the time of a case.
 */

static __noinline long act_on_other(struct bpf_timer *timer, __u32 slot, __u32 action,
				    __u64 nsecs)
{
	if (action == FUZZ_START_OTHER)
		return start(slot, timer, nsecs, 0);
	return cancel(slot, timer, action == FUZZ_CANCEL_ASYNC_OTHER);
}

__noinline long find_other(__u32 action, __u32 map, __u32 key, __u64 nsecs)
{
	struct locked_elem *other;

	if (action == FUZZ_DELETE_OTHER)
		return map == FUZZ_ARRAY ? bpf_map_delete_elem(&array, &key) :
					   bpf_map_delete_elem(&hash, &key);
	if (map == FUZZ_ARRAY)
		other = bpf_map_lookup_elem(&array, &key);
	else
		other = bpf_map_lookup_elem(&hash, &key);
	if (!other)
		return FUZZ_NO_ELEMENT;
	return act_on_other(&other->timer, map * FUZZ_KEYS + key, action, nsecs);
}

static __always_inline long act(void *map, __u32 key, __u32 slot, struct bpf_timer *timer,
				struct fuzz_behaviour *to_do)
{
	struct locked_elem new = {};

	switch (to_do->action) {
	case FUZZ_RESTART:
		return start(slot, timer, to_do->nsecs, 0);
	case FUZZ_CANCEL_SELF:
		return bpf_timer_cancel(timer);
	case FUZZ_CANCEL_ASYNC_SELF:
		return bpf_timer_cancel_async(timer);
	case FUZZ_INIT_SELF:
		return bpf_timer_init(timer, map, 1);
	case FUZZ_DELETE_SELF:
		return bpf_map_delete_elem(map, &key);
	case FUZZ_UPDATE_SELF:
		return bpf_map_update_elem(map, &key, &new, BPF_ANY);
	default:
		return find_other(to_do->action, to_do->other_map, to_do->other_key, to_do->nsecs);
	}
}

__noinline int log_event(__u32 slot, __u32 callback, __u32 action, long ret)
{
	struct fuzz_event *event;
	__u32 i;

	i = __sync_fetch_and_add(&shared.logged, 1);
	if (i >= FUZZ_EVENTS)
		return 0;
	event = &shared.events[i];
	event->slot = slot;
	event->callback = callback;
	event->cpu = bpf_get_smp_processor_id();
	event->action = action;
	event->ret = ret;
	STORE_LAST(event->ready, 1);
	return 0;
}

static __always_inline bool is_cancel(__u32 action)
{
	return action == FUZZ_CANCEL_SELF || action == FUZZ_CANCEL_ASYNC_SELF ||
	       action == FUZZ_CANCEL_OTHER || action == FUZZ_CANCEL_ASYNC_OTHER;
}

/* @map2 is the map of the timer that was started or cancelled. */
__noinline int count_event(__u32 map, __u32 callback, __u32 action, long ret, __u32 map2)
{
	__u32 bit = FUZZ_SEEN_MORE;

	if (ret == 1)
		bit = FUZZ_SEEN_ONE;
	else if (ret == -ECANCELED)
		bit = FUZZ_SEEN_ECANCELED;
	else if (ret == -EOPNOTSUPP)
		bit = FUZZ_SEEN_EOPNOTSUPP;
	else if (ret == FUZZ_NO_ELEMENT)
		bit = FUZZ_SEEN_NO_ELEMENT;
	else if (ret == -ETIMEDOUT)
		bit = FUZZ_SEEN_ETIMEDOUT;
	else if (ret <= 0 && ret > -FUZZ_SEEN_ETIMEDOUT)
		bit = -ret;
	if (map >= FUZZ_MAPS || map2 >= FUZZ_MAPS || callback >= 2 * FUZZ_PROGS ||
	    action >= FUZZ_ACTIONS)
		return 0;
	if ((action == FUZZ_RESTART || action == FUZZ_START_OTHER) && !ret)
		__sync_fetch_and_add(&shared.started[map2], 1);
	if (is_cancel(action) && ret == 1)
		__sync_fetch_and_add(&shared.cancelled[map2], 1);
	__sync_fetch_and_add(&shared.fired[map], 1);
	__sync_fetch_and_add(&shared.fired_of[callback], 1);
	__sync_fetch_and_or(&shared.seen[action], 1ULL << bit);
	return 0;
}

static __noinline int fire(void *map, __u32 key, struct bpf_timer *timer, __u32 map_index,
			   __u32 callback)
{
	__u32 slot = map_index * FUZZ_KEYS + key;
	struct fuzz_behaviour to_do = {};
	struct fuzz_behaviour *behaviour;
	long ret = 0;

	if (key >= FUZZ_KEYS || slot >= FUZZ_SLOTS)
		return 0;
	note_begin(slot);
	behaviour = &shared.behaviours[slot];
	/* Two callbacks may count down at once, to below zero. */
	if (behaviour->left && behaviour->left <= FUZZ_LEFT && !shared.quiet) {
		to_do = *behaviour;
		behaviour->left--;
		ret = act(map, key, slot, timer, &to_do);
	}
	if (!shared.counting)
		log_event(slot, callback, to_do.action, ret);
	else if (to_do.action >= FUZZ_START_OTHER)
		count_event(map_index, callback, to_do.action, ret, to_do.other_map);
	else
		count_event(map_index, callback, to_do.action, ret, map_index);
	full_barrier();
	__sync_fetch_and_sub(&shared.running[slot], 1);
	return 0;
}

/* Operations. */

static __always_inline void *inner_map(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&outer, &zero);
}

static __always_inline long act_on_timer(struct fuzz_op *op, void *map, struct bpf_timer *timer,
					 void *first, void *second)
{
	__u32 slot = op->map * FUZZ_KEYS + op->key;
	long ret;

	switch (op->kind) {
	case FUZZ_INIT:
		return bpf_timer_init(timer, map, op->arg);
	case FUZZ_SET_CALLBACK:
		if (slot >= FUZZ_SLOTS)
			return 0;
		COUNT_BETWEEN(shared.sets_begun[slot]);
		if (op->arg)
			ret = bpf_timer_set_callback(timer, second);
		else
			ret = bpf_timer_set_callback(timer, first);
		COUNT_BETWEEN(shared.sets_ended[slot]);
		return ret;
	case FUZZ_START:
		ret = start(slot, timer, op->arg, op->flags);
		if (!ret && shared.counting && op->map < FUZZ_MAPS)
			__sync_fetch_and_add(&shared.started[op->map], 1);
		return ret;
	default:
		ret = cancel(slot, timer, op->kind == FUZZ_CANCEL_ASYNC);
		break;
	}
	if (ret == 1 && shared.counting && op->map < FUZZ_MAPS)
		__sync_fetch_and_add(&shared.cancelled[op->map], 1);
	return ret;
}

#define CALLBACK(_prog, _map, _index, _value, _which)				\
	static int cb_##_map##_prog##_which(void *map, __u32 *key, struct _value *value) \
	{									\
		__u32 copy = *key;						\
										\
		fire(map, copy, &value->timer, _index, _prog * 2 + _which);	\
		return 0;							\
	}

/* The operations on a map of program number @_prog, which has callbacks of its own. */
#define ON_MAP(_prog, _map, _index, _value, _pointer)				\
	CALLBACK(_prog, _map, _index, _value, 0)				\
	CALLBACK(_prog, _map, _index, _value, 1)				\
	static __noinline long on_##_map##_prog(struct fuzz_op *op)		\
	{									\
		struct _value new = { .data = op->arg };			\
		__u32 key = op->key;						\
		struct _value *value;						\
		void *map = _pointer;						\
										\
		if (!map)							\
			return FUZZ_NO_ELEMENT;					\
		if (_prog < HARDIRQ && op->kind == FUZZ_DELETE)			\
			return bpf_map_delete_elem(map, &key);			\
		if (_prog < HARDIRQ && op->kind == FUZZ_UPDATE)			\
			return bpf_map_update_elem(map, &key, &new, op->flags);	\
		value = bpf_map_lookup_elem(map, &key);				\
		if (!value)							\
			return FUZZ_NO_ELEMENT;					\
		return act_on_timer(op, map, &value->timer,			\
				    cb_##_map##_prog##0, cb_##_map##_prog##1);	\
	}

#define HARDIRQ 3

#define ON_MAPS(_prog)								\
	ON_MAP(_prog, array, FUZZ_ARRAY, locked_elem, &array)			\
	ON_MAP(_prog, hash, FUZZ_HASH, locked_elem, &hash)			\
	ON_MAP(_prog, hash_malloc, FUZZ_MALLOC, locked_elem, &hash_malloc)	\
	ON_MAP(_prog, rhash, FUZZ_RHASH, locked_elem, &rhash)			\
	ON_MAP(_prog, lru, FUZZ_LRU, elem, &lru)				\
	ON_MAP(_prog, inner, FUZZ_INNER, elem, inner_map())				\
	static __always_inline long operate##_prog(struct fuzz_op *op)		\
	{									\
		switch (op->map) {						\
		case FUZZ_ARRAY:						\
			return on_array##_prog(op);				\
		case FUZZ_HASH:							\
			return on_hash##_prog(op);				\
		case FUZZ_MALLOC:						\
			return on_hash_malloc##_prog(op);			\
		case FUZZ_RHASH:						\
			return on_rhash##_prog(op);				\
		case FUZZ_LRU:							\
			return on_lru##_prog(op);				\
		default:							\
			return on_inner##_prog(op);				\
		}								\
	}

/* Program number @_prog does an operation with interrupts on or off. */
#define PROGRAM(_prog)								\
	ON_MAPS(_prog)								\
										\
	static __always_inline int run##_prog(struct fuzz_op *op)		\
	{									\
		unsigned long irqs;						\
										\
		if (op->role == FUZZ_OVERTAKES)					\
			reached(1, 10 * NSEC_PER_SEC);				\
		if (!op->irqs_off) {						\
			op->ret = operate##_prog(op);				\
		} else {							\
			bpf_local_irq_save(&irqs);				\
			op->ret = operate##_prog(op);				\
			if (op->role == FUZZ_OVERTAKEN) {			\
				shared.stage = 1;				\
				reached(2, 5 * NSEC_PER_SEC);			\
			}							\
			bpf_local_irq_restore(&irqs);				\
		}								\
		if (op->role == FUZZ_OVERTAKES)					\
			shared.stage = 2;					\
		return 0;							\
	}

PROGRAM(0)
PROGRAM(1)
PROGRAM(2)
ON_MAPS(3)
ON_MAPS(4)

/*
 * The caller names the CPU whose operation it wants. If that CPU goes offline, the program
 * runs on another CPU, and must not do the operation of that one.
 */
static __always_inline struct fuzz_op *op_of(__u32 cpu)
{
	return &shared.ops[cpu % FUZZ_CPUS];
}

SEC("syscall")
int syscall_a(struct fuzz_args *args)
{
	return run0(op_of(args->cpu));
}

SEC("syscall")
int syscall_b(struct fuzz_args *args)
{
	return run1(op_of(args->cpu));
}

SEC("tc")
int classifier(struct __sk_buff *skb)
{
	return run2(op_of(skb->mark));
}

/* A program in an interrupt does the operation that is requested of its CPU. */
static __always_inline struct fuzz_op *own_op(void)
{
	return op_of(bpf_get_smp_processor_id());
}

/* An hrtimer that expires in hardirq does the operation that is requested of its CPU. */
SEC("tp_btf/hrtimer_expire_entry")
int BPF_PROG(hardirq, struct hrtimer *hrtimer)
{
	struct fuzz_op *op = own_op();

	if (op->state != FUZZ_REQUESTED || hrtimer->is_soft)
		return 0;
	if (__sync_val_compare_and_swap(&op->state, FUZZ_REQUESTED, FUZZ_TAKEN) != FUZZ_REQUESTED)
		return 0;
	op->ret = operate3(op);
	STORE_LAST(op->state, FUZZ_DONE);
	return 0;
}

/*
 * A probe that is a breakpoint is an NMI on x86. Its program cannot use maps with
 * locks; a program on a function that it calls can.
 */
SEC("kprobe/__x64_sys_getpgid+0x5")
int breakpoint(void *ctx)
{
	return bpf_get_numa_node_id() < 0;
}

/* The same in a kernel in which an ENDBR precedes the call for ftrace. */
SEC("kprobe/__x64_sys_getpgid+0x9")
int breakpoint_endbr(void *ctx)
{
	return bpf_get_numa_node_id() < 0;
}

SEC("fentry/bpf_get_numa_node_id")
int nmi(void *ctx)
{
	struct fuzz_op *op = own_op();
	const int *preempt_count;

	if (!bpf_ksym_exists(&__preempt_count))
		return 0;
	preempt_count = bpf_this_cpu_ptr(&__preempt_count);
	if (op->state != FUZZ_REQUESTED_NMI || !(*preempt_count & NMI_OFFSET))
		return 0;
	if (__sync_val_compare_and_swap(&op->state, FUZZ_REQUESTED_NMI, FUZZ_TAKEN) !=
	    FUZZ_REQUESTED_NMI)
		return 0;
	op->ret = operate4(op);
	STORE_LAST(op->state, FUZZ_DONE);
	return 0;
}

/* Makes a timer in an element that it has just deleted. */
static long init_deleted(void *map, __u32 *key, struct bpf_timer *timer, struct fuzz_stale *args)
{
	__u32 copy = *key;

	if (copy != args->key)
		return 0;
	args->found = 1;
	args->deleted = bpf_map_delete_elem(map, &copy);
	args->init = bpf_timer_init(timer, map, 1);
	return 1;
}

static long init_deleted_locked(void *map, __u32 *key, struct locked_elem *value,
				struct fuzz_stale *args)
{
	return init_deleted(map, key, &value->timer, args);
}

static long init_deleted_lru(void *map, __u32 *key, struct elem *value, struct fuzz_stale *args)
{
	return init_deleted(map, key, &value->timer, args);
}

SEC("syscall")
int stale(struct fuzz_stale *args)
{
	struct fuzz_stale copy = { .key = args->key };

	switch (args->map) {
	case FUZZ_HASH:
		bpf_for_each_map_elem(&hash, init_deleted_locked, &copy, 0);
		break;
	case FUZZ_MALLOC:
		bpf_for_each_map_elem(&hash_malloc, init_deleted_locked, &copy, 0);
		break;
	case FUZZ_LRU:
		bpf_for_each_map_elem(&lru, init_deleted_lru, &copy, 0);
		break;
	}
	args->found = copy.found;
	args->deleted = copy.deleted;
	args->init = copy.init;
	return 0;
}

static int never(void *map, __u32 *key, struct elem *value)
{
	return 0;
}

/* Runs while user space drops the map, and records what it can still do then. */
SEC("syscall")
int orphan(struct fuzz_orphan *args)
{
	struct bpf_map *map = (struct bpf_map *)&orphans;
	__u32 key = ORPHANS - 1;
	struct elem *value;
	long ret, worst = 1;
	bool gone = false;
	int i;

	value = bpf_map_lookup_elem(&orphans, &key);
	if (!value)
		return 0;
	args->prepared = bpf_timer_init(&value->timer, &orphans, 1);
	shared.stage = 1;
	bpf_for(i, 0, SPINS) {
		gone = !*(volatile __s64 *)&map->usercnt.counter;
		ret = bpf_timer_set_callback(&value->timer, never);
		if (!gone)
			continue;
		if (worst)
			worst = ret;
		/* The map code has freed the timer. */
		if (ret == -EINVAL)
			break;
	}
	args->gone = gone;
	args->set_callback = worst;
	args->init = bpf_timer_init(&value->timer, &orphans, 1);
	return 0;
}
