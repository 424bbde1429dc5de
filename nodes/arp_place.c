/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who has a place in the neighbour table, and who is pushed out for whom.
 *
 * Theory of operation. Anybody on the link can make up sixty thousand senders. So entries are kept in
 * four lists by what is known of the neighbour, oldest first, and a stranger pushes out strangers:
 *
 *	CONFIRMED    has answered a question of ours. Never pushed out while packets went to it within
 *	             ARP_IN_USE_S; one that is idle longer goes when no entry is free.
 *	UNCONFIRMED  has sent us a request, and anybody can do that under any name. At most
 *	             ARP_UNCONFIRMED_MAX. Goes in the order in which it came, but those that get packets
 *	             stay while there are others. The first packet to it has it confirmed.
 *	ASKED        a packet of ours waits for its answer. At most ARP_ASKED_MAX.
 *	STRANGER     only an answer of ours waits (SYN ACK, RST, ICMP), and the address may be made up. At
 *	             most ARP_STRANGERS_MAX.
 *
 * The sum of the bounds leaves half of the table to confirmed neighbours. Everything here is O(1) or
 * bounded by SCAN and SECOND_CHANCES, since a flood may ask for it with every packet.
 */
#include "nodes/arp_private.h"

#define SCAN 64           /* entries looked at for an idle one, from a moving hand */
#define SECOND_CHANCES 16 /* used entries passed over for one that is not */

static const uint16_t limits[ARP_PLACES] = {
	[ARP_CONFIRMED] = ARP_ENTRIES_MAX,
	[ARP_UNCONFIRMED] = ARP_UNCONFIRMED_MAX,
	[ARP_ASKED] = ARP_ASKED_MAX,
	[ARP_STRANGER] = ARP_STRANGERS_MAX,
};
_Static_assert(ARP_UNCONFIRMED_MAX + ARP_ASKED_MAX + ARP_STRANGERS_MAX <= ARP_ENTRIES_MAX / 2,
	"half of the table is for neighbours that have answered");

void
arp_places_init(struct arp_table *t)
{
	for (unsigned int i = 0; i < ARP_PLACES; i++)
		t->place[i] = (struct arp_list){.oldest = ARP_NONE, .newest = ARP_NONE};
}

static void
append(struct arp_table *t, struct arp_entry *e, enum arp_place place)
{
	struct arp_list *l = &t->place[place];
	uint16_t idx = arp_index(t, e);

	e->place = place;
	e->older = l->newest;
	e->newer = ARP_NONE;
	if (l->newest != ARP_NONE)
		t->entry[l->newest].newer = idx;
	else
		l->oldest = idx;
	l->newest = idx;
	l->n++;
}

static void
take_out(struct arp_table *t, struct arp_entry *e)
{
	struct arp_list *l = &t->place[e->place];

	if (e->older != ARP_NONE)
		t->entry[e->older].newer = e->newer;
	else
		l->oldest = e->newer;
	if (e->newer != ARP_NONE)
		t->entry[e->newer].older = e->older;
	else
		l->newest = e->older;
	l->n--;
}

void
arp_remove(struct arp_table *t, struct arp_entry *e)
{
	uint16_t idx = arp_index(t, e);
	uint16_t *link = arp_bucket(t, e->ip);

	while (*link != idx)
		link = &t->entry[*link].next;
	*link = e->next;
	take_out(t, e);
	arp_set_state(t, e, ARP_FREE, 0);
	e->ip = 0;
	e->next = t->free_entry;
	t->free_entry = idx;
	t->n_entries--;
}

static void
evict(struct arp_table *t, struct arp_entry *victim)
{
	struct rte_mbuf *m;

	while ((m = arp_pop(t, victim)) != NULL) {
		rte_pktmbuf_free(m);
		t->evicted++;
	}
	arp_remove(t, victim);
}

static bool
is_in_use(const struct arp_table *t, const struct arp_entry *e, uint64_t now)
{
	return e->used != 0 && now < e->used + ARP_IN_USE_S * t->hz;
}

/* The oldest of `place`; those in use go behind the others first. */
static bool
evict_oldest(struct arp_table *t, enum arp_place place, uint64_t now)
{
	struct arp_list *l = &t->place[place];

	for (unsigned int i = 0; i < SECOND_CHANCES && l->oldest != ARP_NONE; i++) {
		struct arp_entry *e = &t->entry[l->oldest];

		if (place != ARP_UNCONFIRMED || !is_in_use(t, e, now))
			break;
		take_out(t, e);
		append(t, e, place);
	}
	if (l->oldest == ARP_NONE)
		return false;
	evict(t, &t->entry[l->oldest]);
	return true;
}

/* A confirmed neighbour that nothing was sent to for a while: of some, the longest. */
static bool
evict_idle(struct arp_table *t, uint64_t now)
{
	struct arp_entry *victim = NULL;

	for (unsigned int n = 0; n < SCAN; n++) {
		struct arp_entry *e = &t->entry[t->hand];

		t->hand = (t->hand + 1) % ARP_ENTRIES_MAX;
		if (e->state == ARP_FREE || e->place != ARP_CONFIRMED || is_in_use(t, e, now))
			continue;
		if (victim == NULL || e->used < victim->used)
			victim = e;
	}
	if (victim != NULL)
		evict(t, victim);
	return victim != NULL;
}

/* A free entry for `place`. What we want ourselves may take the place of the unconfirmed. */
static bool
make_room(struct arp_table *t, enum arp_place place, uint64_t now)
{
	if (t->place[place].n >= limits[place])
		return evict_oldest(t, place, now);
	if (t->free_entry != ARP_NONE || evict_idle(t, now) || evict_oldest(t, place, now))
		return true;
	return place == ARP_ASKED && evict_oldest(t, ARP_UNCONFIRMED, now);
}

struct arp_entry *
arp_add(struct arp_table *t, uint32_t ip, enum arp_place place, uint64_t now)
{
	if (!make_room(t, place, now))
		return NULL;

	uint16_t idx = t->free_entry, *bucket = arp_bucket(t, ip);
	struct arp_entry *e = &t->entry[idx];

	t->free_entry = e->next;
	*e = (struct arp_entry){
		.ip = ip, .next = *bucket, .wait_head = ARP_NONE, .wait_tail = ARP_NONE};
	*bucket = idx;
	t->n_entries++;
	append(t, e, place);
	rte_ether_addr_copy(&t->mac, &arp_own_header(e)->src_addr);
	arp_own_header(e)->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	return e;
}

bool
arp_move(struct arp_table *t, struct arp_entry *e, enum arp_place place, uint64_t now)
{
	if (e->place == place)
		return true;
	if (t->place[place].n >= limits[place] && !evict_oldest(t, place, now))
		return false;
	if (e->place == ARP_STRANGER)
		t->n_strangers_waiting -= e->n_waiting;
	take_out(t, e);
	append(t, e, place);
	return true;
}
