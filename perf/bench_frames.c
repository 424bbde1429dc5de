/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames for graph_bench. */

#include <string.h>

#include <netinet/in.h>

#include <rte_arp.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "perf/bench_frames.h"

#define FRAME_LEN 64 /* the smallest frame, with its CRC counted where a wire would */
#define FRAGMENT_DATA 48 /* bytes of IP payload in each fragment, a multiple of 8 */

const struct rte_ether_addr bench_mac = { { 0x02, 0, 0, 0, 0, 1 } };
const struct rte_ether_addr bench_peer_mac = { { 0x02, 0, 0, 0, 0, 2 } };

static uint8_t *
put_ether(struct bench_frame *f, const struct rte_ether_addr *dst, uint16_t type)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)f->bytes;

	memset(f, 0, sizeof(*f));
	eth->dst_addr = *dst;
	eth->src_addr = bench_peer_mac;
	eth->ether_type = htons(type);
	return (uint8_t *)(eth + 1);
}

static uint8_t *
put_ip(uint8_t *at, uint32_t src, uint32_t dst, uint8_t proto, uint16_t total, uint16_t fragment)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)at;

	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->total_length = htons(total);
	ip->fragment_offset = htons(fragment);
	ip->time_to_live = 64;
	ip->next_proto_id = proto;
	ip->src_addr = src;
	ip->dst_addr = dst;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	return (uint8_t *)(ip + 1);
}

static void
put_tcp(uint8_t *at)
{
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)at;

	tcp->src_port = htons(40000);
	tcp->dst_port = htons(80);
	tcp->sent_seq = htonl(1);
	tcp->recv_ack = htonl(1);
	tcp->data_off = sizeof(*tcp) / 4 << 4;
	tcp->tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG;
	tcp->rx_win = htons(65535);
}

static void
put_udp(uint8_t *at, uint16_t len)
{
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)at;

	udp->src_port = htons(40000);
	udp->dst_port = htons(53);
	udp->dgram_len = htons(len);
}

void
bench_frame_tcp(struct bench_frame *f, uint64_t ol_flags)
{
	uint8_t *ip = put_ether(f, &bench_mac, RTE_ETHER_TYPE_IPV4);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)put_ip(ip, BENCH_PEER, BENCH_ADDR,
		IPPROTO_TCP, FRAME_LEN - RTE_ETHER_HDR_LEN, 0);

	put_tcp((uint8_t *)tcp);
	tcp->cksum = rte_ipv4_udptcp_cksum((const struct rte_ipv4_hdr *)ip, tcp);
	f->len = FRAME_LEN;
	f->ol_flags = ol_flags;
}

void
bench_frame_udp(struct bench_frame *f)
{
	uint16_t len = FRAME_LEN - RTE_ETHER_HDR_LEN;
	uint8_t *ip = put_ether(f, &bench_mac, RTE_ETHER_TYPE_IPV4);

	put_udp(put_ip(ip, BENCH_PEER, BENCH_ADDR, IPPROTO_UDP, len, 0),
		len - sizeof(struct rte_ipv4_hdr));
	f->len = FRAME_LEN;
	f->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

void
bench_frame_echo(struct bench_frame *f)
{
	uint16_t len = FRAME_LEN - RTE_ETHER_HDR_LEN;
	uint8_t *ip = put_ether(f, &bench_mac, RTE_ETHER_TYPE_IPV4);
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)put_ip(ip, BENCH_PEER, BENCH_ADDR,
		IPPROTO_ICMP, len, 0);

	icmp->icmp_type = RTE_IP_ICMP_ECHO_REQUEST;
	icmp->icmp_cksum = (uint16_t)~rte_raw_cksum(icmp, len - sizeof(struct rte_ipv4_hdr));
	f->len = FRAME_LEN;
	f->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

void
bench_frame_arp(struct bench_frame *f, uint16_t opcode)
{
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)put_ether(f, &bench_mac, RTE_ETHER_TYPE_ARP);

	arp->arp_hardware = htons(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = htons(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = RTE_ETHER_ADDR_LEN;
	arp->arp_plen = sizeof(uint32_t);
	arp->arp_opcode = htons(opcode);
	arp->arp_data.arp_sha = bench_peer_mac;
	arp->arp_data.arp_sip = BENCH_PEER;
	if (opcode == RTE_ARP_OP_REPLY)
		arp->arp_data.arp_tha = bench_mac;
	arp->arp_data.arp_tip = BENCH_ADDR;
	f->len = FRAME_LEN;
}

void
bench_frame_fragment(struct bench_frame *f, uint16_t id, bool second)
{
	uint16_t offset = second ? FRAGMENT_DATA / 8 : RTE_IPV4_HDR_MF_FLAG;
	uint16_t total = sizeof(struct rte_ipv4_hdr) + FRAGMENT_DATA;
	uint8_t *at = put_ether(f, &bench_mac, RTE_ETHER_TYPE_IPV4);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)at;
	uint8_t *payload = put_ip(at, BENCH_PEER, BENCH_ADDR, IPPROTO_UDP, total, offset);

	ip->packet_id = id;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	if (!second)
		put_udp(payload, 2 * FRAGMENT_DATA);
	f->len = RTE_ETHER_HDR_LEN + total;
	f->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

static void
outgoing(struct bench_frame *f, uint16_t len, uint16_t l4_len, uint64_t l4_flag)
{
	f->len = len;
	f->l3_len = sizeof(struct rte_ipv4_hdr);
	f->l4_len = l4_len;
	f->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | l4_flag;
}

void
bench_packet_tcp(struct bench_frame *f)
{
	uint16_t len = FRAME_LEN - RTE_ETHER_HDR_LEN;

	memset(f, 0, sizeof(*f));
	put_tcp(put_ip(f->bytes, BENCH_ADDR, BENCH_PEER, IPPROTO_TCP, len, 0));
	outgoing(f, len, sizeof(struct rte_tcp_hdr), RTE_MBUF_F_TX_TCP_CKSUM);
}

void
bench_packet_udp(struct bench_frame *f, uint16_t len)
{
	memset(f, 0, sizeof(*f));
	put_udp(put_ip(f->bytes, BENCH_ADDR, BENCH_PEER, IPPROTO_UDP, len, 0),
		len - sizeof(struct rte_ipv4_hdr));
	outgoing(f, len, sizeof(struct rte_udp_hdr), RTE_MBUF_F_TX_UDP_CKSUM);
}
