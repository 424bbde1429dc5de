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
 * costs no traffic; it stays until its place is needed (arp_place.c says whose place that may be).
 *
 * What others can do to us is bounded. Only an answer to our own question confirms an entry. A
 * confirmed neighbour is not moved by what anybody can send: where another station claims its
 * address, the known one is asked by two unicast requests 200 ms apart, and only if it is silent all
 * are asked and the answer counts. Unconfirmed entries change at most once a second. Requests have a
 * rate, of which strangers and the unconfirmed cannot take the last part; who was refused comes first
 * the next time. Waiting packets are linked through slots (an mbuf has no spare pointer), so the total
 * is bounded too, and the part that answers strangers apart.
 *
 * `due` is the earliest time at which any pending entry, or the announcement, wants attention. It
 * may be too early (an entry resolved meanwhile), never too late.
 */
#include "nodes/arp_private.h"

#include <string.h>

#include <rte_common.h>
#include <rte_malloc.h>

#define RATE_WAIT_PER_S 100 /* a request refused by the rate is tried again after 1/100 s */

struct arp_entry *
arp_find(struct arp_table *t, uint32_t ip)
{
	struct arp_entry *e = &t->entry[t->last];

	if (likely(e->ip == ip && e->state != ARP_FREE))
		return e;
	for (uint16_t i = *arp_bucket(t, ip); i != ARP_NONE; i = t->entry[i].next) {
		if (t->entry[i].ip == ip) {
			t->last = i;
			return &t->entry[i];
		}
	}
	return NULL;
}

void
arp_confirm(struct arp_table *t, struct arp_entry *e, uint64_t now)
{
	arp_set_state(t, e, ARP_PROBE, now);
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
	t->n_strangers_waiting -= e->place == ARP_STRANGER;
	t->slot[i].next = t->free_slot;
	t->free_slot = i;
	return t->slot[i].m;
}

/* The entry in which a packet for `ip` waits; made where there is none. */
static struct arp_entry *
waiting_entry(struct arp_table *t, uint32_t ip, bool to_stranger, uint64_t now)
{
	struct arp_entry *e = arp_find(t, ip);

	if (e == NULL) {
		e = arp_add(t, ip, to_stranger ? ARP_STRANGER : ARP_ASKED, now);
		if (e != NULL)
			arp_set_state(t, e, ARP_INCOMPLETE, now);
	} else if (e->place == ARP_STRANGER && !to_stranger) {
		arp_move(t, e, ARP_ASKED, now);
	}
	return e;
}

static bool
has_slot(const struct arp_table *t, const struct arp_entry *e)
{
	return t->free_slot != ARP_NONE && (e->place != ARP_STRANGER ||
		t->n_strangers_waiting < ARP_STRANGERS_WAITING_MAX);
}

struct arp_entry *
arp_wait(struct arp_table *t, uint32_t ip, struct rte_mbuf *m, bool to_stranger, uint64_t now,
	struct rte_mbuf **victim)
{
	struct arp_entry *e = waiting_entry(t, ip, to_stranger, now);

	*victim = NULL;
	if (e == NULL) {
		*victim = m;
		return NULL;
	}
	e->used = now;
	if (e->n_waiting == ARP_QUEUE_MAX || !has_slot(t, e))
		*victim = arp_pop(t, e);
	if (!has_slot(t, e)) {
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
	t->n_strangers_waiting += e->place == ARP_STRANGER;
	return e;
}

/* Another MAC address than that of resolved `e`. May it be taken? */
static enum arp_learn
judge_move(struct arp_table *t, struct arp_entry *e, bool asked, uint64_t now)
{
	if (e->place != ARP_CONFIRMED)
		return now - e->changed < ARP_FLAP_S * t->hz ? ARP_LEARN_FLAPPING : ARP_LEARN_UPDATED;
	if (e->is_disputed) /* asked of all, who answers has it */
		return asked && e->tries >= ARP_TRIES ? ARP_LEARN_UPDATED : ARP_LEARN_DISPUTED;
	if (now - e->changed < ARP_FLAP_S * t->hz)
		return ARP_LEARN_FLAPPING;
	e->changed = now;
	arp_set_state(t, e, ARP_PROBE, now);
	e->is_disputed = true;
	return ARP_LEARN_DISPUTED;
}

/* RFC 4861 7.2.5: only an answer to our question shows that the neighbour hears us. */
static void
note_answer(struct arp_table *t, struct arp_entry *e, uint64_t now)
{
	arp_set_state(t, e, ARP_REACHABLE, now + ARP_REACHABLE_S * t->hz);
	arp_move(t, e, ARP_CONFIRMED, now);
	if (e->used == 0)
		e->used = now;
}

enum arp_learn
arp_learn(struct arp_table *t, uint32_t ip, const struct rte_ether_addr *mac, bool asked,
	bool create, uint64_t now, struct arp_entry **out)
{
	struct arp_entry *e = arp_find(t, ip);
	enum arp_learn result = ARP_LEARN_UPDATED;

	if (e == NULL && create)
		e = arp_add(t, ip, ARP_UNCONFIRMED, now);
	if (out != NULL)
		*out = e;
	if (e == NULL)
		return create ? ARP_LEARN_FULL : ARP_LEARN_UNKNOWN;
	if (arp_is_resolved(e)) {
		if (rte_is_same_ether_addr(&arp_own_header(e)->dst_addr, mac))
			result = ARP_LEARN_KEPT;
		else
			result = judge_move(t, e, asked, now);
	}
	if (result == ARP_LEARN_FLAPPING || result == ARP_LEARN_DISPUTED)
		return result;
	if (result == ARP_LEARN_UPDATED) {
		rte_ether_addr_copy(mac, &arp_own_header(e)->dst_addr);
		e->changed = now;
	}
	if (asked && arp_is_pending(e)) {
		note_answer(t, e, now);
	} else if (result == ARP_LEARN_UPDATED) {
		arp_set_state(t, e, ARP_STALE, 0);
		arp_move(t, e, ARP_UNCONFIRMED, now);
	}
	return result;
}

/* `keep`: so many tokens are for others. */
static bool
take_token(struct arp_table *t, uint32_t keep, uint64_t now)
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
	if (t->tokens <= keep)
		return false;
	t->tokens--;
	return true;
}

static uint32_t
tokens_of_others(const struct arp_entry *e)
{
	return e->place == ARP_CONFIRMED || e->place == ARP_ASKED ? 0 : ARP_REQUESTS_OURS;
}

bool
arp_take_request(struct arp_table *t, struct arp_entry *e, uint64_t now)
{
	if (!arp_is_pending(e) || now < e->deadline || e->tries >= ARP_TRIES)
		return false;
	if (!take_token(t, tokens_of_others(e), now)) {
		e->deadline = now + t->hz / RATE_WAIT_PER_S;
		t->due = RTE_MIN(t->due, e->deadline);
		if (t->refused == ARP_NONE)
			t->refused = arp_index(t, e);
		return false;
	}
	e->tries++;
	e->deadline = now + (e->is_disputed && e->tries < ARP_TRIES ?
		t->hz / 1000 * ARP_DISPUTE_MS : ARP_RETRY_S * t->hz);
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
	/* The scan starts from "nothing is due" and meets everything that says otherwise. Who was
	 * refused by the rate the last time comes first. */
	if (*pos == 0) {
		t->due = t->announcements > 0 ? t->announce_at : UINT64_MAX;
		if (t->refused != ARP_NONE)
			t->scan_from = t->refused;
		t->refused = ARP_NONE;
	}
	for (; *pos < ARP_ENTRIES_MAX && t->n_pending > 0; ++*pos) {
		struct arp_entry *e = &t->entry[(t->scan_from + *pos) % ARP_ENTRIES_MAX];

		if (!arp_is_pending(e))
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
	arp_places_init(t);
	t->free_entry = t->free_slot = t->refused = ARP_NONE;
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
