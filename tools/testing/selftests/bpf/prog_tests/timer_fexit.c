// SPDX-License-Identifier: GPL-2.0
/*
 * Tracing programs see the arguments and the results of the functions of BPF timers.
 *
 * Covers the contract of return codes.
 */
#include <linux/bpf.h>
#include <test_progs.h>
#include "progs/timer_fexit.h"
#include "timer_helpers.h"
#include "timer_fexit.skel.h"

/* Some years, with at least one bit set in each byte. */
#define NSECS 0x0123456789abcdefULL

static const struct step {
	const char *name;
	int function;
	__u64 nsecs;
	__u64 flags;
	long ret;
} steps[] = {
	{ "set_callback without a timer", SET_CALLBACK, .ret = -EINVAL },
	{ "start without a timer", START, NSECS, 0, -EINVAL },
	{ "cancel without a timer", CANCEL, .ret = -EINVAL },
	{ "cancel_async without a timer", CANCEL_ASYNC, .ret = -EINVAL },
	{ "init with an unknown flag", INIT, .flags = 1ULL << 32, .ret = -EINVAL },
	{ "init", INIT, .flags = CLOCK_BOOTTIME },
	{ "second init", INIT, .flags = CLOCK_MONOTONIC, .ret = -EBUSY },
	{ "start without a callback", START, NSECS, 0, -EINVAL },
	{ "set_callback", SET_CALLBACK },
	{ "start with an unknown flag", START, NSECS, 1ULL << 63, -EINVAL },
	{ "start", START, NSECS, BPF_F_TIMER_CPU_PIN },
	{ "cancel_async of an armed timer", CANCEL_ASYNC, .ret = 1 },
	{ "cancel_async of an idle timer", CANCEL_ASYNC },
	{ "second start", START, NSECS },
	{ "cancel of an armed timer", CANCEL, .ret = 1 },
	{ "cancel of an idle timer", CANCEL },
};

static bool take(struct timer_fexit *skel, const struct step *step)
{
	struct timer_fexit__bss *bss = skel->bss;
	const struct call *call = &bss->calls[step->function];
	__u64 args[2] = {};
	bool ok;

	memset(bss->calls, 0, sizeof(bss->calls));
	bss->function = step->function;
	bss->nsecs = step->nsecs;
	bss->flags = step->flags;
	bss->ret = 1000;
	ok = ASSERT_OK(run(skel->progs.operate), "run");
	switch (step->function) {
	case INIT:
		args[0] = id_of_map(skel->maps.timers);
		args[1] = step->flags;
		break;
	case SET_CALLBACK:
		args[0] = bss->callback_addr;
		args[1] = id_of(skel->progs.operate);
		break;
	case START:
		args[0] = step->nsecs;
		args[1] = step->flags;
		break;
	}
	ok &= ASSERT_EQ(bss->ret, step->ret, "result for the caller");
	ok &= ASSERT_EQ(call->count, 1, "calls");
	ok &= ASSERT_EQ(call->timer, bss->timer_addr, "timer");
	ok &= ASSERT_EQ(call->args[0], args[0], "second argument");
	ok &= ASSERT_EQ(call->args[1], args[1], "third argument");
	ok &= ASSERT_EQ(call->ret, step->ret, "result");
	return ok;
}

static void check_free(struct timer_fexit *skel, int key)
{
	const struct call *call = &skel->bss->calls[CANCEL_AND_FREE];

	memset(skel->bss->calls, 0, sizeof(skel->bss->calls));
	ASSERT_OK(bpf_map_delete_elem(bpf_map__fd(skel->maps.timers), &key), "delete");
	ASSERT_EQ(call->count, 1, "calls of cancel_and_free");
	ASSERT_EQ(call->timer, skel->bss->timer_addr, "timer that is freed");
}

void serial_test_timer_fexit(void)
{
	struct timer_fexit *skel = load_timers(timer_fexit);
	char value[sizeof(struct bpf_timer)] = {};
	int i, key = 0;

	if (!skel)
		return;
	skel->bss->tgid = getpid();
	if (!ASSERT_OK(timer_fexit__attach(skel), "attach") ||
	    !ASSERT_OK(bpf_map_update_elem(bpf_map__fd(skel->maps.timers), &key, value, BPF_ANY),
		       "update"))
		goto out;
	for (i = 0; i < ARRAY_SIZE(steps); i++)
		if (!take(skel, &steps[i]))
			printf("at this step: %s\n", steps[i].name);
	ASSERT_NEQ(skel->bss->timer_addr, 0, "timer_addr");
	ASSERT_NEQ(skel->bss->callback_addr, 0, "callback_addr");
	check_free(skel, key);
out:
	timer_fexit__destroy(skel);
}
