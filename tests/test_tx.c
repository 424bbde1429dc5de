/* SPDX-License-Identifier: BSD-3-Clause */
/* What tx does for a port that cannot. */
#include "tests/cunit_main.h"
#include "tests/eal.h"
#include "tests/frames.h"

#include <rte_ethdev.h>

#include "nodes/tx.h"

#define ALL_CKSUMS                                                                                 \
	(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
#define ASK_TCP (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM)
#define ASK_UDP (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM)

static struct rte_mempool *pool;

static void
setup(void)
{
	pool = eal_test_pool(255, 0, 2048);
}

static void
teardown(void)
{
	eal_test_pool_done(pool);
}

/* A frame that asks for its checksums, with rubbish where they belong. */
static struct rte_mbuf *
asking(uint64_t flags)
{
	bool tcp = (flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM;
	struct rte_mbuf *m = tcp ? frame_tcp(pool, NULL, 0, 101) : frame_udp(pool, 101);

	m->ol_flags = flags;
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = tcp ? 20 : 8;
	FRAME_IP(m)->hdr_checksum = 0x1234;
	if (tcp)
		FRAME_L4(m, struct rte_tcp_hdr)->cksum = 0x5678;
	else
		FRAME_L4(m, struct rte_udp_hdr)->dgram_cksum = 0x5678;
	return m;
}

static void
expect_complete(struct rte_mbuf *m)
{
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);

	CU_ASSERT_EQUAL(rte_raw_cksum(FRAME_IP(copy), 20), 0xffff);
	CU_ASSERT_EQUAL(rte_ipv4_udptcp_cksum_verify(FRAME_IP(copy), FRAME_L4(copy, void)), 0);
	CU_ASSERT_EQUAL(m->ol_flags & (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK), 0);
	rte_pktmbuf_free(copy);
	rte_pktmbuf_free(m);
}

static void
checksums_are_made_in_software(void)
{
	expect_complete(tx_prepare(asking(ASK_TCP), 0));
	expect_complete(tx_prepare(asking(ASK_UDP), 0));
}

static void
checksums_cover_all_segments(void)
{
	for (uint16_t at = 54; at < 60; at++) { /* odd and even ends of the first segment */
		struct rte_mbuf *m = asking(ASK_TCP);

		frame_split(m, at);
		expect_complete(tx_prepare(m, RTE_ETH_TX_OFFLOAD_MULTI_SEGS));
	}
}

static void
the_port_gets_the_pseudo_header_sum(void)
{
	struct rte_mbuf *m = tx_prepare(asking(ASK_TCP), ALL_CKSUMS);

	CU_ASSERT_EQUAL(m->ol_flags, ASK_TCP);
	CU_ASSERT_EQUAL(FRAME_IP(m)->hdr_checksum, 0);
	CU_ASSERT_EQUAL(FRAME_L4(m, struct rte_tcp_hdr)->cksum, rte_ipv4_phdr_cksum(FRAME_IP(m), 0));
	rte_pktmbuf_free(m);
	/* vhost does L4 but not IPv4 headers. */
	m = tx_prepare(asking(ASK_UDP), RTE_ETH_TX_OFFLOAD_UDP_CKSUM);
	CU_ASSERT_EQUAL(rte_raw_cksum(FRAME_IP(m), 20), 0xffff);
	CU_ASSERT_EQUAL(m->ol_flags & RTE_MBUF_F_TX_L4_MASK, RTE_MBUF_F_TX_UDP_CKSUM);
	rte_pktmbuf_free(m);
}

static void
finished_packets_are_left_alone(void)
{
	struct rte_mbuf *m = frame_tcp(pool, NULL, 0, 10);
	uint16_t sum = FRAME_L4(m, struct rte_tcp_hdr)->cksum;

	m = tx_prepare(m, 0);
	CU_ASSERT_EQUAL(FRAME_L4(m, struct rte_tcp_hdr)->cksum, sum);
	rte_pktmbuf_free(m);
}

static void
preparing_twice_is_harmless(void)
{
	expect_complete(tx_prepare(tx_prepare(asking(ASK_TCP), 0), 0));
}

static void
segments_are_joined_for_ports_that_take_one(void)
{
	struct rte_mbuf *m = asking(ASK_TCP);

	frame_split(m, 54);
	m = tx_prepare(m, 0);
	CU_ASSERT_EQUAL(m->nb_segs, 1);
	CU_ASSERT_EQUAL(m->pkt_len, 14 + 20 + 20 + 101);
	expect_complete(m);
}

/* Row tx-no-memory: the packet is gone, not leaked. */
static void
packet_without_memory_to_join_is_freed(void)
{
	struct rte_mbuf *m = asking(ASK_TCP), *all[300];
	int n = 0;

	frame_split(m, 54);
	while ((all[n] = rte_pktmbuf_alloc(pool)) != NULL)
		n++;
	CU_ASSERT_PTR_NULL(tx_prepare(m, 0));
	rte_pktmbuf_free_bulk(all, n);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(checksums_are_made_in_software),
	CUNIT_TEST(checksums_cover_all_segments),
	CUNIT_TEST(the_port_gets_the_pseudo_header_sum),
	CUNIT_TEST(finished_packets_are_left_alone),
	CUNIT_TEST(preparing_twice_is_harmless),
	CUNIT_TEST(segments_are_joined_for_ports_that_take_one),
	CUNIT_TEST(packet_without_memory_to_join_is_freed),
};
EAL_TEST_MAIN("tx", tests, setup, teardown)
