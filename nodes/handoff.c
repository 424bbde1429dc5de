/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handoff-tx, handoff-rx: packets that arrived on one core and belong to another. Receive-side
 * scaling of the port, where it has any, need not agree with the owners that stack/edge.h computes.
 *
 * handoff-tx expects: TCP or UDP as `classify` leaves it, hash.usr the owner's index. Sends runs of
 * one owner to its ring and wakes it if it sleeps; a full ring drops (row ring-full). Runs on: every
 * core; the ring takes many producers.
 *
 * handoff-rx is the source node of the owner: the only consumer of its ring. Everything is checked
 * already, so packets go straight to the stack; copies of ARP answers from another core's arp-input
 * go to ours. The trace of a packet ends on the first core and may begin anew here.
 */
#include <netinet/in.h>
#include <stdio.h>

#include <rte_ether.h>
#include <rte_ip.h>

#include "nodes/nodes.h"
#include "nodes/packet_record.h"
#include "stack/edge.h"

enum handoff_tx_edge { HANDOFF_TX_DROP };
enum handoff_tx_error { HANDOFF_RING_FULL };
enum handoff_rx_edge { HANDOFF_RX_TCP, HANDOFF_RX_UDP, HANDOFF_RX_ARP };

static const char *const handoff_tx_edges[] = { [HANDOFF_TX_DROP] = NODE_DROP };

static const struct graph_error handoff_tx_rows[] = {
	[HANDOFF_RING_FULL] = { "ring-full", GRAPH_ODD, "the other core does not keep up" },
};

static const char *const handoff_rx_edges[] = {
	[HANDOFF_RX_TCP] = NODE_TCP_TO_LWIP,
	[HANDOFF_RX_UDP] = NODE_UDP_TO_LWIP,
	[HANDOFF_RX_ARP] = NODE_ARP_INPUT,
};

static uint16_t
handoff_tx_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	const struct worker *w = node_worker(node);
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	uint16_t start, end;
	unsigned int sent;

	for (start = 0; start < n; start = end) {
		uint32_t owner = pkts[start]->hash.usr;

		for (end = start; end < n && pkts[end]->hash.usr == owner; end++) {
			if (graph_tracing(node))
				graph_trace_add(node, pkts[end], &owner, sizeof(owner));
		}
		sent = rte_ring_mp_enqueue_burst(w->peers[owner]->handoff, objs + start, end - start,
			NULL);
		stack_kick(w->peers[owner]->stack);
		if (unlikely(sent < (unsigned int)(end - start))) {
			graph_count(node, HANDOFF_RING_FULL, end - start - sent);
			graph_send(rg, node, HANDOFF_TX_DROP, objs + start + sent,
				end - start - sent);
		}
	}
	return n;
}

static int
handoff_tx_format(char *buf, size_t len, const void *record)
{
	return snprintf(buf, len, "to core %u", *(const uint32_t *)record);
}

static inline enum handoff_rx_edge
handoff_rx_verdict(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *ip =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, m->l2_len);

	if (unlikely(eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP)))
		return HANDOFF_RX_ARP;
	return ip->next_proto_id == IPPROTO_TCP ? HANDOFF_RX_TCP : HANDOFF_RX_UDP;
}

static uint16_t
handoff_rx_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	const struct worker *w = node_worker(node);
	struct rte_mbuf **pkts = (struct rte_mbuf **)node->objs;
	rte_edge_t next[GRAPH_VECTOR_MAX];

	if (w->handoff == NULL)
		return 0;
	n = rte_ring_sc_dequeue_burst(w->handoff, node->objs, GRAPH_VECTOR_MAX, NULL);
	if (n == 0)
		return 0;
	node->idx = n;
	graph_trace_mark(node, pkts, n);
	for (uint16_t i = 0; i < n; i++) {
		next[i] = handoff_rx_verdict(pkts[i]);
		if (graph_tracing(node)) {
			struct packet_record r;

			packet_record_fill(&r, pkts[i], pkts[i]->l2_len);
			graph_trace_add(node, pkts[i], &r, sizeof(r));
		}
	}
	graph_forward(rg, node, node->objs, next, n);
	return n;
}

static struct graph_node handoff_tx_node = {
	.name = NODE_HANDOFF_TX,
	.process = handoff_tx_process,
	.edges = handoff_tx_edges,
	.n_edges = RTE_DIM(handoff_tx_edges),
	.errors = handoff_tx_rows,
	.n_errors = RTE_DIM(handoff_tx_rows),
	.format = handoff_tx_format,
};
GRAPH_NODE(handoff_tx_node)

static struct graph_node handoff_rx_node = {
	.name = NODE_HANDOFF_RX,
	.process = handoff_rx_process,
	.source = true,
	.edges = handoff_rx_edges,
	.n_edges = RTE_DIM(handoff_rx_edges),
	.format = packet_record_print,
};
GRAPH_NODE(handoff_rx_node)
