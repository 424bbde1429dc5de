/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control-rx: frames that the control thread has made (resets' probes, ARP).
 *
 * Sets: port RTE_MBUF_PORT_INVALID, trace handle. Next: dispatch-out. Runs on: the first core, where
 * the ring `control` ends.
 */
#include <rte_ring.h>

#include "dispatcher/dispatcher.h"
#include "nodes/nodes.h"
#include "nodes/packet_record.h"

#define BURST 32

enum edge { EDGE_OUT, EDGES };

static const char *const edges[EDGES] = { [EDGE_OUT] = NODE_DISPATCH_OUT };

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct dispatch_worker *dw = node_dispatch_worker(node_worker(node));
	struct rte_mbuf **pkts = (struct rte_mbuf **)node->objs;

	n = rte_ring_sc_dequeue_burst(dw->lt->control, node->objs, BURST, NULL);
	if (likely(n == 0))
		return 0;
	for (uint16_t i = 0; i < n; i++)
		pkts[i]->port = RTE_MBUF_PORT_INVALID;
	node->idx = n;
	packet_record_source(node, pkts, n, RTE_ETHER_HDR_LEN);
	graph_forward_all(rg, node, node->objs, EDGE_OUT, n);
	return n;
}

static struct graph_node control_rx_node = {
	.name = NODE_CONTROL_RX,
	.process = process,
	.source = true,
	.edges = edges,
	.n_edges = EDGES,
	.format = packet_record_print,
};
GRAPH_NODE(control_rx_node)
