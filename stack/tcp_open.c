/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection that a peer has opened: socket and pcb, made when the handshake is over.
 *
 * lwIP would make the pcb from the SYN and bring it here through SYN_RCVD. What it would have set on
 * the way is set here at once: tcp_listen_input() and the part of tcp_process() for SYN_RCVD are the
 * model. The segment that ended the handshake then goes to lwIP like any other of the connection.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "stack/tcp_impl.h"
#include "stack/tcp_syn_queue.h"

#include <sys/epoll.h>

/* Nobody else knows the new socket; the program may be changing the listener's. */
static void
options_inherit(struct sock *s, const struct sock *l)
{
	sock_flag_set(s, sock_flags(l) & (SF_NODELAY | SF_KEEPALIVE));
	atomic_init(&s->keep_idle_s, l->keep_idle_s);
	atomic_init(&s->keep_intvl_s, l->keep_intvl_s);
	atomic_init(&s->keep_cnt, l->keep_cnt);
	atomic_init(&s->tos, l->tos);
	atomic_init(&s->ttl, l->ttl);
	atomic_init(&s->sndbuf, l->sndbuf);
	atomic_init(&s->sndbuf_fixed, l->sndbuf_fixed);
	atomic_init(&s->rcvbuf, l->rcvbuf);
	atomic_init(&s->linger_s, l->linger_s);
	atomic_init(&s->user_timeout_ms, l->user_timeout_ms);
}

static void
fill_pcb(const struct stack *st, struct tcp_pcb *pcb, const struct tcp_handshake *h)
{
	uint32_t own_mss = st->group->params.mtu - TCP_SEG_HEADERS;

	ip_addr_set_ip4_u32(&pcb->local_ip, st->group->params.addr);
	ip_addr_set_ip4_u32(&pcb->remote_ip, h->raddr);
	pcb->local_port = lwip_ntohs(h->lport);
	pcb->remote_port = lwip_ntohs(h->rport);
	pcb->state = ESTABLISHED;
	pcb->rcv_nxt = h->irs + 1;
	pcb->snd_wl1 = h->irs; /* below the next segment's: its window counts */
	pcb->snd_wl2 = h->iss;
	pcb->snd_nxt = pcb->lastack = pcb->snd_lbb = h->iss + 1;
	pcb->snd_wnd = pcb->snd_wnd_max = h->wnd;
	if (h->opt.scale != TCP_SYN_NO_SCALE) {
		pcb->snd_scale = h->opt.scale;
		pcb->rcv_scale = TCP_RCV_SCALE;
		pcb->rcv_wnd = pcb->rcv_ann_wnd = TCP_WND;
		tcp_set_flags(pcb, TF_WND_SCALE);
	}
	if (h->opt.sack)
		tcp_set_flags(pcb, TF_SACK);
	pcb->rcv_ann_right_edge = pcb->rcv_nxt + pcb->rcv_ann_wnd;
	pcb->mss = LWIP_MIN(h->opt.mss, LWIP_MIN(own_mss, TCP_MSS));
	pcb->cwnd = pcb->mss; /* until tcp_leave(), see iw_pending */
}

static void
queue_for_accept(struct sock *l, struct sock *s)
{
	struct sock *old = atomic_load_explicit(&l->acc_in, memory_order_relaxed);

	atomic_fetch_add(&l->acc_n, 1);
	do {
		s->acc_next = old;
	} while (!atomic_compare_exchange_weak_explicit(&l->acc_in, &old, s, memory_order_release,
		memory_order_relaxed));
	sock_notify(l, EPOLLIN);
}

struct sock *
tcp_open(struct stack *st, struct sock *l, const struct tcp_handshake *h)
{
	struct sock *s = sock_alloc(st->group, SOCK_TCP);
	struct tcp_pcb *pcb = NULL;

	tcp_lists_clear(st);
	if (s != NULL)
		s->timer = wheel_add(&st->wheel, s);
	if (s != NULL && s->timer != 0)
		pcb = st->lw->tcp_new();
	if (pcb == NULL) {
		st->counters.alloc_fail++;
		if (s != NULL) {
			wheel_drop(&st->wheel, s->timer);
			sock_free(s);
		}
		return NULL;
	}
	fill_pcb(st, pcb, h);
	tcp_pcb_adopt(st, s, pcb);
	tcp_rx_begin(st, s);
	options_inherit(s, l);
	tcp_options_apply(s);
	s->listener = l;
	atomic_fetch_add(&l->refs, 1);
	s->raddr = h->raddr;
	s->laddr = st->group->params.addr;
	s->rport = h->rport;
	s->lport = h->lport;
	if (h->sent_us != 0) { /* tcp_leave() finds that it has been acknowledged */
		s->rtt_active = true;
		s->rtt_seq = s->rtt_una = pcb->lastack;
		s->rtt_start_us = h->sent_us;
	}
	s->iw_pending = true;
	sock_flag_set(s, SF_BOUND | SF_CONNECTED);
	sock_all_add(st, s);
	table_insert(st, s);
	st->counters.conns++;
	st->lw->mib2->tcppassiveopens++;
	queue_for_accept(l, s);
	return s;
}
