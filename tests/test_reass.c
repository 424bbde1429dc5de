/* SPDX-License-Identifier: BSD-3-Clause */
/* Reassembly: order, overlaps, duplicates, bounds. Payload byte i of a datagram is harness_pattern(i). */
#include "nodes/reass.h"
#include "tests/cunit_main.h"
#include "tests/harness.h"

#include <rte_ether.h>

#define HZ 1000
#define START 77
#define PART 1480 /* payload of a fragment at MTU 1500 */
#define PEER HARNESS_IP(198, 18, 0, 2)
#define US HARNESS_IP(198, 18, 0, 1)

static struct reass *r;
static struct rte_mbuf *whole;

static void
setup(void)
{
	harness_setup();
	r = reass_create(HZ, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
}

static void
teardown(void)
{
	reass_free(r);
	harness_teardown();
}

static struct rte_mbuf *
fragment(uint16_t id, uint32_t offset, uint32_t len, bool mf)
{
	const struct harness_ip4 h = {.src = PEER, .dst = US, .id = id, .offset = offset, .mf = mf,
		.proto = 17, .ether = true};

	return harness_ip4_packet(&h, NULL, len, 0);
}

static enum reass_result
add_at(uint64_t now, uint16_t id, uint32_t offset, uint32_t len, bool mf)
{
	return reass_add(r, fragment(id, offset, len, mf), now, &whole);
}

static enum reass_result
add(uint16_t id, uint32_t offset, uint32_t len, bool mf)
{
	return add_at(START, id, offset, len, mf);
}

/* Check the datagram in `whole` and free it. */
static void
expect_whole(uint32_t payload)
{
	static uint8_t buf[65535 + RTE_ETHER_HDR_LEN];
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(whole, const struct rte_ipv4_hdr *,
		RTE_ETHER_HDR_LEN);
	const uint8_t *data;
	uint32_t i, skip = RTE_ETHER_HDR_LEN + whole->l3_len;

	CU_ASSERT_EQUAL(rte_mbuf_check(whole, 1, &(const char *){NULL}), 0);
	CU_ASSERT_EQUAL(whole->pkt_len, skip + payload);
	CU_ASSERT_EQUAL(rte_be_to_cpu_16(ip->total_length), whole->l3_len + payload);
	CU_ASSERT_EQUAL(ip->fragment_offset, 0);
	CU_ASSERT_EQUAL(rte_raw_cksum(ip, whole->l3_len), 0xffff);
	CU_ASSERT_EQUAL(whole->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK, RTE_MBUF_F_RX_IP_CKSUM_GOOD);
	CU_ASSERT_EQUAL(whole->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK,
		RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN);
	data = rte_pktmbuf_read(whole, skip, payload, buf);
	for (i = 0; i < payload && data[i] == harness_pattern(i); i++)
		continue;
	CU_ASSERT_EQUAL(i, payload);
	rte_pktmbuf_free(whole);
}

static void
fragments_in_order(void)
{
	CU_ASSERT_EQUAL(add(1, 0, PART, true), REASS_HELD);
	CU_ASSERT_EQUAL(add(1, PART, PART, true), REASS_HELD);
	CU_ASSERT_EQUAL(add(1, 2 * PART, 41, false), REASS_DONE);
	expect_whole(2 * PART + 41);
	CU_ASSERT_EQUAL(reass_count(r), 0);
	CU_ASSERT_EQUAL(reass_count_held(r), 0);
}

static void
fragments_reversed(void)
{
	CU_ASSERT_EQUAL(add(1, 2 * PART, 8, false), REASS_HELD);
	CU_ASSERT_EQUAL(add(1, PART, PART, true), REASS_HELD);
	CU_ASSERT_EQUAL(add(1, 0, PART, true), REASS_DONE);
	expect_whole(2 * PART + 8);
}

static void
datagrams_interleaved(void)
{
	for (uint16_t id = 0; id < 20; id++)
		CU_ASSERT_EQUAL(add(id, 0, 8 + 8 * id, true), REASS_HELD);
	for (uint16_t id = 20; id-- > 0;) {
		CU_ASSERT_EQUAL(add(id, 8 + 8 * id, id + 1, false), REASS_DONE);
		expect_whole(8 + 8 * id + id + 1);
	}
}

static void
key_has_all_four_parts(void)
{
	struct harness_ip4 h = {.src = PEER, .dst = US, .id = 1, .offset = 8, .proto = 17,
		.ether = true};

	CU_ASSERT_EQUAL(add(1, 0, 8, true), REASS_HELD);
	h.id = 2;
	CU_ASSERT_EQUAL(reass_add(r, harness_ip4_packet(&h, NULL, 8, 0), START, &whole), REASS_HELD);
	h.id = 1, h.proto = 6;
	CU_ASSERT_EQUAL(reass_add(r, harness_ip4_packet(&h, NULL, 8, 0), START, &whole), REASS_HELD);
	h.proto = 17, h.src++;
	CU_ASSERT_EQUAL(reass_add(r, harness_ip4_packet(&h, NULL, 8, 0), START, &whole), REASS_HELD);
	h.src--, h.dst++;
	CU_ASSERT_EQUAL(reass_add(r, harness_ip4_packet(&h, NULL, 8, 0), START, &whole), REASS_HELD);
	CU_ASSERT_EQUAL(reass_count(r), 5);
	CU_ASSERT_EQUAL(add(1, 8, 8, false), REASS_DONE);
	expect_whole(16);
}

static void
largest_datagram_in_45_fragments(void)
{
	const uint32_t payload = 65535 - 20;
	unsigned int n = 0;
	enum reass_result result = REASS_HELD;

	for (uint32_t at = 0; at < payload; at += PART, n++)
		result = add(9, at, RTE_MIN(payload - at, (uint32_t)PART), at + PART < payload);
	CU_ASSERT_EQUAL(n, 45);
	CU_ASSERT_EQUAL(result, REASS_DONE);
	CU_ASSERT_EQUAL(whole->nb_segs, 45);
	expect_whole(payload);
}

static void
random_order_with_duplicates_and_segments(void)
{
	uint64_t seed = 791;

	printf("(seed %lu) ", (unsigned long)seed);
	for (unsigned int round = 0; round < 300; round++) {
		unsigned int n = 2 + harness_random(&seed) % 40, left = n;
		uint32_t part = 8 * (1 + harness_random(&seed) % 180), last = 1 + part / 2;
		bool have[64] = {false};

		while (left > 0) {
			unsigned int i = harness_random(&seed) % n;
			const struct harness_ip4 h = {.src = PEER, .dst = US, .id = round,
				.offset = i * part, .mf = i < n - 1, .proto = 17, .ether = true};
			struct rte_mbuf *m = harness_ip4_packet(&h, NULL, i < n - 1 ? part : last,
				harness_random(&seed) % 3 == 0 ? 100 : 0);
			enum reass_result expect = have[i] ? REASS_DUPLICATE : REASS_HELD;

			left -= !have[i];
			have[i] = true;
			CU_ASSERT_EQUAL(reass_add(r, m, START, &whole),
				left == 0 ? REASS_DONE : expect);
		}
		expect_whole((n - 1) * part + last);
	}
	CU_ASSERT_EQUAL(reass_count(r), 0);
}

static void
header_of_the_first_fragment_is_kept(void)
{
	struct harness_ip4 h = {.src = PEER, .dst = US, .id = 1, .proto = 17, .ether = true,
		.mf = true, .options = 24};

	CU_ASSERT_EQUAL(add(1, 8, 8, false), REASS_HELD);
	CU_ASSERT_EQUAL(reass_add(r, harness_ip4_packet(&h, NULL, 8, 0), START, &whole), REASS_DONE);
	CU_ASSERT_EQUAL(whole->l3_len, 44);
	expect_whole(16);
}

static void
exact_repetition_is_dropped_alone(void)
{
	add(1, 0, PART, true);
	CU_ASSERT_EQUAL(add(1, 0, PART, true), REASS_DUPLICATE);
	CU_ASSERT_EQUAL(add(1, PART, 8, false), REASS_DONE);
	expect_whole(PART + 8);
}

static void
overlap_gives_up_the_datagram_until_its_time_is_over(void)
{
	const struct {
		uint32_t offset, len;
	} rows[] = {{0, 8}, {0, 32}, {16, 16}, {24, 16}, {8, 32}, {16, 8}};

	for (uint16_t id = 0; id < RTE_DIM(rows); id++) {
		CU_ASSERT_EQUAL(add(id, 0, 32, true), REASS_HELD);
		CU_ASSERT_EQUAL(add(id, rows[id].offset, rows[id].len, true),
			id == 1 ? REASS_DUPLICATE : REASS_OVERLAP);
		if (id == 1)
			CU_ASSERT_EQUAL(add(id, 8, 8, true), REASS_OVERLAP);
		CU_ASSERT_EQUAL(add(id, 32, 8, false), REASS_POISONED);
		CU_ASSERT_EQUAL(add(id, 0, 32, true), REASS_POISONED);
	}
	CU_ASSERT_EQUAL(reass_count_held(r), 0);
	CU_ASSERT_EQUAL(add_at(START + REASS_TIMEOUT_S * HZ, 0, 0, 32, true), REASS_HELD);
}

static void
fragments_must_agree_about_the_end(void)
{
	add(1, 64, 8, false);
	CU_ASSERT_EQUAL(add(1, 80, 8, false), REASS_CONFLICT); /* another end */
	add(2, 64, 8, false);
	CU_ASSERT_EQUAL(add(2, 72, 8, true), REASS_CONFLICT); /* data behind the end */
	add(3, 64, 8, true);
	CU_ASSERT_EQUAL(add(3, 32, 8, false), REASS_CONFLICT); /* end before data */
	add(4, 64, 8, false);
	CU_ASSERT_EQUAL(add(4, 0, 8, false), REASS_CONFLICT);
	CU_ASSERT_EQUAL(reass_count_held(r), 0);
}

static void
bad_lengths_are_refused(void)
{
	CU_ASSERT_EQUAL(add(1, 0, 12, true), REASS_BAD_LENGTH);
	CU_ASSERT_EQUAL(add(1, 8, 0, true), REASS_BAD_LENGTH);
	CU_ASSERT_EQUAL(add(1, 8, 0, false), REASS_BAD_LENGTH);
	CU_ASSERT_EQUAL(reass_count(r), 0);
}

static void
more_than_65535_bytes_are_refused(void)
{
	struct harness_ip4 h = {.src = PEER, .dst = US, .id = 2, .proto = 17, .ether = true,
		.mf = true, .options = 40};

	CU_ASSERT_EQUAL(add(1, 65528, 8, false), REASS_TOO_LONG); /* "ping of death" */
	/* the sum is too long only with the options of the first fragment, which comes last */
	CU_ASSERT_EQUAL(add(2, PART, 65535 - 20 - PART - 3, false), REASS_HELD);
	CU_ASSERT_EQUAL(reass_add(r, harness_ip4_packet(&h, NULL, PART, 0), START, &whole),
		REASS_TOO_LONG);
	CU_ASSERT_EQUAL(reass_count_held(r), 0);
}

static void
tiny_fragments_are_limited_in_number(void)
{
	for (unsigned int i = 0; i < REASS_FRAGMENTS_MAX; i++)
		CU_ASSERT_EQUAL(add(1, 8 * i, 8, true), REASS_HELD);
	CU_ASSERT_EQUAL(add(1, 8 * REASS_FRAGMENTS_MAX, 8, true), REASS_TOO_MANY);
	CU_ASSERT_EQUAL(reass_count_held(r), 0);
	for (unsigned int i = 0; i < REASS_FRAGMENTS_MAX - 1; i++)
		add(2, 8 * i, 8, true);
	CU_ASSERT_EQUAL(add(2, 8 * (REASS_FRAGMENTS_MAX - 1), 3, false), REASS_DONE);
	expect_whole(8 * (REASS_FRAGMENTS_MAX - 1) + 3);
}

static void
incomplete_datagram_times_out(void)
{
	struct rte_mbuf *first;
	uint64_t n = 0;
	const uint64_t end = START + REASS_TIMEOUT_S * HZ;

	add(1, 0, 8, true);
	add_at(end - 1, 1, 8, 8, true); /* does not prolong it */
	CU_ASSERT_EQUAL(reass_due(r), end);
	CU_ASSERT_FALSE(reass_expire(r, end - 1, &n, &first));
	CU_ASSERT_TRUE(reass_expire(r, end, &n, &first));
	CU_ASSERT_FALSE(reass_expire(r, end, &n, &first));
	CU_ASSERT_EQUAL(n, 2);
	CU_ASSERT_PTR_NOT_NULL(first); /* its sender will be told */
	rte_pktmbuf_free(first);
	CU_ASSERT_EQUAL(reass_count(r), 0);
	CU_ASSERT_EQUAL(reass_due(r), UINT64_MAX);
	add(2, 8, 8, true);
	CU_ASSERT_TRUE(reass_expire(r, end, &n, &first));
	CU_ASSERT_PTR_NULL(first);
	/* an old one the timer has not met yet does not mix with a new one */
	add(1, 0, 8, true);
	CU_ASSERT_EQUAL(add_at(end, 1, 8, 8, false), REASS_HELD);
	CU_ASSERT_EQUAL(reass_evicted(r), 1);
	CU_ASSERT_EQUAL(reass_count_held(r), 1);
}

static void
new_datagrams_push_out_the_oldest(void)
{
	for (uint16_t id = 0; id < REASS_DATAGRAMS_MAX; id++)
		add_at(START + id, id, 0, 8, true);
	CU_ASSERT_EQUAL(add(REASS_DATAGRAMS_MAX, 0, 8, true), REASS_HELD);
	CU_ASSERT_EQUAL(reass_count(r), REASS_DATAGRAMS_MAX);
	CU_ASSERT_EQUAL(reass_evicted(r), 1);
	CU_ASSERT_EQUAL(add(1, 8, 8, false), REASS_DONE); /* the second oldest is there */
	expect_whole(16);
	CU_ASSERT_EQUAL(add(0, 8, 8, false), REASS_HELD); /* the oldest is not */
}

static void
held_fragments_are_bounded(void)
{
	for (unsigned int i = 0; i < REASS_HELD_MAX + 64; i++)
		add(i / 100, 8 * (i % 100), 8, true);
	CU_ASSERT_TRUE(reass_count_held(r) <= REASS_HELD_MAX);
	CU_ASSERT_TRUE(reass_evicted(r) > 0);
	CU_ASSERT_EQUAL(add(1000, 0, 8, true), REASS_HELD);
	CU_ASSERT_EQUAL(add(1000, 8, 1, false), REASS_DONE);
	expect_whole(9);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(fragments_in_order),
	CUNIT_TEST(fragments_reversed),
	CUNIT_TEST(datagrams_interleaved),
	CUNIT_TEST(key_has_all_four_parts),
	CUNIT_TEST(largest_datagram_in_45_fragments),
	CUNIT_TEST(random_order_with_duplicates_and_segments),
	CUNIT_TEST(header_of_the_first_fragment_is_kept),
	CUNIT_TEST(exact_repetition_is_dropped_alone),
	CUNIT_TEST(overlap_gives_up_the_datagram_until_its_time_is_over),
	CUNIT_TEST(fragments_must_agree_about_the_end),
	CUNIT_TEST(bad_lengths_are_refused),
	CUNIT_TEST(more_than_65535_bytes_are_refused),
	CUNIT_TEST(tiny_fragments_are_limited_in_number),
	CUNIT_TEST(incomplete_datagram_times_out),
	CUNIT_TEST(new_datagrams_push_out_the_oldest),
	CUNIT_TEST(held_fragments_are_bounded),
};
CUNIT_MAIN("reass", tests, setup, teardown)
