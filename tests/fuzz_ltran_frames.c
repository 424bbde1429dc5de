/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames for the fuzzer of ltran's graph, good ones and spoilt ones; see fuzz_ltran.h. */
#include <netinet/in.h>
#include <string.h>

#include <rte_icmp.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "dispatcher/farewell_frame.h"
#include "tests/frame_damage.h"
#include "tests/fuzz_ltran.h"
#include "tests/fuzz_main.h"

uint32_t
fuzz_address(uint8_t which)
{
	static const uint32_t all[] = {IP(ALONE), IP(SHARED), IP(GONE), IP(PEER), IP(KERNEL), IP(255),
		RTE_BE32(0x0a010203), RTE_BE32(0xe0000001)};

	return all[which % RTE_DIM(all)];
}

static void
write_l4(struct rte_ipv4_hdr *ip, uint8_t shape, uint8_t ports)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, 47};

	ip->next_proto_id = protocols[shape % 4];
	if (ip->next_proto_id == IPPROTO_TCP)
		*(struct rte_tcp_hdr *)(ip + 1) = (struct rte_tcp_hdr){.src_port = ports >> 4,
			.dst_port = ports & 15, .sent_seq = RTE_BE32(1000), .recv_ack = RTE_BE32(2000),
			.data_off = 0x50, .tcp_flags = RTE_TCP_ACK_FLAG};
	else if (ip->next_proto_id == IPPROTO_UDP)
		*(struct rte_udp_hdr *)(ip + 1) = (struct rte_udp_hdr){.src_port = ports >> 4,
			.dst_port = ports & 15, .dgram_len = RTE_BE16(8)};
	else if (ip->next_proto_id == IPPROTO_ICMP)
		((struct rte_icmp_hdr *)(ip + 1))->icmp_type = ports % 16;
}

struct rte_mbuf *
fuzz_frame(struct rte_mempool *pool, uint8_t shape, uint32_t src, uint32_t dst, bool is_ours, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct rte_ether_hdr *eth;
	struct rte_ipv4_hdr *ip;

	if (m == NULL)
		return NULL;
	len = RTE_MIN(len + RTE_ETHER_HDR_LEN + sizeof(*ip) + sizeof(struct rte_tcp_hdr), 1600u);
	eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, len);
	memset(eth, 0, len);
	eth->src_addr = is_ours ? fuzz_mac : fuzz_peer_mac;
	eth->dst_addr = is_ours && (shape & 8) ? fuzz_peer_mac : fuzz_mac;
	if (shape & 16 || dst == IP(255))
		memset(&eth->dst_addr, 0xff, sizeof(eth->dst_addr));
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	ip = (struct rte_ipv4_hdr *)(eth + 1);
	*ip = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF, .time_to_live = 64,
		.total_length = rte_cpu_to_be_16(len - RTE_ETHER_HDR_LEN), .src_addr = src, .dst_addr = dst};
	write_l4(ip, shape, (uint8_t)len);
	if ((shape & 7) >= 4 && (shape & 7) < 6) {
		struct farewell_arp *arp = (struct farewell_arp *)eth;

		farewell_write_arp(arp, &eth->src_addr, src, dst);
		arp->arp.arp_opcode = rte_cpu_to_be_16(1 + (shape & 1));
	}
	return m;
}

void
fuzz_spoil(struct rte_mbuf *m, uint8_t kind, uint8_t a, uint8_t b)
{
	switch (kind % 8) {
	case 3:
		if (frame_is_ip4(m))
			frame_change_ip(m, (struct frame_damage){kind / 8, a, b});
		break;
	case 4:
		if (frame_is_ip4(m) && frame_tcp(m) != NULL)
			frame_change_tcp(m, frame_tcp(m), (struct frame_damage){kind / 8, a, b});
		break;
	case 5:
		rte_pktmbuf_mtod(m, uint8_t *)[a % m->data_len] ^= b;
		break;
	case 6:
		rte_pktmbuf_trim(m, m->data_len - RTE_MIN(a, m->data_len));
		break;
	default:
		break;
	}
	if (frame_is_ip4(m) && (kind & 0x80) == 0)
		frame_seal(m);
}

const uint8_t *
fuzz_flat(const struct rte_mbuf *m)
{
	static uint8_t buf[1 << 17];

	fuzz_require(m->pkt_len <= sizeof(buf), "a giant frame");
	return rte_pktmbuf_read(m, 0, m->pkt_len, buf);
}
