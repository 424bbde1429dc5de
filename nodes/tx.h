/* SPDX-License-Identifier: BSD-3-Clause */
/* Parts of `tx` that unit tests call. */
#ifndef NODES_TX_H
#define NODES_TX_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct worker;

/*
 * Do in software what the packet asks for (TX_* flags) and a port with `offloads` cannot: IPv4, TCP
 * and UDP checksums, one segment. Where the port does the checksum, fills in the pseudo header sum
 * it needs. The packet, perhaps another one, or NULL and the packet freed: no memory.
 */
struct rte_mbuf *tx_prepare(struct rte_mbuf *m, uint64_t offloads);

/* Packets wait so long for a port that takes nothing: longer than a peer's core is usually taken
 * away from it. */
#define TX_STALL_MS 500

/* Offer the backlog to the port. False: the port stands still, `tx` shall drop what waits. */
bool tx_send_waiting(struct worker *w);

#endif
