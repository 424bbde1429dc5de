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

/*
 * A packet that one thread gives back belongs to the thread that gets it next. DPDK's ring of free packets
 * takes care of the order, but its library is not instrumented, so ThreadSanitizer has to be told of it.
 */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#else
#define __tsan_acquire(m) ((void)(m))
#define __tsan_release(m) ((void)(m))
#endif

/* rte_pktmbuf_alloc() */
static inline struct rte_mbuf *
edge_take(struct rte_mempool *pool)
{
	struct rte_mbuf *m = rte_mbuf_raw_alloc(pool);

	if (m != NULL) {
		__tsan_acquire(m);
		rte_pktmbuf_reset(m);
	}
	return m;
}

/* rte_pktmbuf_free_seg() */
static inline void
edge_give(struct rte_mbuf *m)
{
	m = rte_pktmbuf_prefree_seg(m);
	if (m != NULL) {
		__tsan_release(m);
		rte_mbuf_raw_free(m);
	}
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
