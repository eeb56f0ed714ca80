// SPDX-License-Identifier: GPL-2.0
/*
 * Uses of timers that are refused: by the verifier, when a map is made, and without CAP_BPF.
 *
 * Covers the contract of refusals.
 */
#include <test_progs.h>
#include "cap_helpers.h"
#include "timer_refusals.skel.h"

#define CAPS (1ULL << CAP_BPF | 1ULL << CAP_SYS_ADMIN)

static int create_map(const struct timer_refusals *skel)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_fd = bpf_object__btf_fd(skel->obj),
		    .btf_key_type_id = bpf_map__btf_key_type_id(skel->maps.timers),
		    .btf_value_type_id = bpf_map__btf_value_type_id(skel->maps.timers));

	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "timers", sizeof(__u32),
			      bpf_map__value_size(skel->maps.timers), 1, &opts);
}

/* Tells whether this process may create a map without timers. */
static bool map_is_allowed(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "plain", sizeof(__u32), sizeof(__u32), 1, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void test_map_without_cap(const struct timer_refusals *skel)
{
	bool allowed;
	__u64 old;
	int fd;

	if (!ASSERT_OK(cap_disable_effective(CAPS, &old), "drop"))
		return;
	allowed = map_is_allowed();
	fd = create_map(skel);
	cap_enable_effective(old, NULL);
	if (!allowed) {
		test__skip();
		return;
	}
	if (!ASSERT_EQ(fd, -EPERM, "without"))
		close(fd);
	fd = create_map(skel);
	if (ASSERT_OK_FD(fd, "with"))
		close(fd);
}

static void test_program_without_cap(const struct timer_refusals *skel)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_level = 1);
	char log[4096] = {};
	__u64 old;
	int fd;

	opts.log_buf = log;
	opts.log_size = sizeof(log);
	if (!ASSERT_OK(cap_disable_effective(CAPS, &old), "drop"))
		return;
	fd = bpf_program__clone(skel->progs.needs_cap_for_timer, &opts);
	cap_enable_effective(old, NULL);
	if (fd == -EPERM && !log[0]) {
		/* The process may not load any program. */
		test__skip();
		return;
	}
	if (!ASSERT_ERR_FD(fd, "load"))
		close(fd);
	ASSERT_HAS_SUBSTR(log, "program of this type cannot use helper bpf_timer_cancel", "log");
}

static struct timer_refusals *load(void)
{
	struct timer_refusals *skel = timer_refusals__open();
	struct bpf_program *prog;
	int err;

	if (!ASSERT_OK_PTR(skel, "open"))
		return NULL;
	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, prog == skel->progs.needs_cap_for_timer);
	err = timer_refusals__load(skel);
	if (!err)
		return skel;
	if (err == -EOPNOTSUPP)
		test__skip();
	else
		ASSERT_OK(err, "load");
	timer_refusals__destroy(skel);
	return NULL;
}

void serial_test_timer_refusals(void)
{
	struct timer_refusals *skel = load();

	if (!skel)
		return;
	RUN_TESTS(timer_refusals);
	if (test__start_subtest("map_without_cap"))
		test_map_without_cap(skel);
	if (test__start_subtest("program_without_cap"))
		test_program_without_cap(skel);
	timer_refusals__destroy(skel);
}
