/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments from the wire: whose they are, whether they are acceptable, what lwIP makes of them, and
 * recovery from loss. lwIP leaves fast recovery at the first partial ACK; RFC 6582 (NewReno) is
 * kept here.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_gate.h"
#include "stack/tcp_impl.h"

#define CHALLENGE_ACKS_PER_MS 8
#define FAST_RETRANSMIT_DUPACKS 3 /* RFC 5681 */
#define TCP_OPT_SACK 5

/* What the program has read since the last time opens the window again. */
void
tcp_report_recved(struct stack *st, struct sock *s)
{
	uint64_t out = atomic_load_explicit(&s->rx_bytes_out, memory_order_acquire);

	while (s->rx_recved < out) {
		uint64_t n = out - s->rx_recved;

		if (n > 0xffff)
			n = 0xffff;
		s->rx_recved += n;
		st->lw->tcp_recved(s->pcb, (u16_t)n);
	}
}

static void
parse_segment(const struct pbuf *pb, struct tcp_gate_segment *g, uint16_t *sport, uint16_t *dport)
{
	const struct tcp_hdr *h = pb->payload;

	*sport = h->src;
	*dport = h->dest;
	g->seq = lwip_ntohl(h->seqno);
	g->ack = lwip_ntohl(h->ackno);
	g->flags = TCPH_FLAGS(h);
	g->len = pb->tot_len - TCPH_HDRLEN_BYTES(h);
}

static enum tcp_gate_verdict
gate(const struct sock *s, const struct tcp_gate_segment *g)
{
	const struct tcp_pcb *pcb = s->pcb;
	struct tcp_gate_conn c = {
		.rcv_nxt = pcb->rcv_nxt,
		.rcv_wnd = pcb->rcv_wnd,
		.snd_una = pcb->lastack,
		.snd_nxt = pcb->snd_nxt,
		.snd_wnd_max = pcb->snd_wnd_max,
		.syn_sent = pcb->state == SYN_SENT,
		.syn_rcvd = pcb->state == SYN_RCVD,
	};

	return tcp_gate(&c, g);
}

/* Tell the peer where we are, but not for every bad segment it sends (RFC 5961 7). */
static void
challenge_ack(struct stack *st, struct sock *s)
{
	if (st->challenge_ms != st->now_ms) {
		st->challenge_ms = st->now_ms;
		st->challenge_n = 0;
	}
	if (st->challenge_n++ >= CHALLENGE_ACKS_PER_MS)
		return;
	tcp_enter(st, s);
	st->lw->send_empty_ack(s->pcb);
	tcp_leave(st, s);
}

/*
 * RFC 6582: recovery ends when everything sent before it is acknowledged; each partial ACK
 * before that retransmits the next hole at once.
 */
static void
newreno(struct stack *st, struct sock *s, uint32_t una_before)
{
	struct tcp_pcb *pcb = s->pcb;

	if (!s->in_recovery) {
		if (pcb->flags & TF_INFR) {
			s->in_recovery = true;
			s->recover = pcb->snd_nxt;
		}
		return;
	}
	if ((int32_t)(pcb->lastack - s->recover) >= 0 || pcb->unacked == NULL) {
		s->in_recovery = false;
		s->probe_recovery = false;
		return;
	}
	if (pcb->lastack == una_before)
		return;
	if (s->probe_recovery) {
		/* The probe has found a hole: now it is congestion (RFC 5681 3.2). */
		s->probe_recovery = false;
		tcp_halve_window(pcb);
	}
	tcp_set_flags(pcb, TF_INFR);
	tcp_tail_forget(s);
	tcp_seg_fit(st, s);
	if (st->lw->rexmit(pcb) == ERR_OK)
		st->lw->tcp_output(pcb);
}

/* Does a segment without data report received blocks (RFC 2018)? classify has checked the list. */
static bool
has_sack(const struct pbuf *pb)
{
	const struct tcp_hdr *h = pb->payload;
	const uint8_t *o = (const uint8_t *)(h + 1);
	const uint8_t *end = (const uint8_t *)h + TCPH_HDRLEN_BYTES(h);

	while (o < end && *o != LWIP_TCP_OPT_EOL) {
		if (*o == TCP_OPT_SACK)
			return true;
		if (*o == LWIP_TCP_OPT_NOP) {
			o++;
			continue;
		}
		if (o + 1 >= end || o[1] < 2)
			return false;
		o += o[1];
	}
	return false;
}

/*
 * lwIP forgets its count of duplicate ACKs when the window changes, as it does with every one from
 * a peer whose buffer fills up with what is out of order. A SACK says what it is (RFC 6675 2).
 */
static void
count_duplicate(struct stack *st, struct sock *s, uint8_t before)
{
	struct tcp_pcb *pcb = s->pcb;

	if (pcb->dupacks != 0 || pcb->unacked == NULL || before == UINT8_MAX)
		return;
	pcb->dupacks = before + 1;
	if (pcb->dupacks > FAST_RETRANSMIT_DUPACKS)
		pcb->cwnd += pcb->mss;
	if (pcb->dupacks < FAST_RETRANSMIT_DUPACKS || (pcb->flags & TF_INFR))
		return;
	tcp_tail_forget(s);
	tcp_seg_fit(st, s);
	st->lw->rexmit_fast(pcb);
	st->lw->tcp_output(pcb);
}

static void
rx_established(struct stack *st, struct sock *s, struct pbuf *pb, const void *ip,
	const struct tcp_gate_segment *g)
{
	struct tcp_pcb *pcb = s->pcb;
	uint32_t una = pcb->lastack;
	uint8_t dupacks = pcb->dupacks;
	bool sack = g->len == 0 && g->ack == una && has_sack(pb);

	s->rx_segments++;
	tcp_enter(st, s);
	if (pcb->state != TIME_WAIT)
		tcp_report_recved(st, s);
	if (dupacks >= FAST_RETRANSMIT_DUPACKS - 1)
		tcp_seg_fit(st, s); /* this one may make lwIP retransmit */
	if (g->len >= 2u * pcb->mss)
		tcp_set_flags(pcb, TF_ACK_DELAY); /* as if one had come before: lwIP answers now */
	st->lw->tcp_input(pb, st->netif, ip);
	if (s->pcb != NULL && s->pcb->state != TIME_WAIT) {
		/* Data segments must not reset the count of duplicate ACKs (upstream b1d3dcb8). */
		if (g->len > 0 && g->ack == una && s->pcb->lastack == una)
			s->pcb->dupacks = dupacks;
		else if (sack && s->pcb->lastack == una)
			count_duplicate(st, s, dupacks);
		if (s->pcb->lastack != una)
			s->probes = 0;
		newreno(st, s, una);
		if (s->tx_feed != NULL || s->fin_wanted || s->pcb->unsent != NULL)
			tcp_pending_add(st, s);
	}
	tcp_leave(st, s);
}

/* RFC 9293 3.10.7.1: a segment for a connection that does not exist. */
static void
rx_closed_port(struct stack *st, struct pbuf *pb, const void *ip)
{
	tcp_lists_clear(st);
	st->lw->tcp_input(pb, st->netif, ip); /* sends the reset, or ignores one */
}

static void
rx_listen(struct stack *st, struct sock *l, struct pbuf *pb, const void *ip)
{
	struct tcp_pcb *lpcb = l->listen_pcbs[st->index];

	tcp_make_room(st);
	tcp_lists_clear(st);
	lpcb->next = NULL;
	st->lw->listen_pcbs->pcbs = lpcb;
	st->lw->tcp_input(pb, st->netif, ip);
	if (st->cur != NULL)
		tcp_leave(st, st->cur);
	tcp_lists_clear(st);
}

/*
 * TIME_WAIT ends early for a SYN beyond the old connection, which may reuse its 4-tuple (RFC 6191 in
 * spirit), and for a reset with exactly the number we expect: the answer of a peer who has sent a
 * SYN below that and was told so by an ACK. Its next SYN then comes through.
 */
static bool
ends_time_wait(const struct sock *s, const struct tcp_gate_segment *g)
{
	if (s->pcb->state != TIME_WAIT)
		return false;
	if (g->flags & TCP_RST)
		return g->seq == s->pcb->rcv_nxt;
	return (g->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
	       (int32_t)(g->seq - s->pcb->rcv_nxt) > 0;
}

void
tcp_rx_segment(struct stack *st, struct pkt *p, const void *ip, uint32_t hash, uint64_t *counts)
{
	struct pbuf *pb = (struct pbuf *)p;
	uint32_t raddr = ((const struct ip_hdr *)ip)->src.addr;
	struct tcp_gate_segment g;
	uint16_t sport, dport;
	struct sock *s;

	parse_segment(pb, &g, &sport, &dport);
	s = table_find(st, hash, raddr, sport, dport);
	if (s != NULL && ends_time_wait(s, &g)) {
		tcp_enter(st, s);
		st->lw->tcp_abort(s->pcb); /* silent in TIME_WAIT */
		tcp_leave(st, s);
		s = NULL;
	}
	if (s == NULL) {
		s = table_listener(st, dport, hash);
		if (s == NULL) {
			counts[STACK_NO_SOCKET]++;
			st->rst_out += (g.flags & TCP_RST) == 0;
			rx_closed_port(st, pb, ip);
			return;
		}
		counts[STACK_ACCEPTED]++;
		rx_listen(st, s, pb, ip);
		return;
	}
	if (s->pcb->state != TIME_WAIT) {
		enum tcp_gate_verdict v = gate(s, &g);

		if (v != TCP_GATE_PASS) {
			counts[STACK_REFUSED]++;
			st->lw->mib2->tcpinerrs++;
			st->lw->pbuf_free(pb);
			if (v == TCP_GATE_DROP_ACK)
				challenge_ack(st, s);
			return;
		}
	}
	counts[STACK_ACCEPTED]++;
	rx_established(st, s, pb, ip, &g);
}
