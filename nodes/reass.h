/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reassembly of IPv4 datagrams on one core (RFC 791 3.2, RFC 815, RFC 5722 for overlaps), bounded in
 * memory and time. Owner: the holder of the core's stack lock. `now` is a TSC time.
 */
#ifndef NODES_REASS_H
#define NODES_REASS_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#define REASS_DATAGRAMS_MAX 256
#define REASS_FRAGMENTS_MAX 128  /* of one datagram: 64 KB in fragments of 512 bytes */
#define REASS_HELD_MAX 2048      /* fragments of all datagrams */
#define REASS_TIMEOUT_S 20       /* RFC 791 suggests 15, Linux takes 30; from the first fragment */

enum reass_result {
	REASS_HELD,      /* kept; the datagram is not whole yet */
	REASS_DONE,      /* *done is the whole datagram */
	/* the fragment was freed because ... */
	REASS_DUPLICATE, /* its bytes are there already, in a fragment with the same bounds */
	REASS_POISONED,  /* its datagram was given up before */
	/* the fragment and what was held of its datagram were freed because ... */
	REASS_OVERLAP,
	REASS_CONFLICT,  /* a second end of the datagram, or data behind its end */
	REASS_TOO_LONG,  /* more than 65535 bytes in all */
	REASS_TOO_MANY,  /* REASS_FRAGMENTS_MAX */
	/* only this fragment was freed because ... */
	REASS_BAD_LENGTH, /* not the last one, and its length is 0 or no multiple of 8 */
	REASS_RESULTS
};

struct reass;

struct reass *reass_create(uint64_t hz, uint32_t seed);
void reass_free(struct reass *r); /* held fragments included; NULL allowed */

/*
 * Take a fragment: data_off at its link header, l2_len and l3_len set, IPv4 header in the first
 * segment, pkt_len exact. A whole datagram comes back with the headers of its first fragment: total
 * length set, no fragment bits, header checksum right, ol_flags saying so and nothing about L4.
 */
enum reass_result reass_add(struct reass *r, struct rte_mbuf *m, uint64_t now,
	struct rte_mbuf **done);

/* Fragments freed since the last call to make room; datagrams they belonged to are lost. */
uint64_t reass_evicted(struct reass *r);
uint64_t reass_due(const struct reass *r); /* when a datagram times out; UINT64_MAX: never */
/*
 * Give up the oldest datagram if its time is over; false: it is not. Adds the fragments given up to
 * *n. *first is the caller's: the fragment with offset 0, the only one an ICMP error may be sent
 * about (RFC 1122 3.3.2), or NULL if it never came.
 */
bool reass_expire(struct reass *r, uint64_t now, uint64_t *n, struct rte_mbuf **first);

unsigned int reass_count(const struct reass *r);      /* datagrams, poisoned ones included */
unsigned int reass_count_held(const struct reass *r); /* fragments */

#endif
