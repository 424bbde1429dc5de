/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The neighbour table of one core (RFC 826; states in the spirit of RFC 4861).
 *
 * Owner: the holder of the core's stack lock. Addresses are in network byte order, `now` is a TSC
 * time. No function sends anything: nodes arp-input, arp-resolve and ip4-timer do.
 */
#ifndef NODES_ARP_H
#define NODES_ARP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_arp.h>
#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>

#define ARP_ENTRIES_MAX 2048
#define ARP_UNCONFIRMED_MAX 512 /* of them, known by their own word only */
#define ARP_ASKED_MAX 384       /* of them, being asked because we have something for them */
#define ARP_STRANGERS_MAX 128   /* of them, being asked because they get an answer of ours */
#define ARP_IN_USE_S 15         /* a confirmed neighbour is not forgotten for others so soon */
#define ARP_QUEUE_MAX 64     /* packets one entry holds: a 64 KB datagram is 45 fragments */
#define ARP_WAITING_MAX 1024 /* packets all entries hold */
#define ARP_STRANGERS_WAITING_MAX 256 /* of them, answers to strangers */
#define ARP_REACHABLE_S 30
#define ARP_RETRY_S 1
#define ARP_TRIES 3
#define ARP_FLAP_S 1           /* a neighbour changes its MAC address at most this often */
#define ARP_REQUESTS_PER_S 256 /* sent by one core, all neighbours together */
#define ARP_REQUESTS_OURS 64   /* of these, not for strangers and the unconfirmed */
#define ARP_DISPUTE_MS 200     /* between the requests that settle who has an address */
#define ARP_ANNOUNCE_S 2       /* RFC 5227 ANNOUNCE_INTERVAL */
#define ARP_ANNOUNCEMENTS 2
#define ARP_L2_ROOM 16 /* headroom arp_write_l2() wants */
#define ARP_FRAME_LEN (RTE_ETHER_HDR_LEN + sizeof(struct rte_arp_hdr))

enum arp_state {
	ARP_FREE,
	ARP_INCOMPLETE, /* asked by broadcast; packets wait */
	ARP_STALE,      /* MAC known, never confirmed or too long ago; used, then confirmed */
	ARP_REACHABLE,  /* confirmed less than ARP_REACHABLE_S ago */
	ARP_PROBE,      /* MAC known and used; asked by unicast whether it still holds */
};

/* How a neighbour came in, and whom its entry may push out; see arp.c. */
enum arp_place {
	ARP_CONFIRMED,   /* has answered a question of ours */
	ARP_UNCONFIRMED, /* has asked for us */
	ARP_ASKED,       /* INCOMPLETE: a packet of ours waits */
	ARP_STRANGER,    /* INCOMPLETE: only an answer to it waits */
	ARP_PLACES
};

struct arp_entry {
	uint8_t l2[ARP_L2_ROOM]; /* 2 bytes of padding and the Ethernet header: one 16-byte store */
	uint64_t deadline; /* REACHABLE: end of trust; INCOMPLETE, PROBE: next request */
	uint64_t used;     /* last time a packet went there; 0: never */
	uint64_t changed;  /* when the MAC address was set */
	uint32_t ip;
	uint16_t next; /* hash chain or free list */
	uint8_t state; /* enum arp_state */
	uint8_t tries; /* requests sent since INCOMPLETE or PROBE began */
	uint8_t place; /* enum arp_place */
	bool is_disputed; /* PROBE: another station claims the address */
	uint16_t wait_head, wait_tail, n_waiting;
	uint16_t older, newer; /* entries of the same place */
};

enum arp_learn {
	ARP_LEARN_UNKNOWN,  /* no such entry, and none was made */
	ARP_LEARN_KEPT,     /* entry there, same MAC address */
	ARP_LEARN_UPDATED,  /* new entry or MAC address; packets may wait (arp_pop) */
	ARP_LEARN_FLAPPING, /* another MAC address too soon after the last change: ignored */
	ARP_LEARN_DISPUTED, /* another MAC address than the confirmed one: that is asked first */
	ARP_LEARN_FULL,     /* no room for an entry */
};

struct arp_table;

struct arp_params {
	struct rte_ether_addr mac; /* ours */
	bool announce;             /* one core of an instance does */
	uint64_t hz;               /* of `now` */
	uint32_t seed;             /* of the hash: random, so that nobody can aim at one bucket */
};

struct arp_table *arp_create(const struct arp_params *p);
void arp_free(struct arp_table *t); /* waiting packets included; NULL allowed */

struct arp_entry *arp_find(struct arp_table *t, uint32_t ip);

static inline const struct rte_ether_hdr *
arp_header(const struct arp_entry *e)
{
	return (const struct rte_ether_hdr *)(e->l2 + ARP_L2_ROOM - RTE_ETHER_HDR_LEN);
}

static inline bool
arp_is_resolved(const struct arp_entry *e)
{
	return e->state >= ARP_STALE;
}

void arp_confirm(struct arp_table *t, struct arp_entry *e, uint64_t now);

/* A packet goes to resolved `e`: once trust has ended, have it confirmed by ip4-timer. */
static inline void
arp_use(struct arp_table *t, struct arp_entry *e, uint64_t now)
{
	e->used = now;
	if (unlikely(now >= e->deadline && e->state != ARP_PROBE))
		arp_confirm(t, e, now);
}

/* Put the Ethernet header towards resolved `e` in front of `m`, which is at its IPv4 header and has
 * ARP_L2_ROOM bytes of headroom. */
static inline void
arp_write_l2(struct rte_mbuf *m, const struct arp_entry *e)
{
	rte_mov16(rte_pktmbuf_mtod(m, uint8_t *) - ARP_L2_ROOM, e->l2);
	m->data_off -= RTE_ETHER_HDR_LEN;
	m->data_len += RTE_ETHER_HDR_LEN;
	m->pkt_len += RTE_ETHER_HDR_LEN;
	m->l2_len = RTE_ETHER_HDR_LEN;
}

/*
 * Let `m` wait for `ip`, making an INCOMPLETE entry if there is none. `to_stranger`: `m` answers what
 * anybody can send under any name; such packets and entries push out each other only. Takes `m`.
 * `*victim` receives a packet to drop: the oldest one of a full queue, or `m` itself when the table
 * has no room; NULL otherwise. Victims of an evicted entry are freed and counted in arp_evicted().
 * Returns the entry, or NULL.
 */
struct arp_entry *arp_wait(struct arp_table *t, uint32_t ip, struct rte_mbuf *m, bool to_stranger,
	uint64_t now, struct rte_mbuf **victim);
/* Next packet that waited for `e`, oldest first; NULL: none left. */
struct rte_mbuf *arp_pop(struct arp_table *t, struct arp_entry *e);

/*
 * `ip` is at `mac`. `asked`: this answers us (a reply sent to our address); it confirms entries
 * that are being asked about. `create`: make an entry if there is none (RFC 826: the sender of a
 * request to us); that never evicts a confirmed neighbour in use. *e, where not NULL, gets the entry.
 */
enum arp_learn arp_learn(struct arp_table *t, uint32_t ip, const struct rte_ether_addr *mac,
	bool asked, bool create, uint64_t now, struct arp_entry **e);
void arp_remove(struct arp_table *t, struct arp_entry *e); /* its queue must be empty */

/* Take the right to send a request about `e` now: false if it is not due or the rate is used up. */
bool arp_take_request(struct arp_table *t, struct arp_entry *e, uint64_t now);
bool arp_take_announcement(struct arp_table *t, uint64_t now);

uint64_t arp_due(const struct arp_table *t); /* when something is due; UINT64_MAX: never */
/*
 * Visit what is due: start with *pos = 0, until NULL. The caller sends a request for each entry
 * (arp_take_request), or, once `tries` has reached ARP_TRIES, empties and removes it.
 */
struct arp_entry *arp_next_due(struct arp_table *t, uint64_t now, unsigned int *pos);

unsigned int arp_count(const struct arp_table *t);       /* entries in use */
unsigned int arp_count_waiting(const struct arp_table *t); /* packets held */
uint64_t arp_evicted(struct arp_table *t); /* packets freed by evictions since the last call */

/* Write a request for `target` into `frame` (ARP_FRAME_LEN bytes); dst NULL: broadcast. */
void arp_write_request(void *frame, const struct rte_ether_addr *mac, uint32_t addr,
	uint32_t target, const struct rte_ether_addr *dst);

#endif
