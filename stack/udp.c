/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP sockets. The table finds the socket, lwIP's list then holds just its pcb. A datagram of
 * several packets (reassembled, or sent from several pieces) is a run of struct pkt whose `more`
 * is set on all but the last; the first carries the whole length.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"

#include <errno.h>
#include <sys/epoll.h>

#define RCVBUF_MEM 4

/* SO_RCVBUF is of payload; the packets of small datagrams may take some times that. */
static bool
no_memory(struct stack *st, struct sock *s, uint32_t bytes)
{
	uint32_t held = mem_rx_held(s);

	if ((held == 0 || (uint64_t)held + bytes <= (uint64_t)s->rcvbuf * RCVBUF_MEM) &&
	    (!mem_pressure(&st->mem) || mem_may_receive(st, s, bytes)))
		return false;
	st->mem.n_rx_drops++;
	return true;
}

static void
on_datagram(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *addr, u16_t port)
{
	struct sock *s = arg;
	struct stack *st = s->stack;
	uint32_t total = p->tot_len;
	uint64_t held = atomic_load_explicit(&s->rx_bytes_in, memory_order_relaxed) -
			atomic_load_explicit(&s->rx_bytes_out, memory_order_relaxed);
	uint32_t pkts = atomic_load_explicit(&s->rx_pkts_in, memory_order_relaxed) -
			atomic_load_explicit(&s->rx_pkts_out, memory_order_relaxed);
	struct pkt *newest = NULL, *oldest = (struct pkt *)p;
	uint32_t mem = edge_chain_mem(oldest);

	if (s->closed || (pkts > 0 && held + total > s->rcvbuf) || no_memory(st, s, mem)) {
		st->lw->mib2->udpinerrors++;
		st->lw->pbuf_free(p);
		return;
	}
	/* Newest first, as the receive list wants it: published in one step. */
	while (p != NULL) {
		struct pbuf *next = p->next;
		struct pkt *k = (struct pkt *)p;

		k->data = p->payload;
		k->len = p->len;
		k->off = 0;
		k->more = next != NULL;
		k->addr = addr->addr;
		k->port = lwip_htons(port);
		k->dgram_len = k == oldest ? total : 0;
		k->next = newest;
		newest = k;
		p->next = NULL;
		p->ref = 0; /* not lwIP's any more, see edge.c */
		p = next;
	}
	sock_push_rx(s, newest, oldest, total, mem);
	mem_settle(&st->mem, s);
	sock_notify(s, EPOLLIN);
}

struct opening {
	struct sock *s;
	bool is_open;
};

static void
open_pcb(struct stack *st, void *arg)
{
	struct opening *o = arg;
	struct sock *s = o->s;
	ip_addr_t any = {0};

	*st->lw->udp_pcbs = NULL;
	s->udp = st->lw->udp_new();
	if (s->udp != NULL) {
		st->lw->udp_bind(s->udp, &any, lwip_ntohs(s->lport));
		st->lw->udp_recv(s->udp, on_datagram, s);
		o->is_open = true;
	}
	*st->lw->udp_pcbs = NULL;
}

int
udp_sock_open(struct stack *st, struct sock *s)
{
	struct opening o = {.s = s};

	if (lwip_guard(st, open_pcb, &o) && o.is_open)
		return 0;
	if (s->udp != NULL)
		st->lw->udp_reclaim(s->udp);
	s->udp = NULL;
	return -ENOMEM;
}

/* `p` is the head of a pbuf chain at the UDP header. */
bool
udp_rx_datagram(struct stack *st, struct sock *s, struct pkt *p, const void *ip)
{
	uint64_t before = atomic_load_explicit(&s->rx_pkts_in, memory_order_relaxed);

	s->udp->next = NULL;
	*st->lw->udp_pcbs = s->udp;
	st->lw->udp_input((struct pbuf *)p, st->netif, ip);
	*st->lw->udp_pcbs = NULL;
	return atomic_load_explicit(&s->rx_pkts_in, memory_order_relaxed) != before;
}

/* The first datagram of s->tx_head: the pieces to the first one without `more`. Returns what follows. */
static struct pkt *
send_one(struct stack *st, struct sock *s)
{
	const struct lwip_image *lw = st->lw;
	struct udp_sending *u = &st->udp_sending;
	struct pkt *p = s->tx_head;
	ip_addr_t to = {p->addr};
	uint16_t port = lwip_ntohs(p->port);
	bool ok = true;

	s->tx_out = NULL;
	for (bool more = true; more; p = p->next) {
		struct pbuf *pb = lw->pbuf_alloc_reference(p->data, p->len, PBUF_ROM);

		more = p->more;
		if (pb == NULL)
			ok = false;
		else if (u->head == NULL)
			u->head = pb;
		else
			lw->pbuf_cat(u->head, pb);
	}
	s->udp->next = NULL;
	*lw->udp_pcbs = s->udp;
	s->udp->ttl = s->ttl;
	s->udp->tos = s->tos;
	if (s->broadcast)
		ip_set_option(s->udp, SOF_BROADCAST);
	if (ok)
		lw->udp_sendto(s->udp, u->head, &to, port);
	*lw->udp_pcbs = NULL;
	if (u->head != NULL)
		lw->pbuf_free(u->head);
	u->head = NULL;
	return p;
}

/* Free what is to be sent up to `after`, and note it. */
static inline void
forget_until(struct stack *st, struct sock *s, const struct pkt *after)
{
	struct udp_sending *u = &st->udp_sending;

	while (s->tx_head != after) {
		struct pkt *p = s->tx_head;

		s->tx_head = p->next;
		u->charge += p->charge;
		u->bytes += p->len;
		u->mem += edge_free(p);
	}
}

static void
sending_done(struct stack *st, struct sock *s)
{
	struct udp_sending *u = &st->udp_sending;

	st->cur = NULL;
	s->tx_out = NULL;
	mem_count(&s->tx_charge_acked, u->charge);
	mem_count(&s->tx_mem_out, u->mem);
	atomic_fetch_add_explicit(&s->tx_bytes_acked, u->bytes, memory_order_seq_cst);
	if (sock_flags(s) & SF_TX_FULL) {
		sock_flag_clear(s, SF_TX_FULL);
		sock_notify(s, EPOLLOUT);
	}
}

static void
send_all(struct stack *st, struct sock *s)
{
	struct pkt *last;

	st->udp_sending = (struct udp_sending){0};
	st->cur = s;
	s->tx_head = pkts_take(&s->tx_in, &last);
	while (s->tx_head != NULL)
		forget_until(st, s, s->udp != NULL ? send_one(st, s) : NULL);
	sending_done(st, s);
}

static void
remove_pcb(struct stack *st, void *arg)
{
	struct sock *s = arg;

	s->udp->next = NULL;
	*st->lw->udp_pcbs = s->udp;
	st->lw->udp_remove(s->udp);
	*st->lw->udp_pcbs = NULL;
	s->udp = NULL;
}

static void
finish_close(struct stack *st, struct sock *s)
{
	if (s->udp != NULL && !lwip_guard(st, remove_pcb, s)) {
		st->lw->udp_reclaim(s->udp);
		s->udp = NULL;
	}
	if (sock_flags(s) & SF_BOUND) {
		table_unbind(st, s);
		share_port(st, s);
	}
	sock_retire(st, s);
	sock_reap(st);
}

void
udp_sock_serve(struct stack *st, struct sock *s, uint32_t reasons)
{
	if (reasons & SD_CLOSE)
		s->closed = true; /* now: udp_sock_cut() goes on with it */
	send_all(st, s);
	mem_settle(&st->mem, s);
	if (reasons & SD_CLOSE)
		finish_close(st, s);
}

void
udp_sock_cut(struct stack *st, struct sock *s)
{
	st->lw->pbuf_reclaim(st->udp_sending.head);
	st->udp_sending.head = NULL;
	forget_until(st, s, NULL);
	sending_done(st, s);
	mem_settle(&st->mem, s);
	if (s->closed)
		finish_close(st, s);
}
