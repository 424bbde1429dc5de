/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of `gso` that unit tests call. */
#ifndef NODES_GSO_H
#define NODES_GSO_H

#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

#define GSO_SEGSZ_MIN 48 /* bytes of payload; the smallest a peer of Linux can ask for */
#define GSO_SEGMENTS_MAX (65535 / GSO_SEGSZ_MIN + 1)

/*
 * Cut the TCP/IPv4 frame `m` (l2_len to l4_len, tso_segsz and TX_TCP_SEG set) into frames of at most
 * `mtu` bytes of IP packet from `pool`, which ask for their checksums (TX_*). Returns how many are in
 * `out`, which has room for GSO_SEGMENTS_MAX; -EINVAL: it cannot be cut; -ENOMEM. `m` stays the
 * caller's in all cases.
 */
int gso_cut(const struct rte_mbuf *m, uint16_t mtu, struct rte_mempool *pool, struct rte_mbuf **out);

#endif
