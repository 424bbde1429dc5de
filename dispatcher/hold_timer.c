/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Source node hold-timer: lets held SYNs out (hold.h).
 *
 * Expects  nothing; costs a comparison while no SYN is held.
 * Next     dispatch-in, dispatch-out: where it came from, as soon as that one would not hold it any more:
 *          somebody listens, or nobody is expected to.
 * Drops    what has been held for HOLD_MS: the client has repeated it.
 * Runs on  every core.
 */
#include <rte_cycles.h>

#include "dispatcher/dispatch.h"
#include "dispatcher/dispatcher.h"
#include "nodes/nodes.h"

enum edge { EDGE_IN, EDGE_OUT, EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_IN] = NODE_DISPATCH_IN,
	[EDGE_OUT] = NODE_DISPATCH_OUT,
	[EDGE_DROP] = NODE_DROP,
};

enum error { HOLD_TIMER_TIMEOUT, HOLD_TIMER_ERRORS };

static const struct graph_error errors[HOLD_TIMER_ERRORS] = {
	[HOLD_TIMER_TIMEOUT] = {"hold-timeout", GRAPH_ODD, "SYNs for which nobody has come to listen"},
};

/* From the look that ends now to the next one. Verdicts take as long as instances' tables make them: other
 * traffic has most of the worker whatever stands there. */
static uint64_t
pause_tsc(uint64_t began)
{
	return RTE_MAX((rte_get_tsc_cycles() - began) * HOLD_REST, rte_get_tsc_hz() / 1000 * HOLD_LOOK_MS);
}

/* Its edge; EDGES: it stays. */
static rte_edge_t
way_of(const struct dispatch_worker *dw, unsigned int i, uint64_t now)
{
	struct rte_mbuf *m = dw->hold.held[i].m;
	bool is_out = dw->hold.held[i].is_out;
	struct dispatch_result r = is_out ? dispatch_out(dw, m) : dispatch_in(dw, m);

	if (r.edge != DISPATCH_HOLD)
		return is_out ? EDGE_OUT : EDGE_IN;
	return now < dw->hold.held[i].until_tsc ? EDGES : EDGE_DROP;
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct dispatch_worker *dw = node_dispatch_worker(node_worker(node));
	struct hold *h = &dw->hold;
	uint16_t kept = 0, sent = 0;
	uint64_t now;

	if (likely(h->n == 0)) /* reading the clock costs more than the rest */
		return 0;
	now = rte_get_tsc_cycles();
	if (now < h->look_tsc)
		return 0;
	for (uint16_t i = 0; i < h->n; i++) {
		rte_edge_t edge = way_of(dw, i, now);

		if (edge == EDGES) {
			h->held[kept++] = h->held[i];
			continue;
		}
		graph_count(node, HOLD_TIMER_TIMEOUT, edge == EDGE_DROP);
		graph_send_one(rg, node, edge, h->held[i].m);
		sent++;
	}
	h->n = kept;
	h->look_tsc = rte_get_tsc_cycles() + pause_tsc(now);
	return sent;
}

static struct graph_node hold_timer = {
	.name = NODE_HOLD_TIMER,
	.process = process,
	.source = true,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = HOLD_TIMER_ERRORS,
};
GRAPH_NODE(hold_timer)
