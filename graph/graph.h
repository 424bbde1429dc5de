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

#define GRAPH_ERRORS_MAX 24 /* error rows of one node */
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
	rte_node_process_t process; /* vector in `objs`: struct rte_mbuf * each, at its L2 or L3 head */
	bool source;                /* called once per walk with no packets */
	const char *const *edges;   /* names of next nodes, in the order of the node's edge enum */
	uint16_t n_edges;
	const struct graph_error *errors;
	uint16_t n_errors;
	/* print a record made by this node's graph_trace_add(); snprintf conventions */
	int (*format)(char *buf, size_t len, const void *record);
	/* optional, once per graph, after graph_create()'s `user` is set; 0 or -errno */
	int (*init)(struct graph *g, struct rte_node *node);
	struct graph_node *next; /* registry, filled by GRAPH_NODE() */
};

void graph_register(struct graph_node *n);
#define GRAPH_NODE(n)                                                                              \
	static void __attribute__((constructor)) graph_register_##n(void) { graph_register(&(n)); }

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

/* The `user` pointer of graph_create(). */
void *graph_user(const struct graph *g);

/* Add `n` to an error row; call once per vector with a local count where it matters. */
static inline void
graph_count(struct rte_node *node, uint16_t error, uint64_t n)
{
	graph_ctx(node)->errors[error] += n;
}

/* --- packet trace ----------------------------------------------------------------------------- */

/*
 * A packet is traced when its dynamic field is non-zero; source nodes call graph_trace_mark() on
 * fresh vectors, every node calls graph_trace_add() for traced packets. Costs one load and branch
 * per packet when off.
 */
extern int graph_trace_offset; /* of the uint32_t dynamic mbuf field; set by graph_create() */

static inline uint32_t *
graph_trace_handle(struct rte_mbuf *m)
{
	return RTE_MBUF_DYNFIELD(m, graph_trace_offset, uint32_t *);
}

/* Clear the handles of `n` fresh packets, and start tracing them while a request is pending. */
void graph_trace_mark(struct rte_node *node, struct rte_mbuf **pkts, uint16_t n);
/* Append `record` (size <= GRAPH_TRACE_RECORD) under this node's name to the packet's trace. */
void graph_trace_add(struct rte_node *node, struct rte_mbuf *m, const void *record, size_t size);

/* Any thread: ask graph `g` to trace its next `n` packets from source nodes. */
void graph_trace_request(struct graph *g, uint32_t n);
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
	uint16_t n_errors;
	struct graph_error_stats errors[GRAPH_ERRORS_MAX];
};

/* Any thread: the counters of every node of `g`, in registration order. Returns how many. */
unsigned int graph_stats(const struct graph *g, struct graph_node_stats *out, unsigned int max);

#endif
