/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine: one private graph of packet nodes per core, on DPDK's rte_graph.
 *
 * A node is described once (struct graph_node, GRAPH_NODE()), in its own file. graph_create()
 * builds a private set of node objects for one core; graph_walk() runs it. Only the thread that
 * holds the core's stack lock walks a graph, so nothing in here is locked. Counters are plain
 * 64-bit words written by the walker and read by anyone (graph_stats()); they may be a walk old.
 *
 * Knows packets, vectors, nodes. Knows no protocol and no stack.
 */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_graph.h>
#include <rte_graph_worker.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#define GRAPH_ERRORS_MAX 24 /* error rows of one node */
#define GRAPH_VECTOR_MAX RTE_GRAPH_BURST_SIZE /* packets a node is given at a time, at most */
#define GRAPH_PENDING_MAX 32768 /* packets that wait for one node, at most */
#define GRAPH_TRACE_RECORD 56 /* bytes one node may store about one traced packet */

enum graph_severity {
	GRAPH_NORMAL, /* happens on a healthy network */
	GRAPH_ODD,    /* a peer or a setting is unusual */
	GRAPH_BROKEN, /* a malformed packet, or memory ran out */
};

struct graph_error {
	const char *symbol; /* lower-case, as printed: "bad-checksum" */
	enum graph_severity severity;
	const char *text;
};

struct graph;

struct graph_node {
	const char *name;
	/* `objs`: at most GRAPH_VECTOR_MAX struct rte_mbuf *, at their L2 or L3 head. Packets of one
	 * node come in the order in which it sent them; those of several nodes in any order. */
	rte_node_process_t process;
	bool source;                /* called once per walk with no packets */
	const char *const *edges;   /* names of next nodes, in the order of the node's edge enum */
	uint16_t n_edges;
	const struct graph_error *errors;
	uint16_t n_errors;
	/* print a record made by this node's graph_trace_add(); snprintf conventions */
	int (*format)(char *buf, size_t len, const void *record);
	/* optional, once per graph, after graph_create()'s `user` is set; 0 or -errno */
	int (*init)(struct graph *g, struct rte_node *node);
	/* optional, at graph_destroy(), for every node whose init() succeeded */
	void (*fini)(struct graph *g, struct rte_node *node);
	struct graph_node *next; /* registry, filled by GRAPH_NODE() */
};

void graph_register(struct graph_node *n);
#define GRAPH_NODE(n)                                                                              \
	static void __attribute__((constructor)) graph_register_##n(void) { graph_register(&(n)); }

/*
 * Before the first graph_create(): what node `from` sends to `to` goes to node `instead`. For graphs
 * of other shapes than the product's, from the same nodes. 0; -ENOENT: `from` has no such edge;
 * -EBUSY: a graph has been made; -ENOMEM.
 */
int graph_reroute(const char *from, const char *to, const char *instead);

/* --- one graph per core ---------------------------------------------------------------------- */

/*
 * Build the graph `name` from the source nodes named in `sources` and everything their edges
 * reach. `user` is handed to the nodes through graph_user(). NULL and rte_errno on failure.
 */
struct graph *graph_create(const char *name, const char *const *sources, unsigned int n_sources,
	void *user);
void graph_destroy(struct graph *g);

/* One walk: sources first, then every node that holds packets. Holder of the core's lock only. */
void graph_walk(struct graph *g);

/* --- inside process() ------------------------------------------------------------------------ */

/* What a node's 16-byte rte_graph context holds. */
struct graph_node_ctx {
	struct graph *graph;
	uint64_t *errors; /* one counter per error row */
};

static inline struct graph_node_ctx *
graph_ctx(struct rte_node *node)
{
	return (struct graph_node_ctx *)node->ctx;
}

/* What nodes read of a struct graph without a call; its first member. */
struct graph_head {
	void *user;
	uint32_t tracing; /* not 0: packets of this graph may carry a trace handle */
};

/* The `user` pointer of graph_create(). */
static inline void *
graph_user(const struct graph *g)
{
	return ((const struct graph_head *)g)->user;
}

static inline void *
graph_node_user(struct rte_node *node)
{
	return graph_user(graph_ctx(node)->graph);
}

/*
 * Add to a counter of the graph's holder; others may read it at the same time (graph_stats()). As an
 * atomic store it would be three instructions in place of one, for each node of a walk. A word of
 * eight bytes is written whole without that, which the thread sanitizer cannot know.
 */
static inline __attribute__((no_sanitize("thread"))) void
graph_counter_add(uint64_t *counter, uint64_t n)
{
	*counter += n;
}

/* Add `n` to an error row; call once per vector with a local count where it matters. */
static inline void
graph_count(struct rte_node *node, uint16_t error, uint64_t n)
{
	graph_counter_add(&graph_ctx(node)->errors[error], n);
}

/*
 * Nodes send with the functions below alone, never with rte_node_enqueue() and its kin: these bound
 * what waits for the next node. A node without room for more is rare: packets are freed then, and
 * counted in the sender's row "next-full".
 */

/* Room for `n` more packets in the vector of `to`, beyond GRAPH_VECTOR_MAX. false: there is none, and
 * the packets are freed and counted. */
bool graph_make_room(struct rte_node *node, struct rte_node *to, void **objs, uint16_t n);

/* `n` packets along one edge. Any vector has room for GRAPH_VECTOR_MAX. */
static inline void
graph_send(struct rte_graph *rg, struct rte_node *node, rte_edge_t edge, void **objs, uint16_t n)
{
	struct rte_node *to = node->nodes[edge];
	uint16_t idx = to->idx;

	if (unlikely((uint32_t)idx + n > GRAPH_VECTOR_MAX) && !graph_make_room(node, to, objs, n))
		return;
	if (idx == 0)
		__rte_node_enqueue_tail_update(rg, to);
	rte_memcpy(&to->objs[idx], objs, n * sizeof(objs[0]));
	to->idx = idx + n;
}

static inline void
graph_send_one(struct rte_graph *rg, struct rte_node *node, rte_edge_t edge, void *obj)
{
	struct rte_node *to = node->nodes[edge];
	uint16_t idx = to->idx;

	if (unlikely(idx >= GRAPH_VECTOR_MAX) && !graph_make_room(node, to, &obj, 1))
		return;
	if (idx == 0)
		__rte_node_enqueue_tail_update(rg, to);
	to->objs[idx] = obj;
	to->idx = idx + 1;
}

/* All `n` packets of `objs` along one edge. The whole vector of the node moves by swapping; source
 * nodes set node->idx before. Afterwards `objs` must not be read any more. */
static inline void
graph_forward_all(struct rte_graph *rg, struct rte_node *node, void **objs, rte_edge_t edge,
	uint16_t n)
{
	if (n == 0)
		return;
	if (objs == node->objs && n == node->idx && node->nodes[edge]->idx == 0)
		rte_node_next_stream_move(rg, node, edge); /* swaps, since that one is empty */
	else
		graph_send(rg, node, edge, objs, n);
}

/*
 * Send objs[i] along edge next[i]. A whole vector on one edge moves by swapping; otherwise each run
 * of equal edges is copied once. `objs` is the vector process() was given, or a part of it; after
 * the call it must not be read any more.
 */
static inline void
graph_forward(struct rte_graph *rg, struct rte_node *node, void **objs, const rte_edge_t *next,
	uint16_t n)
{
	uint16_t i, start = 0;

	for (i = 1; i < n; i++) {
		if (next[i] == next[start])
			continue;
		graph_send(rg, node, next[start], objs + start, i - start);
		start = i;
	}
	if (n > start)
		graph_forward_all(rg, node, objs + start, next[start], n - start);
}

/* --- packet trace ----------------------------------------------------------------------------- */

/*
 * A traced packet carries a handle in a dynamic mbuf field. Off, tracing costs one load and branch
 * per vector (graph_tracing()); nothing is read or written in the packets, so their field is stale.
 * On, source nodes clear or set it with graph_trace_mark(), and a handle that outlived its trace is
 * recognised by its number and ignored. A trace is finished at the end of the walk that began it:
 * a packet that waits in a node (ARP queue, reassembly, another core's ring) shows that as its last
 * record. A node that ends a packet's way and frees it itself calls graph_trace_end().
 */
extern int graph_trace_offset; /* of the uint32_t dynamic mbuf field; set by graph_create() */

static inline uint32_t *
graph_trace_handle(struct rte_mbuf *m)
{
	return RTE_MBUF_DYNFIELD(m, graph_trace_offset, uint32_t *);
}

/* Ask once per vector; only when true look at the packets for handles. */
static inline bool
graph_tracing(struct rte_node *node)
{
	const struct graph_head *head = (const struct graph_head *)graph_ctx(node)->graph;

	return __builtin_expect(__atomic_load_n(&head->tracing, __ATOMIC_RELAXED) != 0, 0);
}

void graph_trace_start(struct rte_node *node, struct rte_mbuf **pkts, uint16_t n);

/* Source nodes, on fresh vectors: clear stale handles and start traces while some are requested. */
static inline void
graph_trace_mark(struct rte_node *node, struct rte_mbuf **pkts, uint16_t n)
{
	if (graph_tracing(node))
		graph_trace_start(node, pkts, n);
}

/* Append `record` (size <= GRAPH_TRACE_RECORD) under this node's name to the packet's trace; does
 * nothing for a packet that is not traced. Only while graph_tracing(). */
void graph_trace_add(struct rte_node *node, struct rte_mbuf *m, const void *record, size_t size);
/* The packet's way ends here: whoever gets its memory next starts with a clean field. */
static inline void
graph_trace_end(struct rte_mbuf *m)
{
	*graph_trace_handle(m) = 0;
}

/* Any thread: ask graph `g` to trace its next `n` packets from source nodes; 0: no more of them.
 * 0 or -ENOMEM. */
int graph_trace_request(struct graph *g, uint32_t n);
/* Any thread: print finished traces, oldest first. Returns the number of packets printed. */
int graph_trace_print(struct graph *g, void (*emit)(void *arg, const char *line), void *arg);

/* --- statistics -------------------------------------------------------------------------------- */

struct graph_error_stats {
	const struct graph_error *row;
	uint64_t count;
};

struct graph_node_stats {
	const char *name;
	uint64_t calls;   /* times process() ran */
	uint64_t packets; /* packets it was given or, for sources, produced */
	uint64_t cycles;  /* TSC cycles */
	uint16_t n_errors; /* rows of the node; and "next-full" of the engine, once it has counted */
	struct graph_error_stats errors[GRAPH_ERRORS_MAX + 1];
};

/* Any thread: the counters of every node of `g`, in registration order. Returns how many. */
unsigned int graph_stats(const struct graph *g, struct graph_node_stats *out, unsigned int max);

#endif
