/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is decided about connections that are not there yet. Pure: no state, no I/O. The queue is
 * tcp_syn.c. Sequence numbers in host byte order.
 */
#ifndef STACK_TCP_SYN_H
#define STACK_TCP_SYN_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/tcp_gate.h"
#include "stack/tcp_opts.h"

#define TCP_SYN_TRIES 5          /* SYN|ACKs sent again; Linux: tcp_synack_retries */
#define TCP_SYN_QUEUE_MIN 8      /* requests of a listener, whatever its backlog says */
#define TCP_SYN_NO_SCALE 0xff
#define TCP_SYN_WND_MIN 65535    /* what we announce in a SYN|ACK, and so must accept */
#define TCP_SYN_ANSWER_MS 500    /* at least between two answers to a peer's repetitions (Linux) */

/* --- a SYN for a listener ------------------------------------------------------------------------ */

enum tcp_syn_verdict {
	TCP_SYN_QUEUE,    /* keep it, answer */
	TCP_SYN_COOKIE,   /* answer without keeping it */
	TCP_SYN_OVERFLOW, /* drop it: the program is behind, more connections would not help it */
};

/*
 * How many connections may wait for accept() (and one more, as Linux counts). While a program that is at
 * work is busy for some milliseconds, a crowd of clients comes all at once; who is refused then waits
 * for his retransmission timer, which doubles. Linux takes each segment in the moment in which it
 * comes, on other cores, and needs less room. So a program that `is_accepting`, and has asked for a
 * queue of some length, gets a longer one. One that does not accept, or wants few, gets what it said.
 */
#define TCP_ACCEPT_CROWD 64 /* smallest backlog with extra room */
#define TCP_ACCEPT_EXTRA 8  /* times the backlog */
#define TCP_ACCEPT_EXTRA_MAX 8192
#define TCP_ACCEPT_LATELY_US 100000 /* an accept() so long ago: the program is accepting */

static inline uint32_t
tcp_accept_max(uint32_t backlog, bool is_accepting)
{
	uint32_t extra = is_accepting && backlog >= TCP_ACCEPT_CROWD ? backlog * TCP_ACCEPT_EXTRA : 0;

	return backlog + (extra < TCP_ACCEPT_EXTRA_MAX ? extra : TCP_ACCEPT_EXTRA_MAX);
}

/* `waiting` connections are not accepted yet, of `max`; `requests` are not established. */
static inline enum tcp_syn_verdict
tcp_syn_decide(uint32_t waiting, uint32_t max, uint32_t requests, uint32_t backlog)
{
	uint32_t queue = backlog > TCP_SYN_QUEUE_MIN ? backlog : TCP_SYN_QUEUE_MIN;

	if (waiting > max)
		return TCP_SYN_OVERFLOW;
	return requests >= queue ? TCP_SYN_COOKIE : TCP_SYN_QUEUE;
}

/* What a SYN's options say. */
struct tcp_syn_options {
	uint16_t mss;  /* within bounds */
	uint8_t scale; /* 0 .. 14, or TCP_SYN_NO_SCALE */
	bool sack;
};

static inline struct tcp_syn_options
tcp_syn_parse(const uint8_t *opt, uint32_t len)
{
	struct tcp_syn_options o = {TCP_OPTS_MSS_DEFAULT, TCP_SYN_NO_SCALE, false};
	uint32_t at = 0, n;

	for (; (n = tcp_opts_step(opt, len, at)) > 0; at += n) {
		if (opt[at] == TCP_OPTS_MSS && n == TCP_OPTS_MSS_LEN)
			o.mss = tcp_opts_mss((uint16_t)(opt[at + 2] << 8 | opt[at + 3]));
		else if (opt[at] == TCP_OPTS_SCALE && n == 3)
			o.scale = opt[at + 2] < 14 ? opt[at + 2] : 14; /* RFC 7323 2.3 */
		else if (opt[at] == TCP_OPTS_SACK_OK && n == 2)
			o.sack = true;
	}
	return o;
}

/* --- a segment for a request ---------------------------------------------------------------------- */

enum tcp_request_verdict {
	TCP_REQUEST_DROP,
	TCP_REQUEST_AGAIN,     /* the SYN once more: our SYN|ACK once more */
	TCP_REQUEST_CHALLENGE, /* tell the peer where we are (RFC 5961) */
	TCP_REQUEST_END,       /* the peer does not want it */
	TCP_REQUEST_STRANGE,   /* an ACK of what we have not sent: RFC 9293 3.5.2, a reset */
	TCP_REQUEST_ESTABLISH,
};

static inline enum tcp_request_verdict
tcp_request_decide(uint32_t irs, uint32_t iss, const struct tcp_gate_segment *g)
{
	bool in_window = g->seq - (irs + 1) <= TCP_SYN_WND_MIN;

	if ((g->flags & (TCP_GATE_SYN | TCP_GATE_ACK | TCP_GATE_RST)) == TCP_GATE_SYN &&
	    g->seq == irs)
		return TCP_REQUEST_AGAIN;
	if (g->flags & TCP_GATE_RST) {
		if (g->seq == irs + 1)
			return TCP_REQUEST_END;
		return in_window ? TCP_REQUEST_CHALLENGE : TCP_REQUEST_DROP;
	}
	if (g->flags & TCP_GATE_SYN)
		return TCP_REQUEST_CHALLENGE;
	if ((g->flags & TCP_GATE_ACK) == 0)
		return TCP_REQUEST_DROP;
	if (g->ack != iss + 1)
		return TCP_REQUEST_STRANGE;
	return in_window ? TCP_REQUEST_ESTABLISH : TCP_REQUEST_CHALLENGE;
}

/* When a SYN|ACK that has been sent `tries` + 1 times is due again, or given up; RFC 6298 5.5. */
static inline uint32_t
tcp_syn_timeout_ms(uint32_t tries)
{
	return 1000u << tries;
}

#endif
