/* SPDX-License-Identifier: BSD-3-Clause */
/* The decision of node arp-input about one frame, apart from the table; for the node, its tests. */
#ifndef NODES_ARP_VERDICT_H
#define NODES_ARP_VERDICT_H

#include <stdbool.h>

#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>

#include "nodes/ip4_route.h"

enum arp_input_error {
	ARP_INPUT_SHORT,
	ARP_INPUT_BAD_FORMAT,
	ARP_INPUT_BAD_OPCODE,
	ARP_INPUT_BAD_SENDER_MAC,
	ARP_INPUT_BAD_SENDER_IP,
	ARP_INPUT_DUPLICATE_ADDRESS,
	ARP_INPUT_OWN,
	ARP_INPUT_NOT_FOR_US,
	ARP_INPUT_UNSOLICITED,
	ARP_INPUT_FLAPPING,
	ARP_INPUT_DISPUTED,
	ARP_INPUT_TABLE_FULL,
	ARP_INPUT_CONSUMED,
	ARP_INPUT_COPY_FAILED,
	ARP_INPUT_COPY_RATE,
	ARP_INPUT_ERRORS
};

/* What to do with a frame. Neither reply nor learn: drop it for `error`. */
struct arp_verdict {
	bool reply;  /* answer it */
	bool learn;  /* tell the table about the sender */
	bool create; /* ... making an entry if there is none */
	bool asked;  /* ... as an answer to our own question */
	bool spread; /* other cores want to know too */
	enum arp_input_error error;
};

/* Who we are; network byte order. */
struct arp_self {
	uint32_t addr, mask, gateway;
	struct rte_ether_addr mac;
};

/* Is `ip` a host that can be a neighbour: of our subnet and not its broadcast, or the gateway? */
static inline bool
arp_is_neighbour(const struct arp_self *self, uint32_t ip)
{
	uint32_t hop;

	if (ip == self->gateway)
		return true;
	return ((ip ^ self->addr) & self->mask) == 0 &&
		ip4_route_find(self->addr, self->mask, 0, ip, &hop) == IP4_ROUTE_UNICAST;
}

/* What is wrong with a frame; ARP_INPUT_CONSUMED: nothing. */
static inline enum arp_input_error
arp_check(const struct arp_self *self, const struct rte_arp_hdr *arp, uint32_t len)
{
	const struct rte_arp_ipv4 *d = &arp->arp_data;

	if (len < sizeof(*arp))
		return ARP_INPUT_SHORT;
	if (arp->arp_hardware != RTE_BE16(RTE_ARP_HRD_ETHER) ||
		arp->arp_protocol != RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
		arp->arp_hlen != RTE_ETHER_ADDR_LEN || arp->arp_plen != sizeof(d->arp_sip))
		return ARP_INPUT_BAD_FORMAT;
	if (arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REQUEST) &&
		arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REPLY))
		return ARP_INPUT_BAD_OPCODE;
	if (!rte_is_valid_assigned_ether_addr(&d->arp_sha))
		return ARP_INPUT_BAD_SENDER_MAC;
	/* Our MAC address alone does not make it ours: all programs behind one ltran have the same. */
	if (d->arp_sip == self->addr)
		return rte_is_same_ether_addr(&d->arp_sha, &self->mac) ?
			ARP_INPUT_OWN : ARP_INPUT_DUPLICATE_ADDRESS;
	/* RFC 5227: the sender of a probe has no address yet. */
	if (d->arp_sip == 0 ? arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REQUEST)
			    : !arp_is_neighbour(self, d->arp_sip))
		return ARP_INPUT_BAD_SENDER_IP;
	return ARP_INPUT_CONSUMED;
}

static inline struct arp_verdict
arp_verdict(const struct arp_self *self, const struct rte_arp_hdr *arp, uint32_t len)
{
	const struct rte_arp_ipv4 *d = &arp->arp_data;
	struct arp_verdict v = {.error = arp_check(self, arp, len)};

	if (v.error != ARP_INPUT_CONSUMED)
		return v;

	bool request = arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST);
	bool to_us = d->arp_tip == self->addr;
	bool gratuitous = d->arp_sip == d->arp_tip; /* RFC 5227 3: in either opcode */

	v.learn = d->arp_sip != 0;
	v.reply = request && to_us;
	v.create = v.learn && v.reply;
	v.asked = !request && to_us && rte_is_same_ether_addr(&d->arp_tha, &self->mac);
	v.spread = v.asked || gratuitous;
	if (request && !to_us && !gratuitous)
		v.error = ARP_INPUT_NOT_FOR_US;
	return v;
}

#endif
