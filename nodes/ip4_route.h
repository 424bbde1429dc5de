/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where an IPv4 packet of ours goes next: one address, one subnet, at most one gateway.
 * All addresses are in network byte order.
 */
#ifndef NODES_IP4_ROUTE_H
#define NODES_IP4_ROUTE_H

#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

enum ip4_route {
	IP4_ROUTE_UNICAST, /* to the neighbour in *hop */
	IP4_ROUTE_LOCAL,   /* our own address */
	IP4_ROUTE_GROUP,   /* broadcast or multicast: the MAC address follows from *hop */
	IP4_ROUTE_NONE,    /* not a destination, or off-link without a gateway */
};

static inline enum ip4_route
ip4_route_find(uint32_t addr, uint32_t mask, uint32_t gateway, uint32_t daddr, uint32_t *hop)
{
	uint32_t host = rte_be_to_cpu_32(daddr);

	*hop = daddr;
	if (daddr == addr)
		return IP4_ROUTE_LOCAL;
	if (((daddr ^ addr) & mask) == 0) {
		/* RFC 3021: the two addresses of a /31, as the one of a /32, are hosts. */
		if ((daddr | mask) == UINT32_MAX && rte_be_to_cpu_32(~mask) > 1)
			return IP4_ROUTE_GROUP;
		return IP4_ROUTE_UNICAST;
	}
	if (host == UINT32_MAX || host >> 28 == 0xe)
		return IP4_ROUTE_GROUP;
	/* RFC 1122 3.2.1.3: 0/8, 127/8 and class E never appear on a wire as destinations. */
	if (host >> 24 == 0 || host >> 24 == 127 || host >> 28 == 0xf || gateway == 0)
		return IP4_ROUTE_NONE;
	*hop = gateway;
	return IP4_ROUTE_UNICAST;
}

/* MAC address of IP4_ROUTE_GROUP: all ones, or RFC 1112 6.4: 01-00-5e and the low 23 bits. */
static inline struct rte_ether_addr
ip4_route_group_mac(uint32_t hop)
{
	uint32_t host = rte_be_to_cpu_32(hop);

	if (host >> 28 != 0xe)
		return (struct rte_ether_addr){{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	return (struct rte_ether_addr){
		{0x01, 0x00, 0x5e, (host >> 16) & 0x7f, (host >> 8) & 0xff, host & 0xff}};
}

/* Put the Ethernet header towards a group in front of `m`; headroom is the caller's care. */
static inline void
ip4_route_write_group(struct rte_mbuf *m, const struct rte_ether_addr *mac, uint32_t hop)
{
	struct rte_ether_hdr *eth =
		(struct rte_ether_hdr *)rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN);

	*eth = (struct rte_ether_hdr){.dst_addr = ip4_route_group_mac(hop),
		.src_addr = *mac,
		.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4)};
	m->l2_len = RTE_ETHER_HDR_LEN;
}

#endif
