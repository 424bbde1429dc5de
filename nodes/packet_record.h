/* SPDX-License-Identifier: BSD-3-Clause */
/* What most nodes store about a traced packet: its addresses, ports, length and where it went. */
#ifndef NODES_PACKET_RECORD_H
#define NODES_PACKET_RECORD_H

#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;

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

#endif
