/* SPDX-License-Identifier: BSD-3-Clause */
/* What arp.c and arp_place.c share: the table itself. */
#ifndef NODES_ARP_PRIVATE_H
#define NODES_ARP_PRIVATE_H

#include <rte_common.h>
#include <rte_jhash.h>

#include "nodes/arp.h"

#define ARP_NONE UINT16_MAX
#define ARP_BUCKETS (2 * ARP_ENTRIES_MAX)

_Static_assert(ARP_ENTRIES_MAX < ARP_NONE && ARP_WAITING_MAX < ARP_NONE, "indexes are 16 bits");
_Static_assert(sizeof(struct arp_entry) <= RTE_CACHE_LINE_SIZE, "one line per neighbour");

struct arp_slot {
	struct rte_mbuf *m;
	uint16_t next;
};

struct arp_list {
	uint16_t oldest, newest, n;
};

struct arp_table {
	uint64_t due, hz;
	uint16_t last; /* entry found last */
	uint16_t free_entry, free_slot;
	uint16_t n_entries, n_waiting, n_pending; /* pending: INCOMPLETE or PROBE */
	uint16_t n_strangers_waiting;             /* of n_waiting */
	uint16_t hand;                            /* of the eviction scan */
	uint16_t refused, scan_from;              /* where arp_next_due() begins */
	uint16_t announcements;                   /* still to send */
	uint32_t seed;
	uint32_t tokens;   /* requests that may go now */
	uint64_t refilled; /* up to when tokens were added */
	uint64_t announce_at;
	uint64_t evicted;
	struct rte_ether_addr mac;
	struct arp_list place[ARP_PLACES];
	uint16_t bucket[ARP_BUCKETS];
	struct arp_slot slot[ARP_WAITING_MAX];
	struct arp_entry entry[ARP_ENTRIES_MAX] __rte_cache_aligned;
};

static inline uint16_t *
arp_bucket(struct arp_table *t, uint32_t ip)
{
	return &t->bucket[rte_jhash_1word(ip, t->seed) & (ARP_BUCKETS - 1)];
}

static inline uint16_t
arp_index(const struct arp_table *t, const struct arp_entry *e)
{
	return e - t->entry;
}

static inline bool
arp_is_pending(const struct arp_entry *e)
{
	return e->state == ARP_INCOMPLETE || e->state == ARP_PROBE;
}

static inline struct rte_ether_hdr *
arp_own_header(struct arp_entry *e)
{
	return (struct rte_ether_hdr *)(e->l2 + sizeof(e->l2) - RTE_ETHER_HDR_LEN);
}

static inline void
arp_set_state(struct arp_table *t, struct arp_entry *e, enum arp_state state, uint64_t deadline)
{
	t->n_pending -= arp_is_pending(e);
	e->state = state;
	e->deadline = deadline;
	e->is_disputed = false;
	if (arp_is_pending(e)) {
		t->n_pending++;
		e->tries = 0;
		t->due = RTE_MIN(t->due, deadline);
	}
}

/* arp_place.c */
void arp_places_init(struct arp_table *t);
/* A new entry in state FREE, to be set at once; NULL: nobody may be pushed out for it. */
struct arp_entry *arp_add(struct arp_table *t, uint32_t ip, enum arp_place place, uint64_t now);
/* Into another place; its oldest goes where it is full. false: stays where it is. */
bool arp_move(struct arp_table *t, struct arp_entry *e, enum arp_place place, uint64_t now);

#endif
