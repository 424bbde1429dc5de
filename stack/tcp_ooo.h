/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments that came before their turn. lwIP's own queue is a list it walks to the end for every
 * segment; this one knows the runs without gaps, so that the usual arrival, behind the last one,
 * costs nothing but a link. lwIP gets the segments when it is their turn. The runs are what SACK
 * blocks report (RFC 2018). No lwIP, no I/O; holder only.
 */
#ifndef STACK_TCP_OOO_H
#define STACK_TCP_OOO_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/tcp_sb.h"

struct pkt;
struct sock;

#define TCP_OOO_RUNS_MAX 1024
/* What a peer may pin: a packet for every KB held and some more; with an MSS of 536 or above a
 * whole window fits (1 MB: 1280 packets). */
#define TCP_OOO_PKTS_FREE 256
#define TCP_OOO_PKT_BYTES 1024
#define TCP_OOO_RECENT 4

/* A segment is a packet chain; while it waits its first packet's `next` links it to the following
 * one, `addr` is its sequence number, `len` the bytes it covers, a FIN included. */
struct tcp_ooo_run {
	uint32_t start, end;
	struct pkt *first, *last;
};

struct tcp_ooo {
	struct tcp_ooo_run *run; /* n, ascending; room for cap */
	uint32_t n, cap;
	uint32_t n_pkts, bytes;
	uint32_t recent[TCP_OOO_RECENT]; /* a sequence number of each run touched last, newest first */
	uint32_t n_recent;
	bool ack_due; /* at the end of the vector, see tcp_rx_ooo.c */
	/* mem.c's: real memory of the packets; neighbours among the connections that have some */
	uint32_t mem;
	struct sock *older, *newer;
};

enum tcp_ooo_verdict {
	TCP_OOO_ADDED,
	TCP_OOO_DUPLICATE, /* all of it is here: the caller keeps the packet */
	TCP_OOO_FULL,      /* likewise */
};

static inline bool
tcp_ooo_is_empty(const struct tcp_ooo *o)
{
	return o->n == 0;
}

/* A zeroed struct is empty. `p` covers len > 0 bytes at `seq`. */
enum tcp_ooo_verdict tcp_ooo_add(struct tcp_ooo *o, struct pkt *p, uint32_t seq, uint32_t len);
/* The next segment that begins at or below rcv_nxt, or NULL. Segments may overlap. */
struct pkt *tcp_ooo_take(struct tcp_ooo *o, uint32_t rcv_nxt);
/* The runs as SACK blocks, that of the newest arrival first; how many, at most `max`. */
uint32_t tcp_ooo_blocks(const struct tcp_ooo *o, struct tcp_sb_block *b, uint32_t max);
/* Any segment, for throwing all away; NULL: empty, and the array is freed. */
struct pkt *tcp_ooo_drop(struct tcp_ooo *o);

#endif
