/* SPDX-License-Identifier: BSD-3-Clause */
/* A packet's two views: DPDK's mbuf, and our struct pkt in its private area. For edge*.c only. */
#ifndef STACK_EDGE_MBUF_H
#define STACK_EDGE_MBUF_H

#include <rte_mbuf.h>

#include "stack/impl.h"
#include "stack/lwip_image.h"

static inline struct rte_mbuf *
pkt_mbuf(struct pkt *p)
{
	return (struct rte_mbuf *)((char *)p - sizeof(struct rte_mbuf));
}

static inline struct pkt *
mbuf_pkt(struct rte_mbuf *m)
{
	return rte_mbuf_to_priv(m);
}

/* edge_pool.c: a block for `bytes` at its data that is no packet of the pool; edge_free() frees it.
 * NULL: no memory. Holder. */
struct pkt *edge_block(struct stack *st, uint32_t bytes);

/* edge_tx.c: is there room in the queue to the port; `half`: in the first half of it? */
bool edge_tx_room(struct stack *st, bool half);
bool edge_tx_push(struct stack *st, struct rte_mbuf *m); /* m is gone in any case; false: no room */
/* edge_tx.c: lwIP's way out, netif->output */
err_t edge_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *next);

#endif
