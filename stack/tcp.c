/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP connections: lwIP's engine between our table, our clock and our queues.
 *
 * How lwIP is entered. lwIP finds the connection of a segment by walking lists; we find it in
 * table.c and put exactly that pcb on the right list head before every entry (tcp_enter) and take
 * it off after (tcp_leave). So every walk inside lwIP sees one pcb. An entry is: an input segment,
 * a timer, or an operation of the program. Callbacks never touch another pcb.
 *
 * Birth and death. A pcb is made by connect() (tcp_ops.c) or at the end of a handshake that a peer has
 * begun (tcp_syn.c, tcp_open.c); lwIP itself never makes one. destroyed() is called for every pcb that
 * lwIP frees; no path escapes it, so the table never points to freed memory.
 *
 * Sending is in tcp_tx.c, segments from the wire in tcp_rx.c (those before their turn: tcp_rx_ooo.c),
 * the program's calls in tcp_ops.c, time in tcp_timer.c. Congestion control and everything that is
 * sent again is ours, not lwIP's: tcp_loss.c.
 */
#include "stack/heap.h"
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_autotune.h"
#include "stack/tcp_impl.h"

#include <errno.h>
#include <sys/epoll.h>

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

void
tcp_lists_clear(struct stack *st)
{
	*st->lw->active_pcbs = NULL;
	*st->lw->tw_pcbs = NULL;
	*st->lw->bound_pcbs = NULL;
	st->cur = NULL;
}

/* RFC 6298 section 2, in microseconds. */
void
tcp_rtt_sample(struct stack *st, struct sock *s)
{
	uint64_t sample = st->now_us - s->rtt_start_us;
	uint32_t r = sample > UINT32_MAX / 16 ? UINT32_MAX / 16 : (uint32_t)sample;
	uint32_t diff;

	s->rtt_active = false;
	tcp_cc_rtt(&s->cc, r, s->pcb->mss);
	atomic_store_explicit(&s->sndbuf_tuned,
		tcp_autotune(sock_sndbuf(s), s->pcb->lastack - s->rtt_una, r, s->cc.min_rtt_us,
			SNDBUF_FIRST, s->sndbuf),
		memory_order_relaxed);
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

	tcp_lists_clear(st);
	if (pcb == NULL && (sock_flags(s) & SF_DEAD) == 0) {
		/* Only now: on_error() may have come after on_destroyed(), and the program must
		 * see the error no later than the end. */
		sock_flag_set(s, SF_DEAD | SF_EOF | SF_SHUT_WR);
		sock_notify(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
	}
	if (pcb != NULL) {
		if (s->rtt_active && (int32_t)(pcb->lastack - s->rtt_seq) >= 0)
			tcp_rtt_sample(st, s);
		if (s->iw_pending && pcb->state >= ESTABLISHED) {
			/* Only now does lwIP leave its own window alone: see tcp_loss.c. */
			s->iw_pending = false;
			tcp_cc_init(&s->cc, pcb->mss);
			pcb->cwnd = pcb->ssthresh = UINT32_MAX;
		}
		if (pcb->rtime == 0)
			s->rto_start_ms = st->now_ms;
		if (pcb->state == TIME_WAIT)
			sock_flag_set(s, SF_OVER);
		if (s->closed || pcb->state == TIME_WAIT)
			tcp_end_note(st, s);
		tcp_timer_arm(st, s);
	}
	if (!s->zombie)
		mem_settle(&st->mem, s);
	if (st->zombies != NULL)
		sock_reap(st);
}

/* --- the program's side of an event ------------------------------------------------------------- */

static int
err_to_errno(struct sock *s, err_t err)
{
	if (s->fail_errno != 0)
		return s->fail_errno;
	if (err == ERR_RST && (sock_flags(s) & (SF_FIN | SF_SHUT_WR)) == SF_FIN)
		return EPIPE; /* as Linux in CLOSE-WAIT: the peer has closed, and we wrote */
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
	if (e != 0)
		sock_set_error(s, e, SF_DEAD | SF_EOF | SF_SHUT_WR);
	else
		sock_flag_set(s, SF_DEAD | SF_EOF | SF_SHUT_WR);
	/* Last: without either flag it would look to the program like one that was never connected. */
	sock_flag_clear(s, SF_CONNECTING);
	sock_notify(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

/* A small segment behind others that wait: its bytes go to them, and its packet is free at once. */
static inline bool
join(struct sock *s, const struct pbuf *p)
{
	if (p->len > SOCK_JOIN_MAX || mem_rx_held(s) == 0)
		return false;
	return sock_join_rx(s, p->payload, p->len);
}

static err_t
on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct sock *s = arg;
	struct stack *st = s->stack;
	struct pkt *newest = NULL, *oldest = NULL;
	uint32_t bytes = 0, mem = 0;

	if (p == NULL) {
		sock_flag_set(s, SF_EOF | SF_FIN);
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
		if (p->len == 0 || (newest == NULL && join(s, p))) {
			bytes += p->len;
			st->lw->pbuf_free(p);
		} else {
			k->data = p->payload;
			k->len = p->len;
			k->off = 0;
			p->ref = 0; /* not lwIP's any more, see edge.c */
			k->next = newest;
			newest = k;
			if (oldest == NULL)
				oldest = k;
			bytes += k->len;
			mem += edge_mem(k);
		}
		p = next;
	}
	sock_push_rx(s, newest, oldest, bytes, mem);
	sock_notify(s, EPOLLIN);
	return ERR_OK;
}

/* Acknowledged bytes leave the send queue; lwIP has dropped its references already. */
static err_t
on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct sock *s = arg;
	uint64_t acked = atomic_load_explicit(&s->tx_bytes_acked, memory_order_relaxed) + len;
	uint32_t charge = 0, mem = 0;

	while (s->tx_head != NULL && s->tx_head != s->tx_feed && s->tx_head->end <= acked) {
		struct pkt *p = s->tx_head;

		s->tx_head = p->next;
		if (s->tx_out == p)
			s->tx_out = NULL;
		charge += p->charge;
		mem += edge_free(p);
	}
	if (s->tx_head == NULL)
		s->tx_tail = NULL;
	mem_count(&s->tx_charge_acked, charge);
	mem_count(&s->tx_mem_out, mem);
	if (__builtin_expect(mem_pressure(&s->stack->mem), 0))
		mem_tx_acked(s->stack, s, acked);
	atomic_store_explicit(&s->tx_bytes_acked, acked, memory_order_release);
	/* A waiter sets the flag and then looks at the room; here it is the other way round. */
	atomic_thread_fence(memory_order_seq_cst);
	if ((sock_flags(s) & SF_TX_FULL) != 0 && sock_writable(s)) {
		sock_flag_clear(s, SF_TX_FULL);
		sock_notify(s, EPOLLOUT);
	}
	return ERR_OK;
}

err_t
tcp_on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct sock *s = arg;

	tcp_rx_begin(s->stack, s);
	s->iw_pending = true;
	sock_flag_set(s, SF_CONNECTED);
	sock_flag_clear(s, SF_CONNECTING);
	s->stack->counters.conns++;
	sock_notify(s, EPOLLOUT);
	tcp_pending_add(s->stack, s); /* data may have been queued while connecting */
	return ERR_OK;
}

void
tcp_listener_put(struct sock *l)
{
	if (atomic_fetch_sub(&l->refs, 1) == 1)
		sock_free(l);
}

/* --- birth and death of a pcb ------------------------------------------------------------------- */

void
tcp_pcb_adopt(struct stack *st, struct sock *s, struct tcp_pcb *pcb)
{
	const struct lwip_image *lw = st->lw;

	s->pcb = pcb;
	s->stack = st;
	s->rto_ms = TCP_RTO_FIRST_MS;
	lw->tcp_arg(pcb, s);
	lw->tcp_recv(pcb, on_recv);
	lw->tcp_sent(pcb, on_sent);
	lw->tcp_err(pcb, on_error);
	lw->ext_arg_set_callbacks(pcb, st->ext_id, &tcp_ext_callbacks);
	lw->ext_arg_set(pcb, st->ext_id, s);
}

void
tcp_options_apply(struct sock *s)
{
	struct tcp_pcb *pcb = s->pcb;
	uint32_t f = sock_flags(s);

	tcp_nagle_disable(pcb); /* decided before lwIP sees the data, see tcp_tx.c */
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

/* lwIP frees the pcb of `data`; the socket may live on for the program. */
static void
on_destroyed(u8_t id, void *data)
{
	struct sock *s = data;
	struct stack *st;

	if (s == NULL)
		return;
	st = s->stack;
	s->pcb = NULL;
	table_remove(st, s);
	tcp_end_forget(st, s);
	wheel_drop(&st->wheel, s->timer);
	s->timer = 0;
	if (sock_flags(s) & SF_CONNECTED)
		st->counters.conns--;
	tcp_tx_drop(s);
	tcp_loss_free(s);
	tcp_rx_ooo_free(st, s);
	if (s->closed)
		sock_retire(st, s);
}

void
tcp_sock_lost(struct stack *st, struct sock *s, int err)
{
	s->fail_errno = err;
	if (s->closed && s->listener != NULL) {
		tcp_listener_put(s->listener);
		s->listener = NULL;
	}
	on_destroyed(st->ext_id, s);
	on_error(s, ERR_ABRT);
	tcp_leave(st, s);
}

const struct tcp_ext_arg_callbacks tcp_ext_callbacks = {
	.destroy = on_destroyed,
};

uint64_t
tcp_heap_units(const struct stack *st, uint64_t bytes)
{
	return (bytes + (uint64_t)st->n_conns * sizeof(struct tcp_pcb)) / HEAP_UNIT;
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
	i->cwnd = s->cc.cwnd;
	i->rcv_wnd = pcb->rcv_wnd;
	i->snd_wnd = pcb->snd_wnd;
	i->mss = pcb->mss;
	i->snd_nxt = pcb->snd_nxt;
	i->lastack = pcb->lastack;
	i->rcv_nxt = pcb->rcv_nxt;
}
