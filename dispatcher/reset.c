/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Node reset: what a host without the connection says, for an address whose instances have gone.
 *
 * Expects  from dispatch-in and dispatch-out: TCP, no fragment, data_off at the Ethernet header, the
 *          IPv4 header whole in the first segment.
 * Sets     the same buffer becomes a RST (RFC 9293 3.10.7.1) back to where the frame came from, with
 *          its checksums; one segment, no flags, `port` INVALID.
 * Next     dispatch-out.
 * Drops    resets, which are never answered, and what is no proper segment of a proper sender.
 * Runs on  every core.
 */
#include "dispatcher/reset.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_tcp.h>

#include "dispatcher/dispatcher.h"
#include "nodes/cksum.h"
#include "nodes/nodes.h"

#define TTL 64
#define IP_OFF RTE_ETHER_HDR_LEN
#define RESET_LEN (IP_OFF + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr))

enum edge { EDGE_DISPATCH_OUT, EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_DISPATCH_OUT] = NODE_DISPATCH_OUT,
	[EDGE_DROP] = NODE_DROP,
};

static const struct graph_error errors[RESET_ROWS] = {
	[RESET_TRUNCATED] = {"truncated", GRAPH_BROKEN, "shorter than its TCP header says"},
	[RESET_BAD_CHECKSUM] = {"bad-checksum", GRAPH_BROKEN, "wrong TCP checksum"},
	[RESET_IS_RESET] = {"is-reset", GRAPH_NORMAL, "a RST, which is not answered"},
	[RESET_BAD_SOURCE] = {"bad-source", GRAPH_ODD, "from an address no host may have"},
};

struct trace_record {
	uint32_t peer; /* network order */
	uint8_t result;
};

static const struct rte_ipv4_hdr *
ip_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, IP_OFF);
}

/* RFC 1122 3.2.1.3: none of these is a sender. */
static bool
is_host(uint32_t addr)
{
	uint32_t host = rte_be_to_cpu_32(addr);

	return host >> 24 != 0 && host >> 24 != IN_LOOPBACKNET && !IN_MULTICAST(host) &&
	       !IN_BADCLASS(host);
}

/* A sender on this host, or a virtual wire, may have left it to its device. */
static bool
has_checksum(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip, uint16_t at, uint16_t len)
{
	uint64_t rx = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	if (m->ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG))
		return true;
	if (rx == RTE_MBUF_F_RX_L4_CKSUM_GOOD || rx == RTE_MBUF_F_RX_L4_CKSUM_NONE)
		return true;
	return rx != RTE_MBUF_F_RX_L4_CKSUM_BAD && cksum_l4(m, ip, at, len) == 0;
}

struct reset_verdict
reset_verdict(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *ip = ip_of(m);
	uint16_t ihl = rte_ipv4_hdr_len(ip), total = rte_be_to_cpu_16(ip->total_length), header;
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)((const char *)ip + ihl);
	struct reset_verdict v = {.result = RESET_TRUNCATED};

	if (m->data_len < IP_OFF + ihl + sizeof(*tcp) || m->pkt_len < (uint32_t)IP_OFF + total)
		return v;
	header = (tcp->data_off >> 4) * 4;
	if (header < sizeof(*tcp) || ihl + header > total)
		return v;
	v.result = RESET_IS_RESET;
	if (tcp->tcp_flags & RTE_TCP_RST_FLAG)
		return v;
	v.result = RESET_BAD_SOURCE;
	if (!is_host(ip->src_addr) || ip->src_addr == ip->dst_addr ||
		rte_is_multicast_ether_addr(&eth->src_addr))
		return v;
	v.result = RESET_BAD_CHECKSUM;
	if (!has_checksum(m, ip, IP_OFF + ihl, total - ihl))
		return v;
	v.result = RESET_ANSWER;
	v.flags = RTE_TCP_RST_FLAG;
	if (tcp->tcp_flags & RTE_TCP_ACK_FLAG) {
		v.seq = rte_be_to_cpu_32(tcp->recv_ack);
		return v;
	}
	v.flags |= RTE_TCP_ACK_FLAG;
	v.ack = rte_be_to_cpu_32(tcp->sent_seq) + total - ihl - header +
		!!(tcp->tcp_flags & RTE_TCP_SYN_FLAG) + !!(tcp->tcp_flags & RTE_TCP_FIN_FLAG);
	return v;
}

/* In the place of the frame that it answers. */
static void
make_reset(struct rte_mbuf *m, const struct rte_ether_addr *mac, struct reset_verdict v)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)((char *)ip + rte_ipv4_hdr_len(ip));
	uint16_t sport = tcp->dst_port, dport = tcp->src_port;
	uint32_t src = ip->dst_addr, dst = ip->src_addr;

	eth->dst_addr = eth->src_addr;
	eth->src_addr = *mac;
	*ip = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16(sizeof(*ip) + sizeof(*tcp)),
		.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG), .time_to_live = TTL,
		.next_proto_id = IPPROTO_TCP, .src_addr = src, .dst_addr = dst};
	tcp = (struct rte_tcp_hdr *)(ip + 1);
	*tcp = (struct rte_tcp_hdr){.src_port = sport, .dst_port = dport,
		.sent_seq = rte_cpu_to_be_32(v.seq), .recv_ack = rte_cpu_to_be_32(v.ack),
		.data_off = sizeof(*tcp) / 4 << 4, .tcp_flags = v.flags};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
	rte_pktmbuf_free(m->next);
	m->next = NULL;
	m->nb_segs = 1;
	m->pkt_len = m->data_len = RESET_LEN;
	m->ol_flags = 0;
	m->port = RTE_MBUF_PORT_INVALID;
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	const struct worker *w = node_worker(node);
	rte_edge_t next[GRAPH_VECTOR_MAX];

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		struct reset_verdict v = reset_verdict(m);
		struct trace_record r = {.peer = ip_of(m)->src_addr, .result = v.result};

		if (v.result == RESET_ANSWER)
			make_reset(m, &w->mac, v);
		else
			graph_count(node, v.result, 1);
		next[i] = v.result == RESET_ANSWER ? EDGE_DISPATCH_OUT : EDGE_DROP;
		if (graph_tracing(node))
			graph_trace_add(node, m, &r, sizeof(r));
	}
	graph_forward(rg, node, objs, next, n);
	return n;
}

static int
format(char *buf, size_t len, const void *record)
{
	const struct trace_record *r = record;
	const uint8_t *a = (const uint8_t *)&r->peer;

	return snprintf(buf, len, "peer %u.%u.%u.%u %s", a[0], a[1], a[2], a[3],
		r->result == RESET_ANSWER ? "is reset" : errors[r->result].symbol);
}

static struct graph_node reset = {
	.name = NODE_RESET,
	.process = process,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = RTE_DIM(errors),
	.format = format,
};
GRAPH_NODE(reset)
