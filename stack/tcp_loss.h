/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recovery from loss and the congestion window of one connection: what lwIP's tcp_receive() and
 * tcp_rexmit*() would do, replaced as a whole (see tcp_loss.c). Holder only, between tcp_enter()
 * and tcp_leave().
 */
#ifndef STACK_TCP_LOSS_H
#define STACK_TCP_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/tcp_cc.h"
#include "stack/tcp_sack.h"
#include "stack/tcp_sb.h"

struct sock;
struct stack;
struct tcp_seg;

enum tcp_loss_phase { TCP_LOSS_OPEN, TCP_LOSS_RECOVERY, TCP_LOSS_TIMEOUT };

/* Exists from the first loss until everything has been acknowledged for a while. */
struct tcp_loss {
	struct tcp_sb sb;
	struct tcp_cubic cubic, prior_cubic;
	struct tcp_prr prr;
	enum tcp_loss_phase phase;
	uint32_t recover; /* the phase ends when this is acknowledged */
	/* to go back to if every retransmission turns out to have been needless */
	uint32_t prior_cwnd, prior_ssthresh;
	int32_t undo_bytes; /* sent again and not yet known to be needless; 0: nothing to undo */
	bool undo;
	bool first_timeout; /* F-RTO (RFC 5682): the next ACK decides */
	bool probed;        /* probe_end is valid */
	bool wait;          /* wait_ms is */
	uint32_t probe_end; /* snd_nxt at the probe, RFC 8985 7.4 */
	uint32_t wait_ms;   /* a packet still missing then is lost */
	uint32_t dupacks;   /* peers without SACK */
	struct tcp_seg *seg; /* where the last retransmission was found */
	uint32_t seg_end;
};

/* What the segment said before lwIP consumed it. */
struct tcp_loss_ack {
	uint32_t una, flight; /* lastack and bytes outstanding before it */
	uint32_t window;      /* snd_wnd before it */
	bool pure;            /* no data, and it acknowledges what was acknowledged before */
	struct tcp_sack sack;
};

/* After lwIP has processed a segment with an ACK in a synchronized state. */
void tcp_loss_acked(struct stack *st, struct sock *s, const struct tcp_loss_ack *a);
/* Send again what is lost, as far as the window allows. */
void tcp_loss_output(struct stack *st, struct sock *s);
/* The retransmission timer has expired: the caller has counted the try. */
void tcp_loss_timeout(struct stack *st, struct sock *s);
/* Two round trips without news (RFC 8985 7). */
void tcp_loss_probe(struct stack *st, struct sock *s);
/* loss->wait_ms has come. */
void tcp_loss_waited(struct stack *st, struct sock *s);
void tcp_loss_free(struct sock *s);

/* The following two: only with s->loss. */
/* Bytes in flight, and those lwIP has and has not sent yet (RFC 6675: pipe). */
uint32_t tcp_loss_pipe(const struct sock *s);
/* `bytes` of new data are about to be sent. */
void tcp_loss_sent(struct sock *s, uint32_t bytes);

#endif
