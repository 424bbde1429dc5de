/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loss, loss-out: the two ends of one direction of a lossy path (loss.h).
 *
 * loss expects: any packet. Drops some (row loss-random), and all that find the queue full (row
 * loss-queue-full); the others wait in the worker's loss_rx. Next: drop. Runs on: the graph of the
 * port that receives.
 *
 * loss-out is the source node of the port that sends: gives what is due in the worker's loss_tx to
 * tx, behind what the port did not take in the last walk. Next: tx.
 */
#include "nodes/loss.h"

#include <stdlib.h>

#include <rte_cycles.h>

#include "nodes/nodes.h"
#include "nodes/packet_record.h"
#include "nodes/tx.h"

enum loss_edge { LOSS_DROP };
enum loss_out_edge { LOSS_OUT_TX };
enum loss_error { LOSS_RANDOM, LOSS_FULL };

static const char *const loss_edges[] = { [LOSS_DROP] = NODE_DROP };
static const char *const loss_out_edges[] = { [LOSS_OUT_TX] = NODE_TX };

static const struct graph_error loss_rows[] = {
	[LOSS_RANDOM] = { "loss-random", GRAPH_NORMAL, "lost on purpose" },
	[LOSS_FULL] = { "loss-queue-full", GRAPH_ODD, "more packets under way than the queue holds" },
};

struct loss *
loss_create(struct loss_dice dice, uint64_t delay_tsc, uint32_t size)
{
	struct loss *l = calloc(1, sizeof(*l) + size * sizeof(l->queue[0]));

	if (l == NULL)
		return NULL;
	l->dice = dice;
	l->delay_tsc = delay_tsc;
	l->mask = size - 1;
	return l;
}

void
loss_destroy(struct loss *l)
{
	if (l == NULL)
		return;
	while (l->head != l->tail)
		rte_pktmbuf_free(l->queue[l->head++ & l->mask].m);
	free(l);
}

static uint16_t
loss_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct loss *l = node_worker(node)->loss_rx;
	uint64_t now = rte_rdtsc(), count[] = { 0, 0 };
	void *dropped[GRAPH_VECTOR_MAX];
	uint16_t n_dropped = 0;

	if (graph_tracing(node))
		packet_record_add(node, (struct rte_mbuf **)objs, n, RTE_ETHER_HDR_LEN);
	for (uint16_t i = 0; i < n; i++) {
		enum loss_verdict v = loss_put(l, objs[i], now);

		if (v == LOSS_PASS)
			continue;
		count[v == LOSS_LOST ? LOSS_RANDOM : LOSS_FULL]++;
		dropped[n_dropped++] = objs[i];
	}
	graph_count(node, LOSS_RANDOM, count[LOSS_RANDOM]);
	graph_count(node, LOSS_FULL, count[LOSS_FULL]);
	if (n_dropped > 0)
		graph_send(rg, node, LOSS_DROP, dropped, n_dropped);
	return n;
}

static uint16_t
loss_out_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	struct tx_backlog *b = &w->tx_backlog;
	struct rte_mbuf **pkts = (struct rte_mbuf **)node->objs;

	if (unlikely(b->n > 0)) {
		if (!tx_send_waiting(w)) {
			graph_send(rg, node, LOSS_OUT_TX, (void **)b->pkts, b->n);
			b->n = 0;
		}
	}
	n = loss_take(w->loss_tx, pkts, RTE_MIN(GRAPH_VECTOR_MAX, WORKER_TX_BACKLOG - b->n),
		rte_rdtsc());
	if (n == 0)
		return 0;
	node->idx = n;
	packet_record_source(node, pkts, n, RTE_ETHER_HDR_LEN);
	graph_forward_all(rg, node, node->objs, LOSS_OUT_TX, n);
	return n;
}

static struct graph_node loss_node = {
	.name = NODE_LOSS,
	.process = loss_process,
	.edges = loss_edges,
	.n_edges = RTE_DIM(loss_edges),
	.errors = loss_rows,
	.n_errors = RTE_DIM(loss_rows),
	.format = packet_record_print,
};
GRAPH_NODE(loss_node)

static struct graph_node loss_out_node = {
	.name = NODE_LOSS_OUT,
	.process = loss_out_process,
	.source = true,
	.edges = loss_out_edges,
	.n_edges = RTE_DIM(loss_out_edges),
	.format = packet_record_print,
};
GRAPH_NODE(loss_out_node)
