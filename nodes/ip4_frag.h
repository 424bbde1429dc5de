/* SPDX-License-Identifier: BSD-3-Clause */
/* Fragmentation of one datagram; for node ip4-frag and its tests. */
#ifndef NODES_IP4_FRAG_H
#define NODES_IP4_FRAG_H

#include <stdint.h>

#include <rte_mbuf.h>

#define IP4_FRAG_MAX 128 /* of one datagram: 64 KB in fragments of 512 bytes */

/*
 * Split `m` (data_off at its IPv4 header, longer than `mtu`, no DF) into out[IP4_FRAG_MAX]; they
 * refer to its data. Fills in L4 checksum and identification first. Takes `m` when it succeeds.
 * Number of fragments, or -ENOMEM, -EINVAL (the MTU is too small for the datagram).
 */
int ip4_frag_split(struct rte_mbuf *m, uint16_t mtu, uint16_t id, struct rte_mempool *pool,
	struct rte_mbuf **out);

#endif
