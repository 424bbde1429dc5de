/* SPDX-License-Identifier: BSD-3-Clause */
/* What graph.c, trace.c and walk.c share. */
#ifndef GRAPH_PRIVATE_H
#define GRAPH_PRIVATE_H

#include "graph/graph.h"

#define GRAPH_NODES_MAX 64

struct trace;

struct graph_slot {
	const struct graph_node *desc;
	struct rte_node *node;
	uint64_t *errors; /* of its rows, then graph_full_row; cache aligned: written by the walker,
			   * read by statistics */
	bool ready;       /* init() succeeded */
};

struct graph {
	struct graph_head head; /* first: nodes read it inline */
	struct rte_graph *rte;
	rte_graph_t id;
	unsigned int n_nodes;
	struct graph_slot nodes[GRAPH_NODES_MAX]; /* registration order */
	struct trace *trace;
	void **spare; /* a vector no node has, of spare_size packets; see walk.c */
	uint16_t spare_size;
};

/* trace.c */
int trace_register_field(void); /* once per process; 0 or -errno */
int trace_create(struct graph *g);
void trace_destroy(struct graph *g);
void trace_finish_walk(struct graph *g);

/* walk.c */
extern const struct graph_error graph_full_row;
int walk_create(struct graph *g); /* 0 or -errno */
void walk_destroy(struct graph *g);

#endif
