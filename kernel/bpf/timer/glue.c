// SPDX-License-Identifier: GPL-2.0-only
/* The parts of the BPF timers in Rust that only C can express. */
#include <linux/bpf.h>
#include <linux/bpf_timer.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/init.h>
#include <linux/minmax.h>
#include <linux/string.h>

__bpf_kfunc_start_defs();

/**
 * bpf_timer_info - tell when a timer is to expire, and more
 * @timer:	the timer
 * @info:	where to put the answer
 * @info__sz:	size of @info
 *
 * If @info is smaller than struct bpf_timer_info, the first fields are written.
 * If it is larger, the rest is zeroed.
 *
 * The expiry time, its clock and the flags are of one moment. Any CPU may start
 * or cancel the timer after that moment. Can be called in any context, but not
 * while a bpf_spin_lock is held.
 *
 * Returns:
 *
 *  * 0 on success
 *  * -EINVAL when the timer was not initialized
 *  * -ENOENT when the timer is being freed
 */
__bpf_kfunc int bpf_timer_info(struct bpf_timer *timer,
			       struct bpf_timer_info *info, u32 info__sz)
{
	struct bpf_timer_info full;
	u32 known = min_t(u32, info__sz, sizeof(full));
	int ret;

	ret = bpf_timer_rust_info(timer, &full);
	if (ret)
		return ret;
	memcpy(info, &full, known);
	memset((void *)info + known, 0, info__sz - known);
	return 0;
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(bpf_timer_kfunc_ids)
BTF_ID_FLAGS(func, bpf_timer_info)
BTF_KFUNCS_END(bpf_timer_kfunc_ids)

static const struct btf_kfunc_id_set bpf_timer_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &bpf_timer_kfunc_ids,
};

static int __init bpf_timer_register_kfuncs(void)
{
	/* For programs of all types. */
	return register_btf_kfunc_id_set(BPF_PROG_TYPE_UNSPEC, &bpf_timer_kfunc_set);
}
late_initcall(bpf_timer_register_kfuncs);

/* Before any program can be loaded. */
static int __init bpf_timer_init_queues(void)
{
	/* BPF programs find these types in BTF, and Rust emits no BTF. */
	BTF_TYPE_EMIT(struct bpf_timer);
	BTF_TYPE_EMIT_ENUM(BPF_F_TIMER_ABS);
	BTF_TYPE_EMIT_ENUM(BPF_TIMER_ARMED);

	return bpf_timer_rust_init_queues();
}
core_initcall(bpf_timer_init_queues);
