/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames for unit tests: valid by default, then bent by the test. */
#ifndef TESTS_FRAMES_H
#define TESTS_FRAMES_H

#include <arpa/inet.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#define FRAME_OURS RTE_BE32(0xc6120001)  /* 198.18.0.1 */
#define FRAME_PEER RTE_BE32(0xc6120002)  /* 198.18.0.2 */
#define FRAME_MASK RTE_BE32(0xffffff00)
#define FRAME_IP(m) rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, 14)
#define FRAME_L4(m, type) rte_pktmbuf_mtod_offset(m, type *, 14 + rte_ipv4_hdr_len(FRAME_IP(m)))

static const struct rte_ether_addr frame_our_mac = { { 2, 0, 0, 0, 0, 1 } };
static const struct rte_ether_addr frame_peer_mac = { { 2, 0, 0, 0, 0, 2 } };

/* Complete all checksums again after a change. */
static inline void
frame_seal(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = FRAME_IP(m);
	uint16_t l4_off = 14 + rte_ipv4_hdr_len(ip), sum;

	ip->hdr_checksum = 0;
	ip->hdr_checksum = ~rte_raw_cksum(ip, rte_ipv4_hdr_len(ip));
	if (ip->next_proto_id == IPPROTO_TCP) {
		struct rte_tcp_hdr *tcp = FRAME_L4(m, struct rte_tcp_hdr);

		tcp->cksum = 0;
		tcp->cksum = rte_ipv4_udptcp_cksum_mbuf(m, ip, l4_off);
	} else if (ip->next_proto_id == IPPROTO_UDP) {
		struct rte_udp_hdr *udp = FRAME_L4(m, struct rte_udp_hdr);

		udp->dgram_cksum = 0;
		udp->dgram_cksum = rte_ipv4_udptcp_cksum_mbuf(m, ip, l4_off);
	} else if (ip->next_proto_id == IPPROTO_ICMP) {
		struct rte_icmp_hdr *icmp = FRAME_L4(m, struct rte_icmp_hdr);

		icmp->icmp_cksum = 0;
		rte_raw_cksum_mbuf(m, l4_off, m->pkt_len - l4_off, &sum);
		icmp->icmp_cksum = ~sum;
	}
}

/* Ethernet + IPv4 + `l4_len` bytes counting up, from the peer to us, as received on port 0. */
static inline struct rte_mbuf *
frame_ip(struct rte_mempool *pool, uint8_t proto, uint16_t l4_len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, 14 + 20 + l4_len);
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)p;

	m->port = 0;
	eth->dst_addr = frame_our_mac;
	eth->src_addr = frame_peer_mac;
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	*FRAME_IP(m) = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF, .total_length = htons(20 + l4_len),
		.time_to_live = 64, .next_proto_id = proto,
		.src_addr = FRAME_PEER, .dst_addr = FRAME_OURS,
	};
	for (uint16_t i = 0; i < l4_len; i++)
		p[34 + i] = (uint8_t)i;
	return m;
}

static inline struct rte_mbuf *
frame_tcp(struct rte_mempool *pool, const void *options, uint8_t options_len, uint16_t payload)
{
	struct rte_mbuf *m = frame_ip(pool, IPPROTO_TCP, 20 + options_len + payload);
	struct rte_tcp_hdr *tcp = FRAME_L4(m, struct rte_tcp_hdr);

	*tcp = (struct rte_tcp_hdr){
		.src_port = htons(40000), .dst_port = htons(80),
		.data_off = (20 + options_len) / 4 << 4, .tcp_flags = RTE_TCP_ACK_FLAG,
	};
	if (options_len > 0)
		memcpy(tcp + 1, options, options_len);
	frame_seal(m);
	return m;
}

static inline struct rte_mbuf *
frame_udp(struct rte_mempool *pool, uint16_t payload)
{
	struct rte_mbuf *m = frame_ip(pool, IPPROTO_UDP, 8 + payload);
	struct rte_udp_hdr *udp = FRAME_L4(m, struct rte_udp_hdr);

	udp->src_port = htons(40000);
	udp->dst_port = htons(53);
	udp->dgram_len = htons(8 + payload);
	frame_seal(m);
	return m;
}

static inline struct rte_mbuf *
frame_icmp(struct rte_mempool *pool, uint8_t type, uint16_t payload)
{
	struct rte_mbuf *m = frame_ip(pool, IPPROTO_ICMP, 8 + payload);

	FRAME_L4(m, struct rte_icmp_hdr)->icmp_type = type;
	frame_seal(m);
	return m;
}

/* Move everything behind the first `len` bytes into a second segment. */
static inline void
frame_split(struct rte_mbuf *m, uint16_t len)
{
	struct rte_mbuf *tail = rte_pktmbuf_alloc(m->pool);
	uint16_t rest = m->data_len - len;

	memcpy(rte_pktmbuf_append(tail, rest), rte_pktmbuf_mtod_offset(m, char *, len), rest);
	rte_pktmbuf_trim(m, rest);
	rte_pktmbuf_chain(m, tail);
}

#endif
