/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the BPF program and the loader (src/cache.rs). */
#ifndef DNS_TTL_H
#define DNS_TTL_H

#include <linux/bpf.h>

#define DNS_NAME_LEN 256

/* A name in lower case, padded with zeroes; the map's key. */
struct dns_name {
	char text[DNS_NAME_LEN];
} __attribute__((aligned(8)));

struct dns_data {
	__u8 address[16];
	__u64 family;		/* 4 or 6 */
	__u64 ttl_ns;
	__u64 deadline_ns;	/* CLOCK_MONOTONIC */
};

/* The map's value. User space sees zeroes in place of the timer. */
struct dns_record {
	struct dns_data data;
	struct bpf_timer timer;
};

struct dns_expiry {
	struct dns_name name;
	struct dns_data data;
	__u64 now_ns;
};

struct dns_trouble {
	__u64 unreported;	/* expiries that the full ring buffer dropped */
	__u64 undeleted;	/* records that the callback could not delete */
	__s64 delete_err;	/* why, the last time */
};

/* The step in which insert() failed. */
enum dns_step {
	DNS_STEP_CANCEL,
	DNS_STEP_UPDATE,
	DNS_STEP_LOOKUP,
	DNS_STEP_INIT,
	DNS_STEP_SET_CALLBACK,
	DNS_STEP_START,
};

struct dns_insert {
	struct dns_name name;
	struct dns_data data;	/* deadline_ns is set by insert() */
	__u32 step;		/* out: enum dns_step */
	__u32 was_armed;	/* out: replaced an earlier record of that name */
};

#endif
