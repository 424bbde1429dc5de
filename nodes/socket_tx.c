/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket-tx: the start of the way out. Lets the stack do its work (posted operations, timers, sends)
 * and takes the packets that result.
 *
 * Sets: trace handle. Next: ip4-output; tx, to be dropped, for packets of a port that stands still.
 * Packets the port did not take in the last walk leave here, before newer ones. While the port is
 * behind, the stack is asked for fewer packets, down to none: data waits in send buffers, where it
 * is accounted, and is not lost. Runs on: every core.
 */
#include "nodes/nodes.h"
#include "nodes/packet_record.h"
#include "nodes/tx.h"
#include "stack/edge.h"

enum socket_tx_edge { SOCKET_TX_OUTPUT, SOCKET_TX_AGAIN };

static const char *const socket_tx_edges[] = {
	[SOCKET_TX_OUTPUT] = NODE_IP4_OUTPUT,
	[SOCKET_TX_AGAIN] = NODE_TX,
};

static uint16_t
socket_tx_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	struct tx_backlog *b = &w->tx_backlog;
	struct rte_mbuf **pkts = (struct rte_mbuf **)node->objs;
	uint16_t room = GRAPH_VECTOR_MAX;

	if (unlikely(b->n > 0)) {
		if (!tx_send_waiting(w)) {
			graph_send(rg, node, SOCKET_TX_AGAIN, (void **)b->pkts, b->n);
			b->n = 0;
		}
		room = RTE_MIN(room, WORKER_TX_BACKLOG - b->n);
	}
	n = stack_tx(w->stack, pkts, room);
	if (n == 0)
		return 0;
	node->idx = n;
	packet_record_source(node, pkts, n, 0);
	graph_forward_all(rg, node, node->objs, SOCKET_TX_OUTPUT, n);
	return n;
}

static struct graph_node socket_tx_node = {
	.name = NODE_SOCKET_TX,
	.process = socket_tx_process,
	.source = true,
	.edges = socket_tx_edges,
	.n_edges = RTE_DIM(socket_tx_edges),
	.format = packet_record_print,
};
GRAPH_NODE(socket_tx_node)
