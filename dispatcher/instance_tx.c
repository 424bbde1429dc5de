/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * instance-tx: into the rings of instances. librte_vhost copies the packets into the instance's memory, so
 * they end here.
 *
 * Expects: hash.usr from dispatch-*; TX_* flags for what the receiver shall believe finished (a
 * neighbour's packet needs no checksum on this host). Drops: ring-full and no-ring, counted under the
 * instance too: one that does not read its ring loses its own packets and holds up nobody. Runs
 * on: every core; cores that fill the same ring take its lock.
 */
#include "dispatcher/bell.h"
#include "dispatcher/dispatcher.h"
#include "dispatcher/measure.h"
#include "dispatcher/ring_burst.h"
#include "nodes/nodes.h"
#include "nodes/packet_record.h"

enum error { ERROR_RING_FULL, ERROR_NO_RING, ERRORS };

static const struct graph_error rows[ERRORS] = {
	[ERROR_RING_FULL] = {"ring-full", GRAPH_ODD, "the instance does not read its ring"},
	[ERROR_NO_RING] = {"no-ring", GRAPH_ODD, "the instance's ring is not connected"},
};

static uint16_t
fill_ring(struct dispatch_worker *dw, struct member *mb, int vid, uint16_t q, struct rte_mbuf **pkts,
	uint16_t n)
{
	bool is_shared = dw->w.n_workers > 1;
	uint16_t sent;

	if (is_shared)
		rte_spinlock_lock(&mb->tx_lock[q]);
	sent = ring_give(vid, q, pkts, n);
	if (is_shared)
		rte_spinlock_unlock(&mb->tx_lock[q]);
	return sent;
}

/* The stack may sleep: it has said so before it looked into its ring for the last time. */
static inline void
wake(struct member *mb, uint16_t q)
{
	uint32_t count;

	if (unlikely(mb->asleep == NULL))
		return;
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	count = __atomic_load_n(&mb->asleep[q], __ATOMIC_RELAXED);
	if (unlikely((count & 1) != 0 && count != mb->called[q]))
		bell_call(mb, q, count);
}

/* `n` packets for one ring. */
static void
deliver(struct rte_node *node, struct dispatch_worker *dw, uint32_t dest, struct rte_mbuf **pkts,
	uint16_t n)
{
	struct member *mb = dw->map->members[dest >> 16];
	struct member_stats *st = &mb->stats[dw->w.index];
	int vid = atomic_load_explicit(&mb->vid, memory_order_acquire);
	uint64_t bytes = 0;
	uint16_t sent;

	if (unlikely(vid < 0 || atomic_load_explicit(&mb->broken, memory_order_relaxed))) {
		st->drops[MEMBER_NO_RING] += n;
		graph_count(node, ERROR_NO_RING, n);
		return;
	}
	sent = fill_ring(dw, mb, vid, dest & UINT16_MAX, pkts, n);
	wake(mb, dest & UINT16_MAX);
	if (measure_is_on(dw))
		measure_out(dw, mb, pkts, sent);
	for (uint16_t i = 0; i < sent; i++)
		bytes += pkts[i]->pkt_len;
	st->rx_pkts += sent;
	st->rx_bytes += bytes;
	if (unlikely(sent < n)) {
		st->drops[MEMBER_RING_FULL] += n - sent;
		graph_count(node, ERROR_RING_FULL, n - sent);
	}
}

/* Gather what goes to the ring of the first packet, keep the others in order. Returns how many. */
static uint16_t
gather(struct rte_mbuf **pkts, uint16_t n, struct rte_mbuf **same)
{
	uint32_t dest = pkts[0]->hash.usr;
	uint16_t n_same = 0, rest = 0;

	for (uint16_t i = 0; i < n; i++)
		if (pkts[i]->hash.usr == dest)
			same[n_same++] = pkts[i];
		else
			pkts[rest++] = pkts[i];
	return n_same;
}

static void
deliver_all(struct rte_node *node, struct dispatch_worker *dw, struct rte_mbuf **pkts, uint16_t n)
{
	struct rte_mbuf *same[GRAPH_VECTOR_MAX];
	uint16_t n_same;

	for (; n > 0; n -= n_same) {
		uint32_t dest = pkts[0]->hash.usr;

		n_same = gather(pkts, n, same);
		deliver(node, dw, dest, same, n_same);
		rte_pktmbuf_free_bulk(same, n_same);
	}
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct dispatch_worker *dw = node_dispatch_worker(node_worker(node));
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;

	if (graph_tracing(node))
		packet_record_end(node, pkts, n);
	deliver_all(node, dw, pkts, n);
	return n;
}

static struct graph_node instance_tx_node = {
	.name = NODE_INSTANCE_TX,
	.process = process,
	.errors = rows,
	.n_errors = ERRORS,
	.format = packet_record_print,
};
GRAPH_NODE(instance_tx_node)
