/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mode 6, the receiving side: which peer has been told which port's MAC address.
 *
 * A peer's port is a function of the two addresses and the ports with a link; the table only
 * remembers who is to be told when that changes. It is lossy (a collision forgets the elder peer):
 * nobody's traffic depends on it, since the MAC address of a lost port moves to the active one.
 */
#ifndef NODES_BOND_ALB_H
#define NODES_BOND_ALB_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_spinlock.h>

#define BOND_ALB_PEERS 1024
#define BOND_ALB_SETTLE_MS 1100 /* neighbours do not change an entry twice a second */

struct bond_alb_peer {
	uint32_t peer, own; /* IPv4 addresses, network order; peer 0: free */
	struct rte_ether_addr mac;  /* of the peer */
	struct rte_ether_addr told; /* where it believes us to be */
};

struct bond_alb {
	rte_spinlock_t lock;
	bool disturbed; /* a broadcast has told everybody the bond's address */
	struct bond_alb_peer peers[BOND_ALB_PEERS];
	unsigned int next; /* worker 0: peer to be looked at next; BOND_ALB_PEERS: none */
	uint64_t at_tsc;   /* worker 0: next round */
};

/* The slave out of `mask` (not 0) that `peer` sends to when it talks to `own`. */
uint8_t bond_alb_assign(uint8_t mask, uint32_t peer, uint32_t own);

void bond_alb_learn(struct bond_alb *a, uint32_t peer, uint32_t own,
	const struct rte_ether_addr *mac, const struct rte_ether_addr *told);
/* Everybody has heard that we are at `mac`. */
void bond_alb_broadcast(struct bond_alb *a, const struct rte_ether_addr *mac);

/*
 * The next peer, from alb->next on, that is to be told another address: mac_of(arg, slave) is that of
 * a slave out of `mask`. False: no more. *out is a copy, *slave its slave; it counts as told.
 */
bool bond_alb_next(struct bond_alb *a, uint8_t mask,
	const struct rte_ether_addr *(*mac_of)(void *arg, unsigned int slave), void *arg,
	struct bond_alb_peer *out, uint8_t *slave);

#endif
