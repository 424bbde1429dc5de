/* SPDX-License-Identifier: BSD-3-Clause */
/* The decision of `classify` about one packet, apart from the node for its tests. */
#ifndef NODES_CLASSIFY_H
#define NODES_CLASSIFY_H

#include <stdint.h>

struct rte_mbuf;
struct worker;

enum classify_edge {
	CLASSIFY_DROP,
	CLASSIFY_ARP,
	CLASSIFY_REASS,
	CLASSIFY_TCP,
	CLASSIFY_UDP,
	CLASSIFY_ICMP,
	CLASSIFY_HANDOFF,
	CLASSIFY_KERNEL,
	CLASSIFY_EDGES
};

/* In the order of the checks. */
enum classify_error {
	CLASSIFY_SHORT_FRAME,
	CLASSIFY_VLAN,
	CLASSIFY_NOT_OURS,
	CLASSIFY_IPV6,
	CLASSIFY_ETHERTYPE,
	CLASSIFY_IP_VERSION,
	CLASSIFY_IP_HEADER,
	CLASSIFY_IP_LENGTH,
	CLASSIFY_IP_CHECKSUM,
	CLASSIFY_BAD_SOURCE,
	CLASSIFY_MULTICAST,
	CLASSIFY_BROADCAST,
	CLASSIFY_NOT_LOCAL,
	CLASSIFY_TCP_HEADER,
	CLASSIFY_TCP_OPTIONS,
	CLASSIFY_TCP_CHECKSUM,
	CLASSIFY_UDP_LENGTH,
	CLASSIFY_UDP_CHECKSUM,
	CLASSIFY_ICMP_LENGTH,
	CLASSIFY_ICMP_CHECKSUM,
	CLASSIFY_PROTOCOL,
	CLASSIFY_NO_MEMORY,
	CLASSIFY_ERRORS,
	CLASSIFY_NO_ERROR = CLASSIFY_ERRORS
};

struct classify_result {
	uint8_t edge;   /* enum classify_edge */
	uint8_t error;  /* enum classify_error */
};

/* Checks and prepares the packet (see classify.c); `m` stays the caller's. */
struct classify_result classify_packet(const struct worker *w, struct rte_mbuf *m);

/* The row as it is printed, for tests and the trace. */
const char *classify_symbol(unsigned int error);

#endif
