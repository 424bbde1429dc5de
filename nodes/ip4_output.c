/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Node ip4-output: next hop and Ethernet header of what leaves the stack.
 *
 * Expects  data_off at the IPv4 header, headers as stack/edge.h says; ARP_L2_ROOM of headroom.
 * Sets     to tx: Ethernet header in front, l2_len, port. To classify: the same, with RX_* flags for
 *          TX_* ones (what is filled in only on a wire counts as good), port INVALID, and segments
 *          that belong to this packet alone, since the stack swaps headers in place.
 * Next     tx; arp-resolve (neighbour unknown); ip4-frag (longer than the MTU); classify (our own
 *          address: never touches the port); drop.
 * Drops    no route, bad length, too long with DF, no headroom, no memory for a copy.
 * Runs on  the core of the stack.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include <rte_cycles.h>

#include "nodes/arp.h"
#include "nodes/arp_node.h"
#include "nodes/ip4_output_verdict.h"
#include "nodes/nodes.h"

#define PREFETCH 4 /* packets ahead */

static const char *const edges[IP4_OUTPUT_EDGES] = {
	[IP4_OUTPUT_TX] = NODE_TX,
	[IP4_OUTPUT_ARP_RESOLVE] = NODE_ARP_RESOLVE,
	[IP4_OUTPUT_FRAG] = NODE_IP4_FRAG,
	[IP4_OUTPUT_CLASSIFY] = NODE_CLASSIFY,
	[IP4_OUTPUT_DROP] = NODE_DROP,
};

static const struct graph_error errors[IP4_OUTPUT_ERRORS] = {
	[IP4_OUTPUT_NO_ROUTE] = {"no-route", GRAPH_ODD, "off-link and no gateway, or no destination"},
	[IP4_OUTPUT_BAD_LENGTH] = {"bad-length", GRAPH_BROKEN, "length differs from the IP header's"},
	[IP4_OUTPUT_DF_TOO_LONG] = {"df-too-long", GRAPH_ODD, "longer than the MTU, DF set"},
	[IP4_OUTPUT_NO_HEADROOM] = {"no-headroom", GRAPH_BROKEN, "no room for an Ethernet header"},
	[IP4_OUTPUT_NO_MEMORY] = {"no-memory", GRAPH_BROKEN, "no packet for a copy to ourselves"},
};

struct trace_record {
	uint32_t hop, len;
	uint8_t edge, route;
};

/* The packet itself, or a copy in place of it, that nobody else refers to. NULL: no memory. */
static struct rte_mbuf *
make_private(struct worker *w, struct rte_mbuf *m)
{
	bool is_private = rte_pktmbuf_headroom(m) >= RTE_ETHER_HDR_LEN;

	for (const struct rte_mbuf *s = m; s != NULL && is_private; s = s->next)
		is_private = RTE_MBUF_DIRECT(s) && rte_mbuf_refcnt_read(s) == 1;
	return is_private ? m : rte_pktmbuf_copy(m, w->pool, 0, UINT32_MAX);
}

static struct rte_mbuf *
loop_to_ourselves(struct worker *w, struct rte_mbuf *m)
{
	struct rte_mbuf *own = make_private(w, m);

	if (own == NULL)
		return NULL;
	if (own != m)
		rte_pktmbuf_free(m);

	struct rte_ether_hdr *eth =
		(struct rte_ether_hdr *)rte_pktmbuf_prepend(own, RTE_ETHER_HDR_LEN);

	*eth = (struct rte_ether_hdr){
		.dst_addr = w->mac, .src_addr = w->mac, .ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4)};
	own->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_NONE;
	own->tx_offload = 0;
	own->packet_type = 0;
	own->port = RTE_MBUF_PORT_INVALID;
	return own;
}

/* A verdict of TX: write the Ethernet header, or say why not. */
static inline struct ip4_output_verdict
write_header(struct worker *w, struct rte_mbuf *m, struct ip4_output_verdict v, uint64_t now)
{
	struct arp_entry *e;

	m->port = w->port;
	if (unlikely(rte_pktmbuf_headroom(m) < ARP_L2_ROOM)) {
		v.edge = IP4_OUTPUT_DROP;
		v.error = IP4_OUTPUT_NO_HEADROOM;
	} else if (unlikely(v.route == IP4_ROUTE_GROUP)) {
		ip4_route_write_group(m, &w->mac, v.hop);
	} else if ((e = arp_find(w->arp, v.hop)) != NULL && arp_is_resolved(e)) {
		arp_use(w->arp, e, now);
		arp_write_l2(m, e);
	} else {
		v.edge = IP4_OUTPUT_ARP_RESOLVE;
	}
	return v;
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	uint64_t now = rte_get_tsc_cycles();
	bool tracing = graph_tracing(node);
	rte_edge_t next[GRAPH_VECTOR_MAX];

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];

		if (i + PREFETCH < n)
			rte_prefetch0(rte_pktmbuf_mtod((struct rte_mbuf *)objs[i + PREFETCH], void *));

		struct ip4_output_verdict v = ip4_output_verdict(w,
			rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *),
			m->data_len < sizeof(struct rte_ipv4_hdr) ? 0 : m->pkt_len,
			ip4_output_on_wire(m));

		if (likely(v.edge == IP4_OUTPUT_TX)) {
			v = write_header(w, m, v, now);
		} else if (v.edge == IP4_OUTPUT_CLASSIFY) {
			struct rte_mbuf *own = loop_to_ourselves(w, m);

			if (unlikely(own == NULL)) {
				v.edge = IP4_OUTPUT_DROP;
				v.error = IP4_OUTPUT_NO_MEMORY;
			} else {
				objs[i] = m = own;
			}
		}
		if (unlikely(v.edge == IP4_OUTPUT_DROP))
			graph_count(node, v.error, 1);
		if (tracing) {
			struct trace_record r = {v.hop, m->pkt_len, v.edge, v.route};

			graph_trace_add(node, m, &r, sizeof(r));
		}
		next[i] = v.edge;
	}
	graph_forward(rg, node, objs, next, n);
	return n;
}

static int
format(char *buf, size_t len, const void *record)
{
	const struct trace_record *r = record;
	char hop[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &r->hop, hop, sizeof(hop));
	return snprintf(buf, len, "next hop %s, %u bytes -> %s", hop, r->len, edges[r->edge]);
}

static struct graph_node ip4_output = {
	.name = NODE_IP4_OUTPUT,
	.process = process,
	.edges = edges,
	.n_edges = IP4_OUTPUT_EDGES,
	.errors = errors,
	.n_errors = IP4_OUTPUT_ERRORS,
	.format = format,
	.init = arp_node_init,
	.fini = arp_node_fini,
};
GRAPH_NODE(ip4_output)
