/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drop: frees packets. The reason is an error row of the node that sent them here.
 *
 * Expects: any packet. Next: none. Runs on: every core.
 */
#include "nodes/nodes.h"

static uint16_t
drop_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;

	if (graph_tracing(node)) {
		for (uint16_t i = 0; i < n; i++) {
			graph_trace_add(node, pkts[i], NULL, 0);
			graph_trace_end(pkts[i]);
		}
	}
	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

static struct graph_node drop_node = {
	.name = NODE_DROP,
	.process = drop_process,
};
GRAPH_NODE(drop_node)
