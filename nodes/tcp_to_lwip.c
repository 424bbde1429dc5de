/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp-to-lwip: the end of the way in. Gives whole vectors to this core's stack, which answers
 * through socket-tx.
 *
 * Expects: TCP as `classify` leaves it, owned by this core. Next: kernel-tx for segments without a
 * socket where there is an exception path; otherwise the stack keeps every packet (and sends the
 * resets). Rows count what the stack refused. Runs on: every core.
 */
#include "nodes/nodes.h"
#include "nodes/packet_record.h"
#include "stack/edge.h"

enum tcp_edge { TCP_KERNEL };

static const char *const tcp_edges[] = { [TCP_KERNEL] = NODE_KERNEL_TX };

enum tcp_error { TCP_NO_SOCKET, TCP_REFUSED, TCP_NO_MEMORY };

static const struct graph_error tcp_rows[] = {
	[TCP_NO_SOCKET] = { "tcp-no-socket", GRAPH_NORMAL, "no connection or listener" },
	[TCP_REFUSED] = { "tcp-refused", GRAPH_ODD, "segment not acceptable (RFC 9293, RFC 5961)" },
	[TCP_NO_MEMORY] = { "tcp-no-memory", GRAPH_BROKEN, "stack has no memory left" },
};

static uint16_t
tcp_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	const struct worker *w = node_worker(node);
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs, *no_socket[GRAPH_VECTOR_MAX];
	uint64_t counts[STACK_VERDICTS] = { 0 };
	bool kernel = w->kernel_fd >= 0;
	uint16_t n_no_socket = 0;

	if (graph_tracing(node)) {
		for (uint16_t i = 0; i < n; i++) {
			graph_trace_add(node, pkts[i], NULL, 0);
			if (!kernel)
				graph_trace_end(pkts[i]);
		}
	}
	stack_rx_tcp(w->stack, pkts, n, counts, kernel ? no_socket : NULL, &n_no_socket);
	graph_forward_all(rg, node, (void **)no_socket, TCP_KERNEL, n_no_socket);
	graph_count(node, TCP_NO_SOCKET, counts[STACK_NO_SOCKET]);
	graph_count(node, TCP_REFUSED, counts[STACK_REFUSED]);
	graph_count(node, TCP_NO_MEMORY, counts[STACK_NO_MEMORY]);
	return n;
}

static struct graph_node tcp_node = {
	.name = NODE_TCP_TO_LWIP,
	.process = tcp_process,
	.edges = tcp_edges,
	.n_edges = RTE_DIM(tcp_edges),
	.errors = tcp_rows,
	.n_errors = RTE_DIM(tcp_rows),
};
GRAPH_NODE(tcp_node)
