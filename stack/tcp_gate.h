/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which segments may reach lwIP: the acceptability tests of RFC 9293 3.10.7.4 and RFC 5961, which
 * lwIP 2.1.3 leaves out or does in part. Without them data with an ACK of bytes never sent (or
 * with none) is delivered, and an out-of-order segment that reaches past the window makes lwIP's
 * receive window underflow. Pure: no state, no I/O.
 *
 * All sequence numbers in host byte order, compared modulo 2^32.
 */
#ifndef STACK_TCP_GATE_H
#define STACK_TCP_GATE_H

#include <stdbool.h>
#include <stdint.h>

enum tcp_gate_verdict {
	TCP_GATE_PASS,
	TCP_GATE_DROP,     /* silently */
	TCP_GATE_DROP_ACK, /* and tell the peer where we are (rate-limited by the caller) */
};

enum { TCP_GATE_FIN = 1, TCP_GATE_SYN = 2, TCP_GATE_RST = 4, TCP_GATE_ACK = 16 };

struct tcp_gate_conn {
	uint32_t rcv_nxt, rcv_wnd;
	uint32_t snd_una, snd_nxt;
	uint32_t snd_wnd_max; /* largest window the peer has announced */
	bool syn_sent;        /* SYN_SENT: lwIP checks the ACK of the SYN itself, but not that it is one */
};

struct tcp_gate_segment {
	uint32_t seq, ack, len; /* len: payload bytes */
	uint8_t flags;
};

static inline bool
tcp_gate_seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline enum tcp_gate_verdict
tcp_gate(const struct tcp_gate_conn *c, const struct tcp_gate_segment *g)
{
	uint32_t right = c->rcv_nxt + c->rcv_wnd;

	if (c->syn_sent)
		return (g->flags & (TCP_GATE_RST | TCP_GATE_ACK)) == TCP_GATE_RST ? TCP_GATE_DROP :
			TCP_GATE_PASS; /* RFC 9293 3.10.7.3, second */
	if (g->flags & TCP_GATE_SYN)
		return TCP_GATE_DROP_ACK; /* RFC 5961 4.2 */
	/* RFC 9293 3.10.7.4, first: sequence number. One octet before the window is a keepalive. */
	if (tcp_gate_seq_lt(g->seq + g->len, c->rcv_nxt - 1 - c->rcv_wnd) ||
	    tcp_gate_seq_lt(right, g->seq))
		return g->flags & TCP_GATE_RST ? TCP_GATE_DROP : TCP_GATE_DROP_ACK;
	/* lwIP stores the first out-of-order segment untrimmed: nothing may pass the right edge. */
	if (tcp_gate_seq_lt(right, g->seq + g->len))
		return TCP_GATE_DROP_ACK;
	if (g->flags & TCP_GATE_RST) /* RFC 5961 3.2 */
		return g->seq == c->rcv_nxt ? TCP_GATE_PASS : TCP_GATE_DROP_ACK;
	/* Fifth: a segment without ACK is dropped; RFC 5961 5.2 bounds the ACK on both sides. */
	if ((g->flags & TCP_GATE_ACK) == 0)
		return TCP_GATE_DROP;
	if (tcp_gate_seq_lt(g->ack, c->snd_una - c->snd_wnd_max) ||
	    tcp_gate_seq_lt(c->snd_nxt, g->ack))
		return TCP_GATE_DROP_ACK;
	return TCP_GATE_PASS;
}

#endif
