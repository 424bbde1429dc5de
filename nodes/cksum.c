/* SPDX-License-Identifier: BSD-3-Clause */
/* Internet checksums, see cksum.h. */
#include "nodes/cksum.h"

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

static inline uint16_t
fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline uint64_t
add_carry(uint64_t a, uint64_t b)
{
	uint64_t r = a + b;

	return r + (r < a);
}

uint16_t
cksum_add(const void *data, uint32_t len, uint32_t sum)
{
	const uint8_t *p = data;
	uint64_t a = sum, b = 0, w[4];

	for (; len >= 32; len -= 32, p += 32) { /* two chains of carries */
		memcpy(w, p, sizeof(w));
		a = add_carry(a, w[0]);
		b = add_carry(b, w[1]);
		a = add_carry(a, w[2]);
		b = add_carry(b, w[3]);
	}
	a = add_carry(a, b);
	for (; len >= 8; len -= 8, p += 8) {
		memcpy(w, p, 8);
		a = add_carry(a, w[0]);
	}
	if (len > 0) {
		w[0] = 0; /* the missing bytes of the last word count as zero */
		memcpy(w, p, len);
		a = add_carry(a, w[0]);
	}
	return fold(a);
}

uint16_t
cksum_packet(const struct rte_mbuf *m, uint32_t off, uint32_t len, uint32_t sum)
{
	uint64_t total = sum;
	bool odd = false;

	for (; len > 0; m = m->next) {
		uint32_t here = m->data_len;
		uint16_t part;

		if (off >= here) {
			off -= here;
			continue;
		}
		here = RTE_MIN(here - off, len);
		part = cksum_add(rte_pktmbuf_mtod_offset(m, const void *, off), here, 0);
		/* RFC 1071 2 (B): bytes at odd offsets are the other half of their words. */
		total += odd ? rte_bswap16(part) : part;
		odd ^= here & 1;
		len -= here;
		off = 0;
	}
	return fold(total);
}

uint16_t
cksum_l4(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip, uint32_t l4_off, uint32_t len)
{
	uint64_t pseudo = (uint64_t)ip->src_addr + ip->dst_addr + rte_cpu_to_be_16((uint16_t)len) +
			  rte_cpu_to_be_16(ip->next_proto_id);

	return (uint16_t)~cksum_packet(m, l4_off, len, fold(pseudo));
}
