// SPDX-License-Identifier: GPL-2.0
/*
 * A filter of an input device whose contacts bounce, in HID-BPF. It drops a report that another
 * one follows soon. The end of a touch goes through at once.
 */
#define BPF_NO_KFUNC_PROTOTYPES
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_experimental.h"
#include "timer_field_common.h"
#include "timer_field_hid.h"

char _license[] SEC("license") = "GPL";

/* The types of HID-BPF. If the kernel has no HID-BPF, vmlinux.h has none of them. */
struct hid_bpf_ctx;

enum hid_report_type___field {
	INPUT_REPORT = 0,
};

struct hid_bpf_ops___field {
	int hid_id;
	int (*hid_device_event)(struct hid_bpf_ctx *ctx, enum hid_report_type___field type,
				__u64 source);
};

extern __u8 *hid_bpf_get_data(struct hid_bpf_ctx *ctx, unsigned int offset,
			      const size_t size) __weak __ksym;
extern struct hid_bpf_ctx *hid_bpf_allocate_context(unsigned int hid_id) __weak __ksym;
extern void hid_bpf_release_context(struct hid_bpf_ctx *ctx) __weak __ksym;
extern int hid_bpf_input_report(struct hid_bpf_ctx *ctx, enum hid_report_type___field type,
				__u8 *data, const size_t size) __weak __ksym;
extern int bpf_wq_set_callback(struct bpf_wq *wq, int (*callback)(void *map, int *key, void *value),
			       unsigned int flags) __weak __ksym;

struct filter {
	struct bpf_timer timer;
	struct bpf_wq wq;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct filter);
} filters SEC(".maps");

__u32 hid_id;
__u64 quiet;		/* the time for which a report has to be the last one, in ns */
__u32 last;		/* the number of the last report */
__u64 seen;
__u64 ended;		/* reports that went through at once */
__u64 settled;		/* reports that were sent on after the quiet time */
__u64 cancelled;
__u64 called;
int send_error;

static struct filter *the_filter(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&filters, &key);
}

/* Sending waits for the device, which a timer's callback must not. */
static int send_on(void *map, int *key, void *value)
{
	struct hid_bpf_ctx *ctx = hid_bpf_allocate_context(hid_id);
	__u32 number = READ_ONCE(last);
	int err;

	if (!ctx)
		return 0;
	err = hid_bpf_input_report(ctx, INPUT_REPORT, (__u8 *)&number, sizeof(number));
	if (err)
		send_error = err;
	else
		count(settled);
	hid_bpf_release_context(ctx);
	return 0;
}

static int queue_send(void *map, __u32 *key, struct filter *filter)
{
	count(called);
	must(START, bpf_wq_start(&filter->wq, 0));
	return 0;
}

SEC("syscall")
int begin(void *ctx)
{
	struct filter *filter = the_filter();
	int err;

	if (!filter)
		return -ENOENT;
	err = bpf_wq_init(&filter->wq, &filters, 0);
	err = err ?: bpf_wq_set_callback(&filter->wq, send_on, 0);
	return err ?: bpf_timer_init(&filter->timer, &filters, CLOCK_MONOTONIC);
}

/* A negative result drops the report. The source of a report of the device is 0. */
SEC("struct_ops/hid_device_event")
int BPF_PROG(on_report, struct hid_bpf_ctx *hid, enum hid_report_type___field type, __u64 source)
{
	__u32 *number = (__u32 *)hid_bpf_get_data(hid, 0, sizeof(*number));
	struct filter *filter = the_filter();
	int err;

	if (!number || !filter || source)
		return 0;
	WRITE_ONCE(last, *number);
	count(seen);
	if (!is_end(*number)) {
		/* A cancellation has taken it away. */
		must(SET_CALLBACK, bpf_timer_set_callback(&filter->timer, queue_send));
		must(START, bpf_timer_start(&filter->timer, quiet, 0));
		return -EAGAIN;
	}
	err = bpf_timer_cancel(&filter->timer);
	if (err == 1)
		count(cancelled);
	else
		allow(CANCEL, err, -EBUSY, -EDEADLK);
	count(ended);
	return 0;
}

SEC(".struct_ops.link")
struct hid_bpf_ops___field ops = {
	.hid_device_event = (void *)on_report,
};
