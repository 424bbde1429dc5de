/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Node arp-resolve: the slow way to a neighbour. Packets whose neighbour is known go on, others
 * wait in its entry while it is asked.
 *
 * Expects  packets of ip4-output or ip4-frag: data_off at the IPv4 header, not longer than the MTU,
 *          for another host (unicast, or a group from ip4-frag).
 * Sets     Ethernet header, l2_len, port.
 * Next     tx (packets, and requests of our own); drop.
 * Drops    oldest packet of a full queue, no room in the table, no headroom, no route.
 * Runs on  the core of the stack.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include <netinet/in.h>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "nodes/arp_node.h"
#include "nodes/ip4_route.h"

enum edge { EDGE_TX, EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_TX] = NODE_TX,
	[EDGE_DROP] = NODE_DROP,
};

enum error {
	ARP_RESOLVE_NO_ROUTE,
	ARP_RESOLVE_NO_HEADROOM,
	ARP_RESOLVE_QUEUE_FULL,
	ARP_RESOLVE_TABLE_FULL,
	ARP_RESOLVE_EVICTED,
	ARP_RESOLVE_NO_MEMORY,
	ARP_RESOLVE_ERRORS
};

static const struct graph_error errors[ARP_RESOLVE_ERRORS] = {
	[ARP_RESOLVE_NO_ROUTE] = {"no-route", GRAPH_BROKEN, "not for another host"},
	[ARP_RESOLVE_NO_HEADROOM] = {"no-headroom", GRAPH_BROKEN, "no room for an Ethernet header"},
	[ARP_RESOLVE_QUEUE_FULL] = {"queue-full", GRAPH_ODD, "too many packets wait for neighbours: the oldest"},
	[ARP_RESOLVE_TABLE_FULL] = {"table-full", GRAPH_ODD, "no room for a neighbour"},
	[ARP_RESOLVE_EVICTED] = {"evicted", GRAPH_ODD, "waited for a neighbour whose place was taken"},
	[ARP_RESOLVE_NO_MEMORY] = {"no-memory", GRAPH_BROKEN, "no packet for a request; it is tried again"},
};

enum outcome { SENT, WAITS, GROUP };

struct trace_record {
	uint32_t hop;
	uint8_t outcome;
};

/* Where packets go: victims and requests leave in the middle of a vector. */
struct output {
	struct rte_graph *rg;
	struct rte_node *node;
};

static void
send_to(struct output *out, enum edge edge, struct rte_mbuf *m)
{
	graph_send_one(out->rg, out->node, edge, m);
}

static void
drop(struct output *out, struct rte_mbuf *m, enum error error)
{
	graph_count(out->node, error, 1);
	send_to(out, EDGE_DROP, m);
}

/* Does `m` answer what anybody can send under any name? Then a flood of such names must not push
 * out those to whom packets of ours go. */
static bool
answers_stranger(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	const struct rte_tcp_hdr *tcp =
		(const struct rte_tcp_hdr *)((const char *)ip + rte_ipv4_hdr_len(ip));

	if (ip->next_proto_id != IPPROTO_TCP)
		return ip->next_proto_id == IPPROTO_ICMP;
	if (m->data_len < rte_ipv4_hdr_len(ip) + sizeof(*tcp))
		return false;
	return (tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0 ||
		(tcp->tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) ==
			(RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);
}

static void
wait_for(struct output *out, struct worker *w, uint32_t hop, struct rte_mbuf *m, uint64_t now)
{
	struct rte_mbuf *victim, *request;
	bool to_stranger = answers_stranger(m, rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *));
	struct arp_entry *e = arp_wait(w->arp, hop, m, to_stranger, now, &victim);

	if (victim != NULL)
		drop(out, victim, e == NULL ? ARP_RESOLVE_TABLE_FULL : ARP_RESOLVE_QUEUE_FULL);
	graph_count(out->node, ARP_RESOLVE_EVICTED, arp_evicted(w->arp));
	if (e == NULL || !arp_take_request(w->arp, e, now))
		return;
	request = arp_node_request(w, e);
	if (request != NULL)
		send_to(out, EDGE_TX, request);
	else
		graph_count(out->node, ARP_RESOLVE_NO_MEMORY, 1);
}

static void
resolve(struct output *out, struct worker *w, struct rte_mbuf *m, uint64_t now)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct trace_record r = {.outcome = SENT};
	enum ip4_route route =
		ip4_route_find(w->addr, w->mask, w->gateway, ip->dst_addr, &r.hop);
	struct arp_entry *e = NULL;

	m->port = w->port;
	if (route != IP4_ROUTE_UNICAST && route != IP4_ROUTE_GROUP)
		return drop(out, m, ARP_RESOLVE_NO_ROUTE);
	if (rte_pktmbuf_headroom(m) < ARP_L2_ROOM)
		return drop(out, m, ARP_RESOLVE_NO_HEADROOM);
	if (route == IP4_ROUTE_GROUP)
		r.outcome = GROUP;
	else if ((e = arp_find(w->arp, r.hop)) == NULL || !arp_is_resolved(e))
		r.outcome = WAITS;
	if (graph_tracing(out->node))
		graph_trace_add(out->node, m, &r, sizeof(r));

	switch (r.outcome) {
	case WAITS:
		return wait_for(out, w, r.hop, m, now);
	case GROUP:
		ip4_route_write_group(m, &w->mac, r.hop);
		break;
	default:
		arp_use(w->arp, e, now);
		arp_write_l2(m, e);
	}
	send_to(out, EDGE_TX, m);
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	struct output out = {rg, node};
	uint64_t now = rte_get_tsc_cycles();

	for (uint16_t i = 0; i < n; i++)
		resolve(&out, w, objs[i], now);
	return n;
}

static int
format(char *buf, size_t len, const void *record)
{
	static const char *const names[] = {
		[SENT] = "known", [WAITS] = "waits", [GROUP] = "group address"};
	const struct trace_record *r = record;
	char hop[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &r->hop, hop, sizeof(hop));
	return snprintf(buf, len, "next hop %s: %s", hop, names[r->outcome]);
}

static struct graph_node arp_resolve = {
	.name = NODE_ARP_RESOLVE,
	.process = process,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = ARP_RESOLVE_ERRORS,
	.format = format,
	.init = arp_node_init,
	.fini = arp_node_fini,
};
GRAPH_NODE(arp_resolve)
