/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * icmp-to-lwip: echo requests and ICMP errors for this core's stack. Any core may answer a ping.
 *
 * Expects: ICMP as `classify` leaves it. Next: none, the stack keeps every packet. Runs on: every
 * core.
 */
#include "nodes/nodes.h"
#include "nodes/packet_record.h"
#include "stack/edge.h"

enum icmp_error { ICMP_REFUSED, ICMP_NO_MEMORY };

static const struct graph_error icmp_rows[] = {
	[ICMP_REFUSED] = { "icmp-refused", GRAPH_NORMAL, "type the stack does not handle" },
	[ICMP_NO_MEMORY] = { "icmp-no-memory", GRAPH_BROKEN, "stack has no memory left" },
};

static uint16_t
icmp_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	uint64_t counts[STACK_VERDICTS] = { 0 };

	if (graph_tracing(node)) {
		for (uint16_t i = 0; i < n; i++) {
			graph_trace_add(node, pkts[i], NULL, 0);
			graph_trace_end(pkts[i]);
		}
	}
	stack_rx_icmp(node_worker(node)->stack, pkts, n, counts);
	graph_count(node, ICMP_REFUSED, counts[STACK_REFUSED] + counts[STACK_NO_SOCKET]);
	graph_count(node, ICMP_NO_MEMORY, counts[STACK_NO_MEMORY]);
	return n;
}

static struct graph_node icmp_node = {
	.name = NODE_ICMP_TO_LWIP,
	.process = icmp_process,
	.errors = icmp_rows,
	.n_errors = RTE_DIM(icmp_rows),
};
GRAPH_NODE(icmp_node)
