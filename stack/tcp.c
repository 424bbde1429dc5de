/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP connections: lwIP's engine between our table, our clock and our queues.
 *
 * How lwIP is entered. lwIP finds the connection of a segment by walking lists; we find it in
 * table.c and put exactly that pcb on the right list head before every entry (tcp_enter) and take
 * it off after (tcp_leave). So every walk inside lwIP sees one pcb. An entry is: an input segment,
 * a timer, or an operation of the program. Callbacks never touch another pcb.
 *
 * Birth and death. passive_open() is called for every pcb a SYN makes, destroyed() for every pcb
 * that lwIP frees; no path escapes these two, so the table never points to freed memory.
 *
 * Sending. The program's pieces wait in tx_head..; lwIP gets only what the window admits (feed),
 * because its queues are lists that it walks to the end. tcp_leave() recomputes the one timer.
 *
 * Recovery. lwIP leaves fast recovery at the first partial ACK; RFC 6582 (NewReno) is kept here.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_gate.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

/* Smaller writes are copied into lwIP's own pbuf: cheaper than a chain of two. */
#define WRITE_COPY_MAX 512
#define WRITE_MAX 0x8000u /* tcp_write() counts in 16 bits */
#define CHALLENGE_ACKS_PER_MS 8

static const struct tcp_ext_arg_callbacks ext_callbacks;

/* --- entering lwIP ------------------------------------------------------------------------------ */

void
tcp_enter(struct stack *st, struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;

	st->cur = s;
	if (pcb == NULL)
		return;
	pcb->next = NULL;
	if (pcb->state == TIME_WAIT)
		*st->lw->tw_pcbs = pcb;
	else if (pcb->state == CLOSED)
		*st->lw->bound_pcbs = pcb->local_port != 0 ? pcb : NULL;
	else
		*st->lw->active_pcbs = pcb;
	/* lwIP writes 0 when it (re)starts the retransmission timer and -1 when it stops it. */
	if (pcb->rtime >= 0)
		pcb->rtime = 1;
}

static void
lists_clear(struct stack *st)
{
	*st->lw->active_pcbs = NULL;
	*st->lw->tw_pcbs = NULL;
	*st->lw->bound_pcbs = NULL;
	st->lw->listen_pcbs->pcbs = NULL;
	st->cur = NULL;
}

/* One round-trip sample, RFC 6298 section 2, in microseconds. */
static void
rtt_update(struct stack *st, struct sock *s)
{
	uint64_t sample = st->now_us - s->rtt_start_us;
	uint32_t r = sample > UINT32_MAX / 16 ? UINT32_MAX / 16 : (uint32_t)sample;
	uint32_t diff;

	s->rtt_active = false;
	if (s->srtt_us == 0) {
		s->srtt_us = r != 0 ? r : 1;
		s->rttvar_us = r / 2;
	} else {
		diff = r > s->srtt_us ? r - s->srtt_us : s->srtt_us - r;
		s->rttvar_us = (3 * s->rttvar_us + diff) / 4;
		s->srtt_us = (7 * s->srtt_us + r) / 8;
	}
	s->rto_ms = (s->srtt_us + 4 * s->rttvar_us) / 1000;
	if (s->rto_ms < TCP_RTO_MIN_MS)
		s->rto_ms = TCP_RTO_MIN_MS;
	if (s->rto_ms > TCP_RTO_MAX_MS)
		s->rto_ms = TCP_RTO_MAX_MS;
}

void
tcp_leave(struct stack *st, struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;

	lists_clear(st);
	if (pcb == NULL && (sock_flags(s) & SF_DEAD) == 0) {
		/* Only now: on_error() may have come after on_destroyed(), and the program must
		 * see the error no later than the end. */
		sock_flag_set(s, SF_DEAD | SF_EOF | SF_SHUT_WR);
		sock_notify(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
	}
	if (pcb != NULL) {
		if (s->rtt_active && (int32_t)(pcb->lastack - s->rtt_seq) >= 0)
			rtt_update(st, s);
		if (s->iw_pending && pcb->state >= ESTABLISHED) {
			/* RFC 6928; lwIP has set its own smaller one after the callback. */
			s->iw_pending = false;
			pcb->cwnd = 10 * pcb->mss;
		}
		if (pcb->rtime == 0)
			s->rto_start_ms = st->now_ms;
		tcp_timer_arm(st, s);
	}
	if (st->zombies != NULL)
		sock_reap(st);
}

/* --- the program's side of an event ------------------------------------------------------------- */

static int
err_to_errno(struct sock *s, err_t err)
{
	if (s->fail_errno != 0)
		return s->fail_errno;
	if (err == ERR_RST)
		return sock_flags(s) & SF_CONNECTING ? ECONNREFUSED : ECONNRESET;
	return err == ERR_CLSD ? 0 : ECONNABORTED;
}

/* The connection is over; its pcb is, or is about to be, freed. */
static void
on_error(void *arg, err_t err)
{
	struct sock *s = arg;
	int e;

	if (s == NULL)
		return;
	e = err_to_errno(s, err);
	sock_flag_clear(s, SF_CONNECTING);
	if (e != 0)
		sock_set_error(s, e, SF_DEAD | SF_EOF | SF_SHUT_WR);
	else
		sock_flag_set(s, SF_DEAD | SF_EOF | SF_SHUT_WR);
	sock_notify(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

static void
report_recved(struct stack *st, struct sock *s)
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

static err_t
on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct sock *s = arg;
	struct stack *st = s->stack;

	if (p == NULL) {
		sock_flag_set(s, SF_EOF);
		sock_notify(s, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
		return ERR_OK;
	}
	if (s->closed) {
		/* Data nobody will read: RFC 9293 3.10.4 says so with a reset. */
		st->lw->pbuf_free(p);
		st->lw->tcp_abort(pcb);
		return ERR_ABRT;
	}
	if (sock_flags(s) & SF_SHUT_RD) {
		st->lw->tcp_recved(pcb, p->tot_len);
		st->lw->pbuf_free(p);
		return ERR_OK;
	}
	while (p != NULL) {
		struct pbuf *next = p->next;
		struct pkt *k = (struct pkt *)p;

		p->next = NULL;
		if (p->len == 0) {
			st->lw->pbuf_free(p);
		} else {
			k->data = p->payload;
			k->len = p->len;
			k->off = 0;
			sock_push_rx(s, k, k, k->len);
		}
		p = next;
	}
	sock_notify(s, EPOLLIN);
	return ERR_OK;
}

static void
pending_add(struct stack *st, struct sock *s)
{
	if (s->pending)
		return;
	s->pending = true;
	s->pending_next = st->pending;
	st->pending = s;
}

/* Acknowledged bytes leave the send queue; lwIP has dropped its references already. */
static err_t
on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct sock *s = arg;
	uint64_t acked = atomic_load_explicit(&s->tx_bytes_acked, memory_order_relaxed) + len;
	uint64_t charge = atomic_load_explicit(&s->tx_charge_acked, memory_order_relaxed);

	while (s->tx_head != NULL && s->tx_head != s->tx_feed && s->tx_head->end <= acked) {
		struct pkt *p = s->tx_head;

		s->tx_head = p->next;
		if (s->tx_out == p)
			s->tx_out = NULL;
		charge += p->charge;
		edge_free(p);
	}
	if (s->tx_head == NULL)
		s->tx_tail = NULL;
	atomic_store_explicit(&s->tx_charge_acked, charge, memory_order_release);
	atomic_store_explicit(&s->tx_bytes_acked, acked, memory_order_release);
	if ((sock_flags(s) & SF_TX_FULL) != 0 && sock_writable(s)) {
		sock_flag_clear(s, SF_TX_FULL);
		sock_notify(s, EPOLLOUT);
	}
	return ERR_OK;
}

static err_t
on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct sock *s = arg;

	s->iw_pending = true;
	sock_flag_set(s, SF_CONNECTED);
	sock_flag_clear(s, SF_CONNECTING);
	s->stack->counters.conns++;
	sock_notify(s, EPOLLOUT);
	pending_add(s->stack, s); /* data may have been queued while connecting */
	return ERR_OK;
}

static void
listener_put(struct sock *l)
{
	if (atomic_fetch_sub(&l->refs, 1) == 1)
		sock_free(l);
}

static err_t
on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct sock *s = arg, *l, *old;

	if (err != ERR_OK || pcb == NULL || s == NULL)
		return ERR_VAL;
	l = s->listener;
	if (l == NULL || (sock_flags(l) & SF_DEAD) != 0)
		return ERR_VAL; /* lwIP resets the connection */
	s->iw_pending = true;
	sock_flag_set(s, SF_CONNECTED);
	s->stack->counters.conns++;
	atomic_fetch_sub(&l->embryonic_n, 1);
	atomic_fetch_add(&l->acc_n, 1);
	old = atomic_load_explicit(&l->acc_in, memory_order_relaxed);
	do {
		s->acc_next = old;
	} while (!atomic_compare_exchange_weak_explicit(&l->acc_in, &old, s, memory_order_release,
		memory_order_relaxed));
	sock_notify(l, EPOLLIN);
	return ERR_OK;
}

/* --- birth and death of a pcb ------------------------------------------------------------------- */

static void
pcb_adopt(struct stack *st, struct sock *s, struct tcp_pcb *pcb)
{
	const struct lwip_image *lw = st->lw;

	s->pcb = pcb;
	s->stack = st;
	s->rto_ms = TCP_RTO_FIRST_MS;
	lw->tcp_arg(pcb, s);
	lw->tcp_recv(pcb, on_recv);
	lw->tcp_sent(pcb, on_sent);
	lw->tcp_err(pcb, on_error);
	lw->ext_arg_set_callbacks(pcb, st->ext_id, &ext_callbacks);
	lw->ext_arg_set(pcb, st->ext_id, s);
}

static void
options_apply(struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;
	uint32_t f = sock_flags(s);

	if (f & SF_NODELAY)
		tcp_nagle_disable(pcb);
	else
		tcp_nagle_enable(pcb);
	if (f & SF_KEEPALIVE)
		ip_set_option(pcb, SOF_KEEPALIVE);
	else
		ip_reset_option(pcb, SOF_KEEPALIVE);
	pcb->keep_idle = s->keep_idle_s * 1000;
	pcb->keep_intvl = s->keep_intvl_s * 1000;
	pcb->keep_cnt = s->keep_cnt;
	pcb->tos = s->tos;
	pcb->ttl = s->ttl;
}

static void
options_inherit(struct sock *s, const struct sock *l)
{
	sock_flag_set(s, sock_flags(l) & (SF_NODELAY | SF_KEEPALIVE));
	s->keep_idle_s = l->keep_idle_s;
	s->keep_intvl_s = l->keep_intvl_s;
	s->keep_cnt = l->keep_cnt;
	s->tos = l->tos;
	s->ttl = l->ttl;
	s->sndbuf = l->sndbuf;
	s->rcvbuf = l->rcvbuf;
	s->linger_s = l->linger_s;
	s->user_timeout_ms = l->user_timeout_ms;
}

/* A SYN has made `pcb`: give it a socket, or refuse it. */
static err_t
on_passive_open(u8_t id, struct tcp_pcb_listen *lpcb, struct tcp_pcb *pcb)
{
	const struct port_link *link = lpcb->callback_arg;
	struct stack *st = link->stack;
	struct sock *l = link->sock;
	struct sock *s;

	if (st->n_conns >= st->group->params.conn_max ||
	    atomic_load(&l->acc_n) + atomic_load(&l->embryonic_n) >= l->backlog) {
		st->listen_drops++;
		return ERR_MEM;
	}
	s = sock_alloc(st->group, SOCK_TCP);
	if (s == NULL) {
		st->counters.alloc_fail++;
		return ERR_MEM;
	}
	pcb_adopt(st, s, pcb);
	options_inherit(s, l);
	options_apply(s);
	s->listener = l;
	atomic_fetch_add(&l->refs, 1);
	atomic_fetch_add(&l->embryonic_n, 1);
	s->raddr = ip_2_ip4(&pcb->remote_ip)->addr;
	s->laddr = ip_2_ip4(&pcb->local_ip)->addr;
	s->rport = lwip_htons(pcb->remote_port);
	s->lport = lwip_htons(pcb->local_port);
	sock_flag_set(s, SF_BOUND);
	sock_all_add(st, s);
	table_insert(st, s);
	st->cur = s; /* the SYN|ACK goes out in this entry */
	return ERR_OK;
}

/* Nothing will be sent or acknowledged any more. */
static void
tx_drop(struct sock *s)
{
	uint64_t charge = atomic_load_explicit(&s->tx_charge_acked, memory_order_relaxed);
	struct pkt *p;

	while ((p = s->tx_head) != NULL) {
		s->tx_head = p->next;
		charge += p->charge;
		edge_free(p);
	}
	s->tx_tail = s->tx_feed = s->tx_out = NULL;
	atomic_store_explicit(&s->tx_charge_acked, charge, memory_order_release);
}

/* lwIP frees the pcb of `data`; the socket may live on for the program. */
static void
on_destroyed(u8_t id, void *data)
{
	struct sock *s = data;
	struct stack *st;
	bool unaccepted;

	if (s == NULL)
		return;
	st = s->stack;
	s->pcb = NULL;
	table_remove(st, s);
	wheel_cancel(&st->wheel, &s->timer);
	unaccepted = s->listener != NULL && (sock_flags(s) & SF_CONNECTED) == 0;
	if (sock_flags(s) & SF_CONNECTED)
		st->counters.conns--;
	tx_drop(s);
	if (unaccepted) {
		atomic_fetch_sub(&s->listener->embryonic_n, 1);
		listener_put(s->listener);
		s->listener = NULL;
		sock_retire(st, s); /* the program never saw it */
	} else if (s->closed) {
		sock_retire(st, s);
	}
}

static const struct tcp_ext_arg_callbacks ext_callbacks = {
	.destroy = on_destroyed,
	.passive_open = on_passive_open,
};

/* --- sending ------------------------------------------------------------------------------------- */

/* Take what the program has queued since the last time, in order. */
static void
tx_collect(struct sock *s)
{
	struct pkt *in = atomic_exchange_explicit(&s->tx_in, NULL, memory_order_acquire);
	struct pkt *first = NULL, *last = in;

	if (in == NULL)
		return;
	while (in != NULL) {
		struct pkt *next = in->next;

		in->next = first;
		first = in;
		in = next;
	}
	if (s->tx_tail != NULL)
		s->tx_tail->next = first;
	else
		s->tx_head = first;
	s->tx_tail = last;
	if (s->tx_feed == NULL)
		s->tx_feed = first;
}

/* Bytes lwIP may be given now, for a piece with `left` bytes; 0: wait for an ACK. */
static uint32_t
feed_budget(const struct sock *s, uint64_t left)
{
	const struct tcp_pcb *pcb = s->pcb;
	uint32_t window = pcb->cwnd < pcb->snd_wnd ? pcb->cwnd : pcb->snd_wnd;
	uint32_t used = pcb->snd_lbb - pcb->lastack;
	uint32_t room = window > used ? window - used : 0;

	/* A closed window: one segment starts lwIP's persist timer. */
	if (room == 0 && pcb->unsent == NULL && pcb->unacked == NULL)
		return pcb->mss;
	/* RFC 9293 3.8.6.2.1: no silly window from our side either. */
	if (room < left && room < pcb->mss && pcb->unacked != NULL)
		return 0;
	if ((sock_flags(s) & SF_CORK) != 0 && left < pcb->mss)
		return 0;
	return room;
}

static uint64_t
tx_unfed(const struct sock *s)
{
	return s->tx_tail != NULL ? s->tx_tail->end - s->tx_fed : 0;
}

static void
tx_feed(struct stack *st, struct sock *s)
{
	while (s->tx_feed != NULL) {
		struct pkt *p = s->tx_feed;
		uint64_t unfed = tx_unfed(s);
		uint32_t n = p->len - p->off;
		uint32_t budget = feed_budget(s, unfed);
		u8_t flags = 0;

		if (budget == 0)
			break;
		if (n > budget)
			n = budget;
		if (n > WRITE_MAX)
			n = WRITE_MAX;
		if (n <= WRITE_COPY_MAX)
			flags |= TCP_WRITE_FLAG_COPY;
		if (n < unfed)
			flags |= TCP_WRITE_FLAG_MORE;
		if (st->lw->tcp_write(s->pcb, p->data + p->off, n, flags) != ERR_OK) {
			s->mem_wait = true; /* the timer tries again */
			break;
		}
		p->off += n;
		s->tx_fed += n;
		if (p->off == p->len)
			s->tx_feed = p->next;
	}
}

static void
finish_if_fed(struct stack *st, struct sock *s)
{
	if (!s->fin_wanted || s->tx_feed != NULL || s->pcb == NULL)
		return;
	s->fin_wanted = false;
	if (s->closed)
		st->lw->tcp_close(s->pcb);
	else
		st->lw->tcp_shutdown(s->pcb, 0, 1);
}

static bool
may_send(const struct tcp_pcb *pcb)
{
	return pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT;
}

void
tcp_sock_output(struct stack *st, struct sock *s)
{
	tx_collect(s);
	if (s->pcb == NULL || !may_send(s->pcb))
		return;
	if (s->tx_feed != NULL) {
		tx_feed(st, s);
		st->lw->tcp_output(s->pcb);
	}
	finish_if_fed(st, s);
}

void
tcp_feed_pending(struct stack *st)
{
	struct sock *s;

	while ((s = st->pending) != NULL) {
		st->pending = s->pending_next;
		s->pending = false;
		if (s->pcb == NULL)
			continue;
		tcp_enter(st, s);
		tcp_sock_output(st, s);
		tcp_leave(st, s);
	}
	if (st->zombies != NULL)
		sock_reap(st);
}

/* --- segments ------------------------------------------------------------------------------------ */

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
		return;
	}
	if (pcb->lastack == una_before)
		return;
	tcp_set_flags(pcb, TF_INFR);
	if (st->lw->rexmit(pcb) == ERR_OK)
		st->lw->tcp_output(pcb);
}

static void
rx_established(struct stack *st, struct sock *s, struct pbuf *pb, const void *ip,
	const struct tcp_gate_segment *g)
{
	struct tcp_pcb *pcb = s->pcb;
	uint32_t una = pcb->lastack;
	uint8_t dupacks = pcb->dupacks;

	s->rx_segments++;
	tcp_enter(st, s);
	if (pcb->state != TIME_WAIT)
		report_recved(st, s);
	st->lw->tcp_input(pb, st->netif, ip);
	if (s->pcb != NULL && s->pcb->state != TIME_WAIT) {
		/* Data segments must not reset the count of duplicate ACKs (upstream b1d3dcb8). */
		if (g->len > 0 && g->ack == una && s->pcb->lastack == una)
			s->pcb->dupacks = dupacks;
		newreno(st, s, una);
		if (s->tx_feed != NULL || s->fin_wanted)
			pending_add(st, s);
	}
	tcp_leave(st, s);
}

/* RFC 9293 3.10.7.1: a segment for a connection that does not exist. */
static void
rx_closed_port(struct stack *st, struct pbuf *pb, const void *ip)
{
	lists_clear(st);
	st->lw->tcp_input(pb, st->netif, ip); /* sends the reset, or ignores one */
}

static void
rx_listen(struct stack *st, struct sock *l, struct pbuf *pb, const void *ip)
{
	struct tcp_pcb *lpcb = l->listen_pcbs[st->index];

	lists_clear(st);
	lpcb->next = NULL;
	st->lw->listen_pcbs->pcbs = lpcb;
	st->lw->tcp_input(pb, st->netif, ip);
	if (st->cur != NULL)
		tcp_leave(st, st->cur);
	lists_clear(st);
}

/* RFC 6191 in spirit: a SYN beyond the old connection may reuse its 4-tuple. */
static bool
reuses_time_wait(const struct sock *s, const struct tcp_gate_segment *g)
{
	return s->pcb->state == TIME_WAIT && (g->flags & TCP_SYN) != 0 &&
	       (g->flags & (TCP_RST | TCP_ACK)) == 0 && (int32_t)(g->seq - s->pcb->rcv_nxt) > 0;
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
	if (s != NULL && reuses_time_wait(s, &g)) {
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

/* --- operations of the program ---------------------------------------------------------------------- */

int
tcp_sock_listen(struct stack *st, struct sock *s)
{
	const struct lwip_image *lw = st->lw;
	ip_addr_t any = {0};
	struct tcp_pcb *pcb, *lpcb;
	err_t err;

	if (s->listen_pcbs[st->index] != NULL)
		return 0;
	lists_clear(st);
	pcb = lw->tcp_new();
	if (pcb == NULL)
		return -ENOMEM;
	lw->ext_arg_set_callbacks(pcb, st->ext_id, &ext_callbacks);
	lw->ext_arg_set(pcb, st->ext_id, NULL);
	lw->tcp_arg(pcb, &s->links[st->index]);
	ip_set_option(pcb, SOF_REUSEADDR);
	lw->tcp_bind(pcb, &any, lwip_ntohs(s->lport));
	lpcb = lw->listen(pcb, 255, &err);
	lists_clear(st);
	if (lpcb == NULL) {
		lw->tcp_close(pcb);
		lists_clear(st);
		return -ENOMEM;
	}
	lw->tcp_accept(lpcb, on_accept);
	s->listen_pcbs[st->index] = lpcb;
	st->counters.listeners++;
	return 0;
}

/* Embryonic connections of the listener on this stack are reset, as Linux does. */
void
tcp_listener_close(struct stack *st, struct sock *l)
{
	struct tcp_pcb *lpcb = l->listen_pcbs[st->index];
	struct sock *s, *next;

	if (lpcb == NULL)
		return;
	for (s = st->all; s != NULL; s = next) {
		next = s->all_next;
		if (s->listener == l && s->pcb != NULL && s->pcb->state == SYN_RCVD)
			tcp_sock_abort(st, s, ECONNABORTED);
	}
	l->listen_pcbs[st->index] = NULL;
	lists_clear(st);
	lpcb->next = NULL;
	st->lw->listen_pcbs->pcbs = lpcb;
	st->lw->tcp_close(lpcb);
	lists_clear(st);
	st->counters.listeners--;
}

int
tcp_sock_connect(struct stack *st, struct sock *s)
{
	const struct lwip_image *lw = st->lw;
	ip_addr_t remote = {s->raddr}, local = {s->laddr};
	struct tcp_pcb *pcb;
	err_t err;

	if (st->n_conns >= st->group->params.conn_max)
		return -ENOBUFS;
	lists_clear(st);
	pcb = lw->tcp_new();
	if (pcb == NULL)
		return -ENOBUFS;
	pcb_adopt(st, s, pcb);
	options_apply(s);
	ip_set_option(pcb, SOF_REUSEADDR);
	lw->tcp_bind(pcb, &local, lwip_ntohs(s->lport));
	table_insert(st, s);
	sock_flag_set(s, SF_CONNECTING);
	tcp_enter(st, s);
	err = lw->tcp_connect(pcb, &remote, lwip_ntohs(s->rport), on_connected);
	if (err != ERR_OK && s->pcb != NULL)
		lw->tcp_abandon(pcb, 0);
	tcp_leave(st, s);
	return err == ERR_OK ? -EINPROGRESS : err == ERR_MEM ? -ENOBUFS : -ENETUNREACH;
}

void
tcp_sock_abort(struct stack *st, struct sock *s, int err)
{
	if (s->pcb == NULL)
		return;
	s->fail_errno = err;
	tcp_enter(st, s);
	st->lw->tcp_abort(s->pcb);
	tcp_leave(st, s);
}

/* The program has closed the socket: FIN when all is sent; RST when it left data unread. */
static void
serve_close(struct stack *st, struct sock *s)
{
	bool unread;

	s->closed = true;
	if (s->listener != NULL) {
		listener_put(s->listener);
		s->listener = NULL;
	}
	if (s->pcb == NULL) {
		sock_retire(st, s);
		return;
	}
	unread = atomic_load(&s->rx_bytes_in) != atomic_load(&s->rx_bytes_out);
	sock_free_pkts(s);
	if (s->pcb->state == SYN_SENT || unread || s->linger_s == 0) {
		st->lw->tcp_abandon(s->pcb, s->pcb->state != SYN_SENT);
		return;
	}
	s->fin_wanted = true;
	finish_if_fed(st, s);
}

void
tcp_sock_serve(struct stack *st, struct sock *s, uint32_t reasons)
{
	if ((reasons & SD_CLOSE) && s->pcb == NULL) {
		serve_close(st, s);
		if (st->zombies != NULL)
			sock_reap(st);
		return;
	}
	if (s->pcb == NULL) {
		tx_collect(s);
		return;
	}
	tcp_enter(st, s);
	if (s->pcb->state != SYN_SENT)
		report_recved(st, s);
	if (reasons & SD_OPT)
		options_apply(s);
	if (reasons & SD_MEM)
		s->mem_wait = true;
	if (reasons & SD_SHUT)
		s->fin_wanted = true;
	tcp_sock_output(st, s);
	if (reasons & SD_CLOSE)
		serve_close(st, s);
	tcp_leave(st, s);
}

/* --- what others may see ------------------------------------------------------------------------- */

static const char *const state_names[] = {
	"CLOSED", "LISTEN", "SYN_SENT", "SYN_RECVD", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2",
	"CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT",
};

void
tcp_fill_info(struct stack *st, struct sock *s, struct stack_conn_info *i)
{
	const struct tcp_pcb *pcb = s->pcb;

	i->state = sock_flags(s) & SF_LISTEN ? "LISTEN" : pcb != NULL ? state_names[pcb->state] :
									 "CLOSED";
	i->srtt_us = s->srtt_us;
	i->rto_ms = s->rto_ms;
	i->retransmits = s->retransmits;
	if (pcb == NULL)
		return;
	i->in_flight = pcb->snd_nxt - pcb->lastack;
	i->cwnd = pcb->cwnd;
	i->rcv_wnd = pcb->rcv_wnd;
	i->snd_wnd = pcb->snd_wnd;
	i->mss = pcb->mss;
	i->snd_nxt = pcb->snd_nxt;
	i->lastack = pcb->lastack;
	i->rcv_nxt = pcb->rcv_nxt;
}
