// SPDX-License-Identifier: GPL-2.0
/*
 * An address translator. Each entry is in one map by its flow and in another one by its port,
 * and has a state. Packets and the timer move it from state to state by compare-and-swap, and
 * whoever has moved it starts the timer. The timer deletes it from both maps, and gives its
 * port back under a lock.
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include "timer_field_common.h"
#include "timer_field_nat.h"

#define FLOWS 128

char _license[] SEC("license") = "GPL";

struct entry {
	struct bpf_timer timer;
	__u32 state;
	__u32 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * PORTS);
	__type(key, __u32);
	__type(value, struct entry);
} entries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * PORTS);
	__type(key, __u32);
	__type(value, __u32);	/* the flow */
} ports SEC(".maps");

/* The free ports. */
static struct bpf_spin_lock lock SEC(".data.lock");
__u32 stack[PORTS];
__u32 left = PORTS;
bool is_taken[PORTS];

__u64 packets, created, ended, full;
__u64 moves[STATES][STATES];
__u64 haunted;		/* callbacks of dead entries */
__u64 given_twice;	/* ports that were given back twice */

static int take_port(void)
{
	int port = -1;

	bpf_spin_lock(&lock);
	if (left) {
		port = stack[--left % PORTS] % PORTS;
		is_taken[port] = true;
	}
	bpf_spin_unlock(&lock);
	return port;
}

static void give_port(__u32 port)
{
	port %= PORTS;
	bpf_spin_lock(&lock);
	if (is_taken[port])
		stack[left++ % PORTS] = port;
	else
		given_twice++;
	is_taken[port] = false;
	bpf_spin_unlock(&lock);
}

static __always_inline bool move(struct entry *entry, __u32 from, __u32 to)
{
	if (__sync_val_compare_and_swap(&entry->state, from, to) != from)
		return false;
	if (from < STATES && to < STATES)
		count(moves[from][to]);
	return true;
}

static __always_inline int start(struct entry *entry, __u32 state)
{
	return bpf_timer_start(&entry->timer, (state == OPEN ? 1000 : 300) * USEC, 0);
}

static void end(__u32 *key, __u32 port)
{
	must(DELETE, bpf_map_delete_elem(&ports, &port));
	give_port(port);
	if (!must(DELETE, bpf_map_delete_elem(&entries, key)))
		count(ended);
}

static int expire(void *map, __u32 *key, struct entry *entry)
{
	__u32 state = READ_ONCE(entry->state), next = DEAD;

	if (state == NONE)
		next = NONE;
	else if (state == OPEN)
		next = IDLE;
	else if (state == FIN)
		next = WAIT;
	else if (state == DEAD)
		count(haunted);

	/* If a packet has moved the entry, it starts the timer. */
	if (next != state && !move(entry, state, next))
		return 0;
	if (next == DEAD)
		end(key, entry->port);
	else
		must(START, start(entry, next));
	return 0;
}

/* Nobody else uses an entry before its first move. */
static void create(__u32 flow)
{
	struct entry *entry, new = {};
	int port = take_port();
	int err;

	if (port < 0) {
		count(full);
		return;
	}
	new.port = port;
	err = allow(UPDATE, bpf_map_update_elem(&entries, &flow, &new, BPF_NOEXIST), -EEXIST, 0);
	entry = err ? NULL : bpf_map_lookup_elem(&entries, &flow);
	if (!entry) {
		give_port(port);
		return;
	}
	count(created);
	must(UPDATE, bpf_map_update_elem(&ports, &port, &flow, BPF_NOEXIST));
	must(INIT, bpf_timer_init(&entry->timer, &entries, CLOCK_MONOTONIC));
	must(SET_CALLBACK, bpf_timer_set_callback(&entry->timer, expire));
	must(START, start(entry, SYN));
	move(entry, NONE, SYN);
}

static void follow(struct entry *entry, bool is_last)
{
	__u32 state = READ_ONCE(entry->state), next;

	if (state == SYN || state == IDLE)
		next = OPEN;
	else if (state == OPEN)
		next = is_last ? FIN : OPEN;
	else if (state == FIN)
		next = is_last ? WAIT : FIN;
	else
		return;

	/* The entry may have ended since it was looked up. */
	if (next == state || move(entry, state, next))
		allow(START, start(entry, next), -EINVAL, -ENOENT);
}

/* Comes from inside, by its flow, or from outside, by its port. */
SEC("tc")
int packet(struct __sk_buff *skb)
{
	__u32 random = bpf_get_prandom_u32();
	__u32 flow = random % FLOWS, port = random % PORTS, *found;
	bool is_inside = random & 0x10000;
	struct entry *entry;

	if (is_pause())
		return 0;
	count(packets);
	if (!is_inside) {
		found = bpf_map_lookup_elem(&ports, &port);
		if (!found)
			return 0;
		flow = *found;
	}
	entry = bpf_map_lookup_elem(&entries, &flow);
	if (entry)
		follow(entry, !(random >> 17 & 15));
	else if (is_inside)
		create(flow);
	return 0;
}
