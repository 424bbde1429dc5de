/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments from the wire: whose they are, whether they are acceptable, and what lwIP makes of them.
 * What an ACK means for the window and for recovery is in tcp_loss.c.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/siphash.h"
#include "stack/tcp_gate.h"
#include "stack/tcp_impl.h"
#include "stack/tcp_opts.h"

#define CHALLENGE_MIN_MS 250
#define CHALLENGE_SPREAD_MS 500

/* How far the window may open: under pressure to what the connection may hold beside what it holds.
 * A packet's memory is up to twice its payload. Who holds nothing may have two segments at least. */
static uint32_t
window_max(struct stack *st, struct sock *s)
{
	uint32_t most = mem_rx_limit(st, s), held = mem_rx_held(s);

	most = most > held ? (most - held) / 2 : 0;
	if (held == 0 && most < 2 * (uint32_t)s->pcb->mss)
		most = 2 * (uint32_t)s->pcb->mss;
	return most;
}

/* The same for a connection that shall not be told of all the room there is in its window. */
static __attribute__((noinline)) void
report_some(struct stack *st, struct sock *s, uint64_t out)
{
	uint32_t max = window_max(st, s), before = s->pcb->rcv_ann_wnd;

	while (s->rx_recved != out && s->pcb->rcv_wnd < max) {
		uint64_t n = LWIP_MIN(out - s->rx_recved, max - s->pcb->rcv_wnd);

		n = LWIP_MIN(n, 0xffff);
		s->rx_recved += n;
		st->lw->tcp_recved(s->pcb, (u16_t)n);
	}
	/* A window that was closed has to be told to be open: lwIP waits for more than `max`. */
	if (before < s->pcb->mss && s->pcb->rcv_ann_wnd >= s->pcb->mss) {
		tcp_ack_now(s->pcb);
		st->lw->tcp_output(s->pcb);
	}
}

/* What the program has read since the last time opens the window again; all of it, once the program
 * has closed the socket: lwIP resets a connection that is closed with less. */
void
tcp_report_recved(struct stack *st, struct sock *s)
{
	uint64_t out = atomic_load_explicit(&s->rx_bytes_out, memory_order_acquire);

	if (s->rx_recved == out)
		return;
	if (__builtin_expect(mem_pressure(&st->mem), 0) && !s->closed) {
		report_some(st, s, out);
		return;
	}
	while (s->rx_recved != out) {
		uint64_t n = out - s->rx_recved;

		if (n > 0xffff)
			n = 0xffff;
		s->rx_recved += n;
		st->lw->tcp_recved(s->pcb, (u16_t)n);
	}
}

/* Whoever connects under pressure is told of no more than the SYN could say, and of the rest when it is
 * known what the program reads: a whole window would come at once, and most of it be dropped. */
void
tcp_rx_begin(struct stack *st, struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;
	uint32_t first = TCPWND_MIN16(TCP_WND);

	if (__builtin_expect(!mem_pressure(&st->mem), 1) || pcb->rcv_wnd <= first)
		return;
	s->rx_recved -= pcb->rcv_wnd - first;
	pcb->rcv_wnd = pcb->rcv_ann_wnd = first;
	pcb->rcv_ann_right_edge = pcb->rcv_nxt + first;
}

/* In place of the segment, a copy that takes nothing of the pool; false: there may be none. */
static bool
copy_out(struct stack *st, const struct sock *s, struct pbuf **pb, const void **ip)
{
	struct pbuf *from = *pb;
	struct pkt *copy;

	if (from->next != NULL || from->len > EDGE_COPY_MAX || !mem_may_copy(st, s, from->len))
		return false;
	copy = edge_copy_out(st, (struct pkt *)from, ip);
	if (copy == NULL)
		return false;
	st->lw->pbuf_free(from);
	*pb = (struct pbuf *)copy;
	return true;
}

/* Is there memory for a segment that comes in its turn, or room for it where others wait? */
static __attribute__((noinline)) bool
rx_has_room(struct stack *st, struct sock *s, struct pbuf **pb, const void **ip,
	const struct tcp_gate_segment *g)
{
	if (g->len == 0 || (g->flags & (TCP_RST | TCP_SYN)) != 0 ||
	    !tcp_gate_seq_lt(s->pcb->rcv_nxt, g->seq + g->len) || s->closed)
		return true;
	if (mem_may_receive(st, s, edge_chain_mem((const struct pkt *)*pb)))
		return true;
	if ((*pb)->next == NULL && g->len <= SOCK_JOIN_MAX && sock_can_join_rx(s, g->len))
		return true;
	return copy_out(st, s, pb, ip);
}

/* Also makes the options fit for lwIP. */
static void
parse_segment(const struct pbuf *pb, struct tcp_gate_segment *g, uint16_t *sport, uint16_t *dport)
{
	const struct tcp_hdr *h = pb->payload;

	if (TCPH_HDRLEN_BYTES(h) > sizeof(*h))
		tcp_opts_mend((uint8_t *)pb->payload + sizeof(*h), TCPH_HDRLEN_BYTES(h) - sizeof(*h),
			(TCPH_FLAGS(h) & TCP_SYN) != 0);
	*sport = h->src;
	*dport = h->dest;
	g->seq = lwip_ntohl(h->seqno);
	g->ack = lwip_ntohl(h->ackno);
	g->flags = TCPH_FLAGS(h);
	g->len = pb->tot_len - TCPH_HDRLEN_BYTES(h);
}

/* In SYN_SENT lwIP reads the options before it looks whether the segment answers our SYN at all: what
 * a stranger says there (a window scale, an MSS) would stay. RFC 9293 3.10.7.3: it is discarded. */
static void
ignore_strange_options(const struct sock *s, const struct pbuf *pb, const struct tcp_gate_segment *g)
{
	const struct tcp_hdr *h = pb->payload;
	bool is_answer = (g->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) &&
		g->ack == s->pcb->lastack + 1;

	if (!is_answer)
		tcp_opts_clear((uint8_t *)pb->payload + sizeof(*h), TCPH_HDRLEN_BYTES(h) - sizeof(*h));
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
	};

	return tcp_gate(&c, g);
}

/*
 * May this segment, which is not acceptable, be answered? RFC 5961 7 wants a limit. One that many
 * connections share can be used up by one peer and seen by another, who learns from it whether the
 * connection of a third one exists (CVE-2016-5696); so each has its own, of one answer in a quarter to
 * three quarters of a second, at random. Data is answered always, as in Linux: a window probe, or what
 * comes again because our ACK was lost, and no ACK is answered with data.
 */
static bool
may_challenge(struct stack *st, struct sock *s, const struct tcp_gate_segment *g)
{
	if (g->len > 0 && (g->flags & TCP_SYN) == 0)
		return true;
	if (st->now_ms - s->challenge_ms < s->challenge_wait_ms)
		return false;
	s->challenge_ms = st->now_ms;
	s->challenge_wait_ms = CHALLENGE_MIN_MS + siphash_2(stack_secrets.ports, st->challenges++,
		(uintptr_t)s) % CHALLENGE_SPREAD_MS;
	return true;
}

/* Tell the peer where we are. */
static void
challenge_ack(struct stack *st, struct sock *s)
{
	tcp_enter(st, s);
	st->lw->send_empty_ack(s->pcb);
	tcp_leave(st, s);
}

/* What recovery needs to know of a segment; lwIP consumes it. */
static void
note_ack(const struct sock *s, const struct pbuf *pb, const struct tcp_gate_segment *g,
	struct tcp_loss_ack *a)
{
	const struct tcp_hdr *h = pb->payload;
	const struct tcp_pcb *pcb = s->pcb;
	uint32_t header = TCPH_HDRLEN_BYTES(h);

	a->una = pcb->lastack;
	a->flight = pcb->snd_nxt - pcb->lastack;
	a->window = pcb->snd_wnd;
	a->pure = g->len == 0 && g->ack == pcb->lastack;
	a->sack.n = a->sack.duplicate_bytes = 0;
	if (header > sizeof(*h) && (pcb->flags & TF_SACK) != 0)
		tcp_sack_parse(&a->sack, (const uint8_t *)(h + 1), header - sizeof(*h), g->ack);
}

/* RFC 9293 3.10.7.4 takes the window also of a segment whose numbers are those that the last window came
 * with, lwIP only where it is larger. A window of 0 is obeyed too, as Linux does
 * (tcp_may_update_window()): the peer asks for silence. */
static void
obey_closed_window(struct tcp_pcb *pcb, const struct pbuf *pb, const struct tcp_gate_segment *g)
{
	const struct tcp_hdr *h = pb->payload;

	if (__builtin_expect(h->wnd == 0, 0) && g->seq == pcb->snd_wl1 && g->ack == pcb->lastack)
		pcb->snd_wnd = 0;
}

static void
rx_segment(struct stack *st, struct sock *s, struct pbuf *pb, const void *ip,
	const struct tcp_gate_segment *g)
{
	struct tcp_pcb *pcb = s->pcb;
	bool synchronized = pcb->state >= ESTABLISHED, after;
	struct tcp_loss_ack a;

	if (synchronized) {
		note_ack(s, pb, g, &a);
		obey_closed_window(pcb, pb, g);
	}
	pcb->dupacks = 0; /* lwIP must not come to three */
	if (synchronized && g->len >= 2u * pcb->mss)
		tcp_set_flags(pcb, TF_ACK_DELAY); /* as if one had come before: lwIP answers now */
	after = (s->ooo != NULL || g->seq != pcb->rcv_nxt) && g->len > 0 && tcp_rx_before(s, g);
	st->lw->tcp_input(pb, st->netif, ip);
	if (after)
		tcp_rx_after(st, s);
	if (s->pcb != NULL && s->pcb->state != TIME_WAIT) {
		if (synchronized)
			tcp_loss_acked(st, s, &a);
		if (s->tx_feed != NULL || s->fin_wanted || s->pcb->unsent != NULL)
			tcp_pending_add(st, s);
	}
}

/* The header of an early segment as one without data: its ACK counts now. */
static void
rx_header(struct stack *st, struct sock *s, const struct pbuf *pb, const void *ip,
	const struct tcp_gate_segment *g)
{
	const struct tcp_hdr *h = pb->payload;
	struct tcp_gate_segment bare = *g;
	struct pbuf *copy;

	if (s->pcb->unacked == NULL && s->pcb->unsent == NULL &&
	    s->tx_feed == NULL)
		return;
	copy = st->lw->pbuf_alloc(PBUF_RAW, TCPH_HDRLEN_BYTES(h), PBUF_RAM);
	if (copy == NULL)
		return;
	memcpy(copy->payload, h, TCPH_HDRLEN_BYTES(h));
	TCPH_UNSET_FLAG((struct tcp_hdr *)copy->payload, TCP_FIN | TCP_PSH);
	bare.len = 0;
	bare.flags &= ~TCP_FIN;
	rx_segment(st, s, copy, ip, &bare);
}

static void
rx_connection(struct stack *st, struct sock *s, struct pbuf *pb, const void *ip,
	const struct tcp_gate_segment *g)
{
	tcp_enter(st, s);
	if (s->pcb->state != TIME_WAIT)
		tcp_report_recved(st, s);
	if (g->seq == s->pcb->rcv_nxt || !tcp_rx_is_early(s, g)) {
		if (__builtin_expect(mem_pressure(&st->mem), 0) && !rx_has_room(st, s, &pb, &ip, g)) {
			st->mem.n_rx_drops++;
			rx_header(st, s, pb, ip, g);
			st->lw->pbuf_free(pb);
		} else {
			rx_segment(st, s, pb, ip, g);
		}
	} else {
		rx_header(st, s, pb, ip, g);
		tcp_rx_keep(st, s, pb, ip, g);
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

/*
 * Is it a SYN to a port that is not listened on here, but may be by others? Without an answer its next try
 * comes to them. `has_ended`: it came for the sake of a connection, whose TIME_WAIT it has ended.
 */
static bool
may_be_others(const struct stack *st, const struct tcp_gate_segment *g, uint16_t lport, bool has_ended)
{
	return (g->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN &&
		((has_ended && st->wiring.sharing != NULL) || share_has_left(st, lport));
}

/* The connection that the segment has made; NULL: it has been dealt with. `has_ended`: a TIME_WAIT. */
static struct sock *
rx_no_connection(struct stack *st, struct pbuf *pb, const void *ip, uint32_t hash,
	const struct tcp_gate_segment *g, bool has_ended, uint64_t *counts)
{
	const struct tcp_hdr *h = pb->payload;
	struct sock *l = table_listener(st, h->dest, hash), *made = NULL;

	if (l != NULL &&
	    tcp_syn_input(st, l, pb, ((const struct ip_hdr *)ip)->src.addr, hash, g, &made)) {
		if (made != NULL)
			return made;
		counts[STACK_ACCEPTED]++;
		st->lw->mib2->tcpinsegs++;
		st->lw->pbuf_free(pb);
		return NULL;
	}
	counts[l != NULL ? STACK_ACCEPTED : STACK_NO_SOCKET]++;
	if (l == NULL && may_be_others(st, g, h->dest, has_ended)) {
		st->lw->pbuf_free(pb);
		return NULL;
	}
	st->rst_out += l == NULL && (g->flags & TCP_RST) == 0;
	rx_closed_port(st, pb, ip);
	return NULL;
}

void
tcp_rx_segment(struct stack *st, struct pkt *p, const void *ip, uint32_t hash, uint64_t *counts)
{
	struct pbuf *pb = (struct pbuf *)p;
	uint32_t raddr = ((const struct ip_hdr *)ip)->src.addr;
	struct tcp_gate_segment g;
	uint16_t sport, dport;
	bool has_ended;
	struct sock *s;

	parse_segment(pb, &g, &sport, &dport);
	s = table_find(st, hash, raddr, sport, dport);
	has_ended = s != NULL && ends_time_wait(s, &g);
	if (has_ended) {
		tcp_enter(st, s);
		st->lw->tcp_abort(s->pcb); /* silent in TIME_WAIT */
		tcp_leave(st, s);
		s = NULL;
	}
	if (s == NULL) {
		s = rx_no_connection(st, pb, ip, hash, &g, has_ended, counts);
		if (s == NULL)
			return;
	}
	if (s->pcb->state != TIME_WAIT) {
		enum tcp_gate_verdict v = gate(s, &g);

		if (__builtin_expect(s->pcb->state == SYN_SENT, 0))
			ignore_strange_options(s, pb, &g);
		if (v != TCP_GATE_PASS) {
			counts[STACK_REFUSED]++;
			st->lw->mib2->tcpinerrs++;
			st->lw->pbuf_free(pb);
			if (v == TCP_GATE_DROP_ACK && may_challenge(st, s, &g))
				challenge_ack(st, s);
			return;
		}
	} else if ((g.flags & (TCP_SYN | TCP_FIN)) != 0 && !may_challenge(st, s, &g)) {
		counts[STACK_REFUSED]++; /* lwIP would answer each one */
		st->lw->pbuf_free(pb);
		return;
	}
	counts[STACK_ACCEPTED]++;
	rx_connection(st, s, pb, ip, &g);
}
