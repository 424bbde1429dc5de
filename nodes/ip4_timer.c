/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Source node ip4-timer: what the IPv4 nodes do by the clock. The neighbour table repeats requests,
 * confirms neighbours in use, gives up on silent ones, announces our address at start and asks who else
 * has it (RFC 5227 2.3, 2.1.1); incomplete datagrams are given up, with word to their senders (RFC 1122
 * 3.3.2). One node for both: it runs in every walk.
 *
 * Expects  nothing; costs two comparisons while nothing is due.
 * Next     tx (requests); ip4-output (ICMP time exceeded); drop (packets that waited in vain).
 * Drops    unresolved; fragments of datagrams whose time is over (row reass-timeout).
 * Runs on  every core; the first one announces.
 */
#include <netinet/in.h>

#include <rte_cycles.h>
#include <rte_icmp.h>
#include <rte_ip.h>

#include "nodes/arp_node.h"
#include "nodes/icmp_error.h"
#include "nodes/reass.h"

enum edge { EDGE_TX, EDGE_IP4_OUTPUT, EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_TX] = NODE_TX,
	[EDGE_IP4_OUTPUT] = NODE_IP4_OUTPUT,
	[EDGE_DROP] = NODE_DROP,
};

enum error {
	IP4_TIMER_UNRESOLVED,
	IP4_TIMER_NEIGHBOUR_LOST,
	IP4_TIMER_NO_MEMORY,
	IP4_TIMER_REASS_TIMEOUT,
	IP4_TIMER_ICMP_RATE,
	IP4_TIMER_ERRORS
};

static const struct graph_error errors[IP4_TIMER_ERRORS] = {
	[IP4_TIMER_UNRESOLVED] = {"unresolved", GRAPH_ODD, "waited for a neighbour that does not answer"},
	[IP4_TIMER_NEIGHBOUR_LOST] = {"neighbour-lost", GRAPH_ODD, "neighbours forgotten after three requests"},
	[IP4_TIMER_NO_MEMORY] = {"no-memory", GRAPH_BROKEN, "no packet for a request; it is tried again"},
	[IP4_TIMER_REASS_TIMEOUT] = {"reass-timeout", GRAPH_ODD, "fragments of datagrams that never became whole"},
	[IP4_TIMER_ICMP_RATE] = {"icmp-rate", GRAPH_ODD, "time exceeded not sent: rate limit"},
};

static uint16_t
send_arp(struct rte_graph *rg, struct rte_node *node, struct rte_mbuf *m)
{
	if (m == NULL) {
		graph_count(node, IP4_TIMER_NO_MEMORY, 1);
		return 0;
	}
	graph_trace_mark(node, &m, 1);
	graph_send_one(rg, node, EDGE_TX, m);
	return 1;
}

static uint16_t
give_up(struct rte_graph *rg, struct rte_node *node, struct arp_table *t, struct arp_entry *e)
{
	struct rte_mbuf *m;
	uint16_t n = 0;

	for (; (m = arp_pop(t, e)) != NULL; n++)
		graph_send_one(rg, node, EDGE_DROP, m);
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

	if (arp_take_announcement(t, now)) {
		n += send_arp(rg, node, arp_node_request(w, NULL));
		/* ltran lets no frame without our address through, and has one MAC address for all. */
		if (w->bells == NULL)
			n += send_arp(rg, node, arp_node_probe(w));
	}
	while ((e = arp_next_due(t, now, &pos)) != NULL) {
		if (e->tries >= ARP_TRIES)
			n += give_up(rg, node, t, e);
		else if (arp_take_request(t, e, now))
			n += send_arp(rg, node, arp_node_request(w, e));
	}
	return n;
}

static uint16_t
send_time_exceeded(struct rte_graph *rg, struct rte_node *node, struct worker *w,
	const struct rte_mbuf *first, uint64_t now)
{
	struct rte_mbuf *m;

	if (!icmp_error_take(&w->icmp_errors, now, rte_get_tsc_hz())) {
		graph_count(node, IP4_TIMER_ICMP_RATE, 1);
		return 0;
	}
	m = icmp_error_build(w, first, ICMP_ERROR_TIME_EXCEEDED, ICMP_ERROR_REASSEMBLY);
	if (m == NULL) {
		graph_count(node, IP4_TIMER_NO_MEMORY, 1);
		return 0;
	}
	graph_trace_mark(node, &m, 1);
	graph_send_one(rg, node, EDGE_IP4_OUTPUT, m);
	return 1;
}

/* RFC 1122 3.2.2: no errors about broadcasts, and none about ICMP errors. */
static bool
may_answer(const struct worker *w, const struct rte_mbuf *first)
{
	const struct rte_ipv4_hdr *ip =
		rte_pktmbuf_mtod_offset(first, const struct rte_ipv4_hdr *, first->l2_len);
	uint16_t l4_off = first->l2_len + first->l3_len;

	if (ip->next_proto_id == IPPROTO_ICMP && (first->data_len <= l4_off ||
		*rte_pktmbuf_mtod_offset(first, uint8_t *, l4_off) != RTE_IP_ICMP_ECHO_REQUEST))
		return false;
	return ip->dst_addr == w->addr;
}

static uint16_t
give_up_datagrams(struct rte_graph *rg, struct rte_node *node, struct worker *w, uint64_t now)
{
	struct rte_mbuf *first;
	uint64_t lost = 0;
	uint16_t n = 0;

	while (reass_expire(w->reass, now, &lost, &first)) {
		if (first == NULL)
			continue;
		if (may_answer(w, first))
			n += send_time_exceeded(rg, node, w, first, now);
		rte_pktmbuf_free(first);
	}
	graph_count(node, IP4_TIMER_REASS_TIMEOUT, lost);
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
	n = now >= reass ? give_up_datagrams(rg, node, w, now) : 0;
	if (now >= arp)
		n += serve_neighbours(rg, node, w, now);
	return n;
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
