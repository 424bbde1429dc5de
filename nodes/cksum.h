/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Internet checksums (RFC 1071) over packets of several segments.
 *
 * DPDK 22.11's rte_ipv4_udptcp_cksum_mbuf() loses carries behind a segment that ends at an odd
 * offset, and adds 16 bits at a time; these add 64.
 */
#ifndef NODES_CKSUM_H
#define NODES_CKSUM_H

#include <stdint.h>

struct rte_ipv4_hdr;
struct rte_mbuf;

/* One's complement sum, folded to 16 bits, not inverted, of `len` bytes; `sum` is added to it. */
uint16_t cksum_add(const void *data, uint32_t len, uint32_t sum);

/* The same over `len` bytes of the packet from `off` on; the packet has them. */
uint16_t cksum_packet(const struct rte_mbuf *m, uint32_t off, uint32_t len, uint32_t sum);

/*
 * TCP or UDP checksum of the `len` bytes whose L4 header is at `l4_off`, pseudo header included.
 * Over a filled-in field the result is 0 if it is right.
 */
uint16_t cksum_l4(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip, uint32_t l4_off,
	uint32_t len);

/* What belongs into the zeroed field: never 0, which for UDP means "none" (RFC 768). */
static inline uint16_t
cksum_l4_field(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip, uint32_t l4_off,
	uint32_t len)
{
	uint16_t sum = cksum_l4(m, ip, l4_off, len);

	return sum != 0 ? sum : 0xffff;
}

#endif
