/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guard: an instance sends under its own name only. Source MAC address, source address, the sender
 * of its ARP packets: all are what it was given at registration; and what it asks the port to do
 * (checksum, cutting) makes sense for the packet, because later nodes act on it.
 *
 * Expects: frames of instances as vhost has made them: `port` from instance-rx, headers in the first
 * segment, l2_len, l3_len and TX_* flags from the instance's own request. Next: police, or
 * dispatch-out where nothing is limited; drop. Drops: see the rows, each also counted under its
 * instance. Runs on: every core.
 */
#include "dispatcher/guard.h"

#include <netinet/in.h>

#include <rte_arp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "nodes/nodes.h"
#include "nodes/packet_record.h"

#define TSO_SEG_MIN 64 /* bytes: less would make a packet of 64 KB a thousand */
#define REQUESTS (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG) /* that there are; vhost knows more */

enum guard_edge { GUARD_PASS, GUARD_DROP, GUARD_EDGES };

static const char *const edges[GUARD_EDGES] = {
	[GUARD_PASS] = NODE_POLICE,
	[GUARD_DROP] = NODE_DROP,
};

enum guard_error { GUARD_SPOOFED_MAC, GUARD_SPOOFED_IP, GUARD_SPOOFED_ARP, GUARD_BAD_FRAME,
	GUARD_ERRORS };

static const struct graph_error rows[GUARD_ERRORS] = {
	[GUARD_SPOOFED_MAC] = {"spoofed-mac", GRAPH_ODD, "source is not the NIC's MAC address"},
	[GUARD_SPOOFED_IP] = {"spoofed-ip", GRAPH_ODD, "source is not the instance's address"},
	[GUARD_SPOOFED_ARP] = {"spoofed-arp", GRAPH_ODD, "ARP sender is not the instance"},
	[GUARD_BAD_FRAME] = {"bad-frame", GRAPH_BROKEN, "short, neither IPv4 nor ARP, or a senseless offload"},
};
_Static_assert(MEMBER_SPOOFED_IP - MEMBER_SPOOFED_MAC == GUARD_SPOOFED_IP, "same order");
_Static_assert(MEMBER_SPOOFED_ARP - MEMBER_SPOOFED_MAC == GUARD_SPOOFED_ARP, "same order");
_Static_assert(MEMBER_BAD_FRAME - MEMBER_SPOOFED_MAC == GUARD_BAD_FRAME, "same order");

/* Does the frame have the headers that its requests name, all in the first segment? */
static bool
offloads_fit(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
	uint16_t ihl = (ip->version_ihl & 0xf) * 4, at = RTE_ETHER_HDR_LEN + ihl;
	uint16_t left = m->data_len - at;

	if (m->l2_len != RTE_ETHER_HDR_LEN || m->l3_len != ihl ||
		(m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK & ~(REQUESTS | RTE_MBUF_F_TX_IPV4)) != 0)
		return false;
	if (l4 == RTE_MBUF_F_TX_UDP_CKSUM)
		return ip->next_proto_id == IPPROTO_UDP && left >= sizeof(struct rte_udp_hdr) &&
			!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
	if (ip->next_proto_id != IPPROTO_TCP || left < sizeof(struct rte_tcp_hdr))
		return false;
	if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
		return l4 == RTE_MBUF_F_TX_TCP_CKSUM;
	return m->l4_len >= sizeof(struct rte_tcp_hdr) && left >= m->l4_len &&
		m->tso_segsz >= TSO_SEG_MIN &&
		rte_be_to_cpu_16(ip->total_length) == m->pkt_len - RTE_ETHER_HDR_LEN;
}

static enum member_drop
guard_ip4(uint32_t addr, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);

	if (unlikely(m->data_len < RTE_ETHER_HDR_LEN + sizeof(*ip) || ip->version_ihl < 0x45 ||
		ip->version_ihl > 0x4f ||
		m->data_len < RTE_ETHER_HDR_LEN + (ip->version_ihl & 0xf) * 4))
		return MEMBER_BAD_FRAME;
	if (unlikely(ip->src_addr != addr))
		return MEMBER_SPOOFED_IP;
	if ((m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK & ~RTE_MBUF_F_TX_IPV4) != 0 &&
		unlikely(!offloads_fit(m, ip)))
		return MEMBER_BAD_FRAME;
	return MEMBER_DROPS;
}

static enum member_drop
guard_arp(const struct rte_ether_addr *mac, uint32_t addr, const struct rte_mbuf *m)
{
	const struct rte_arp_hdr *arp =
		rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, RTE_ETHER_HDR_LEN);

	if (m->data_len < RTE_ETHER_HDR_LEN + sizeof(*arp))
		return MEMBER_BAD_FRAME;
	/* RFC 5227: a probe has no sender address yet. */
	if (!rte_is_same_ether_addr(&arp->arp_data.arp_sha, mac) ||
		(arp->arp_data.arp_sip != addr && arp->arp_data.arp_sip != 0))
		return MEMBER_SPOOFED_ARP;
	return MEMBER_DROPS;
}

enum member_drop
guard_packet(const struct rte_ether_addr *mac, uint32_t addr, const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);

	if (unlikely(m->data_len < sizeof(*eth)))
		return MEMBER_BAD_FRAME;
	if (unlikely(!rte_is_same_ether_addr(&eth->src_addr, mac)))
		return MEMBER_SPOOFED_MAC;
	if (likely(eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4)))
		return guard_ip4(addr, m);
	if (eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP))
		return guard_arp(mac, addr, m);
	return MEMBER_BAD_FRAME;
}

static void
trace(struct rte_node *node, struct rte_mbuf *m, enum member_drop drop)
{
	struct packet_record r;

	packet_record_fill(&r, m, RTE_ETHER_HDR_LEN);
	r.error = drop == MEMBER_DROPS ? PACKET_RECORD_NO_ERROR : drop - MEMBER_SPOOFED_MAC;
	graph_trace_add(node, m, &r, sizeof(r));
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	struct dispatch_worker *dw = node_dispatch_worker(w);
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	rte_edge_t next[GRAPH_VECTOR_MAX];
	bool tracing = graph_tracing(node);

	for (uint16_t i = 0; i < n; i++) {
		struct member *mb = packet_member(dw, pkts[i]);
		struct member_stats *st = &mb->stats[w->index];
		enum member_drop drop = guard_packet(&w->mac, mb->addr, pkts[i]);

		next[i] = GUARD_PASS;
		if (unlikely(drop != MEMBER_DROPS)) {
			next[i] = GUARD_DROP;
			st->drops[drop]++;
			graph_count(node, drop - MEMBER_SPOOFED_MAC, 1);
		} else {
			st->tx_pkts++;
			st->tx_bytes += pkts[i]->pkt_len;
		}
		if (unlikely(tracing))
			trace(node, pkts[i], drop);
	}
	graph_forward(rg, node, objs, next, n);
	return n;
}

static int
format(char *buf, size_t len, const void *record)
{
	const struct packet_record *r = record;
	int n = packet_record_format(buf, len, r);

	if (r->error != PACKET_RECORD_NO_ERROR && n >= 0 && (size_t)n < len)
		n += snprintf(buf + n, len - n, " %s", rows[r->error].symbol);
	return n;
}

static struct graph_node guard_node = {
	.name = NODE_GUARD,
	.process = process,
	.edges = edges,
	.n_edges = GUARD_EDGES,
	.errors = rows,
	.n_errors = GUARD_ERRORS,
	.format = format,
};
GRAPH_NODE(guard_node)
