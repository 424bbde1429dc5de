/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What control commands tell of graphs, ports and pools: the part that instances and ltran share.
 * Any thread; only reads counters that may be read from anywhere. Arrays are from malloc().
 */
#ifndef NODES_FACTS_H
#define NODES_FACTS_H

#include <stddef.h>
#include <stdint.h>

#include "ctl/snapshot.h"
#include "graph/graph.h"

struct rte_mempool;

#define FACTS_NODES_MAX 64 /* nodes of one graph that are shown */

/* One core's graph. */
struct facts_core {
	struct graph *graph;
	uint32_t index;
	int32_t tid; /* thread that walks it */
};

/* Each: 0, or -errno, some with one line for people in `err`. */
int facts_graph(const struct facts_core *cores, unsigned int n, struct ctl_graph *out);
int facts_trace(const struct facts_core *cores, unsigned int n, const struct ctl_trace_request *r,
	struct ctl_trace *out, char *err, size_t err_len);

/* Sum of a node's error rows. */
uint64_t facts_errors(const struct graph_node_stats *node);
enum ctl_severity facts_severity(enum graph_severity severity);
void facts_port(uint16_t port, struct ctl_port *out);
void facts_pool(const struct rte_mempool *pool, uint64_t *size, uint64_t *free_count);

#endif
