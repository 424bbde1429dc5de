/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The neighbour table: who has which MAC address, and what waits for an answer.
 *
 * Theory of operation. Entries live in one array; a keyed hash with chains finds them, and the last
 * one found is tried first, so that a run of packets to one neighbour costs a comparison.
 *
 *	FREE ──packet──► INCOMPLETE ──reply──► REACHABLE ──30 s──► (used) PROBE ──reply──► REACHABLE
 *	  │                  └─3 tries─► FREE                        └─3 tries─► FREE
 *	  └──request to us──► STALE ──(used) PROBE
 *
 * Nothing ages by itself: a REACHABLE entry whose time is over stays usable, and the first packet
 * that uses it starts a confirmation by unicast requests, while packets go on. An entry nobody uses
 * costs no traffic; it stays until its place is needed.
 *
 * What others can do to us is bounded. Only an answer to our own question confirms an entry.
 * Unasked replies and announcements change entries that exist, at most once a second. Requests sent
 * to us make entries, but those take the places of unused neighbours only. Eviction looks at
 * EVICT_SCAN entries from a moving hand and takes the least recently used of them, which is LRU
 * enough, and O(1). Waiting packets are linked through slots (an mbuf has no spare pointer), so the
 * total is bounded too.
 *
 * `due` is the earliest time at which any pending entry, or the announcement, wants attention. It
 * may be too early (an entry resolved meanwhile), never too late.
 */
#include "nodes/arp.h"

#include <string.h>

#include <rte_common.h>
#include <rte_jhash.h>
#include <rte_malloc.h>

#define ARP_NONE UINT16_MAX
#define BUCKETS (2 * ARP_ENTRIES_MAX)
#define EVICT_SCAN 32
#define RATE_WAIT_PER_S 100 /* a request refused by the rate is tried again after 1/100 s */

_Static_assert(ARP_ENTRIES_MAX < ARP_NONE && ARP_WAITING_MAX < ARP_NONE, "indexes are 16 bits");
_Static_assert(sizeof(struct arp_entry) <= RTE_CACHE_LINE_SIZE, "one line per neighbour");

struct arp_slot {
	struct rte_mbuf *m;
	uint16_t next;
};

struct arp_table {
	uint64_t due, hz;
	uint16_t last; /* entry found last */
	uint16_t free_entry, free_slot;
	uint16_t n_entries, n_waiting, n_pending; /* pending: INCOMPLETE or PROBE */
	uint16_t hand;                            /* of the eviction scan */
	uint16_t announcements;                   /* still to send */
	uint32_t seed;
	uint32_t tokens;   /* requests that may go now */
	uint64_t refilled; /* up to when tokens were added */
	uint64_t announce_at;
	uint64_t evicted;
	struct rte_ether_addr mac;
	uint16_t bucket[BUCKETS];
	struct arp_slot slot[ARP_WAITING_MAX];
	struct arp_entry entry[ARP_ENTRIES_MAX] __rte_cache_aligned;
};

static uint16_t *
bucket_of(struct arp_table *t, uint32_t ip)
{
	return &t->bucket[rte_jhash_1word(ip, t->seed) & (BUCKETS - 1)];
}

static uint16_t
index_of(const struct arp_table *t, const struct arp_entry *e)
{
	return e - t->entry;
}

static bool
is_pending(const struct arp_entry *e)
{
	return e->state == ARP_INCOMPLETE || e->state == ARP_PROBE;
}

static void
set_state(struct arp_table *t, struct arp_entry *e, enum arp_state state, uint64_t deadline)
{
	t->n_pending -= is_pending(e);
	e->state = state;
	e->deadline = deadline;
	if (is_pending(e)) {
		t->n_pending++;
		e->tries = 0;
		t->due = RTE_MIN(t->due, deadline);
	}
}

static struct rte_ether_hdr *
header_of(struct arp_entry *e)
{
	return (struct rte_ether_hdr *)(e->l2 + sizeof(e->l2) - RTE_ETHER_HDR_LEN);
}

struct arp_entry *
arp_find(struct arp_table *t, uint32_t ip)
{
	struct arp_entry *e = &t->entry[t->last];

	if (likely(e->ip == ip && e->state != ARP_FREE))
		return e;
	for (uint16_t i = *bucket_of(t, ip); i != ARP_NONE; i = t->entry[i].next) {
		if (t->entry[i].ip == ip) {
			t->last = i;
			return &t->entry[i];
		}
	}
	return NULL;
}

void
arp_remove(struct arp_table *t, struct arp_entry *e)
{
	uint16_t idx = index_of(t, e);
	uint16_t *link = bucket_of(t, e->ip);

	while (*link != idx)
		link = &t->entry[*link].next;
	*link = e->next;
	set_state(t, e, ARP_FREE, 0);
	e->ip = 0;
	e->next = t->free_entry;
	t->free_entry = idx;
	t->n_entries--;
}

/* Make room by forgetting a neighbour; `unused_only`: one that no packet of ours ever went to. */
static bool
evict_entry(struct arp_table *t, bool unused_only)
{
	struct arp_entry *victim = NULL;
	struct rte_mbuf *m;

	for (unsigned int n = 0; n < EVICT_SCAN; n++) {
		struct arp_entry *e = &t->entry[t->hand];

		t->hand = (t->hand + 1) % ARP_ENTRIES_MAX;
		if (e->state == ARP_FREE || (unused_only && e->used != 0))
			continue;
		if (victim == NULL || e->used < victim->used)
			victim = e;
	}
	if (victim == NULL)
		return false;
	while ((m = arp_pop(t, victim)) != NULL) {
		rte_pktmbuf_free(m);
		t->evicted++;
	}
	arp_remove(t, victim);
	return true;
}

static struct arp_entry *
add_entry(struct arp_table *t, uint32_t ip, bool unused_only)
{
	if (t->free_entry == ARP_NONE && !evict_entry(t, unused_only))
		return NULL;

	uint16_t idx = t->free_entry;
	struct arp_entry *e = &t->entry[idx];
	uint16_t *bucket = bucket_of(t, ip);

	t->free_entry = e->next;
	*e = (struct arp_entry){
		.ip = ip, .next = *bucket, .wait_head = ARP_NONE, .wait_tail = ARP_NONE};
	*bucket = idx;
	t->n_entries++;
	rte_ether_addr_copy(&t->mac, &header_of(e)->src_addr);
	header_of(e)->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	return e;
}

void
arp_confirm(struct arp_table *t, struct arp_entry *e, uint64_t now)
{
	set_state(t, e, ARP_PROBE, now);
}

struct rte_mbuf *
arp_pop(struct arp_table *t, struct arp_entry *e)
{
	uint16_t i = e->wait_head;

	if (i == ARP_NONE)
		return NULL;
	e->wait_head = t->slot[i].next;
	if (e->wait_head == ARP_NONE)
		e->wait_tail = ARP_NONE;
	e->n_waiting--;
	t->n_waiting--;
	t->slot[i].next = t->free_slot;
	t->free_slot = i;
	return t->slot[i].m;
}

struct arp_entry *
arp_wait(struct arp_table *t, uint32_t ip, struct rte_mbuf *m, uint64_t now,
	struct rte_mbuf **victim)
{
	struct arp_entry *e = arp_find(t, ip);

	*victim = NULL;
	if (e == NULL) {
		e = add_entry(t, ip, false);
		if (e == NULL) {
			*victim = m;
			return NULL;
		}
		set_state(t, e, ARP_INCOMPLETE, now);
	}
	e->used = now;
	if (e->n_waiting == ARP_QUEUE_MAX || t->free_slot == ARP_NONE)
		*victim = arp_pop(t, e);
	if (t->free_slot == ARP_NONE) {
		*victim = m; /* all slots belong to other neighbours */
		return e;
	}

	uint16_t i = t->free_slot;

	t->free_slot = t->slot[i].next;
	t->slot[i] = (struct arp_slot){.m = m, .next = ARP_NONE};
	if (e->wait_tail == ARP_NONE)
		e->wait_head = i;
	else
		t->slot[e->wait_tail].next = i;
	e->wait_tail = i;
	e->n_waiting++;
	t->n_waiting++;
	return e;
}

enum arp_learn
arp_learn(struct arp_table *t, uint32_t ip, const struct rte_ether_addr *mac, bool asked,
	bool create, uint64_t now, struct arp_entry **out)
{
	struct arp_entry *e = arp_find(t, ip);
	enum arp_learn result = ARP_LEARN_UPDATED;

	if (out != NULL)
		*out = e;
	if (e == NULL) {
		if (!create)
			return ARP_LEARN_UNKNOWN;
		e = add_entry(t, ip, true);
		if (e == NULL)
			return ARP_LEARN_FULL;
		if (out != NULL)
			*out = e;
	} else if (arp_is_resolved(e)) {
		if (rte_is_same_ether_addr(&header_of(e)->dst_addr, mac))
			result = ARP_LEARN_KEPT;
		else if (now - e->changed < ARP_FLAP_S * t->hz)
			return ARP_LEARN_FLAPPING;
	}

	/* RFC 4861 7.2.5: only an answer to our question shows that the neighbour hears us. */
	if (asked && is_pending(e))
		set_state(t, e, ARP_REACHABLE, now + ARP_REACHABLE_S * t->hz);
	else if (result == ARP_LEARN_UPDATED)
		set_state(t, e, ARP_STALE, 0);
	if (result == ARP_LEARN_UPDATED) {
		rte_ether_addr_copy(mac, &header_of(e)->dst_addr);
		e->changed = now;
	}
	return result;
}

static bool
take_token(struct arp_table *t, uint64_t now)
{
	uint64_t add = (now - t->refilled) * ARP_REQUESTS_PER_S / t->hz;

	/* A second fills the bucket; checked first, for after a long silence the product wraps. */
	if (now - t->refilled >= t->hz) {
		t->tokens = ARP_REQUESTS_PER_S;
		t->refilled = now;
	} else if (add > 0) {
		t->tokens = RTE_MIN(t->tokens + add, (uint64_t)ARP_REQUESTS_PER_S);
		t->refilled += add * t->hz / ARP_REQUESTS_PER_S; /* keep the part of a token */
	}
	if (t->tokens == 0)
		return false;
	t->tokens--;
	return true;
}

bool
arp_take_request(struct arp_table *t, struct arp_entry *e, uint64_t now)
{
	if (!is_pending(e) || now < e->deadline || e->tries >= ARP_TRIES)
		return false;
	if (!take_token(t, now)) {
		e->deadline = now + t->hz / RATE_WAIT_PER_S;
		t->due = RTE_MIN(t->due, e->deadline);
		return false;
	}
	e->tries++;
	e->deadline = now + ARP_RETRY_S * t->hz;
	t->due = RTE_MIN(t->due, e->deadline);
	return true;
}

bool
arp_take_announcement(struct arp_table *t, uint64_t now)
{
	if (t->announcements == 0 || now < t->announce_at)
		return false;
	t->announcements--;
	t->announce_at = now + ARP_ANNOUNCE_S * t->hz;
	if (t->announcements > 0)
		t->due = RTE_MIN(t->due, t->announce_at);
	return true;
}

uint64_t
arp_due(const struct arp_table *t)
{
	return t->due;
}

struct arp_entry *
arp_next_due(struct arp_table *t, uint64_t now, unsigned int *pos)
{
	/* The scan starts from "nothing is due" and meets everything that says otherwise. */
	if (*pos == 0)
		t->due = t->announcements > 0 ? t->announce_at : UINT64_MAX;
	for (; *pos < ARP_ENTRIES_MAX && t->n_pending > 0; ++*pos) {
		struct arp_entry *e = &t->entry[*pos];

		if (!is_pending(e))
			continue;
		if (now >= e->deadline) {
			++*pos;
			return e;
		}
		t->due = RTE_MIN(t->due, e->deadline);
	}
	return NULL;
}

unsigned int
arp_count(const struct arp_table *t)
{
	return t->n_entries;
}

unsigned int
arp_count_waiting(const struct arp_table *t)
{
	return t->n_waiting;
}

uint64_t
arp_evicted(struct arp_table *t)
{
	uint64_t n = t->evicted;

	t->evicted = 0;
	return n;
}

void
arp_write_request(void *frame, const struct rte_ether_addr *mac, uint32_t addr, uint32_t target,
	const struct rte_ether_addr *dst)
{
	struct rte_ether_hdr *eth = frame;
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);

	if (dst != NULL)
		rte_ether_addr_copy(dst, &eth->dst_addr);
	else
		memset(&eth->dst_addr, 0xff, sizeof(eth->dst_addr));
	rte_ether_addr_copy(mac, &eth->src_addr);
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	*arp = (struct rte_arp_hdr){
		.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER),
		.arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = RTE_ETHER_ADDR_LEN,
		.arp_plen = sizeof(addr),
		.arp_opcode = RTE_BE16(RTE_ARP_OP_REQUEST),
		.arp_data = {.arp_sha = *mac, .arp_sip = addr, .arp_tip = target},
	};
}

struct arp_table *
arp_create(const struct arp_params *p)
{
	struct arp_table *t = rte_zmalloc("arp", sizeof(*t), RTE_CACHE_LINE_SIZE);

	if (t == NULL)
		return NULL;
	t->hz = p->hz;
	t->seed = p->seed;
	t->mac = p->mac;
	t->tokens = ARP_REQUESTS_PER_S;
	t->announcements = p->announce ? ARP_ANNOUNCEMENTS : 0;
	memset(t->bucket, 0xff, sizeof(t->bucket));
	t->free_entry = t->free_slot = ARP_NONE;
	for (unsigned int i = ARP_ENTRIES_MAX; i-- > 0; t->free_entry = i)
		t->entry[i].next = t->free_entry;
	for (unsigned int i = ARP_WAITING_MAX; i-- > 0; t->free_slot = i)
		t->slot[i].next = t->free_slot;
	return t;
}

void
arp_free(struct arp_table *t)
{
	struct rte_mbuf *m;

	if (t == NULL)
		return;
	for (unsigned int i = 0; i < ARP_ENTRIES_MAX; i++) {
		if (t->entry[i].state == ARP_FREE)
			continue;
		while ((m = arp_pop(t, &t->entry[i])) != NULL)
			rte_pktmbuf_free(m);
	}
	rte_free(t);
}
