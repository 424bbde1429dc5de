/* SPDX-License-Identifier: BSD-3-Clause */
/* What an instance may send: its own name only, and offloads that fit the packet. */
#include "tests/cunit_main.h"
#include "tests/eal.h"
#include "tests/frames.h"

#include <rte_arp.h>

#include "dispatcher/guard.h"

#define ADDR FRAME_PEER /* frames.h makes frames of the peer: here the instance */
#define OTHER RTE_BE32(0xc6120009)

static const struct rte_ether_addr *const mac = &frame_peer_mac;
static struct rte_mempool *pool;

static void
setup(void)
{
	pool = eal_test_pool(511, 0, 2048);
}

static void
teardown(void)
{
	eal_test_pool_done(pool);
}

static enum member_drop
guard(struct rte_mbuf *m)
{
	enum member_drop drop = guard_packet(mac, ADDR, m);

	rte_pktmbuf_free(m);
	return drop;
}

static void
own_packets_pass(void)
{
	CU_ASSERT_EQUAL(guard(frame_tcp(pool, NULL, 0, 100)), MEMBER_DROPS);
	CU_ASSERT_EQUAL(guard(frame_udp(pool, 0)), MEMBER_DROPS);
	CU_ASSERT_EQUAL(guard(frame_icmp(pool, 0, 56)), MEMBER_DROPS);
}

/* symbols of the rows: spoofed-mac, spoofed-ip */
static void
other_names_do_not_pass(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);

	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr = frame_our_mac;
	CU_ASSERT_EQUAL(guard(m), MEMBER_SPOOFED_MAC);
	m = frame_udp(pool, 8);
	FRAME_IP(m)->src_addr = OTHER;
	CU_ASSERT_EQUAL(guard(m), MEMBER_SPOOFED_IP);
	m = frame_udp(pool, 8);
	FRAME_IP(m)->src_addr = 0;
	CU_ASSERT_EQUAL(guard(m), MEMBER_SPOOFED_IP);
}

static struct rte_mbuf *
arp(const struct rte_ether_addr *sha, uint32_t sip)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, 42);
	struct rte_arp_hdr *h = (struct rte_arp_hdr *)(eth + 1);

	eth->dst_addr = frame_our_mac;
	eth->src_addr = *mac;
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	*h = (struct rte_arp_hdr){RTE_BE16(RTE_ARP_HRD_ETHER), RTE_BE16(RTE_ETHER_TYPE_IPV4), 6, 4,
		RTE_BE16(RTE_ARP_OP_REPLY), {.arp_sha = *sha, .arp_sip = sip}};
	return m;
}

/* symbol of the row: spoofed-arp */
static void
arp_only_for_the_own_address(void)
{
	struct rte_mbuf *m;

	CU_ASSERT_EQUAL(guard(arp(mac, ADDR)), MEMBER_DROPS);
	CU_ASSERT_EQUAL(guard(arp(mac, 0)), MEMBER_DROPS); /* RFC 5227: a probe */
	CU_ASSERT_EQUAL(guard(arp(mac, OTHER)), MEMBER_SPOOFED_ARP);
	CU_ASSERT_EQUAL(guard(arp(&frame_our_mac, ADDR)), MEMBER_SPOOFED_ARP);
	m = arp(mac, ADDR);
	rte_pktmbuf_trim(m, 1);
	CU_ASSERT_EQUAL(guard(m), MEMBER_BAD_FRAME);
}

/* symbol of the row: bad-frame */
static void
frames_without_sense_do_not_pass(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);

	rte_pktmbuf_trim(m, m->data_len - 13);
	CU_ASSERT_EQUAL(guard(m), MEMBER_BAD_FRAME);
	m = frame_udp(pool, 8);
	rte_pktmbuf_trim(m, m->data_len - 33);
	CU_ASSERT_EQUAL(guard(m), MEMBER_BAD_FRAME);
	m = frame_udp(pool, 8);
	FRAME_IP(m)->version_ihl = 0x4f;
	CU_ASSERT_EQUAL(guard(m), MEMBER_BAD_FRAME);
	m = frame_udp(pool, 8);
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type = RTE_BE16(0x86dd);
	CU_ASSERT_EQUAL(guard(m), MEMBER_BAD_FRAME);
}

static struct rte_mbuf *
asking(struct rte_mbuf *m, uint64_t flags)
{
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = 20;
	m->tso_segsz = 1460;
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | flags;
	return m;
}

#define TCP_CKSUM RTE_MBUF_F_TX_TCP_CKSUM
#define UDP_CKSUM RTE_MBUF_F_TX_UDP_CKSUM
#define SEG (RTE_MBUF_F_TX_TCP_SEG | TCP_CKSUM)

static void
offloads_that_fit_pass(void)
{
	CU_ASSERT_EQUAL(guard(asking(frame_tcp(pool, NULL, 0, 10), TCP_CKSUM)), MEMBER_DROPS);
	CU_ASSERT_EQUAL(guard(asking(frame_udp(pool, 10), UDP_CKSUM)), MEMBER_DROPS);
	CU_ASSERT_EQUAL(guard(asking(frame_tcp(pool, NULL, 0, 1900), SEG)), MEMBER_DROPS);
}

static void
offloads_that_do_not_fit_are_refused(void)
{
	struct rte_mbuf *m;

	CU_ASSERT_EQUAL(guard(asking(frame_udp(pool, 10), TCP_CKSUM)), MEMBER_BAD_FRAME);
	CU_ASSERT_EQUAL(guard(asking(frame_tcp(pool, NULL, 0, 9), UDP_CKSUM)), MEMBER_BAD_FRAME);
	CU_ASSERT_EQUAL(guard(asking(frame_udp(pool, 10), SEG)), MEMBER_BAD_FRAME);
	/* librte_vhost makes these of what an instance says, whether it may or not. */
	CU_ASSERT_EQUAL(guard(asking(frame_udp(pool, 10), RTE_MBUF_F_TX_UDP_SEG)), MEMBER_BAD_FRAME);
	CU_ASSERT_EQUAL(guard(asking(frame_udp(pool, 10), RTE_MBUF_F_TX_UDP_SEG | UDP_CKSUM)),
		MEMBER_BAD_FRAME);
	CU_ASSERT_EQUAL(guard(asking(frame_tcp(pool, NULL, 0, 9), RTE_MBUF_F_TX_OUTER_IPV4)),
		MEMBER_BAD_FRAME);
	m = asking(frame_tcp(pool, NULL, 0, 0), TCP_CKSUM); /* checksum field behind the end */
	rte_pktmbuf_trim(m, 1);
	CU_ASSERT_EQUAL(guard(m), MEMBER_BAD_FRAME);
	m = asking(frame_tcp(pool, NULL, 0, 0), TCP_CKSUM);
	m->l3_len = 60;
	CU_ASSERT_EQUAL(guard(m), MEMBER_BAD_FRAME);
	m = asking(frame_tcp(pool, NULL, 0, 0), TCP_CKSUM);
	m->l2_len = 18;
	CU_ASSERT_EQUAL(guard(m), MEMBER_BAD_FRAME);
	m = asking(frame_tcp(pool, NULL, 0, 1900), SEG);
	m->tso_segsz = 1;
	CU_ASSERT_EQUAL(guard(m), MEMBER_BAD_FRAME);
	m = asking(frame_tcp(pool, NULL, 0, 1900), SEG);
	m->l4_len = 12;
	CU_ASSERT_EQUAL(guard(m), MEMBER_BAD_FRAME);
	m = asking(frame_tcp(pool, NULL, 0, 1900), SEG);
	FRAME_IP(m)->total_length = htons(100);
	CU_ASSERT_EQUAL(guard(m), MEMBER_BAD_FRAME);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(own_packets_pass),
	CUNIT_TEST(other_names_do_not_pass),
	CUNIT_TEST(arp_only_for_the_own_address),
	CUNIT_TEST(frames_without_sense_do_not_pass),
	CUNIT_TEST(offloads_that_fit_pass),
	CUNIT_TEST(offloads_that_do_not_fit_are_refused),
};
EAL_TEST_MAIN("guard", tests, setup, teardown)
