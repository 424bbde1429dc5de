/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reassembly of IPv4 datagrams. librte_ip_frag is not used for this: the distribution builds it for
 * at most 8 fragments a datagram, and 64 KB over an MTU of 1500 are 45.
 *
 * Theory of operation. A datagram is found by (source, destination, identification, protocol) in a
 * keyed hash with chains. Its fragments are a list sorted by offset, linked through slots; the usual
 * fragment continues the last one and is appended in O(1). Fragments never overlap in that list, so
 * the datagram is whole when the bytes held equal its end, which the fragment without MF tells.
 *
 * Datagrams stand in a FIFO in the order of their first fragment, so the head is the one that times
 * out first, and the one that goes when there is no room: an attacker who fills the table pushes out
 * the oldest incomplete datagrams, while honest ones are whole within microseconds.
 *
 * A datagram with overlapping or contradicting fragments is somebody's attack. It is emptied and
 * stays poisoned until its time is over, so that no part of it is ever delivered (RFC 5722). An
 * exact repetition is an honest duplicate and is dropped alone.
 */
#include "nodes/reass.h"

#include <string.h>

#include <rte_common.h>
#include <rte_ip.h>
#include <rte_jhash.h>
#include <rte_malloc.h>

#define NONE UINT16_MAX
#define BUCKETS (2 * REASS_DATAGRAMS_MAX)
#define UNKNOWN_END UINT32_MAX
#define IP_LEN_MAX 65535

_Static_assert(REASS_DATAGRAMS_MAX < NONE && REASS_HELD_MAX < NONE, "indexes are 16 bits");

struct key {
	uint32_t src, dst; /* network byte order, as id */
	uint16_t id;
	uint16_t proto;
};

struct slot {
	struct rte_mbuf *m;
	uint32_t begin, end; /* bytes of the datagram's payload */
	uint16_t next;
};

struct datagram {
	struct key key;
	uint32_t held;        /* payload bytes in the list */
	uint32_t end;         /* of the payload, or UNKNOWN_END */
	uint64_t deadline;
	uint16_t first, last; /* slots, by offset */
	uint16_t n;
	uint16_t chain;        /* next of the bucket, or of the free list */
	uint16_t older, newer; /* FIFO */
	bool poisoned;
};

struct reass {
	uint64_t timeout;
	uint64_t evicted;
	uint32_t seed;
	uint16_t oldest, newest; /* FIFO of datagrams */
	uint16_t free_datagram, free_slot;
	uint16_t n_datagrams, n_held;
	uint16_t bucket[BUCKETS];
	struct datagram datagram[REASS_DATAGRAMS_MAX];
	struct slot slot[REASS_HELD_MAX];
};

static uint16_t *
bucket_of(struct reass *r, const struct key *k)
{
	return &r->bucket[rte_jhash_3words(k->src, k->dst, (uint32_t)k->id << 16 | k->proto, r->seed) &
		(BUCKETS - 1)];
}

static struct datagram *
find(struct reass *r, const struct key *k)
{
	for (uint16_t i = *bucket_of(r, k); i != NONE; i = r->datagram[i].chain) {
		if (memcmp(&r->datagram[i].key, k, sizeof(*k)) == 0)
			return &r->datagram[i];
	}
	return NULL;
}

/* Free what is held of `d`; returns how many fragments. */
static uint16_t
empty(struct reass *r, struct datagram *d)
{
	uint16_t n = d->n;

	while (d->first != NONE) {
		struct slot *s = &r->slot[d->first];
		uint16_t idx = d->first;

		d->first = s->next;
		rte_pktmbuf_free(s->m);
		s->next = r->free_slot;
		r->free_slot = idx;
	}
	d->last = NONE;
	d->n = 0;
	d->held = 0;
	r->n_held -= n;
	return n;
}

/* Forget an empty datagram. */
static void
forget(struct reass *r, struct datagram *d)
{
	uint16_t idx = d - r->datagram;
	uint16_t *link = bucket_of(r, &d->key);

	while (*link != idx)
		link = &r->datagram[*link].chain;
	*link = d->chain;
	if (d->older == NONE)
		r->oldest = d->newer;
	else
		r->datagram[d->older].newer = d->newer;
	if (d->newer == NONE)
		r->newest = d->older;
	else
		r->datagram[d->newer].older = d->older;
	d->chain = r->free_datagram;
	r->free_datagram = idx;
	r->n_datagrams--;
}

static void
evict_oldest(struct reass *r)
{
	struct datagram *d = &r->datagram[r->oldest];

	r->evicted += empty(r, d);
	forget(r, d);
}

static struct datagram *
add_datagram(struct reass *r, const struct key *k, uint64_t now)
{
	if (r->free_datagram == NONE)
		evict_oldest(r);

	uint16_t idx = r->free_datagram;
	struct datagram *d = &r->datagram[idx];
	uint16_t *bucket = bucket_of(r, k);

	r->free_datagram = d->chain;
	*d = (struct datagram){.key = *k,
		.end = UNKNOWN_END,
		.deadline = now + r->timeout,
		.first = NONE,
		.last = NONE,
		.chain = *bucket,
		.older = r->newest,
		.newer = NONE};
	*bucket = idx;
	if (r->newest == NONE)
		r->oldest = idx;
	else
		r->datagram[r->newest].newer = idx;
	r->newest = idx;
	r->n_datagrams++;
	return d;
}

/*
 * Where [begin, end) goes in the list of `d`: *link is the slot after it, reached through `*prev`
 * (NONE: the first). REASS_HELD, REASS_DUPLICATE or REASS_OVERLAP.
 */
static enum reass_result
find_place(const struct reass *r, const struct datagram *d, uint32_t begin, uint32_t end,
	uint16_t *prev)
{
	uint16_t i = d->first;

	*prev = NONE;
	if (d->last != NONE && r->slot[d->last].end <= begin) {
		*prev = d->last;
		return REASS_HELD;
	}
	while (i != NONE && r->slot[i].end <= begin) {
		*prev = i;
		i = r->slot[i].next;
	}
	if (i == NONE || r->slot[i].begin >= end)
		return REASS_HELD;
	return r->slot[i].begin == begin && r->slot[i].end == end ? REASS_DUPLICATE : REASS_OVERLAP;
}

static void
insert(struct reass *r, struct datagram *d, uint16_t prev, struct slot fragment)
{
	uint16_t idx = r->free_slot;
	struct slot *s = &r->slot[idx];
	uint16_t *link = prev == NONE ? &d->first : &r->slot[prev].next;

	r->free_slot = s->next;
	*s = fragment;
	s->next = *link;
	*link = idx;
	if (s->next == NONE)
		d->last = idx;
	d->held += s->end - s->begin;
	d->n++;
	r->n_held++;
}

/* Join the fragments of a whole datagram into the first one's mbuf; empties `d`. */
static struct rte_mbuf *
join(struct reass *r, struct datagram *d)
{
	struct rte_mbuf *head = r->slot[d->first].m, *tail = rte_pktmbuf_lastseg(head);

	for (uint16_t i = r->slot[d->first].next; i != NONE; i = r->slot[i].next) {
		struct rte_mbuf *m = r->slot[i].m;

		/* The header is in the first segment, which may hold nothing else. */
		rte_pktmbuf_adj(m, m->l2_len + m->l3_len);
		tail->next = m;
		tail = rte_pktmbuf_lastseg(m);
		head->nb_segs += m->nb_segs;
		head->pkt_len += m->pkt_len;
		r->slot[i].m = NULL; /* rte_pktmbuf_free() takes that */
	}
	r->slot[d->first].m = NULL;
	empty(r, d);
	return head;
}

static void
write_header(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);

	ip->total_length = rte_cpu_to_be_16(m->pkt_len - m->l2_len);
	ip->fragment_offset = 0;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = ~rte_raw_cksum(ip, m->l3_len);
	m->ol_flags &= ~(RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_IP_CKSUM_MASK);
	m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

/* What forbids [begin, end) in `d`; REASS_HELD: nothing. */
static enum reass_result
check_bounds(const struct reass *r, const struct datagram *d, const struct slot *f, bool mf)
{
	uint32_t highest = d->last == NONE ? 0 : r->slot[d->last].end;

	if (!mf && (d->end == UNKNOWN_END ? highest > f->end : d->end != f->end))
		return REASS_CONFLICT;
	if (mf && f->end > d->end)
		return REASS_CONFLICT;
	/* The header of the whole is the first fragment's; its options count. */
	if (f->end + (f->begin == 0 ? f->m->l3_len : sizeof(struct rte_ipv4_hdr)) > IP_LEN_MAX)
		return REASS_TOO_LONG;
	return d->n == REASS_FRAGMENTS_MAX ? REASS_TOO_MANY : REASS_HELD;
}

static enum reass_result
poison(struct reass *r, struct datagram *d, struct rte_mbuf *m, enum reass_result why)
{
	rte_pktmbuf_free(m);
	empty(r, d);
	d->poisoned = true;
	return why;
}

enum reass_result
reass_add(struct reass *r, struct rte_mbuf *m, uint64_t now, struct rte_mbuf **done)
{
	const struct rte_ipv4_hdr *ip =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, m->l2_len);
	const struct key key = {ip->src_addr, ip->dst_addr, ip->packet_id, ip->next_proto_id};
	uint16_t field = rte_be_to_cpu_16(ip->fragment_offset), prev;
	bool mf = field & RTE_IPV4_HDR_MF_FLAG;
	uint32_t begin = (field & RTE_IPV4_HDR_OFFSET_MASK) * RTE_IPV4_HDR_OFFSET_UNITS;
	struct slot f = {m, begin, begin + m->pkt_len - m->l2_len - m->l3_len, NONE};
	enum reass_result result;

	if (f.end == begin || (mf && f.end % RTE_IPV4_HDR_OFFSET_UNITS != 0)) {
		rte_pktmbuf_free(m);
		return REASS_BAD_LENGTH;
	}

	struct datagram *d = find(r, &key);

	/* The timer node may be late: an old datagram must not take in new fragments. */
	if (d != NULL && now >= d->deadline) {
		r->evicted += empty(r, d);
		forget(r, d);
		d = NULL;
	}
	if (d == NULL)
		d = add_datagram(r, &key, now);
	if (d->poisoned) {
		rte_pktmbuf_free(m);
		return REASS_POISONED;
	}
	result = find_place(r, d, f.begin, f.end, &prev);
	if (result == REASS_DUPLICATE) {
		rte_pktmbuf_free(m);
		return result;
	}
	if (result == REASS_HELD)
		result = check_bounds(r, d, &f, mf);
	if (result != REASS_HELD)
		return poison(r, d, m, result);

	while (r->free_slot == NONE && &r->datagram[r->oldest] != d)
		evict_oldest(r);
	insert(r, d, prev, f);
	if (!mf)
		d->end = f.end;
	if (d->held != d->end)
		return REASS_HELD;
	*done = join(r, d);
	forget(r, d);
	/* Sum of the parts: options of the first fragment may have arrived last. */
	if ((*done)->pkt_len - (*done)->l2_len > IP_LEN_MAX) {
		rte_pktmbuf_free(*done);
		return REASS_TOO_LONG;
	}
	write_header(*done);
	return REASS_DONE;
}

uint64_t
reass_evicted(struct reass *r)
{
	uint64_t n = r->evicted;

	r->evicted = 0;
	return n;
}

uint64_t
reass_due(const struct reass *r)
{
	return r->oldest != NONE ? r->datagram[r->oldest].deadline : UINT64_MAX;
}

bool
reass_expire(struct reass *r, uint64_t now, uint64_t *n, struct rte_mbuf **first)
{
	struct datagram *d;

	if (r->oldest == NONE || now < reass_due(r))
		return false;
	d = &r->datagram[r->oldest];
	*first = NULL;
	if (d->first != NONE && r->slot[d->first].begin == 0) {
		*first = r->slot[d->first].m;
		r->slot[d->first].m = NULL; /* empty() frees the others */
	}
	*n += empty(r, d);
	forget(r, d);
	return true;
}

unsigned int
reass_count(const struct reass *r)
{
	return r->n_datagrams;
}

unsigned int
reass_count_held(const struct reass *r)
{
	return r->n_held;
}

struct reass *
reass_create(uint64_t hz, uint32_t seed)
{
	struct reass *r = rte_zmalloc("reass", sizeof(*r), RTE_CACHE_LINE_SIZE);

	if (r == NULL)
		return NULL;
	r->timeout = REASS_TIMEOUT_S * hz;
	r->seed = seed;
	r->oldest = r->newest = r->free_datagram = r->free_slot = NONE;
	memset(r->bucket, 0xff, sizeof(r->bucket));
	for (unsigned int i = REASS_DATAGRAMS_MAX; i-- > 0; r->free_datagram = i)
		r->datagram[i].chain = r->free_datagram;
	for (unsigned int i = REASS_HELD_MAX; i-- > 0; r->free_slot = i)
		r->slot[i].next = r->free_slot;
	return r;
}

void
reass_free(struct reass *r)
{
	if (r == NULL)
		return;
	while (r->oldest != NONE)
		evict_oldest(r);
	rte_free(r);
}
