/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Source node ip4-timer: what the IPv4 nodes do by the clock. The neighbour table repeats requests,
 * confirms neighbours in use, gives up on silent ones and announces our address at start (RFC 5227
 * 2.3); incomplete datagrams are given up. One node for both: it runs in every walk.
 *
 * Expects  nothing; costs two comparisons while nothing is due.
 * Next     tx (requests); drop (packets that waited in vain).
 * Drops    unresolved; fragments of datagrams whose time is over (row reass-timeout).
 * Runs on  every core; the first one announces.
 */
#include <rte_cycles.h>

#include "nodes/arp_node.h"
#include "nodes/reass.h"

enum edge { EDGE_TX, EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_TX] = NODE_TX,
	[EDGE_DROP] = NODE_DROP,
};

enum error {
	IP4_TIMER_UNRESOLVED,
	IP4_TIMER_NEIGHBOUR_LOST,
	IP4_TIMER_NO_MEMORY,
	IP4_TIMER_REASS_TIMEOUT,
	IP4_TIMER_ERRORS
};

static const struct graph_error errors[IP4_TIMER_ERRORS] = {
	[IP4_TIMER_UNRESOLVED] = {"unresolved", GRAPH_ODD, "waited for a neighbour that does not answer"},
	[IP4_TIMER_NEIGHBOUR_LOST] = {"neighbour-lost", GRAPH_ODD, "neighbours forgotten after three requests"},
	[IP4_TIMER_NO_MEMORY] = {"no-memory", GRAPH_BROKEN, "no packet for a request; it is tried again"},
	[IP4_TIMER_REASS_TIMEOUT] = {"reass-timeout", GRAPH_ODD, "fragments of datagrams that never became whole"},
};

static uint16_t
send_request(struct rte_graph *rg, struct rte_node *node, struct worker *w,
	const struct arp_entry *e)
{
	struct rte_mbuf *m = arp_node_request(w, e);

	if (m == NULL) {
		graph_count(node, IP4_TIMER_NO_MEMORY, 1);
		return 0;
	}
	graph_trace_mark(node, &m, 1);
	rte_node_enqueue_x1(rg, node, EDGE_TX, m);
	return 1;
}

static uint16_t
give_up(struct rte_graph *rg, struct rte_node *node, struct arp_table *t, struct arp_entry *e)
{
	struct rte_mbuf *m;
	uint16_t n = 0;

	for (; (m = arp_pop(t, e)) != NULL; n++)
		rte_node_enqueue_x1(rg, node, EDGE_DROP, m);
	graph_count(node, IP4_TIMER_UNRESOLVED, n);
	graph_count(node, IP4_TIMER_NEIGHBOUR_LOST, 1);
	arp_remove(t, e);
	return n;
}

static uint16_t
serve_neighbours(struct rte_graph *rg, struct rte_node *node, struct worker *w, uint64_t now)
{
	struct arp_table *t = w->arp;
	struct arp_entry *e;
	unsigned int pos = 0;
	uint16_t n = 0;

	if (arp_take_announcement(t, now))
		n += send_request(rg, node, w, NULL);
	while ((e = arp_next_due(t, now, &pos)) != NULL) {
		if (e->tries >= ARP_TRIES)
			n += give_up(rg, node, t, e);
		else if (arp_take_request(t, e, now))
			n += send_request(rg, node, w, e);
	}
	return n;
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	uint64_t arp = arp_due(w->arp), reass = w->reass != NULL ? reass_due(w->reass) : UINT64_MAX;
	uint64_t now;

	if (likely((arp & reass) == UINT64_MAX)) /* reading the clock costs more than the rest */
		return 0;
	now = rte_get_tsc_cycles();
	if (now >= reass)
		graph_count(node, IP4_TIMER_REASS_TIMEOUT, reass_expire(w->reass, now));
	return now >= arp ? serve_neighbours(rg, node, w, now) : 0;
}

static struct graph_node ip4_timer = {
	.name = NODE_IP4_TIMER,
	.process = process,
	.source = true,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = IP4_TIMER_ERRORS,
	.init = arp_node_init,
	.fini = arp_node_fini,
};
GRAPH_NODE(ip4_timer)
