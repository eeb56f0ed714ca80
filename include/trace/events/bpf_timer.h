/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints of BPF timers; see Documentation/bpf/timers_rust.rst. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bpf_timer

#if !defined(_TRACE_BPF_TIMER_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_BPF_TIMER_H

#include <linux/tracepoint.h>

/*
 * @timer is the address of the timer. Its struct hrtimer has the same address,
 * except for absolute starts on CLOCK_REALTIME. @map_id and @prog_id are the ids
 * that bpftool shows. @map_id is zero if the timer is dead or is being made,
 * @prog_id if no callback is set.
 */
TRACE_EVENT(bpf_timer_init,

	TP_PROTO(const void *timer, u32 map_id, int clockid, int ret),

	TP_ARGS(timer, map_id, clockid, ret),

	TP_STRUCT__entry(
		__field(const void *, timer)
		__field(u32, map_id)
		__field(int, clockid)
		__field(int, ret)
	),

	TP_fast_assign(
		__entry->timer = timer;
		__entry->map_id = map_id;
		__entry->clockid = clockid;
		__entry->ret = ret;
	),

	TP_printk("timer=%p map_id=%u clockid=%d ret=%d", __entry->timer,
		  __entry->map_id, __entry->clockid, __entry->ret)
);

/* @pushed: the hrtimer was queued already, for that time or an earlier one. */
TRACE_EVENT(bpf_timer_start,

	TP_PROTO(const void *timer, u32 map_id, u32 prog_id, u64 nsecs,
		 u64 flags, bool pushed, int ret),

	TP_ARGS(timer, map_id, prog_id, nsecs, flags, pushed, ret),

	TP_STRUCT__entry(
		__field(const void *, timer)
		__field(u32, map_id)
		__field(u32, prog_id)
		__field(u64, nsecs)
		__field(u64, flags)
		__field(bool, pushed)
		__field(int, ret)
	),

	TP_fast_assign(
		__entry->timer = timer;
		__entry->map_id = map_id;
		__entry->prog_id = prog_id;
		__entry->nsecs = nsecs;
		__entry->flags = flags;
		__entry->pushed = pushed;
		__entry->ret = ret;
	),

	TP_printk("timer=%p map_id=%u prog_id=%u nsecs=%llu flags=0x%llx pushed=%d ret=%d",
		  __entry->timer, __entry->map_id, __entry->prog_id,
		  __entry->nsecs, __entry->flags, __entry->pushed,
		  __entry->ret)
);

TRACE_EVENT(bpf_timer_cancel,

	TP_PROTO(const void *timer, u32 map_id, u32 prog_id, bool async,
		 int ret),

	TP_ARGS(timer, map_id, prog_id, async, ret),

	TP_STRUCT__entry(
		__field(const void *, timer)
		__field(u32, map_id)
		__field(u32, prog_id)
		__field(bool, async)
		__field(int, ret)
	),

	TP_fast_assign(
		__entry->timer = timer;
		__entry->map_id = map_id;
		__entry->prog_id = prog_id;
		__entry->async = async;
		__entry->ret = ret;
	),

	TP_printk("timer=%p map_id=%u prog_id=%u async=%d ret=%d",
		  __entry->timer, __entry->map_id, __entry->prog_id,
		  __entry->async, __entry->ret)
);

TRACE_EVENT(bpf_timer_expire_entry,

	TP_PROTO(const void *timer, u32 map_id, u32 prog_id, s64 expires,
		 int clockid),

	TP_ARGS(timer, map_id, prog_id, expires, clockid),

	TP_STRUCT__entry(
		__field(const void *, timer)
		__field(u32, map_id)
		__field(u32, prog_id)
		__field(s64, expires)
		__field(int, clockid)
	),

	TP_fast_assign(
		__entry->timer = timer;
		__entry->map_id = map_id;
		__entry->prog_id = prog_id;
		__entry->expires = expires;
		__entry->clockid = clockid;
	),

	TP_printk("timer=%p map_id=%u prog_id=%u expires=%lld clockid=%d",
		  __entry->timer, __entry->map_id, __entry->prog_id,
		  __entry->expires, __entry->clockid)
);

TRACE_EVENT(bpf_timer_expire_exit,

	TP_PROTO(const void *timer, u32 map_id, u32 prog_id),

	TP_ARGS(timer, map_id, prog_id),

	TP_STRUCT__entry(
		__field(const void *, timer)
		__field(u32, map_id)
		__field(u32, prog_id)
	),

	TP_fast_assign(
		__entry->timer = timer;
		__entry->map_id = map_id;
		__entry->prog_id = prog_id;
	),

	TP_printk("timer=%p map_id=%u prog_id=%u", __entry->timer,
		  __entry->map_id, __entry->prog_id)
);

/* @armed: the timer was to expire, and does not any more. */
TRACE_EVENT(bpf_timer_free,

	TP_PROTO(const void *timer, u32 map_id, u32 prog_id, bool armed),

	TP_ARGS(timer, map_id, prog_id, armed),

	TP_STRUCT__entry(
		__field(const void *, timer)
		__field(u32, map_id)
		__field(u32, prog_id)
		__field(bool, armed)
	),

	TP_fast_assign(
		__entry->timer = timer;
		__entry->map_id = map_id;
		__entry->prog_id = prog_id;
		__entry->armed = armed;
	),

	TP_printk("timer=%p map_id=%u prog_id=%u armed=%d", __entry->timer,
		  __entry->map_id, __entry->prog_id, __entry->armed)
);

#endif /* _TRACE_BPF_TIMER_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
