/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that are not there yet: requests. See tcp_syn.c. Holder only.
 *
 * A request is a peer's SYN that we have answered. It belongs to a listener's place on one stack (struct
 * port_link) and ends as a connection, or by time, or with the listener.
 */
#ifndef STACK_TCP_SYN_QUEUE_H
#define STACK_TCP_SYN_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/tcp_gate.h"
#include "stack/tcp_syn.h"

struct pbuf;
struct port_link;
struct sock;
struct stack;

/* What a connection needs to know of its handshake. */
struct tcp_handshake {
	uint32_t raddr;        /* network byte order */
	uint16_t rport, lport; /* network byte order */
	uint32_t irs, iss;     /* sequence numbers of both SYNs */
	uint16_t wnd;          /* of the peer's SYN; it is never scaled there */
	struct tcp_syn_options opt;
	uint64_t sent_us; /* our SYN|ACK, if it was sent once; 0: no time to be measured */
};

struct tcp_request {
	struct tcp_request *hash_next;
	struct tcp_request *next, **prev;           /* of those with as many tries, oldest first */
	struct tcp_request *link_next, **link_prev; /* of the same listener on this stack */
	struct port_link *link;
	struct tcp_handshake h;
	uint32_t hash;
	uint32_t due_ms;      /* our SYN|ACK is sent again, or given up */
	uint32_t answered_ms; /* last answer to a repetition of the peer */
	uint8_t tries;
};

#define TCP_SYN_BUCKETS 8192

struct tcp_syn_queue {
	struct tcp_request **buckets; /* TCP_SYN_BUCKETS */
	struct {
		struct tcp_request *first, **last;
	} wait[TCP_SYN_TRIES + 1]; /* by tries: all of one list wait for the same time */
	uint32_t n;
	uint32_t due_ms; /* nothing is due before, if n > 0 */
	/* Linux's names: ListenOverflows, TCPReqQFullDoCookies, SyncookiesSent, -Recv, -Failed */
	uint64_t overflows, full, cookies_sent, cookies_recv, cookies_failed;
};

int tcp_syn_init(struct stack *st);
void tcp_syn_fini(struct stack *st);
/* A segment that is no connection's, for listener `l` by the port, or for a request. True: it has made
 * *made, or been dealt with (*made is NULL); false: it is owed a reset. Does not consume pb. */
bool tcp_syn_input(struct stack *st, struct sock *l, const struct pbuf *pb, uint32_t raddr,
	uint32_t hash, const struct tcp_gate_segment *g, struct sock **made);
/* Send again and give up what is due; a part of it, where there is much. */
void tcp_syn_timer(struct stack *st);
uint32_t tcp_syn_next_ms(const struct stack *st); /* until something is due; UINT32_MAX: nothing */
void tcp_syn_forget(struct stack *st, struct port_link *link); /* the listener is closed */

/* tcp_open.c: a connection of listener l, established; NULL: no memory. */
struct sock *tcp_open(struct stack *st, struct sock *l, const struct tcp_handshake *h);

#endif
