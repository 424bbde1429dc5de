/* SPDX-License-Identifier: BSD-3-Clause */
/* What most nodes store about a traced packet: its addresses, ports, length and where it went. */
#ifndef NODES_PACKET_RECORD_H
#define NODES_PACKET_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "graph/graph.h"

#define PACKET_RECORD_NO_ERROR UINT8_MAX

struct packet_record {
	uint32_t len;
	uint16_t n_segs;
	uint16_t ether_type; /* host order; 0: the packet starts at its IPv4 header */
	uint8_t ip_version, proto, tcp_flags, icmp_type;
	uint32_t saddr, daddr;    /* network order */
	uint16_t sport, dport;    /* host order; fragments: offset in bytes, identification */
	uint8_t is_fragment;
	uint8_t edge;  /* of the node that made the record */
	uint8_t error; /* row of that node, or PACKET_RECORD_NO_ERROR */
};

/* Reads only bytes that are there; for packets of any state. */
void packet_record_fill(struct packet_record *r, const struct rte_mbuf *m, uint16_t l3_off);
int packet_record_format(char *buf, size_t len, const struct packet_record *r);
/* The same as a node's trace formatter. */
int packet_record_print(char *buf, size_t len, const void *record);

/* A record of each; only while graph_tracing(). */
void packet_record_add(struct rte_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t l3_off);

/* Source nodes, on fresh vectors: begin the traces that are asked for, with a record each. */
void packet_record_start(struct rte_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t l3_off);

static inline void
packet_record_source(struct rte_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t l3_off)
{
	if (graph_tracing(node))
		packet_record_start(node, pkts, n, l3_off);
}

/* The last node of traced packets: a record, and the end. */
void packet_record_end(struct rte_node *node, struct rte_mbuf **pkts, uint16_t n);

#endif
