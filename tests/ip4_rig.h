/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One core's IPv4 nodes in the graph of node_rig.h, for the suites of these nodes. The tap device of
 * the exception path is one end of a datagram socket pair; the other end is the test's.
 */
#ifndef TESTS_IP4_RIG_H
#define TESTS_IP4_RIG_H

#include <rte_arp.h>
#include <rte_ether.h>

#include "nodes/arp.h"
#include "nodes/worker.h"
#include "tests/harness.h"
#include "tests/node_rig.h"

#define US HARNESS_IP(198, 18, 0, 1)
#define PEER HARNESS_IP(198, 18, 0, 2)

static const struct rte_ether_addr our_mac = {{2, 0, 0, 0, 0, 1}};
static const struct rte_ether_addr peer_mac = {{2, 0, 0, 0, 0, 2}};

/* The core: US/24, MTU 1500, no gateway. A test may change it between two walks. */
extern struct worker rig_worker;
/* The kernel's end of the tap; does not wait. A test that closes it sets it to -1. */
extern int rig_kernel_end;

/* CUnit setup and teardown: the graph with ip4-timer and kernel-rx as sources. */
void rig_setup(void);
void rig_teardown(void);

/* Packets for rig_walk(). Addresses are in network byte order, lengths in bytes. */
struct rte_mbuf *rig_udp(uint32_t dst, uint32_t payload); /* from US, without an Ethernet header */
struct rte_mbuf *rig_arp_frame(uint16_t opcode, uint32_t sip, uint32_t tip); /* from peer_mac */
/* A fragment from PEER to US; `offset` is a multiple of 8, `mf` means that more fragments follow. */
struct rte_mbuf *rig_fragment(uint16_t id, uint32_t offset, uint32_t len, bool mf);

/* The length of the next packet for tx, which is freed, or 0. */
uint32_t rig_sent_length(void);

/* One walk: the first core announces US, and asks who else has the address; both are checked. */
void rig_swallow_announcement(void);
/* PEER asks for US and is answered: afterwards it is a known neighbour that is not confirmed. */
void rig_meet_peer(void);

static inline const struct rte_arp_hdr *
arp_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, RTE_ETHER_HDR_LEN);
}

static inline const struct rte_ether_hdr *
eth_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
}

#endif
