/* SPDX-License-Identifier: BSD-3-Clause */
/* What a hostile or broken wire makes of one frame; see frame_damage.h. */
#include "tests/frame_damage.h"

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include <rte_icmp.h>
#include <rte_udp.h>

#include "nodes/cksum.h"

bool
frame_is_ip4(const struct rte_mbuf *m)
{
	return m->data_len >= RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr) &&
		rte_pktmbuf_mtod(m, const struct rte_ether_hdr *)->ether_type ==
			RTE_BE16(RTE_ETHER_TYPE_IPV4);
}

struct rte_ipv4_hdr *
frame_ip4(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);
}

void
frame_seal(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = frame_ip4(m);
	uint16_t ihl = rte_ipv4_hdr_len(ip), total = rte_be_to_cpu_16(ip->total_length);
	uint16_t field = ip->next_proto_id == IPPROTO_TCP ? offsetof(struct rte_tcp_hdr, cksum) :
		ip->next_proto_id == IPPROTO_UDP ? offsetof(struct rte_udp_hdr, dgram_cksum) :
		offsetof(struct rte_icmp_hdr, icmp_cksum);
	rte_be16_t *at;

	if (ihl < sizeof(*ip) || RTE_ETHER_HDR_LEN + ihl > m->data_len)
		return;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	if (total < ihl + field + 2 || (uint32_t)RTE_ETHER_HDR_LEN + total > m->data_len ||
		(ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)))
		return;
	at = rte_pktmbuf_mtod_offset(m, rte_be16_t *, RTE_ETHER_HDR_LEN + ihl + field);
	*at = 0;
	if (ip->next_proto_id == IPPROTO_ICMP)
		*at = ~rte_raw_cksum((char *)ip + ihl, total - ihl);
	else
		*at = cksum_l4_field(m, ip, RTE_ETHER_HDR_LEN + ihl, total - ihl);
}

void
frame_change_tcp(struct rte_mbuf *m, struct rte_tcp_hdr *tcp, struct frame_damage d)
{
	uint8_t *option = (uint8_t *)(tcp + 1), *end = rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len);

	switch (d.kind % 8) {
	case 0:
		tcp->tcp_flags = d.a;
		break;
	case 1:
		tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) +
			((uint32_t)(int8_t)d.a << (d.b % 25)));
		break;
	case 2:
		tcp->recv_ack = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->recv_ack) +
			((uint32_t)(int8_t)d.a << (d.b % 25)));
		break;
	case 3:
		tcp->rx_win = d.a | d.b << 8;
		break;
	case 4:
		if (option + d.b % 40 < end)
			option[d.b % 40] = d.a;
		break;
	case 5: /* an option in front of the others */
		if (option + 4 <= end) {
			option[0] = d.a % 10;
			option[1] = d.b;
		}
		break;
	case 6:
		tcp->data_off = d.a;
		break;
	default:
		tcp->tcp_urp = d.a;
		tcp->tcp_flags ^= RTE_TCP_URG_FLAG | d.b;
	}
}

void
frame_change_ip(struct rte_mbuf *m, struct frame_damage d)
{
	struct rte_ipv4_hdr *ip = frame_ip4(m);
	uint16_t total = rte_be_to_cpu_16(ip->total_length);
	char *more;

	switch (d.kind % 6) {
	case 0:
		ip->total_length = rte_cpu_to_be_16(total + (int8_t)d.a);
		break;
	case 1:
		rte_pktmbuf_trim(m, RTE_MIN(d.a, m->data_len));
		return;
	case 2: /* longer: headers say so, too */
		more = rte_pktmbuf_append(m, d.a);
		if (more != NULL)
			memset(more, d.b, d.a);
		ip->total_length = rte_cpu_to_be_16(total + d.a);
		break;
	case 3:
		ip->version_ihl = d.a;
		break;
	case 4:
		ip->fragment_offset = d.a | d.b << 8;
		break;
	default:
		ip->next_proto_id = d.a;
	}
}

struct rte_tcp_hdr *
frame_tcp(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = frame_ip4(m);

	return ip->next_proto_id == IPPROTO_TCP && m->data_len >= RTE_ETHER_HDR_LEN +
		rte_ipv4_hdr_len(ip) + sizeof(struct rte_tcp_hdr) ?
		(struct rte_tcp_hdr *)((char *)ip + rte_ipv4_hdr_len(ip)) : NULL;
}
