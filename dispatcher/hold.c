/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Node hold: SYNs to a port on which somebody is about to listen (hold.h).
 *
 * Expects  from dispatch-in and dispatch-out: a SYN, data_off at the Ethernet header, the IPv4 header
 *          whole in the first segment.
 * Sets     `port` INVALID where it is a member's, which is valid in one walk only.
 * Next     nothing: hold-timer lets them out.
 * Drops    what is beyond the bounds: of SYNs, and one buffer for each.
 * Runs on  every core.
 */
#include "dispatcher/hold.h"

#include <rte_cycles.h>
#include <rte_ip.h>

#include "dispatcher/dispatcher.h"
#include "nodes/nodes.h"
#include "nodes/packet_record.h"

enum edge { EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_DROP] = NODE_DROP,
};

enum error { HOLD_HELD, HOLD_FULL, HOLD_LARGE, HOLD_ERRORS };

static const struct graph_error errors[HOLD_ERRORS] = {
	[HOLD_HELD] = {"syn-held", GRAPH_NORMAL, "a SYN waits until somebody listens"},
	[HOLD_FULL] = {"hold-full", GRAPH_ODD, "too many SYNs wait: the client repeats it"},
	[HOLD_LARGE] = {"hold-large", GRAPH_ODD, "a SYN that takes several buffers does not wait"},
};

static uint32_t
addr_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN)->dst_addr;
}

static bool
has_room(const struct hold *h, uint32_t addr)
{
	unsigned int n = 0;

	for (uint16_t i = 0; i < h->n; i++)
		n += addr_of(h->held[i].m) == addr;
	return h->n < HOLD_MAX && n < HOLD_ADDR_MAX;
}

static void
keep(struct hold *h, struct rte_mbuf *m, uint64_t now)
{
	bool is_out = m->port == RTE_MBUF_PORT_INVALID || packet_is_from_member(m);

	if (is_out)
		m->port = RTE_MBUF_PORT_INVALID;
	h->held[h->n].m = m;
	h->held[h->n].until_tsc = now + rte_get_tsc_hz() / 1000 * HOLD_MS;
	h->held[h->n].is_out = is_out;
	h->n++;
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct dispatch_worker *dw = node_dispatch_worker(node_worker(node));
	uint64_t now = rte_get_tsc_cycles();

	if (graph_tracing(node))
		packet_record_end(node, (struct rte_mbuf **)objs, n);
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		enum error e = m->nb_segs > 1 ? HOLD_LARGE :
			has_room(&dw->hold, addr_of(m)) ? HOLD_HELD : HOLD_FULL;

		graph_count(node, e, 1);
		if (e == HOLD_HELD)
			keep(&dw->hold, m, now);
		else
			graph_send_one(rg, node, EDGE_DROP, m);
	}
	return n;
}

void
hold_free(struct hold *h)
{
	for (uint16_t i = 0; i < h->n; i++)
		rte_pktmbuf_free(h->held[i].m);
	h->n = 0;
}

static struct graph_node hold = {
	.name = NODE_HOLD,
	.process = process,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = HOLD_ERRORS,
	.format = packet_record_print,
};
GRAPH_NODE(hold)
