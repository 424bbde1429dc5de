/* SPDX-License-Identifier: BSD-3-Clause */
/* Summary of a packet for the trace, one line like "TCP 198.18.0.1:80 > 198.18.0.2:4000 [S.] 60". */
#include "nodes/packet_record.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

static void
fill_l4(struct packet_record *r, const struct rte_mbuf *m, uint16_t l4_off)
{
	struct rte_tcp_hdr hdr;
	const struct rte_tcp_hdr *tcp;

	if (r->proto == IPPROTO_TCP) {
		tcp = rte_pktmbuf_read(m, l4_off, sizeof(hdr), &hdr);
		if (tcp == NULL)
			return;
		r->sport = ntohs(tcp->src_port);
		r->dport = ntohs(tcp->dst_port);
		r->tcp_flags = tcp->tcp_flags;
	} else if (r->proto == IPPROTO_UDP) {
		const struct rte_udp_hdr *udp =
			rte_pktmbuf_read(m, l4_off, sizeof(*udp), &hdr);

		if (udp == NULL)
			return;
		r->sport = ntohs(udp->src_port);
		r->dport = ntohs(udp->dst_port);
	} else if (r->proto == IPPROTO_ICMP) {
		const uint8_t *type = rte_pktmbuf_read(m, l4_off, 1, &hdr);

		r->icmp_type = type != NULL ? *type : 0;
	}
}

void
packet_record_fill(struct packet_record *r, const struct rte_mbuf *m, uint16_t l3_off)
{
	union {
		struct rte_ether_hdr eth;
		struct rte_ipv4_hdr ip;
	} copy;
	const struct rte_ether_hdr *eth;
	const struct rte_ipv4_hdr *ip;
	uint16_t frag;

	memset(r, 0, sizeof(*r));
	r->len = m->pkt_len;
	r->n_segs = m->nb_segs;
	r->error = PACKET_RECORD_NO_ERROR;
	if (l3_off > 0) {
		eth = rte_pktmbuf_read(m, 0, sizeof(*eth), &copy);
		if (eth == NULL)
			return;
		r->ether_type = ntohs(eth->ether_type);
		if (r->ether_type != RTE_ETHER_TYPE_IPV4)
			return;
	}
	ip = rte_pktmbuf_read(m, l3_off, sizeof(*ip), &copy);
	if (ip == NULL)
		return;
	r->ip_version = ip->version_ihl >> 4;
	r->proto = ip->next_proto_id;
	r->saddr = ip->src_addr;
	r->daddr = ip->dst_addr;
	frag = ntohs(ip->fragment_offset);
	if (frag & (RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) {
		r->is_fragment = 1;
		r->sport = (frag & RTE_IPV4_HDR_OFFSET_MASK) * RTE_IPV4_HDR_OFFSET_UNITS;
		r->dport = ntohs(ip->packet_id);
		return;
	}
	fill_l4(r, m, l3_off + rte_ipv4_hdr_len(ip));
}

static const char *
tcp_flags_text(uint8_t flags, char text[9])
{
	static const char letters[] = "FSRP.UEW"; /* bit 0 first, as tcpdump writes them */
	int n = 0;

	for (int bit = 0; bit < 8; bit++)
		if (flags & 1 << bit)
			text[n++] = letters[bit];
	text[n] = '\0';
	return text;
}

int
packet_record_format(char *buf, size_t len, const struct packet_record *r)
{
	char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN], flags[9];

	if (r->ether_type == RTE_ETHER_TYPE_ARP)
		return snprintf(buf, len, "ARP, %u bytes", r->len);
	if (r->ip_version == 0)
		return snprintf(buf, len, "ethertype 0x%04x, %u bytes", r->ether_type, r->len);
	inet_ntop(AF_INET, &r->saddr, src, sizeof(src));
	inet_ntop(AF_INET, &r->daddr, dst, sizeof(dst));
	if (r->is_fragment)
		return snprintf(buf, len, "fragment %s > %s proto %u id %u offset %u, %u bytes", src,
			dst, r->proto, r->dport, r->sport, r->len);
	if (r->proto == IPPROTO_TCP)
		return snprintf(buf, len, "TCP %s:%u > %s:%u [%s], %u bytes", src, r->sport, dst,
			r->dport, tcp_flags_text(r->tcp_flags, flags), r->len);
	if (r->proto == IPPROTO_UDP)
		return snprintf(buf, len, "UDP %s:%u > %s:%u, %u bytes", src, r->sport, dst,
			r->dport, r->len);
	if (r->proto == IPPROTO_ICMP)
		return snprintf(buf, len, "ICMP %s > %s type %u, %u bytes", src, dst, r->icmp_type,
			r->len);
	return snprintf(buf, len, "IPv4 %s > %s proto %u, %u bytes", src, dst, r->proto, r->len);
}

int
packet_record_print(char *buf, size_t len, const void *record)
{
	return packet_record_format(buf, len, record);
}

void
packet_record_add(struct rte_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t l3_off)
{
	struct packet_record r;

	for (uint16_t i = 0; i < n; i++) {
		packet_record_fill(&r, pkts[i], l3_off);
		graph_trace_add(node, pkts[i], &r, sizeof(r));
	}
}

void
packet_record_start(struct rte_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t l3_off)
{
	graph_trace_start(node, pkts, n);
	packet_record_add(node, pkts, n, l3_off);
}

void
packet_record_end(struct rte_node *node, struct rte_mbuf **pkts, uint16_t n)
{
	packet_record_add(node, pkts, n, RTE_ETHER_HDR_LEN);
	for (uint16_t i = 0; i < n; i++)
		graph_trace_end(pkts[i]);
}
