/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Source node reass-timer: gives up datagrams whose fragments do not all come (ip4-reass).
 *
 * Expects  nothing; costs a comparison while no fragment is held.
 * Next     drop: first fragments; the others are freed with their datagram. No ICMP error is sent
 *          (RFC 1122 3.3.2 wishes for one from the destination, which saw nothing of them).
 * Drops    fragments of datagrams whose time is over.
 * Runs on  every core. While a worker sleeps nothing is given up; what is held is bounded.
 */
#include <rte_cycles.h>

#include "dispatcher/dispatcher.h"
#include "nodes/nodes.h"
#include "nodes/reass.h"

enum edge { EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_DROP] = NODE_DROP,
};

enum error { REASS_TIMER_TIMEOUT, REASS_TIMER_ERRORS };

static const struct graph_error errors[REASS_TIMER_ERRORS] = {
	[REASS_TIMER_TIMEOUT] = {"reass-timeout", GRAPH_ODD, "fragments of datagrams that never became whole"},
};

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	struct rte_mbuf *first;
	uint64_t due = reass_due(w->reass), now, lost = 0;

	if (likely(due == UINT64_MAX)) /* reading the clock costs more than the rest */
		return 0;
	now = rte_get_tsc_cycles();
	if (now < due)
		return 0;
	n = 0;
	while (reass_expire(w->reass, now, &lost, &first)) {
		if (first == NULL)
			continue;
		graph_send_one(rg, node, EDGE_DROP, first);
		n++;
	}
	graph_count(node, REASS_TIMER_TIMEOUT, lost);
	return n;
}

static struct graph_node reass_timer = {
	.name = NODE_REASS_TIMER,
	.process = process,
	.source = true,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = REASS_TIMER_ERRORS,
};
GRAPH_NODE(reass_timer)
