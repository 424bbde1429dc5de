/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Node ip4-frag: splits what is longer than the MTU (RFC 791 3.2).
 *
 * Expects  datagrams from ip4-output: data_off at the IPv4 header, longer than the MTU, no DF, L4
 *          header in the first segment.
 * Sets     fragments with their own header, TX_IPV4 | TX_IP_CKSUM, l3_len; the L4 checksum is
 *          complete before the split, since no port can do it afterwards; identification.
 * Next     arp-resolve, which lets them wait together if it must; drop.
 * Drops    no memory, more fragments than IP4_FRAG_MAX.
 * Runs on  the core of the stack.
 *
 * Identifications. lwIP's counter starts at 0 in every stack, and all stacks of an instance share
 * one address: two of them would soon send different datagrams with one identification, which the
 * receiver would mix (RFC 6864 4). So the numbers are given here, each core has those equal to its
 * index modulo a power of two, and starts at a random one.
 */
#include "nodes/cksum.h"
#include "nodes/ip4_frag.h"

#include <errno.h>
#include <stdio.h>

#include <rte_ip.h>
#include <rte_ip_frag.h>
#include <rte_random.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "nodes/nodes.h"

enum edge { EDGE_ARP_RESOLVE, EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_ARP_RESOLVE] = NODE_ARP_RESOLVE,
	[EDGE_DROP] = NODE_DROP,
};

enum error { IP4_FRAG_NO_MEMORY, IP4_FRAG_TOO_MANY, IP4_FRAG_ERRORS };

static const struct graph_error errors[IP4_FRAG_ERRORS] = {
	[IP4_FRAG_NO_MEMORY] = {"no-memory", GRAPH_BROKEN, "no packets for the fragments"},
	[IP4_FRAG_TOO_MANY] = {"too-many", GRAPH_ODD, "the MTU is too small for the datagram"},
};

struct trace_record {
	uint32_t len;
	uint16_t id;
	int16_t n_fragments;
};

static void
finish_checksum(struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	uint64_t kind = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
	uint16_t l3_len = rte_ipv4_hdr_len(ip);
	size_t offset = kind == RTE_MBUF_F_TX_UDP_CKSUM ? offsetof(struct rte_udp_hdr, dgram_cksum)
							: offsetof(struct rte_tcp_hdr, cksum);
	rte_be16_t *field = rte_pktmbuf_mtod_offset(m, rte_be16_t *, l3_len + offset);

	if (kind == 0)
		return;
	*field = 0;
	*field = cksum_l4_field(m, ip, l3_len, m->pkt_len - l3_len);
	m->ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
}

int
ip4_frag_split(struct rte_mbuf *m, uint16_t mtu, uint16_t id, struct rte_mempool *pool,
	struct rte_mbuf **out)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	int n;

	finish_checksum(m, ip);
	ip->packet_id = rte_cpu_to_be_16(id);
	n = rte_ipv4_fragment_packet(m, out, IP4_FRAG_MAX, mtu, pool, pool);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		out[i]->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
		out[i]->l2_len = 0;
		out[i]->l4_len = 0;
	}
	rte_pktmbuf_free(m); /* the fragments hold its segments */
	return n;
}

/* The next identification of this core. */
static uint16_t
next_id(struct worker *w)
{
	return w->ip_id += rte_align32pow2(w->n_workers);
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	struct rte_mbuf *out[IP4_FRAG_MAX];

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		struct trace_record r = {.len = m->pkt_len, .id = next_id(w)};
		uint32_t handle = *graph_trace_handle(m);

		r.n_fragments = ip4_frag_split(m, w->mtu, r.id, w->pool, out);
		if (r.n_fragments < 0) {
			graph_count(node,
				r.n_fragments == -ENOMEM ? IP4_FRAG_NO_MEMORY : IP4_FRAG_TOO_MANY, 1);
			graph_send_one(rg, node, EDGE_DROP, m);
			continue;
		}
		/* The first fragment goes on with the trace of the whole; `m` may be gone. */
		for (int k = 0; k < r.n_fragments; k++)
			*graph_trace_handle(out[k]) = k == 0 ? handle : 0;
		if (graph_tracing(node))
			graph_trace_add(node, out[0], &r, sizeof(r));
		graph_send(rg, node, EDGE_ARP_RESOLVE, (void **)out, r.n_fragments);
	}
	return n;
}

static int
format(char *buf, size_t len, const void *record)
{
	const struct trace_record *r = record;

	return snprintf(buf, len, "%u bytes, id %u, %d fragments", r->len, r->id, r->n_fragments);
}

static int
init(struct graph *g, struct rte_node *node)
{
	struct worker *w = graph_user(g);
	uint32_t step = rte_align32pow2(w->n_workers);

	w->ip_id = (rte_rand() & ~(uint64_t)(step - 1)) + w->index;
	return 0;
}

static struct graph_node ip4_frag = {
	.name = NODE_IP4_FRAG,
	.process = process,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = IP4_FRAG_ERRORS,
	.format = format,
	.init = init,
};
GRAPH_NODE(ip4_frag)
