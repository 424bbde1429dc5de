/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much a sender may have queued: four times the bandwidth-delay product, where the program has
 * not set SO_SNDBUF. More would not make it faster on the wire, only slower in memory: what is in
 * flight between two cores of one machine has to stay in their caches.
 *
 * Bandwidth is what one round trip has acknowledged; the delay is the shortest one seen, since any
 * longer one contains our own queue. Pure.
 */
#ifndef STACK_TCP_AUTOTUNE_H
#define STACK_TCP_AUTOTUNE_H

#include <stdint.h>

#define TCP_AUTOTUNE_BDPS 4

/* The new size after a round trip of `rtt_us`, the shortest being `min_us`, with `acked` bytes
 * acknowledged meanwhile; `now` is the old one. Grows at once, and shrinks by an eighth. */
static inline uint32_t
tcp_autotune(uint32_t now, uint32_t acked, uint32_t rtt_us, uint32_t min_us, uint32_t least,
	uint32_t most)
{
	uint64_t want = rtt_us == 0 ? 0 : (uint64_t)acked * min_us / rtt_us * TCP_AUTOTUNE_BDPS;

	if (want < now - now / 8)
		want = now - now / 8;
	if (want > most)
		want = most;
	return want < least ? least : (uint32_t)want;
}

#endif
