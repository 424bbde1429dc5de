/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP segments without data that lwIP knows nothing of: answers to handshakes. */
#include "stack/edge_mbuf.h"

#include <rte_ip.h>
#include <rte_tcp.h>

#define NOP 1

/* Options as lwIP orders them; the number of bytes, a multiple of 4. */
static uint32_t
write_options(uint8_t *o, const struct edge_bare *b)
{
	uint32_t n = 0;

	if (b->mss == 0)
		return 0;
	memcpy(o, (uint8_t[]){2, 4, b->mss >> 8, b->mss & 0xff}, 4);
	n = 4;
	if (b->scale != EDGE_BARE_NO_SCALE) {
		memcpy(o + n, (uint8_t[]){NOP, 3, 3, b->scale}, 4);
		n += 4;
	}
	if (b->sack) {
		memcpy(o + n, (uint8_t[]){NOP, NOP, 4, 2}, 4);
		n += 4;
	}
	return n;
}

void
edge_send_bare(struct stack *st, const struct edge_bare *b)
{
	struct rte_mbuf *m = NULL;
	struct rte_ipv4_hdr *ip;
	struct rte_tcp_hdr *tcp;
	uint32_t n;

	if (edge_tx_room(st, b->stranger))
		m = rte_pktmbuf_alloc(st->wiring.pool);
	if (m == NULL) {
		st->counters.alloc_fail++;
		return; /* the peer asks again */
	}
	m->data_off = RTE_PKTMBUF_HEADROOM;
	ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	tcp = (struct rte_tcp_hdr *)(ip + 1);
	n = write_options((uint8_t *)(tcp + 1), b);
	*ip = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF,
		.type_of_service = b->tos,
		.total_length = rte_cpu_to_be_16(sizeof(*ip) + sizeof(*tcp) + n),
		.fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = b->ttl,
		.next_proto_id = IPPROTO_TCP,
		.src_addr = st->group->params.addr,
		.dst_addr = b->raddr};
	*tcp = (struct rte_tcp_hdr){.src_port = b->lport,
		.dst_port = b->rport,
		.sent_seq = rte_cpu_to_be_32(b->seq),
		.recv_ack = rte_cpu_to_be_32(b->ack),
		.data_off = (sizeof(*tcp) + n) / 4 << 4,
		.tcp_flags = b->flags,
		.rx_win = rte_cpu_to_be_16(b->wnd)};
	m->l2_len = 0;
	m->l3_len = sizeof(*ip);
	m->l4_len = sizeof(*tcp) + n;
	m->pkt_len = m->data_len = sizeof(*ip) + sizeof(*tcp) + n;
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
	edge_tx_push(st, m);
}
