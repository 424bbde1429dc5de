/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rx: one burst from this core's receive queue.
 *
 * Sets: trace handle; everything else as the driver left it. Next: classify. bond-rx takes its place
 * on this edge (bond_place()). Runs on: cores with a receive queue.
 */
#include "nodes/bond.h"
#include "nodes/nodes.h"
#include "nodes/packet_record.h"

#include <rte_ethdev.h>

#define RX_BYTES 0x20000u /* of large packets in one vector */

enum rx_edge { RX_CLASSIFY };

/* How many packets to ask for next. Aggregates of 64 KB are read by the program before more of them
 * push them out of the cache; of ordinary packets, a full vector. */
static inline uint16_t
next_burst(const struct worker *w, struct rte_mbuf **pkts, uint16_t n)
{
	uint32_t bytes = 1, want; /* not 0, whatever a peer makes */

	if (likely(pkts[n - 1]->nb_segs == 1))
		return w->burst;
	for (uint16_t i = 0; i < n; i++)
		bytes += pkts[i]->pkt_len;
	want = 1 + RX_BYTES * n / bytes;
	return want < w->burst ? (uint16_t)want : w->burst;
}

static uint16_t
rx_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	struct rte_mbuf **pkts = (struct rte_mbuf **)node->objs;

	if (w->rxq == WORKER_NO_PORT)
		return 0;
	n = likely(w->bond == NULL) ? rte_eth_rx_burst(w->port, w->rxq, pkts, w->rx_next) :
		bond_receive(w, pkts, w->rx_next);
	if (n == 0)
		return 0;
	w->rx_next = next_burst(w, pkts, n);
	node->idx = n;
	graph_trace_mark(node, pkts, n);
	if (graph_tracing(node)) {
		struct packet_record r;

		for (uint16_t i = 0; i < n; i++) {
			packet_record_fill(&r, pkts[i], RTE_ETHER_HDR_LEN);
			graph_trace_add(node, pkts[i], &r, sizeof(r));
		}
	}
	graph_forward_all(rg, node, node->objs, RX_CLASSIFY, n);
	return n;
}

static int
rx_init(struct graph *g, struct rte_node *node)
{
	struct worker *w = graph_user(g);

	w->rx_next = w->burst;
	return 0;
}

static int
rx_format(char *buf, size_t len, const void *record)
{
	return packet_record_format(buf, len, record);
}

static const char *const rx_edges[] = { [RX_CLASSIFY] = NODE_CLASSIFY };

static struct graph_node rx_node = {
	.name = NODE_RX,
	.process = rx_process,
	.source = true,
	.init = rx_init,
	.edges = rx_edges,
	.n_edges = RTE_DIM(rx_edges),
	.format = rx_format,
};
GRAPH_NODE(rx_node)
