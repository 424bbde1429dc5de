/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets out of and into the ring of an instance, which may be hostile.
 *
 * librte_vhost notes which buffers a call has used in an array with as many places as the ring has, and does
 * not look whether it is full: an avail index far ahead lets it go on behind its end. So a call must not be
 * able to use more buffers than the smallest ring has. A packet that is taken uses one. A packet that is given
 * uses as many as it needs, which a driver of mergeable buffers (VIRTIO_NET_F_MRG_RXBUF) can make all of
 * them but one, with buffers of a few bytes.
 */
#ifndef DISPATCHER_RING_BURST_H
#define DISPATCHER_RING_BURST_H

#include <stdint.h>

#include <rte_vhost.h>

#include "dispatcher/vhost_rules.h"

#define RING_BURST VHOST_RING_MIN

/* Up to `max` packets, and RING_BURST, that the instance has sent over its pair of queues `pair`. */
static inline uint16_t
ring_take(int vid, uint16_t pair, struct rte_mempool *pool, struct rte_mbuf **pkts, uint16_t max)
{
	return rte_vhost_dequeue_burst(vid, 2 * pair + 1, pool, pkts, max < RING_BURST ? max : RING_BURST);
}

/* How many of `n` packets the instance has room for; they are copied. */
static inline uint16_t
ring_give(int vid, uint16_t pair, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t sent = 0;

	while (sent < n && rte_vhost_enqueue_burst(vid, 2 * pair, pkts + sent, 1) == 1)
		sent++;
	return sent;
}

#endif
