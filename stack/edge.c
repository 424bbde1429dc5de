/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where mbufs and pbufs meet: with edge_tx.c the one place that includes both DPDK and lwIP.
 *
 * In: the mbuf's private area becomes a custom pbuf that refers to the packet's bytes; nothing is
 * copied. lwIP gives the pbuf back in its receive callback, where tcp.c and udp.c unchain it into
 * single packets (struct pkt) for the socket's queue, or frees it, which frees the mbuf.
 * The way out is in edge_tx.c.
 */
#include "stack/edge_mbuf.h"
#include "stack/impl.h"
#include "stack/lwip_image.h"

#include <errno.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#define PREFETCH_AHEAD 4
#define BURST_MAX 256

_Static_assert(sizeof(((struct pkt *)0)->pbuf) >= sizeof(struct pbuf_custom), "pbuf fits");

/* --- in ----------------------------------------------------------------------------------------------- */

static void
pbuf_gone(struct pbuf *pb)
{
	edge_free((struct pkt *)pb);
}

uint32_t
edge_chain_mem(const struct pkt *p)
{
	uint32_t bytes = 0;

	for (const struct pbuf *pb = (const struct pbuf *)p; pb != NULL; pb = pb->next)
		bytes += edge_mem((const struct pkt *)pb);
	return bytes;
}

/* What pbuf_alloced_custom() does for PBUF_REF, without the call. */
static inline struct pbuf *
custom_pbuf(struct pkt *p, void *payload, uint16_t len)
{
	struct pbuf_custom *pc = (struct pbuf_custom *)p->pbuf;

	pc->custom_free_function = pbuf_gone;
	p->next = NULL;
	pc->pbuf.next = NULL;
	pc->pbuf.payload = payload;
	pc->pbuf.tot_len = len;
	pc->pbuf.len = len;
	pc->pbuf.type_internal = (u8_t)PBUF_REF;
	pc->pbuf.flags = PBUF_FLAG_IS_CUSTOM;
	pc->pbuf.ref = 1;
	pc->pbuf.if_idx = NETIF_NO_INDEX;
	return &pc->pbuf;
}

/* One segment as a custom pbuf in its private area. */
static inline struct pbuf *
segment_pbuf(struct stack *st, struct rte_mbuf *m, uint16_t skip)
{
	return custom_pbuf(mbuf_pkt(m), rte_pktmbuf_mtod_offset(m, void *, skip), m->data_len - skip);
}

struct pkt *
edge_copy_out(struct stack *st, const struct pkt *from, const void **ip)
{
	const struct pbuf *pb = (const struct pbuf *)from;
	const uint8_t *payload = pb->payload;
	uint32_t before = payload - (const uint8_t *)*ip;
	struct pkt *p = edge_block(st, before + pb->len);

	if (p == NULL)
		return NULL;
	memcpy(p->data, *ip, before + pb->len);
	*ip = p->data;
	custom_pbuf(p, p->data + before, pb->len);
	return p;
}

/* The packet behind its IP header as a pbuf chain. */
static struct pbuf *
packet_pbuf(struct stack *st, struct rte_mbuf *m)
{
	struct pbuf *head = segment_pbuf(st, m, m->l2_len + m->l3_len), *last = head;
	struct rte_mbuf *seg = m->next;

	head->tot_len = m->pkt_len - m->l2_len - m->l3_len;
	m->next = NULL;
	m->nb_segs = 1;
	while (seg != NULL) {
		struct rte_mbuf *next = seg->next;

		seg->next = NULL;
		seg->nb_segs = 1;
		if (seg->data_len == 0) {
			rte_pktmbuf_free_seg(seg);
		} else {
			last->next = segment_pbuf(st, seg, 0);
			last->next->tot_len = last->tot_len - last->len;
			last = last->next;
		}
		seg = next;
	}
	return head;
}

static inline uint32_t
packet_hash(const struct stack *st, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);
	const struct rte_tcp_hdr *tcp = (const void *)((const char *)ip + m->l3_len);

	return table_hash(st, ip->src_addr, tcp->src_port, tcp->dst_port);
}

/* With an exception path, what nobody here wants belongs to the kernel, untouched. */
static bool
is_ours(const struct stack *st, const struct rte_ipv4_hdr *ip, uint32_t hash)
{
	const struct rte_tcp_hdr *tcp = (const void *)((const char *)ip + rte_ipv4_hdr_len(ip));

	return table_find(st, hash, ip->src_addr, tcp->src_port, tcp->dst_port) != NULL ||
	       table_listener(st, tcp->dst_port, hash) != NULL;
}

/* A vector on its way in; what an assertion of lwIP must not make us forget (lwip_guard.c). */
struct vector {
	struct rte_mbuf **pkts;
	const uint32_t *hash;
	uint16_t n, at; /* packets before `at` are done */
	uint64_t *counts;
	struct rte_mbuf **no_socket;
	uint16_t missed;
};

/* Run all of the vector. A packet whose work was cut off is given back if lwIP has it still: it has
 * neither freed it nor given it to a socket then, and both leave no reference. With several stacks
 * another one may have received into its buffer already; then it is lost instead. */
static void
run_vector(struct stack *st, void (*run)(struct stack *st, void *arg), struct vector *v)
{
	while (v->at < v->n && !lwip_guard(st, run, v)) {
		struct pbuf *pb = (struct pbuf *)mbuf_pkt(v->pkts[v->at++])->pbuf;

		if (pb->ref != 0 && st->group->n == 1)
			pbuf_gone(pb);
	}
}

static void
run_tcp(struct stack *st, void *arg)
{
	struct vector *v = arg;

	for (; v->at < v->n; v->at++) {
		struct rte_mbuf *m = v->pkts[v->at];
		const void *ip = rte_pktmbuf_mtod_offset(m, void *, m->l2_len);
		uint32_t hash = v->hash[v->at];

		if (v->no_socket != NULL && !is_ours(st, ip, hash)) {
			v->no_socket[v->missed++] = m;
			v->counts[STACK_NO_SOCKET]++;
			continue;
		}
		tcp_rx_segment(st, (struct pkt *)packet_pbuf(st, m), ip, hash, v->counts);
	}
	tcp_feed_pending(st, NULL);
}

void
stack_rx_tcp(struct stack *st, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts,
	struct rte_mbuf **no_socket, uint16_t *n_no_socket)
{
	uint32_t hash[BURST_MAX];
	struct vector v = {.hash = hash, .counts = counts, .no_socket = no_socket};

	stack_clock(st);
	mem_check(st);
	st->worked = true;
	while (n > 0) {
		uint16_t burst = RTE_MIN(n, BURST_MAX);

		/* First the buckets, then the sockets, then their pcbs: the misses of each step
		 * overlap. Among many connections nothing of any is in a cache. */
		for (uint16_t i = 0; i < burst; i++) {
			if (i + PREFETCH_AHEAD < burst)
				rte_prefetch0(rte_pktmbuf_mtod(pkts[i + PREFETCH_AHEAD], void *));
			hash[i] = packet_hash(st, pkts[i]);
			rte_prefetch0(table_bucket(st, hash[i]));
		}
		for (uint16_t i = 0; i < burst; i++) {
			struct sock *s = *table_bucket(st, hash[i]);

			if (s != NULL)
				sock_prefetch(s);
		}
		for (uint16_t i = 0; i < burst; i++) {
			struct sock *s = *table_bucket(st, hash[i]);

			if (s != NULL)
				sock_prefetch_pcb(s);
		}
		v.pkts = pkts;
		v.n = burst;
		v.at = 0;
		run_vector(st, run_tcp, &v);
		pkts += burst;
		n -= burst;
	}
	if (n_no_socket != NULL)
		*n_no_socket = v.missed;
	while (st->pending != NULL)
		lwip_guard(st, tcp_feed_pending, NULL);
	if (st->zombies != NULL)
		sock_reap(st);
}

static void
run_udp(struct stack *st, void *arg)
{
	struct vector *v = arg;

	for (; v->at < v->n; v->at++) {
		struct rte_mbuf *m = v->pkts[v->at];
		const struct rte_ipv4_hdr *ip =
			rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);
		const struct rte_udp_hdr *udp = (const void *)((const char *)ip + m->l3_len);
		struct sock *s = table_udp(st, udp->dst_port, ip->src_addr, udp->src_port);

		if (s == NULL) {
			st->lw->mib2->udpnoports++;
			v->counts[STACK_NO_SOCKET]++;
			if (v->no_socket != NULL)
				v->no_socket[v->missed++] = m;
			else
				rte_pktmbuf_free(m);
			continue;
		}
		if (udp_rx_datagram(st, s, (struct pkt *)packet_pbuf(st, m), ip))
			v->counts[STACK_ACCEPTED]++;
		else
			v->counts[STACK_NO_MEMORY]++;
	}
}

void
stack_rx_udp(struct stack *st, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts,
	struct rte_mbuf **no_socket, uint16_t *n_no_socket)
{
	struct vector v = {.pkts = pkts, .n = n, .counts = counts, .no_socket = no_socket};

	stack_clock(st);
	mem_check(st);
	st->worked = true;
	run_vector(st, run_udp, &v);
	if (n_no_socket != NULL)
		*n_no_socket = v.missed;
}

static void
run_icmp(struct stack *st, void *arg)
{
	struct vector *v = arg;

	for (; v->at < v->n; v->at++) {
		struct rte_mbuf *m = v->pkts[v->at];
		const void *ip = rte_pktmbuf_mtod_offset(m, void *, m->l2_len);

		st->lw->icmp_input(packet_pbuf(st, m), st->netif, ip);
		v->counts[STACK_ACCEPTED]++;
	}
}

void
stack_rx_icmp(struct stack *st, struct rte_mbuf **pkts, uint16_t n, uint64_t *counts)
{
	struct vector v = {.pkts = pkts, .n = n, .counts = counts};

	stack_clock(st);
	st->worked = true;
	run_vector(st, run_icmp, &v);
}

/* --- set-up ------------------------------------------------------------------------------------------- */

static err_t
netif_setup(struct netif *netif)
{
	struct stack *st = netif->state;

	netif->name[0] = 'g';
	netif->name[1] = 'z';
	netif->output = edge_output;
	netif->mtu = st->group->params.mtu;
	netif->flags = NETIF_FLAG_BROADCAST;
	return ERR_OK;
}

int
edge_attach(struct stack *st)
{
	const struct stack_params *p = &st->group->params;
	ip4_addr_t ip = {p->addr}, mask = {p->mask}, gw = {p->gateway};

	st->netif = calloc(1, sizeof(*st->netif));
	st->txq = calloc(STACK_TXQ, sizeof(*st->txq));
	if (st->netif == NULL || st->txq == NULL) {
		edge_detach(st);
		return -ENOMEM;
	}
	st->lw->init(st->netif, &ip, &mask, &gw, st, netif_setup);
	st->ext_id = st->lw->ext_arg_alloc_id();
	return 0;
}

void
edge_detach(struct stack *st)
{
	while (st->txq != NULL && st->txq_head != st->txq_tail)
		rte_pktmbuf_free(st->txq[st->txq_head++ & (STACK_TXQ - 1)]);
	free(st->netif);
	free(st->txq);
	st->netif = NULL;
	st->txq = NULL;
}
