/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * instance-rx: what the instances of this core have put into their rings, a turn of each per walk.
 *
 * A turn is at most TURN packets, whatever the number of the instance's queues. Packets cost the worker more
 * or less: one of 64 KB takes 32 buffers, one for everybody a copy for each instance. So a turn is paid for:
 * what it cost beyond TURN (a buffer each; dispatch-* adds the copies) is the instance's debt, and each of
 * its next turns takes TURN of it away instead of packets. Who is alone pays in walks that cost nothing; who
 * is not has no more of the worker than a neighbour that sends small packets. A worker does not sleep while
 * somebody has debts: what waits in that ring has been announced already.
 *
 * Sets: port (MEMBER_PORT | index), trace handle; l2_len, l3_len, TX_* flags as vhost read them from
 * the instance. Next: guard; tx, to be dropped, for packets of a port that stands still. While
 * packets wait for the NIC nothing is taken: instances see their rings full and slow down. Runs on:
 * every core.
 */
#include "dispatcher/dispatcher.h"
#include "dispatcher/ring_burst.h"
#include "dispatcher/turn_pool.h"
#include "nodes/nodes.h"
#include "nodes/packet_record.h"
#include "nodes/tx.h"

#define TURN 32u

enum edge { EDGE_GUARD, EDGE_AGAIN, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_GUARD] = NODE_GUARD,
	[EDGE_AGAIN] = NODE_TX,
};

/* Up to TURN packets, of one queue or of several; goes on with the next queue at the next turn. */
static uint16_t
take_packets(struct dispatch_worker *dw, struct member *mb, int vid, struct rte_mbuf **pkts)
{
	uint16_t q = mb->next_queue, n = 0;

	for (uint16_t i = 0; i < mb->n_queues && n < TURN; i++) {
		n += ring_take(vid, q, dw->turn_pool, pkts + n, TURN - n);
		if (++q == mb->n_queues)
			q = 0;
	}
	mb->next_queue = q;
	return n;
}

/* A turn of one instance. */
static uint16_t
take(struct dispatch_worker *dw, struct member *mb, struct rte_mbuf **pkts)
{
	int vid = atomic_load_explicit(&mb->vid, memory_order_acquire);
	uint32_t cost = 0;
	uint16_t n;

	if (vid < 0 || atomic_load_explicit(&mb->broken, memory_order_relaxed))
		return 0;
	if (unlikely(mb->debt > 0)) {
		mb->debt -= RTE_MIN(mb->debt, TURN);
		dw->moved++; /* stay awake */
		return 0;
	}
	turn_pool_begin(dw->turn_pool);
	n = take_packets(dw, mb, vid, pkts);
	for (uint16_t i = 0; i < n; i++) {
		pkts[i]->port = MEMBER_PORT | mb->index;
		cost += pkts[i]->nb_segs;
	}
	if (unlikely(turn_pool_is_spent(dw->turn_pool))) {
		atomic_store(&mb->sends_giants, true);
		atomic_store(&mb->broken, true); /* registry.c cuts it off */
	}
	if (unlikely(cost > TURN))
		member_charge(mb, cost - TURN);
	if (unlikely(mb->n_false_kicks > 0) && n > 0)
		mb->n_false_kicks = 0;
	return n;
}

static void
offer_waiting(struct rte_graph *rg, struct rte_node *node, struct worker *w)
{
	struct tx_backlog *b = &w->tx_backlog;

	if (tx_send_waiting(w))
		return;
	graph_send(rg, node, EDGE_AGAIN, (void **)b->pkts, b->n);
	b->n = 0;
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	struct dispatch_worker *dw = node_dispatch_worker(w);
	struct rte_mbuf **pkts = (struct rte_mbuf **)node->objs;
	const struct map *map = dw->map;
	uint16_t i, at;

	if (unlikely(w->tx_backlog.n > 0)) {
		offer_waiting(rg, node, w);
		if (w->tx_backlog.n > 0)
			return 0;
	}
	at = dw->next_member < map->n_members ? dw->next_member : 0;
	for (i = 0, n = 0; i < map->n_members && n + TURN <= GRAPH_VECTOR_MAX; i++) {
		struct member *mb = map->members[at];

		if (++at == map->n_members)
			at = 0;
		if (mb != NULL && mb->worker == w->index)
			n += take(dw, mb, pkts + n);
	}
	dw->next_member = at;
	if (n == 0)
		return 0;
	node->idx = n;
	packet_record_source(node, pkts, n, RTE_ETHER_HDR_LEN);
	graph_forward_all(rg, node, node->objs, EDGE_GUARD, n);
	return n;
}

static struct graph_node instance_rx_node = {
	.name = NODE_INSTANCE_RX,
	.process = process,
	.source = true,
	.edges = edges,
	.n_edges = EDGES,
	.format = packet_record_print,
};
GRAPH_NODE(instance_rx_node)
