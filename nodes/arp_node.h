/* SPDX-License-Identifier: BSD-3-Clause */
/* What the nodes around the neighbour table share. Holder of the core's stack lock only. */
#ifndef NODES_ARP_NODE_H
#define NODES_ARP_NODE_H

#include "nodes/arp.h"
#include "nodes/nodes.h"

/* init() and fini() of every node that uses worker->arp: the first one makes it, the first one to
 * go frees it. */
int arp_node_init(struct graph *g, struct rte_node *node);
void arp_node_fini(struct graph *g, struct rte_node *node);

/* RFC 5227 2.1.1: asks who has our address, for somebody else who does answers; his answer is what arp-input
 * says once. NULL: no memory. */
struct rte_mbuf *arp_node_probe(struct worker *w);
/* A request for `e` (NULL: an announcement of our own address), or NULL: no memory. */
struct rte_mbuf *arp_node_request(struct worker *w, const struct arp_entry *e);

#endif
