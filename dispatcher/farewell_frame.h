/* SPDX-License-Identifier: BSD-3-Clause */
/* The two frames of farewell.c. Addresses are in network order. */
#ifndef DISPATCHER_FAREWELL_FRAME_H
#define DISPATCHER_FAREWELL_FRAME_H

#include <stdint.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

struct farewell_arp {
	struct rte_ether_hdr eth;
	struct rte_arp_hdr arp;
} __rte_packed __rte_aligned(2);

struct farewell_ack {
	struct rte_ether_hdr eth;
	struct rte_ipv4_hdr ip;
	struct rte_tcp_hdr tcp;
} __rte_packed __rte_aligned(2);

/* Who has `target`? In the name of `addr`. */
void farewell_write_arp(struct farewell_arp *frame, const struct rte_ether_addr *mac, uint32_t addr,
	uint32_t target);
/* An ACK from `addr` to `raddr`, without ports, numbers and checksums. */
void farewell_write_ack(struct farewell_ack *frame, const struct rte_ether_addr *mac,
	const struct rte_ether_addr *to, uint32_t addr, uint32_t raddr);
/* Its ports are there now. */
void farewell_finish_ack(struct farewell_ack *frame, uint32_t seq);

#endif
