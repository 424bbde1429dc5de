/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums against a byte-by-byte sum, over every way to cut a packet into segments. */
#include "nodes/cksum.h"
#include "tests/cunit_main.h"

#include <rte_ip.h>
#include <rte_mbuf.h>

#define BYTES 200

static uint8_t data[BYTES];
static struct rte_mbuf segs[3];

/* RFC 1071, as slowly as it reads. */
static uint16_t
reference(const uint8_t *p, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void
fill(uint8_t base)
{
	for (int i = 0; i < BYTES; i++)
		data[i] = base + (uint8_t)(i * 37);
}

static const struct rte_mbuf *
cut(uint32_t a, uint32_t b)
{
	const uint32_t from[] = {0, a, b}, to[] = {a, b, BYTES};

	for (int i = 0; i < 3; i++) {
		segs[i].buf_addr = data;
		segs[i].data_off = from[i];
		segs[i].data_len = to[i] - from[i];
		segs[i].next = i < 2 ? &segs[i + 1] : NULL;
	}
	return &segs[0];
}

static void
flat_sum_is_the_reference_for_every_length(void)
{
	for (int base = 0; base < 256; base += 85) {
		fill((uint8_t)base);
		for (uint32_t len = 0; len <= BYTES; len++)
			CU_ASSERT_EQUAL(cksum_add(data, len, 0) % 0xffff,
				reference(data, len) % 0xffff);
	}
}

static void
segments_at_odd_offsets_sum_like_one(void)
{
	fill(0xf1); /* large words: carries that must not be lost */
	for (uint32_t a = 0; a <= BYTES; a += 3) {
		for (uint32_t b = a; b <= BYTES; b += 7) {
			for (uint32_t off = 0; off < 4; off++)
				CU_ASSERT_EQUAL(
					cksum_packet(cut(a, b), off, BYTES - off, 0) % 0xffff,
					reference(data + off, BYTES - off) % 0xffff);
		}
	}
}

static void
right_l4_checksum_verifies_to_zero(void)
{
	const struct rte_ipv4_hdr ip = {.version_ihl = 0x45,
		.next_proto_id = 17,
		.src_addr = RTE_BE32(0xc6120001),
		.dst_addr = RTE_BE32(0xc6120002)};
	uint16_t sum;

	fill(0x80);
	memset(data + 6, 0, 2);
	sum = cksum_l4(cut(63, 101), &ip, 0, BYTES - 1);
	memcpy(data + 6, &sum, 2);
	CU_ASSERT_EQUAL(cksum_l4(cut(63, 101), &ip, 0, BYTES - 1), 0);
	data[150] ^= 1;
	CU_ASSERT_NOT_EQUAL(cksum_l4(cut(63, 101), &ip, 0, BYTES - 1), 0);
}

static void
zero_is_sent_as_all_ones(void)
{
	const struct rte_ipv4_hdr ip = {.src_addr = 0, .dst_addr = 0, .next_proto_id = 0};

	memset(data, 0, sizeof(data));
	data[0] = data[1] = 0xff;
	data[2] = (uint8_t)~(8 >> 8);
	data[3] = (uint8_t)~8; /* pseudo header holds the length, 8 */
	CU_ASSERT_EQUAL(cksum_l4(cut(8, 8), &ip, 0, 8), 0);
	CU_ASSERT_EQUAL(cksum_l4_field(cut(8, 8), &ip, 0, 8), 0xffff);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(flat_sum_is_the_reference_for_every_length),
	CUNIT_TEST(segments_at_odd_offsets_sum_like_one),
	CUNIT_TEST(right_l4_checksum_verifies_to_zero),
	CUNIT_TEST(zero_is_sent_as_all_ones),
};
CUNIT_MAIN("cksum", tests, NULL, NULL)
