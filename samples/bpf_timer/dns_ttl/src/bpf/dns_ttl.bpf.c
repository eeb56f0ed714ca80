// SPDX-License-Identifier: GPL-2.0
/*
 * A cache of DNS records that forgets each one when its TTL ends.
 *
 * Every value of the map holds a timer. The timer's callback deletes the element,
 * which makes room before LRU eviction has to.
 */
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "dns_ttl.h"

#define CLOCK_MONOTONIC	1
#define ENOENT		2

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct dns_name);
	__type(value, struct dns_record);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} expiries SEC(".maps");

/* Troubles that the callbacks could not report through the ring buffer. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dns_trouble);
} troubles SEC(".maps");

/*
 * Reports the expiry before it deletes the element. So if a record is no longer in
 * the map and the ring buffer does not report it, user space knows that the record
 * was evicted.
 */
static int prune(void *map, const struct dns_name *name, struct dns_record *record)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct dns_trouble *trouble;
	struct dns_expiry *expiry;
	__u32 zero = 0;
	long err;

	trouble = bpf_map_lookup_elem(&troubles, &zero);
	if (!trouble)
		return 0;

	expiry = bpf_ringbuf_reserve(&expiries, sizeof(*expiry), 0);
	if (expiry) {
		expiry->name = *name;
		expiry->data = record->data;
		expiry->now_ns = now_ns;
		bpf_ringbuf_submit(expiry, 0);
	} else {
		__sync_fetch_and_add(&trouble->unreported, 1);
	}

	/* -ENOENT: the record was evicted just before. */
	err = bpf_map_delete_elem(map, name);
	if (err && err != -ENOENT) {
		__sync_fetch_and_add(&trouble->undeleted, 1);
		trouble->delete_err = err;
	}
	return 0;
}

/* Insert one record and arm its timer; run by the loader with BPF_PROG_RUN. */
SEC("syscall")
int insert(struct dns_insert *args)
{
	struct dns_record fresh = {};
	struct dns_record *record;
	long err;

	/*
	 * A callback that is running would delete the new record instead of the
	 * old one. Cancelling the timer waits for the callback.
	 */
	args->step = DNS_STEP_CANCEL;
	record = bpf_map_lookup_elem(&records, &args->name);
	if (record) {
		err = bpf_timer_cancel(&record->timer);
		if (err < 0)
			return err;
		args->was_armed = err;
	}

	args->step = DNS_STEP_UPDATE;
	fresh.data = args->data;
	fresh.data.deadline_ns = bpf_ktime_get_ns() + fresh.data.ttl_ns;
	args->data.deadline_ns = fresh.data.deadline_ns;
	err = bpf_map_update_elem(&records, &args->name, &fresh, BPF_ANY);
	if (err)
		goto forget;

	args->step = DNS_STEP_LOOKUP;
	record = bpf_map_lookup_elem(&records, &args->name);
	if (!record)
		return -ENOENT;

	args->step = DNS_STEP_INIT;
	err = bpf_timer_init(&record->timer, &records, CLOCK_MONOTONIC);
	if (err)
		goto forget;

	args->step = DNS_STEP_SET_CALLBACK;
	err = bpf_timer_set_callback(&record->timer, prune);
	if (err)
		goto forget;

	args->step = DNS_STEP_START;
	err = bpf_timer_start(&record->timer, record->data.ttl_ns, 0);
	if (err)
		goto forget;
	return 0;

forget:
	/* A record without a timer would never be pruned. */
	bpf_map_delete_elem(&records, &args->name);
	return err;
}

/*
 * Returns how many bytes the ring buffer holds. If there are any after user space
 * has read it, a callback on some CPU is still writing its report.
 */
SEC("syscall")
int unread(void *ctx)
{
	return bpf_ringbuf_query(&expiries, BPF_RB_AVAIL_DATA);
}

char _license[] SEC("license") = "GPL";
