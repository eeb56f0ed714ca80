// SPDX-License-Identifier: GPL-2.0
/*
 * hrtimers of the kind that BPF timers use, with kfuncs that do to them what the helpers do to
 * BPF timers. timer_bench compares the two.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>

/* RECORDERS timers record SAMPLES times how late they are. */
#define RECORDERS 8
#define SAMPLES 8192

static unsigned int timers = 1000;
module_param(timers, uint, 0444);
MODULE_PARM_DESC(timers, "number of timers");

struct raw {
	struct hrtimer timer;
	u64 period;
};

struct recorder {
	u64 missed;
	u32 seen;
	u32 late[SAMPLES];
};

static struct raw *raws;
static struct recorder *recorders;
static u64 fired, first, last;

/* Notes when it was first and last called, as the callback of the BPF timers does. */
static enum hrtimer_restart raw_note(struct hrtimer *timer)
{
	last = ktime_get_mono_fast_ns();
	if (!fired++)
		first = last;
	return HRTIMER_NORESTART;
}

/* Expires again on the grid that its first expiry and its period make. */
static enum hrtimer_restart raw_tick(struct hrtimer *timer)
{
	struct raw *raw = container_of(timer, struct raw, timer);
	u64 late = ktime_get_mono_fast_ns() - ktime_to_ns(hrtimer_get_expires(timer));
	u64 skipped = div64_u64(late, raw->period);

	if (raw - raws < RECORDERS) {
		struct recorder *recorder = &recorders[raw - raws];

		recorder->missed += skipped;
		if (recorder->seen < SAMPLES)
			recorder->late[recorder->seen++] = min_t(u64, late, U32_MAX);
	}
	hrtimer_add_expires_ns(timer, (skipped + 1) * raw->period);
	return HRTIMER_RESTART;
}

static enum hrtimer_mode mode_of(u64 flags)
{
	enum hrtimer_mode mode = HRTIMER_MODE_REL_SOFT;

	if (flags & BPF_F_TIMER_ABS)
		mode = HRTIMER_MODE_ABS_SOFT;
	if (flags & BPF_F_TIMER_CPU_PIN)
		mode |= HRTIMER_MODE_PINNED;
	return mode;
}

__bpf_kfunc_start_defs();

__bpf_kfunc int bpf_timer_raw_setup(u32 i)
{
	if (i >= timers)
		return -EINVAL;
	fired = 0;
	hrtimer_setup(&raws[i].timer, raw_note, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
	return 0;
}

__bpf_kfunc int bpf_timer_raw_start(u32 i, u64 nsecs, u64 flags)
{
	if (i >= timers)
		return -EINVAL;
	hrtimer_start(&raws[i].timer, ns_to_ktime(nsecs), mode_of(flags));
	return 0;
}

__bpf_kfunc int bpf_timer_raw_cancel(u32 i)
{
	if (i >= timers)
		return -EINVAL;
	return hrtimer_cancel(&raws[i].timer);
}

__bpf_kfunc int bpf_timer_raw_try_to_cancel(u32 i)
{
	if (i >= timers)
		return -EINVAL;
	return hrtimer_try_to_cancel(&raws[i].timer);
}

/* How many timers expired since the last setup (0), and when the first (1) and last (2) did. */
__bpf_kfunc u64 bpf_timer_raw_seen(u32 what)
{
	switch (what) {
	case 0:
		return fired;
	case 1:
		return first;
	default:
		return last;
	}
}

/* The timer expires at @begin on this CPU, and then each @period. */
__bpf_kfunc int bpf_timer_raw_tick(u32 i, u64 begin, u64 period)
{
	if (i >= timers || !period)
		return -EINVAL;
	if (i < RECORDERS)
		memset(&recorders[i], 0, sizeof(recorders[i]));
	raws[i].period = period;
	hrtimer_setup(&raws[i].timer, raw_tick, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_SOFT);
	hrtimer_start(&raws[i].timer, ns_to_ktime(begin), HRTIMER_MODE_ABS_PINNED_SOFT);
	return 0;
}

/* How late the expiry number @j of timer @i was; -ENOENT if there was none. */
__bpf_kfunc s64 bpf_timer_raw_late(u32 i, u32 j)
{
	if (i >= RECORDERS || j >= recorders[i].seen)
		return -ENOENT;
	return recorders[i].late[j];
}

/* How many points of the grid timer @i missed because it was late. */
__bpf_kfunc u64 bpf_timer_raw_missed(u32 i)
{
	return i < RECORDERS ? recorders[i].missed : 0;
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(raw_ids)
BTF_ID_FLAGS(func, bpf_timer_raw_setup)
BTF_ID_FLAGS(func, bpf_timer_raw_start)
BTF_ID_FLAGS(func, bpf_timer_raw_cancel)
BTF_ID_FLAGS(func, bpf_timer_raw_try_to_cancel)
BTF_ID_FLAGS(func, bpf_timer_raw_seen)
BTF_ID_FLAGS(func, bpf_timer_raw_tick)
BTF_ID_FLAGS(func, bpf_timer_raw_late)
BTF_ID_FLAGS(func, bpf_timer_raw_missed)
BTF_KFUNCS_END(raw_ids)

static const struct btf_kfunc_id_set raw_set = {
	.owner = THIS_MODULE,
	.set = &raw_ids,
};

static int __init raw_init(void)
{
	unsigned int i;
	int ret;

	timers = max(timers, RECORDERS);
	raws = vcalloc(timers, sizeof(*raws));
	recorders = vcalloc(RECORDERS, sizeof(*recorders));
	if (!raws || !recorders) {
		ret = -ENOMEM;
		goto free;
	}
	for (i = 0; i < timers; i++)
		hrtimer_setup(&raws[i].timer, raw_note, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
	ret = register_btf_kfunc_id_set(BPF_PROG_TYPE_SYSCALL, &raw_set);
	ret = ret ?: register_btf_kfunc_id_set(BPF_PROG_TYPE_XDP, &raw_set);
	if (ret)
		goto free;
	return 0;
free:
	vfree(recorders);
	vfree(raws);
	return ret;
}

/* Programs that use the functions hold the module, so none can start a timer any more. */
static void __exit raw_exit(void)
{
	unsigned int i;

	for (i = 0; i < timers; i++)
		hrtimer_cancel(&raws[i].timer);
	vfree(recorders);
	vfree(raws);
}

module_init(raw_init);
module_exit(raw_exit);

MODULE_DESCRIPTION("hrtimers for BPF programs, to compare BPF timers with");
MODULE_LICENSE("GPL");
