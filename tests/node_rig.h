/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A graph of real nodes between test doubles: source "rig" feeds the node a packet is meant for,
 * sinks stand in for the nodes at the border and keep what they get.
 */
#ifndef TESTS_NODE_RIG_H
#define TESTS_NODE_RIG_H

#include <stdint.h>

#include "graph/graph.h"
#include "nodes/worker.h"

/* Build the graph of `w` from source "rig" and the source nodes `more` (NULL-terminated). */
void rig_start(struct worker *w, const char *const *more);
void rig_stop(void); /* frees what sinks still hold */

/* One walk in which `node` receives `m` (NULL: nothing). `node` is one of node_rig.c's targets. */
void rig_walk(const char *node, struct rte_mbuf *m);

/* The oldest packet a sink got ("tx", "classify", "drop"), or NULL. The caller frees it. */
struct rte_mbuf *rig_take(const char *sink);

/* Calls of stack_kick(). */
extern unsigned int rig_kicks;

/* Error counter of a node; fails the test where node or row do not exist. */
uint64_t rig_count(const char *node, const char *symbol);

/* Let all packets of the next walks be traced, and print one line into `buf` that contains `what`. */
void rig_trace(void);
bool rig_trace_has(const char *what);

#endif
