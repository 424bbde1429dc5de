/* SPDX-License-Identifier: BSD-3-Clause */
/* Fragmentation, and the way back through reassembly. */
#include "nodes/ip4_frag.h"

#include <errno.h>
#include <netinet/in.h>

#include <rte_ether.h>
#include <rte_udp.h>

#include "nodes/reass.h"
#include "tests/cunit_main.h"
#include "tests/harness.h"

#define US HARNESS_IP(198, 18, 0, 1)
#define PEER HARNESS_IP(198, 18, 0, 2)
#define ID 0xfffe

static struct rte_mbuf *out[IP4_FRAG_MAX];

static struct rte_mbuf *
datagram(uint32_t payload, uint16_t seg)
{
	const struct harness_ip4 h = {.src = US, .dst = PEER, .id = 1, .proto = IPPROTO_UDP};

	return harness_ip4_packet(&h, NULL, payload, seg);
}

static const struct rte_ipv4_hdr *
header(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
}

static void
free_all(int n)
{
	for (int i = 0; i < n; i++)
		rte_pktmbuf_free(out[i]);
}

static void
fragments_fit_and_follow_each_other(void)
{
	uint32_t next = 0;
	int n = ip4_frag_split(datagram(14798, 0), 1500, ID, harness_pool(), out);

	CU_ASSERT_EQUAL_FATAL(n, 10);
	for (int i = 0; i < n; i++) {
		const struct rte_ipv4_hdr *ip = header(out[i]);
		uint16_t field = rte_be_to_cpu_16(ip->fragment_offset);

		CU_ASSERT_TRUE(out[i]->pkt_len <= 1500);
		CU_ASSERT_EQUAL(rte_be_to_cpu_16(ip->total_length), out[i]->pkt_len);
		CU_ASSERT_EQUAL(rte_be_to_cpu_16(ip->packet_id), ID);
		CU_ASSERT_EQUAL((field & RTE_IPV4_HDR_OFFSET_MASK) * 8, next);
		CU_ASSERT_EQUAL(!!(field & RTE_IPV4_HDR_MF_FLAG), i < n - 1);
		CU_ASSERT_EQUAL(out[i]->l2_len, 0);
		CU_ASSERT_EQUAL(out[i]->l3_len, 20);
		CU_ASSERT_EQUAL(out[i]->ol_flags & (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM),
			RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
		CU_ASSERT_TRUE(rte_pktmbuf_headroom(out[i]) >= RTE_ETHER_HDR_LEN + 2);
		next += out[i]->pkt_len - 20;
	}
	CU_ASSERT_EQUAL(next, 14798);
	free_all(n);
}

static void
checksum_is_complete_before_the_split(void)
{
	struct rte_mbuf *m = datagram(3000, 700);
	struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, 20);
	int n;

	*udp = (struct rte_udp_hdr){.src_port = 1, .dst_port = 2, .dgram_len = RTE_BE16(3000),
		.dgram_cksum = 0x1234};
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;
	n = ip4_frag_split(m, 1500, ID, harness_pool(), out);
	CU_ASSERT_EQUAL_FATAL(n, 3);

	/* put it together again by hand: the payloads in a row behind one header */
	static uint8_t buf[3020];
	uint32_t at = 20;

	for (int i = 0; i < n; i++) {
		uint32_t len = out[i]->pkt_len - 20;
		const void *part = rte_pktmbuf_read(out[i], 20, len, buf + at);

		memmove(buf + at, part, len);
		at += len;
		CU_ASSERT_EQUAL(out[i]->ol_flags & RTE_MBUF_F_TX_L4_MASK, 0);
	}
	memcpy(buf, header(out[0]), 20);
	((struct rte_ipv4_hdr *)buf)->total_length = RTE_BE16(3020);
	CU_ASSERT_NOT_EQUAL(((struct rte_udp_hdr *)(buf + 20))->dgram_cksum, 0);
	CU_ASSERT_EQUAL(rte_ipv4_udptcp_cksum_verify((struct rte_ipv4_hdr *)buf, buf + 20), 0);
	free_all(n);
}

static void
mtu_that_is_no_multiple_of_eight(void)
{
	int n = ip4_frag_split(datagram(4000, 0), 1403, ID, harness_pool(), out);

	CU_ASSERT_EQUAL(n, 3);
	CU_ASSERT_EQUAL(out[0]->pkt_len, 20 + 1376);
	free_all(n);
}

static void
too_small_an_mtu_leaves_the_packet(void)
{
	struct rte_mbuf *m = datagram(60000, 0);

	CU_ASSERT_EQUAL(ip4_frag_split(m, 300, ID, harness_pool(), out), -EINVAL);
	rte_pktmbuf_free(m);
}

static void
empty_pool_leaves_the_packet_and_nothing_else(void)
{
	struct rte_mempool *small = rte_pktmbuf_pool_create("small", 7, 0, 0, 256, SOCKET_ID_ANY);
	struct rte_mbuf *m = datagram(14798, 0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(small);
	CU_ASSERT_EQUAL(ip4_frag_split(m, 1500, ID, small, out), -ENOMEM);
	CU_ASSERT_EQUAL(rte_mempool_avail_count(small), 7);
	rte_pktmbuf_free(m);
	rte_mempool_free(small);
}

static void
split_and_joined_is_the_same(void)
{
	const uint32_t lengths[] = {1481, 2960, 2961, 9008, 14798, 65515};
	struct reass *r = reass_create(1000, 1);

	for (size_t k = 0; k < RTE_DIM(lengths); k++) {
		int n = ip4_frag_split(datagram(lengths[k], 999), 1500, k, harness_pool(), out);
		enum reass_result result = REASS_HELD;
		struct rte_mbuf *whole = NULL;
		static uint8_t buf[65535];
		const uint8_t *data;
		uint32_t same = 0;

		for (int i = n; i-- > 0;)
			result = reass_add(r, out[i], 0, &whole);
		CU_ASSERT_EQUAL_FATAL(result, REASS_DONE);
		CU_ASSERT_EQUAL(whole->pkt_len, 20 + lengths[k]);
		data = rte_pktmbuf_read(whole, 20, lengths[k], buf);
		while (same < lengths[k] && data[same] == harness_pattern(same))
			same++;
		CU_ASSERT_EQUAL(same, lengths[k]);
		rte_pktmbuf_free(whole);
	}
	reass_free(r);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(fragments_fit_and_follow_each_other),
	CUNIT_TEST(checksum_is_complete_before_the_split),
	CUNIT_TEST(mtu_that_is_no_multiple_of_eight),
	CUNIT_TEST(too_small_an_mtu_leaves_the_packet),
	CUNIT_TEST(empty_pool_leaves_the_packet_and_nothing_else),
	CUNIT_TEST(split_and_joined_is_the_same),
};
CUNIT_MAIN("ip4_frag", tests, harness_setup, harness_teardown)
