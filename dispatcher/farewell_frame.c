/* SPDX-License-Identifier: BSD-3-Clause */
/* The frames of farewell.c. */
#include "dispatcher/farewell_frame.h"

#include <netinet/in.h>
#include <string.h>

#define TTL 64

void
farewell_write_arp(struct farewell_arp *frame, const struct rte_ether_addr *mac, uint32_t addr,
	uint32_t target)
{
	*frame = (struct farewell_arp){
		.eth = {.src_addr = *mac, .ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP)},
		.arp = {.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER),
			.arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4),
			.arp_hlen = RTE_ETHER_ADDR_LEN, .arp_plen = sizeof(uint32_t),
			.arp_opcode = RTE_BE16(RTE_ARP_OP_REQUEST),
			.arp_data = {.arp_sha = *mac, .arp_sip = addr, .arp_tip = target}}};
	memset(&frame->eth.dst_addr, 0xff, sizeof(frame->eth.dst_addr));
}

void
farewell_write_ack(struct farewell_ack *frame, const struct rte_ether_addr *mac,
	const struct rte_ether_addr *to, uint32_t addr, uint32_t raddr)
{
	*frame = (struct farewell_ack){
		.eth = {.dst_addr = *to, .src_addr = *mac,
			.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4)},
		.ip = {.version_ihl = 0x45, .total_length = RTE_BE16(40),
			.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG), .time_to_live = TTL,
			.next_proto_id = IPPROTO_TCP, .src_addr = addr, .dst_addr = raddr},
		.tcp = {.data_off = 0x50, .tcp_flags = RTE_TCP_ACK_FLAG, .rx_win = 0xffff}};
}

void
farewell_finish_ack(struct farewell_ack *frame, uint32_t seq)
{
	frame->tcp.sent_seq = htonl(seq);
	frame->tcp.recv_ack = htonl(seq);
	frame->ip.hdr_checksum = rte_ipv4_cksum(&frame->ip);
	frame->tcp.cksum = rte_ipv4_udptcp_cksum(&frame->ip, &frame->tcp);
}
