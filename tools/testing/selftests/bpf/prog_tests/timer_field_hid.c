// SPDX-License-Identifier: GPL-2.0
/*
 * A program in the manner of HID-BPF drivers: a timer and a bpf_wq filter the reports of an input
 * device, which this test plays through /dev/uhid.
 *
 * Covers "Deletion" in Documentation/bpf/timers.rst.
 */
#include <glob.h>
#include <linux/input.h>
#include <linux/uhid.h>
#include <test_progs.h>
#include "../progs/timer_field_hid.h"
#include "timer_field.h"
#include "timer_field_hid.skel.h"

#define VENDOR 0xb9f0
#define DEVICES "/sys/bus/hid/devices/"
#define QUIET (2 * NSEC_PER_MSEC)
#define BURST 16

/* Its input reports have four bytes. */
static const __u8 descriptor[] = {
	0x06, 0x00, 0xff,	/* usage page: vendor's own */
	0x09, 0x01,		/* usage: 1 */
	0xa1, 0x01,		/* collection: application */
	0x09, 0x02,		/* usage: 2 */
	0x15, 0x00,		/* logical minimum: 0 */
	0x26, 0xff, 0x00,	/* logical maximum: 255 */
	0x75, 0x08,		/* report size: 8 bits */
	0x95, 0x04,		/* report count: 4 */
	0x81, 0x02,		/* input: data, variable, absolute */
	0xc0,			/* end of the collection */
};

struct device {
	int uhid;
	int hidraw;
	int id;
	__u32 sent;		/* the number of the last report that it sent */
	__u32 received;		/* and that was received */
	__u64 count;		/* reports that were received */
};

static bool send_event(const struct device *device, const struct uhid_event *event)
{
	/* There are many: do not print each success. */
	return write(device->uhid, event, sizeof(*event)) == sizeof(*event) ||
	       ASSERT_OK(-errno, "uhid");
}

/* Opens what the kernel has made of the device. */
static bool find_hidraw(struct device *device)
{
	char path[64];
	bool found;
	glob_t it;

	found = !glob(DEVICES "0006:B9F0:*/hidraw/hidraw*", 0, NULL, &it);
	if (found && sscanf(it.gl_pathv[0], DEVICES "%*x:%*x:%*x.%x", &device->id) == 1) {
		snprintf(path, sizeof(path), "/dev/%s", strrchr(it.gl_pathv[0], '/') + 1);
		device->hidraw = open(path, O_RDONLY | O_NONBLOCK);
	}
	globfree(&it);
	return device->hidraw >= 0;
}

static bool plug_in(struct device *device)
{
	struct uhid_event event = {
		.type = UHID_CREATE2,
		.u.create2 = {
			.name = "timer_field",
			.rd_size = sizeof(descriptor),
			.bus = BUS_VIRTUAL,
			.vendor = VENDOR,
		},
	};

	memcpy(event.u.create2.rd_data, descriptor, sizeof(descriptor));
	device->hidraw = -1;
	device->uhid = open("/dev/uhid", O_RDWR | O_CLOEXEC);
	return ASSERT_GE(device->uhid, 0, "/dev/uhid") && send_event(device, &event) &&
	       ASSERT_TRUE(comes_true(find_hidraw(device)), "hidraw");
}

/* The kernel ends a device whose file is closed. */
static void unplug(struct device *device)
{
	if (device->hidraw >= 0)
		close(device->hidraw);
	if (device->uhid >= 0)
		close(device->uhid);
}

static bool send_report(struct device *device)
{
	struct uhid_event event = {
		.type = UHID_INPUT2,
		.u.input2.size = sizeof(device->sent),
	};

	device->sent++;
	memcpy(event.u.input2.data, &device->sent, sizeof(device->sent));
	return send_event(device, &event);
}

/* Receives what there is. */
static void receive(struct device *device)
{
	while (read(device->hidraw, &device->received, sizeof(device->received)) > 0)
		device->count++;
}

static bool has_received(struct device *device, __u32 number)
{
	receive(device);
	return device->received == number;
}

/* Sends a report that starts the timer. */
static void touch(struct device *device)
{
	while (send_report(device) && is_end(device->sent))
		;
}

/*
 * Waits for the last report. It starts the timer: the end of a touch could overtake what is sent
 * on before it.
 */
static bool settle(struct device *device, const struct timer_field_hid *skel)
{
	touch(device);
	return comes_true(has_received(device, READ_ONCE(skel->bss->last)));
}

/* Bursts of reports, with pauses after which a timer expires sometimes, or always. */
static void bounce(struct device *device, const struct timer_field_hid *skel)
{
	__u64 end = now(CLOCK_MONOTONIC) + stress_seconds() * NSEC_PER_SEC;
	int i;

	do {
		for (i = 0; i < BURST; i++)
			if (!send_report(device))
				return;
		usleep(rand() % (2 * QUIET / 1000));
		receive(device);
		if (rand() % 8 == 0 && !ASSERT_TRUE(settle(device, skel), "settle"))
			break;
	} while (now(CLOCK_MONOTONIC) < end);
}

static void check_filter(struct device *device, struct timer_field_hid *skel)
{
	struct timer_field_hid__bss *bss = skel->bss;

	ASSERT_TRUE(settle(device, skel), "last");
	/* The kernel drops a report if the device is busy with one that is sent on. */
	ASSERT_LE(bss->seen, device->sent, "seen");
	ASSERT_TRUE(comes_true((receive(device), device->count == bss->ended + bss->settled)),
		    "received");
	ASSERT_GT(bss->ended, 0, "ended");
	ASSERT_GT(bss->settled, 0, "settled");
	ASSERT_LE(bss->settled, bss->called, "settled <= called");
	ASSERT_GT(bss->cancelled, 0, "cancelled");
	/* Each start was cancelled, or expired, or a later one has moved it. */
	ASSERT_LE(bss->called + bss->cancelled, bss->seen - bss->ended, "starts");
	ASSERT_LT(device->count, bss->seen / 2, "the filter drops");
	ASSERT_OK(bss->send_error, "send");
	printf("%u sent, %llu seen, %llu called, %llu cancelled, %llu received\n", device->sent,
	       (unsigned long long)bss->seen, (unsigned long long)bss->called,
	       (unsigned long long)bss->cancelled, (unsigned long long)device->count);
}

/* Unloads the filter while its timer is armed. The device then works without it. */
static void unload_armed(struct device *device, struct timer_field_hid *skel)
{
	__u32 prog_id = id_of(skel->progs.on_report);

	WRITE_ONCE(skel->bss->quiet, HOUR);
	touch(device);
	timer_field_hid__destroy(skel);
	ASSERT_TRUE(is_unloaded(prog_id), "unloaded");
	send_report(device);
	ASSERT_TRUE(comes_true(has_received(device, device->sent)), "without the filter");
}

static void run_filter(struct device *device)
{
	struct timer_field_hid *skel = timer_field_hid__open();

	if (!ASSERT_OK_PTR(skel, "open"))
		return;
	skel->struct_ops.ops->hid_id = device->id;
	if (!have_timers(timer_field_hid__load(skel)))
		goto out;
	skel->bss->hid_id = device->id;
	skel->bss->quiet = QUIET;
	if (!ASSERT_OK(run(skel->progs.begin), "begin") ||
	    !ASSERT_OK(timer_field_hid__attach(skel), "attach"))
		goto out;
	bounce(device, skel);
	check_filter(device, skel);
	check_results(skel);
	unload_armed(device, skel);
	return;
out:
	timer_field_hid__destroy(skel);
}

void test_timer_field_hid(void)
{
	struct device device = {};

	if (!kernel_has_type("hid_bpf_ops") || access("/dev/uhid", F_OK)) {
		test__skip();
		return;
	}
	if (plug_in(&device))
		run_filter(&device);
	unplug(&device);
}
