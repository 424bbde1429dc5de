/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The walk, and how much a node is given at a time.
 *
 * Theory of operation. rte_graph lets the vector of a node grow while others send to it: two full
 * sources in front of one node make 512 packets, a node that cuts packets makes thousands. Nodes keep
 * arrays of GRAPH_VECTOR_MAX on their stack, so the engine holds two promises:
 *
 *	A process() is never called with more than GRAPH_VECTOR_MAX packets. A longer vector is handed
 *	over in pieces, one call each, all before the next node runs. For the node a piece is an
 *	ordinary vector: it lies in node->objs, node->idx is its length, and it may be moved on as a
 *	whole. To this end the long vector is taken out of the node, which works on the graph's spare
 *	one meanwhile. Order along an edge stays what it was.
 *
 *	No vector grows beyond GRAPH_PENDING_MAX. rte_graph counts in 16 bits, wraps, and ends the
 *	process where it finds no memory; graph_send() asks graph_make_room() first, and what has no
 *	room is freed and counted in the sender's row "next-full".
 *
 * The walk is rte_graph_walk() with one comparison more, on a word that it reads anyway.
 */
#include "graph/private.h"

#include <errno.h>
#include <string.h>

#include <rte_malloc.h>

#define VECTOR_BYTES (GRAPH_VECTOR_MAX * sizeof(void *))

const struct graph_error graph_full_row = {
	"next-full", GRAPH_ODD, "too many packets wait for the next node, or no memory for more"};

int
walk_create(struct graph *g)
{
	g->spare = rte_malloc("graph", VECTOR_BYTES, RTE_CACHE_LINE_SIZE);
	g->spare_size = GRAPH_VECTOR_MAX;
	return g->spare != NULL ? 0 : -ENOMEM;
}

void
walk_destroy(struct graph *g)
{
	rte_free(g->spare);
}

static __rte_noinline uint16_t
process_in_pieces(struct graph *g, struct rte_node *node)
{
	void **all = node->objs;
	uint16_t size = node->size, n = node->idx, done, piece, result = 0;

	node->objs = g->spare;
	node->size = g->spare_size;
	for (done = 0; done < n; done += piece) {
		piece = RTE_MIN(n - done, GRAPH_VECTOR_MAX);
		memcpy(node->objs, all + done, piece * sizeof(all[0]));
		node->idx = piece;
		result += node->process(g->rte, node, node->objs, piece);
		graph_counter_add(&node->total_calls, 1);
	}
	graph_counter_add(&node->total_calls, -1); /* the walk counts one */
	g->spare = node->objs; /* the same, or that of a node which took a whole piece */
	g->spare_size = node->size;
	node->objs = all;
	node->size = size;
	return result;
}

/*
 * rte_graph_walk(): indexes of source nodes stand before cir_start, at negative positions; behind it
 * is a ring of nodes that have packets.
 */
static inline void
walk_nodes(struct graph *g, struct rte_graph *rg)
{
	const rte_graph_off_t *ring = rg->cir_start;
	uint32_t head = rg->head, mask = rg->cir_mask;

	while (likely(head != rg->tail)) {
		struct rte_node *node = RTE_PTR_ADD(rg, ring[(int32_t)head++]);
		void **objs = node->objs;
		uint64_t start;
		uint16_t n = node->idx;

		rte_prefetch0(objs);
		start = rte_rdtsc();
		n = likely(n <= GRAPH_VECTOR_MAX) ? node->process(rg, node, objs, n) :
			process_in_pieces(g, node);
		graph_counter_add(&node->total_cycles, rte_rdtsc() - start);
		graph_counter_add(&node->total_calls, 1);
		graph_counter_add(&node->total_objs, n);
		node->idx = 0;
		head = likely((int32_t)head > 0) ? head & mask : head;
	}
	rg->tail = 0;
}

void
graph_walk(struct graph *g)
{
	walk_nodes(g, g->rte);
	if (__builtin_expect(__atomic_load_n(&g->head.tracing, __ATOMIC_RELAXED) != 0, 0))
		trace_finish_walk(g);
}

/* Double the vector of `to` until it holds `n` packets. */
static bool
grow_vector(struct rte_node *to, uint32_t n)
{
	uint32_t size = to->size;
	void **objs;

	while (size < n)
		size *= 2;
	objs = rte_realloc(to->objs, size * sizeof(objs[0]), RTE_CACHE_LINE_SIZE);
	if (objs == NULL)
		return false;
	to->objs = objs;
	to->size = size;
	to->realloc_count++;
	return true;
}

static void
refuse(struct rte_node *node, void **objs, uint16_t n)
{
	struct graph *g = graph_ctx(node)->graph;

	for (unsigned int i = 0; i < g->n_nodes; i++) {
		if (g->nodes[i].node == node)
			graph_counter_add(&g->nodes[i].errors[g->nodes[i].desc->n_errors], n);
	}
	for (uint16_t i = 0; i < n && graph_tracing(node); i++)
		graph_trace_end(objs[i]);
	rte_pktmbuf_free_bulk((struct rte_mbuf **)objs, n);
}

bool
graph_make_room(struct rte_node *node, struct rte_node *to, void **objs, uint16_t n)
{
	uint32_t all = (uint32_t)to->idx + n;

	if (likely(all <= to->size))
		return true;
	if (all <= GRAPH_PENDING_MAX && grow_vector(to, all))
		return true;
	refuse(node, objs, n);
	return false;
}
