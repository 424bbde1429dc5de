/* SPDX-License-Identifier: BSD-3-Clause */
/* The decision of node ip4-output, apart from the neighbour table; for the node and its tests. */
#ifndef NODES_IP4_OUTPUT_VERDICT_H
#define NODES_IP4_OUTPUT_VERDICT_H

#include <rte_branch_prediction.h>
#include <rte_ip.h>

#include "nodes/ip4_route.h"
#include "nodes/worker.h"

enum ip4_output_edge {
	IP4_OUTPUT_TX,
	IP4_OUTPUT_ARP_RESOLVE,
	IP4_OUTPUT_FRAG,
	IP4_OUTPUT_CLASSIFY,
	IP4_OUTPUT_DROP,
	IP4_OUTPUT_EDGES
};

enum ip4_output_error {
	IP4_OUTPUT_NO_ROUTE,
	IP4_OUTPUT_BAD_LENGTH,
	IP4_OUTPUT_DF_TOO_LONG,
	IP4_OUTPUT_NO_HEADROOM,
	IP4_OUTPUT_NO_MEMORY,
	IP4_OUTPUT_ERRORS,
};

struct ip4_output_verdict {
	enum ip4_output_edge edge;
	enum ip4_output_error error; /* where edge is DROP */
	enum ip4_route route;
	uint32_t hop; /* next hop, network byte order */
};

/* Length of the longest packet on the wire that the port makes of `m`. */
static inline uint32_t
ip4_output_on_wire(const struct rte_mbuf *m)
{
	return m->ol_flags & RTE_MBUF_F_TX_TCP_SEG ? (uint32_t)m->l3_len + m->l4_len + m->tso_segsz :
						     m->pkt_len;
}

/* `ip`: the packet's header; `len`: its pkt_len; `on_wire`: of that, what one packet on the wire has
 * (less where the port cuts it, ip4_output_on_wire()). Edge TX still needs the neighbour's address. */
static inline struct ip4_output_verdict
ip4_output_verdict(const struct worker *w, const struct rte_ipv4_hdr *ip, uint32_t len,
	uint32_t on_wire)
{
	struct ip4_output_verdict v = {.edge = IP4_OUTPUT_TX};

	if (unlikely(len < sizeof(*ip) || len != rte_be_to_cpu_16(ip->total_length))) {
		v.edge = IP4_OUTPUT_DROP;
		v.error = IP4_OUTPUT_BAD_LENGTH;
		return v;
	}
	v.route = ip4_route_find(w->addr, w->mask, w->gateway, ip->dst_addr, &v.hop);
	if (unlikely(v.route == IP4_ROUTE_NONE)) {
		v.edge = IP4_OUTPUT_DROP;
		v.error = IP4_OUTPUT_NO_ROUTE;
	} else if (unlikely(v.route == IP4_ROUTE_LOCAL)) {
		v.edge = IP4_OUTPUT_CLASSIFY; /* no wire, no MTU */
	} else if (unlikely(on_wire > w->mtu)) {
		v.edge = IP4_OUTPUT_FRAG;
		if (ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG)) {
			v.edge = IP4_OUTPUT_DROP;
			v.error = IP4_OUTPUT_DF_TOO_LONG;
		}
	}
	return v;
}

#endif
