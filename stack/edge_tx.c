/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Out of a stack: lwIP's packets become mbufs, which wait in a ring for the node socket-tx.
 *
 * lwIP hands over a pbuf chain: headers it will use again for a retransmission, and payload
 * that lies in packets of the socket's send queue. Headers are copied into a fresh mbuf; a small
 * payload follows them; a large one is attached by reference (an indirect mbuf), so the sender's
 * one copy, made by send(), stays the only one. No pbuf is held until the port is done: lwIP may
 * retransmit at any time.
 */
#include "stack/edge_mbuf.h"
#include "stack/impl.h"
#include "stack/lwip_image.h"

#include <errno.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

/* Payloads up to this are copied behind the headers: cheaper than one more mbuf. */
#define COPY_MAX 512
#define TXQ_SHARE 4 /* a large segment takes two of the pool's packets */

bool
stack_tx_pending(const struct stack *st)
{
	return st->txq_head != st->txq_tail;
}

bool
edge_tx_push(struct stack *st, struct rte_mbuf *m)
{
	if (st->txq_tail - st->txq_head == STACK_TXQ) {
		rte_pktmbuf_free(m);
		st->tx_full_drops++;
		return false;
	}
	st->txq[st->txq_tail++ & (STACK_TXQ - 1)] = m;
	return true;
}

/* The send-queue packet of the current socket that holds `payload`. */
static struct pkt *
find_payload(struct sock *s, const uint8_t *payload)
{
	struct pkt *p = s->tx_out != NULL ? s->tx_out : s->tx_head;

	for (int pass = 0; pass < 2; pass++) {
		for (; p != NULL; p = p->next) {
			if (payload >= p->data && payload < p->data + p->len) {
				s->tx_out = p;
				return p;
			}
		}
		p = s->tx_head; /* a retransmission starts before the cursor */
	}
	return NULL;
}

/* Attach `len` bytes at `payload` to the packet by reference; NULL: cannot, copy. */
static struct rte_mbuf *
attach_payload(struct stack *st, const uint8_t *payload, uint16_t len)
{
	struct rte_mbuf *m, *direct;
	struct pkt *p;

	if (st->cur == NULL)
		return NULL;
	p = find_payload(st->cur, payload);
	if (p == NULL)
		return NULL;
	m = rte_pktmbuf_alloc(st->wiring.pool);
	if (m == NULL)
		return NULL;
	direct = pkt_mbuf(p);
	rte_pktmbuf_attach(m, direct);
	m->data_off = payload - (const uint8_t *)direct->buf_addr;
	m->data_len = len;
	m->pkt_len = len;
	m->next = NULL;
	m->nb_segs = 1;
	return m;
}

/* Append bytes by copying, in further segments where one is full. */
static int
append_copy(struct stack *st, struct rte_mbuf *head, struct rte_mbuf **tail, const uint8_t *data,
	uint32_t len)
{
	while (len > 0) {
		uint32_t room = RTE_MBUF_DIRECT(*tail) ? rte_pktmbuf_tailroom(*tail) : 0;
		uint32_t n = RTE_MIN(room, len);

		if (n > 0) {
			memcpy(rte_pktmbuf_mtod_offset(*tail, void *, (*tail)->data_len), data, n);
			(*tail)->data_len += n;
			head->pkt_len += n;
			data += n;
			len -= n;
			continue;
		}
		struct rte_mbuf *m = rte_pktmbuf_alloc(st->wiring.pool);

		if (m == NULL)
			return -ENOMEM;
		(*tail)->next = m;
		*tail = m;
		head->nb_segs++;
	}
	return 0;
}

static int
append_pbuf(struct stack *st, struct rte_mbuf *head, struct rte_mbuf **tail, const struct pbuf *q)
{
	struct rte_mbuf *m = NULL;

	if (q->len > COPY_MAX && (q->type_internal & PBUF_TYPE_FLAG_DATA_VOLATILE) == 0 &&
	    (q->type_internal & PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS) == 0)
		m = attach_payload(st, q->payload, q->len);
	if (m == NULL)
		return append_copy(st, head, tail, q->payload, q->len);
	(*tail)->next = m;
	*tail = m;
	head->nb_segs++;
	head->pkt_len += q->len;
	return 0;
}

/* Header lengths, offload wishes and the fields lwIP leaves to its driver. */
static void
finish_headers(struct stack *st, struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);

	m->l2_len = 0;
	m->l3_len = rte_ipv4_hdr_len(ip);
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	ip->hdr_checksum = 0;
	if (ip->next_proto_id == IPPROTO_TCP) {
		struct rte_tcp_hdr *tcp = (void *)((char *)ip + m->l3_len);

		m->l4_len = (tcp->data_off >> 4) * 4;
		m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
		/* RFC 6864: an atomic datagram needs no id. */
		ip->packet_id = 0;
		ip->fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG);
		if (st->cur != NULL && st->cur->pcb != NULL &&
			m->pkt_len > (uint32_t)m->l3_len + m->l4_len + st->cur->pcb->mss) {
			m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
			m->tso_segsz = st->cur->pcb->mss;
		}
	} else if (ip->next_proto_id == IPPROTO_UDP) {
		m->l4_len = sizeof(struct rte_udp_hdr);
		m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
	}
}

/* Start the clock for one round-trip sample (RFC 6298): only data sent for the first time. */
static void
sample_rtt(struct stack *st, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_tcp_hdr *tcp = (const void *)((const char *)ip + m->l3_len);
	uint32_t payload = m->pkt_len - m->l3_len - m->l4_len;
	uint32_t seq = rte_be_to_cpu_32(tcp->sent_seq);
	struct sock *s = st->cur;
	bool syn = (tcp->tcp_flags & RTE_TCP_SYN_FLAG) != 0;

	if (payload == 0 && !syn)
		return;
	/* lwIP moves snd_nxt past a SYN before it sends it. */
	if (syn ? s->pcb->nrtx > 0 : (int32_t)(seq - s->pcb->snd_nxt) < 0) {
		s->retransmits++;
		/* Karn: an ACK would be ambiguous. A SACK is of what it names alone. */
		if ((int32_t)(seq - s->rtt_seq) < 0 && ((s->pcb->flags & TF_SACK) == 0 ||
				(int32_t)(seq + payload - s->rtt_seq) >= 0))
			s->rtt_active = false;
		return;
	}
	if (!s->rtt_active) {
		s->rtt_active = true;
		s->rtt_seq = seq + payload + syn;
		s->rtt_una = s->pcb->lastack;
		s->rtt_start_us = st->now_us;
	}
}

/*
 * Packets that wait for the port may be a part of the pool: two peers that both have their whole pool
 * in there could not receive what would let them send.
 */
static bool
txq_is_full(struct stack *st)
{
	if (st->txq_max == 0) {
		st->txq_max = st->wiring.pool->size / TXQ_SHARE / st->group->n;
		if (st->txq_max > STACK_TXQ)
			st->txq_max = STACK_TXQ;
		if (st->txq_max == 0)
			st->txq_max = 1;
	}
	return st->txq_tail - st->txq_head >= st->txq_max;
}

bool
edge_tx_room(struct stack *st, bool half)
{
	return !txq_is_full(st) && (!half || (st->txq_tail - st->txq_head) * 2 < st->txq_max);
}

/* netif->output: lwIP's packet becomes an mbuf in the tx queue. The pbufs stay lwIP's. */
err_t
edge_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *next)
{
	struct stack *st = netif->state;
	struct rte_mbuf *m, *tail;

	if (txq_is_full(st)) {
		st->tx_full_drops++;
		return ERR_MEM;
	}
	m = tail = rte_pktmbuf_alloc(st->wiring.pool);
	if (m == NULL) {
		st->counters.alloc_fail++;
		return ERR_MEM;
	}
	m->data_off = RTE_PKTMBUF_HEADROOM;
	for (const struct pbuf *q = p; q != NULL; q = q->next) {
		if (append_pbuf(st, m, &tail, q) != 0) {
			st->counters.alloc_fail++;
			rte_pktmbuf_free(m);
			return ERR_MEM;
		}
	}
	finish_headers(st, m);
	if (st->cur != NULL && st->cur->pcb != NULL && (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) ==
			RTE_MBUF_F_TX_TCP_CKSUM)
		sample_rtt(st, m);
	return edge_tx_push(st, m) ? ERR_OK : ERR_MEM;
}

uint16_t
stack_tx(struct stack *st, struct rte_mbuf **pkts, uint16_t max)
{
	uint16_t n = 0;

	while (n < max && st->txq_head != st->txq_tail)
		pkts[n++] = st->txq[st->txq_head++ & (STACK_TXQ - 1)];
	if (n > 0)
		st->worked = true;
	return n;
}
