/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handshakes of connections that peers open.
 *
 * Nothing of lwIP is touched before the peer has shown that it hears us. A SYN becomes a request of
 * about a hundred bytes, which our own code answers; the final ACK makes the connection (tcp_open.c). So
 * what a SYN from an invented address can take is bounded by the listener's backlog, and the rest of
 * the stack does not notice.
 *
 *   backlog     of each listener: as many connections that wait for accept(), and as many requests
 *   cookies     a SYN beyond that is answered, too, with a sequence number that says what we would
 *               have kept (syn_cookie.h); the connection has no window scale and no SACK then
 *   overflow    while accept() is behind by more than tcp_accept_max(), SYNs are dropped, and the final ACK
 *               of a request, too: the peer goes on sending, and our SYN|ACK, sent again, makes it
 *               repeat its ACK (Linux: tcp_abort_on_overflow = 0); the ACK of a cookie makes a request
 *               again, which Linux does not do: there such a peer waits for what we say first
 *   time        SYN|ACKs are sent again after 1, 2, 4, 8, 16 s; 32 s later the request is dropped
 *
 * Requests with the same number of tries wait for the same time, so each number has a list in the order
 * of time, and neither a timer each nor a search is needed. Behind ltran a request is shown like a
 * connection (share.c), so its ACK comes to the process that has it.
 */
#include "stack/chunk.h"
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/siphash.h"
#include "stack/syn_cookie.h"
#include "stack/tcp_impl.h"
#include "stack/tcp_syn_queue.h"

#include <errno.h>
#include <stdlib.h>

#define TIMER_MAX 64 /* requests per call: so many SYN|ACKs in a row are enough */
#define COOKIES_FOR_MS 128000 /* after the last one, ACKs are looked at for cookies */

static struct slab requests = SLAB((sizeof(struct tcp_request) + 15) / 16 * 16);

int
tcp_syn_init(struct stack *st)
{
	st->syn.buckets = calloc(TCP_SYN_BUCKETS, sizeof(*st->syn.buckets));
	for (unsigned int i = 0; i <= TCP_SYN_TRIES; i++)
		st->syn.wait[i].last = &st->syn.wait[i].first;
	return st->syn.buckets == NULL ? -ENOMEM : 0;
}

/* --- the lists ------------------------------------------------------------------------------------- */

static struct tcp_request **
bucket(struct stack *st, uint32_t hash)
{
	return &st->syn.buckets[hash % TCP_SYN_BUCKETS];
}

static struct tcp_request *
find(struct stack *st, uint32_t hash, uint32_t raddr, uint16_t rport, uint16_t lport)
{
	struct tcp_request *r = *bucket(st, hash);

	while (r != NULL && (r->h.raddr != raddr || r->h.rport != rport || r->h.lport != lport))
		r = r->hash_next;
	return r;
}

static void
wait_add(struct stack *st, struct tcp_request *r)
{
	struct tcp_syn_queue *q = &st->syn;

	r->due_ms = st->now_ms + tcp_syn_timeout_ms(r->tries);
	r->next = NULL;
	r->prev = q->wait[r->tries].last;
	*r->prev = r;
	q->wait[r->tries].last = &r->next;
	if (q->n == 0 || (int32_t)(r->due_ms - q->due_ms) < 0)
		q->due_ms = r->due_ms;
}

static void
wait_remove(struct stack *st, struct tcp_request *r)
{
	*r->prev = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	else
		st->syn.wait[r->tries].last = r->prev;
}

static void
link_add(struct port_link *link, struct tcp_request *r)
{
	r->link = link;
	r->link_next = link->requests;
	r->link_prev = &link->requests;
	if (r->link_next != NULL)
		r->link_next->link_prev = &r->link_next;
	link->requests = r;
	atomic_fetch_add_explicit(&link->sock->embryonic_n, 1, memory_order_relaxed);
}

static void
link_remove(struct tcp_request *r)
{
	*r->link_prev = r->link_next;
	if (r->link_next != NULL)
		r->link_next->link_prev = r->link_prev;
	atomic_fetch_sub_explicit(&r->link->sock->embryonic_n, 1, memory_order_relaxed);
}

static void
add(struct stack *st, struct port_link *link, struct tcp_request *r, const struct tcp_handshake *h,
	uint32_t hash)
{
	*r = (struct tcp_request){.h = *h, .hash = hash, .answered_ms = st->now_ms};
	r->hash_next = *bucket(st, r->hash);
	*bucket(st, r->hash) = r;
	wait_add(st, r);
	link_add(link, r);
	st->syn.n++;
	if (st->wiring.sharing != NULL)
		share_handshake(st, h, true);
}

static void
take_out(struct stack *st, struct tcp_request *r)
{
	struct tcp_request **at = bucket(st, r->hash);

	while (*at != r)
		at = &(*at)->hash_next;
	*at = r->hash_next;
	wait_remove(st, r);
	link_remove(r);
	st->syn.n--;
	slab_give(&requests, r);
}

/* It becomes nothing. */
static void
drop(struct stack *st, struct tcp_request *r)
{
	if (st->wiring.sharing != NULL)
		share_handshake(st, &r->h, false);
	st->lw->mib2->tcpattemptfails++;
	take_out(st, r);
}

void
tcp_syn_forget(struct stack *st, struct port_link *link)
{
	while (link->requests != NULL)
		drop(st, link->requests);
}

void
tcp_syn_fini(struct stack *st)
{
	for (unsigned int i = 0; i <= TCP_SYN_TRIES && st->syn.buckets != NULL; i++) {
		while (st->syn.wait[i].first != NULL)
			take_out(st, st->syn.wait[i].first);
	}
	free(st->syn.buckets);
	st->syn.buckets = NULL;
}

/* --- answers ---------------------------------------------------------------------------------------- */

static void
send_syn_ack(struct stack *st, const struct sock *l, const struct tcp_handshake *h, bool is_cookie)
{
	struct edge_bare b = {.raddr = h->raddr,
		.rport = h->rport,
		.lport = h->lport,
		.seq = h->iss,
		.ack = h->irs + 1,
		.flags = TCP_SYN | TCP_ACK,
		.wnd = TCPWND_MIN16(TCP_WND),
		.ttl = l->ttl,
		.tos = l->tos,
		.mss = LWIP_MIN(st->group->params.mtu - TCP_SEG_HEADERS, TCP_MSS),
		.scale = h->opt.scale == TCP_SYN_NO_SCALE ? TCP_SYN_NO_SCALE : TCP_RCV_SCALE,
		.sack = h->opt.sack,
		.stranger = is_cookie};

	edge_send_bare(st, &b);
	st->lw->mib2->tcpoutsegs++;
}

static void
send_again(struct stack *st, struct tcp_request *r)
{
	r->h.sent_us = 0; /* Karn: its ACK would be ambiguous */
	st->lw->mib2->tcpretranssegs++;
	send_syn_ack(st, r->link->sock, &r->h, false);
}

/* A peer's repetition may be answered, but not each one of many. */
static bool
may_answer(struct stack *st, struct tcp_request *r)
{
	if (st->now_ms - r->answered_ms < TCP_SYN_ANSWER_MS)
		return false;
	r->answered_ms = st->now_ms;
	return true;
}

static void
challenge(struct stack *st, const struct tcp_request *r)
{
	struct edge_bare b = {.raddr = r->h.raddr,
		.rport = r->h.rport,
		.lport = r->h.lport,
		.seq = r->h.iss + 1,
		.ack = r->h.irs + 1,
		.flags = TCP_ACK,
		.wnd = TCPWND_MIN16(TCP_WND) >> (r->h.opt.scale == TCP_SYN_NO_SCALE ? 0 : TCP_RCV_SCALE),
		.ttl = r->link->sock->ttl,
		.tos = r->link->sock->tos};

	edge_send_bare(st, &b);
	st->lw->mib2->tcpoutsegs++;
}

void
tcp_syn_timer(struct stack *st)
{
	struct tcp_syn_queue *q = &st->syn;
	uint32_t due = st->now_ms + tcp_syn_timeout_ms(TCP_SYN_TRIES), left = TIMER_MAX;

	if (q->n == 0 || (int32_t)(q->due_ms - st->now_ms) > 0)
		return;
	for (unsigned int i = TCP_SYN_TRIES + 1; i-- > 0;) {
		struct tcp_request *r;

		while ((r = q->wait[i].first) != NULL && (int32_t)(r->due_ms - st->now_ms) <= 0 &&
			left > 0) {
			left--;
			if (i == TCP_SYN_TRIES) {
				drop(st, r);
				continue;
			}
			wait_remove(st, r);
			r->tries++;
			wait_add(st, r);
			if ((int32_t)(r->due_ms - due) < 0)
				due = r->due_ms;
			send_again(st, r);
		}
		if (r != NULL && (int32_t)(r->due_ms - due) < 0)
			due = r->due_ms;
	}
	q->due_ms = due;
}

uint32_t
tcp_syn_next_ms(const struct stack *st)
{
	int32_t ms = (int32_t)(st->syn.due_ms - st->now_ms);

	if (st->syn.n == 0)
		return UINT32_MAX;
	return ms > 0 ? (uint32_t)ms : 0;
}

/* --- cookies ------------------------------------------------------------------------------------------ */

static struct syn_cookie_flow
flow_of(const struct stack *st, const struct tcp_handshake *h)
{
	return (struct syn_cookie_flow){h->raddr, st->group->params.addr, h->rport, h->lport, h->irs};
}

static void
answer_with_cookie(struct stack *st, struct port_link *link, struct tcp_handshake *h)
{
	struct syn_cookie_flow f = flow_of(st, h);

	h->iss = syn_cookie_make(stack_secrets.cookie, &f, (uint32_t)(st->now_us / 1000 / SYN_COOKIE_PERIOD_MS),
		h->opt.mss);
	h->opt.scale = TCP_SYN_NO_SCALE;
	h->opt.sack = false;
	link->cookies = true;
	link->cookie_ms = st->now_ms;
	st->syn.full++;
	st->syn.cookies_sent++;
	send_syn_ack(st, link->sock, h, true);
}

/* Is this the ACK of a cookie? Then *h is the handshake. */
static bool
proves_cookie(struct stack *st, struct port_link *link, const struct tcp_gate_segment *g,
	struct tcp_handshake *h)
{
	struct syn_cookie_flow f;

	if (!link->cookies)
		return false;
	if (st->now_ms - link->cookie_ms > COOKIES_FOR_MS) {
		link->cookies = false;
		return false;
	}
	h->irs = g->seq - 1;
	h->iss = g->ack - 1;
	f = flow_of(st, h);
	h->opt = (struct tcp_syn_options){.scale = TCP_SYN_NO_SCALE};
	h->opt.mss = syn_cookie_check(stack_secrets.cookie, &f,
		(uint32_t)(st->now_us / 1000 / SYN_COOKIE_PERIOD_MS), h->iss);
	if (h->opt.mss != 0)
		st->syn.cookies_recv++;
	else
		st->syn.cookies_failed++;
	return h->opt.mss != 0;
}

/* --- in ----------------------------------------------------------------------------------------------- */

static uint32_t
accept_max(const struct stack *st, struct sock *l)
{
	uint64_t last_us = atomic_load_explicit(&l->accept_us, memory_order_relaxed);

	return tcp_accept_max(l->backlog, last_us != 0 && st->now_us < last_us + TCP_ACCEPT_LATELY_US);
}

static void
rx_syn(struct stack *st, struct sock *l, const struct pbuf *pb, struct tcp_handshake *h, uint32_t hash)
{
	const struct tcp_hdr *hdr = pb->payload;
	struct port_link *link = &l->links[st->index];
	struct tcp_request *r = NULL;

	h->opt = tcp_syn_parse((const uint8_t *)(hdr + 1), TCPH_HDRLEN_BYTES(hdr) - sizeof(*hdr));
	switch (tcp_syn_decide(atomic_load_explicit(&l->acc_n, memory_order_relaxed), accept_max(st, l),
		atomic_load_explicit(&l->embryonic_n, memory_order_relaxed), l->backlog)) {
	case TCP_SYN_OVERFLOW:
		st->syn.overflows++;
		st->listen_drops++;
		return;
	case TCP_SYN_QUEUE:
		r = slab_take(&requests);
		break;
	default:
		break;
	}
	if (r == NULL) {
		answer_with_cookie(st, link, h);
		return;
	}
	h->iss = stack_hook_isn((const struct ip4_addr *)&st->group->params.addr, lwip_ntohs(h->lport),
		(const struct ip4_addr *)&h->raddr, lwip_ntohs(h->rport));
	h->sent_us = st->now_us;
	add(st, link, r, h, hash);
	send_syn_ack(st, l, h, false);
}

/* The peer is there. NULL: the segment is dropped; it will come again. */
static struct sock *
establish(struct stack *st, struct sock *l, const struct tcp_handshake *h)
{
	struct sock *s = NULL;

	if (atomic_load_explicit(&l->acc_n, memory_order_relaxed) > accept_max(st, l))
		st->syn.overflows++;
	else if (tcp_make_room(st))
		s = tcp_open(st, l, h);
	if (s == NULL)
		st->listen_drops++;
	return s;
}

/* The ACK of a cookie while accept() is behind: its peer is no invention, so there is as much room again
 * for such ones to wait as requests. */
static void
keep_proven(struct stack *st, struct sock *l, const struct tcp_handshake *h, uint32_t hash)
{
	struct tcp_request *r;

	if (tcp_syn_decide(0, 0, atomic_load_explicit(&l->embryonic_n, memory_order_relaxed) / 2,
		    l->backlog) != TCP_SYN_QUEUE)
		return;
	r = slab_take(&requests);
	if (r != NULL)
		add(st, &l->links[st->index], r, h, hash);
}

/*
 * An ACK of what the request's SYN|ACK has not said. The peer's first SYN may have been answered with a
 * cookie, and only its repetition, which crossed that answer, have found room as a request: the peer
 * believes in the connection and is not to be reset. False: it is owed a reset.
 */
static bool
rx_strange(struct stack *st, struct tcp_request *r, const struct tcp_gate_segment *g, struct sock **made)
{
	struct tcp_handshake h = r->h;

	if (!proves_cookie(st, r->link, g, &h))
		return false;
	*made = establish(st, r->link->sock, &h);
	if (*made != NULL)
		take_out(st, r);
	return true;
}

static bool
rx_request(struct stack *st, struct tcp_request *r, const struct tcp_gate_segment *g, struct sock **made)
{
	switch (tcp_request_decide(r->h.irs, r->h.iss, g)) {
	case TCP_REQUEST_AGAIN:
		if (may_answer(st, r))
			send_again(st, r);
		return true;
	case TCP_REQUEST_CHALLENGE:
		if (may_answer(st, r))
			challenge(st, r);
		return true;
	case TCP_REQUEST_END:
		drop(st, r);
		return true;
	case TCP_REQUEST_STRANGE:
		return rx_strange(st, r, g, made);
	case TCP_REQUEST_ESTABLISH:
		*made = establish(st, r->link->sock, &r->h);
		if (*made != NULL)
			take_out(st, r);
		return true;
	default:
		return true;
	}
}

bool
tcp_syn_input(struct stack *st, struct sock *l, const struct pbuf *pb, uint32_t raddr, uint32_t hash,
	const struct tcp_gate_segment *g, struct sock **made)
{
	const struct tcp_hdr *hdr = pb->payload;
	struct tcp_handshake h = {.raddr = raddr,
		.rport = hdr->src,
		.lport = hdr->dest,
		.irs = g->seq,
		.wnd = lwip_ntohs(hdr->wnd)};
	struct tcp_request *r = st->syn.n > 0 ? find(st, hash, raddr, h.rport, h.lport) : NULL;

	*made = NULL;
	if (r != NULL)
		return rx_request(st, r, g, made);
	if (g->flags & TCP_RST)
		return true;
	if ((g->flags & (TCP_SYN | TCP_ACK | TCP_FIN)) == TCP_SYN) {
		rx_syn(st, l, pb, &h, hash);
		return true;
	}
	if ((g->flags & TCP_ACK) == 0)
		return true; /* RFC 9293 3.10.7.2; a SYN with FIN is nobody's honest segment */
	if ((g->flags & TCP_SYN) != 0 || !proves_cookie(st, &l->links[st->index], g, &h))
		return false;
	*made = establish(st, l, &h);
	if (*made == NULL)
		keep_proven(st, l, &h, hash);
	return true;
}
