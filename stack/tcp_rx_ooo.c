/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receiving out of order: between the queue of tcp_ooo.c and lwIP. A segment that comes too early
 * waits there and is acknowledged at once, with SACK (beyond ACKS_AT_ONCE, those of one vector together,
 * as Linux compresses them: an ACK costs more than what it answers); when the gap before it is filled lwIP gets it
 * as if it came just then, so lwIP never sees one out of order. The SACK blocks that lwIP writes
 * into its empty ACKs are set here, a duplicate's first (RFC 2883).
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_gate.h"
#include "stack/tcp_impl.h"
#include "stack/tcp_ooo.h"

#include <stdlib.h>

#define ACKS_AT_ONCE 4 /* duplicate ACKs, so that every sender's recovery begins */

bool
tcp_rx_is_early(const struct sock *s, const struct tcp_gate_segment *g)
{
	const struct tcp_pcb *pcb = s->pcb;

	if (!tcp_gate_seq_lt(pcb->rcv_nxt, g->seq) || (g->flags & (TCP_RST | TCP_SYN)) != 0 ||
	    (g->len == 0 && (g->flags & TCP_FIN) == 0))
		return false;
	return pcb->state >= ESTABLISHED && pcb->state <= FIN_WAIT_2;
}

/* What the next empty ACK reports; `duplicate` may be NULL. */
static void
set_blocks(struct sock *s, const struct tcp_sb_block *duplicate)
{
	struct tcp_sb_block b[LWIP_TCP_MAX_SACK_NUM];
	struct tcp_pcb *pcb = s->pcb;
	uint32_t n = 0;

	if ((pcb->flags & TF_SACK) == 0)
		return;
	if (duplicate != NULL)
		b[n++] = *duplicate;
	if (s->ooo != NULL)
		n += tcp_ooo_blocks(s->ooo, b + n, LWIP_TCP_MAX_SACK_NUM - n);
	for (uint32_t i = 0; i < LWIP_TCP_MAX_SACK_NUM; i++) {
		pcb->rcv_sacks[i].left = i < n ? b[i].left : 0;
		pcb->rcv_sacks[i].right = i < n ? b[i].right : 0;
	}
}

static void
free_if_empty(struct sock *s)
{
	if (s->ooo == NULL || !tcp_ooo_is_empty(s->ooo))
		return;
	tcp_ooo_drop(s->ooo);
	free(s->ooo);
	s->ooo = NULL;
}

void
tcp_rx_keep(struct stack *st, struct sock *s, struct pbuf *pb, const void *ip,
	const struct tcp_gate_segment *g)
{
	const struct tcp_sb_block block = {g->seq, g->seq + g->len};
	enum tcp_ooo_verdict v = TCP_OOO_FULL;
	struct pkt *p = (struct pkt *)pb;
	uint32_t mem = edge_chain_mem(p);

	if (s->pcb == NULL || s->pcb->state < ESTABLISHED || s->pcb->state > FIN_WAIT_2) {
		st->lw->pbuf_free(pb);
		return;
	}
	if (!mem_ooo_make_room(st, s, mem)) {
		/* Without an ACK: many that are refused shall cost little. */
		st->mem.n_ooo_drops++;
		st->lw->pbuf_free(pb);
		return;
	}
	if (s->ooo == NULL)
		s->ooo = calloc(1, sizeof(*s->ooo));
	if (s->ooo != NULL)
		v = tcp_ooo_add(s->ooo, p, g->seq, g->len + ((g->flags & TCP_FIN) != 0));
	if (v == TCP_OOO_ADDED) {
		p->data = (uint8_t *)(uintptr_t)ip;
		p->charge = mem;
		mem_ooo_added(st, s, mem);
	} else {
		st->mem.n_ooo_drops += v == TCP_OOO_FULL;
		st->lw->pbuf_free(pb);
	}
	free_if_empty(s);
	if (v == TCP_OOO_ADDED && s->ooo->n_pkts > ACKS_AT_ONCE) {
		s->ooo->ack_due = true;
		tcp_pending_add(st, s);
		return;
	}
	set_blocks(s, v == TCP_OOO_DUPLICATE ? &block : NULL);
	st->lw->send_empty_ack(s->pcb);
	set_blocks(s, NULL);
}

void
tcp_rx_ooo_ack(struct stack *st, struct sock *s)
{
	if (s->ooo == NULL || !s->ooo->ack_due)
		return;
	s->ooo->ack_due = false;
	set_blocks(s, NULL);
	st->lw->send_empty_ack(s->pcb);
}

/* All of it has been received before: lwIP's answer shall say so. */
static bool
is_duplicate(const struct sock *s, const struct tcp_gate_segment *g)
{
	return s->pcb->state >= ESTABLISHED && !tcp_gate_seq_lt(s->pcb->rcv_nxt, g->seq + g->len);
}

bool
tcp_rx_before(struct sock *s, const struct tcp_gate_segment *g)
{
	const struct tcp_sb_block block = {g->seq, g->seq + g->len};

	if (is_duplicate(s, g)) {
		set_blocks(s, &block);
		return true;
	}
	if (s->ooo == NULL)
		return false;
	/* one ACK is enough for all that follows */
	tcp_clear_flags(s->pcb, TF_ACK_DELAY | TF_ACK_NOW);
	return true;
}

/* lwIP has no business with what the header said when the segment came. */
static void
refresh_header(const struct tcp_pcb *pcb, struct tcp_hdr *h)
{
	h->ackno = lwip_htonl(pcb->lastack);
	h->wnd = lwip_htons((u16_t)(pcb->snd_wnd >> pcb->snd_scale));
}

void
tcp_rx_after(struct stack *st, struct sock *s)
{
	struct pkt *p;
	bool taken = false;

	if (s->pcb == NULL)
		return;
	/* A pcb that is gone has taken the queue with it. */
	while (s->ooo != NULL && (p = tcp_ooo_take(s->ooo, s->pcb->rcv_nxt)) != NULL) {
		struct pbuf *pb = (struct pbuf *)p;

		mem_ooo_removed(st, s, p->charge);
		refresh_header(s->pcb, pb->payload);
		tcp_clear_flags(s->pcb, TF_ACK_DELAY | TF_ACK_NOW);
		st->lw->tcp_input(pb, st->netif, (const struct ip_hdr *)p->data);
		taken = true;
	}
	if (s->pcb == NULL)
		return;
	/* RFC 5681 4.2: what fills a gap, or a part of it, is acknowledged at once. */
	set_blocks(s, NULL);
	if (taken || (s->pcb->flags & (TF_ACK_DELAY | TF_ACK_NOW)) != 0) {
		st->lw->send_empty_ack(s->pcb);
		if (s->ooo != NULL)
			s->ooo->ack_due = false;
	}
	free_if_empty(s);
	set_blocks(s, NULL);
}

void
tcp_rx_ooo_free(struct stack *st, struct sock *s)
{
	struct pkt *p;

	if (s->ooo == NULL)
		return;
	while ((p = tcp_ooo_drop(s->ooo)) != NULL) {
		mem_ooo_removed(st, s, p->charge);
		st->lw->pbuf_free((struct pbuf *)p);
	}
	free(s->ooo);
	s->ooo = NULL;
	if (s->pcb != NULL)
		set_blocks(s, NULL);
}

void
tcp_rx_ooo_evict(struct stack *st, struct sock *s)
{
	st->mem.n_ooo_drops += s->ooo->n_pkts;
	tcp_rx_ooo_free(st, s);
}
