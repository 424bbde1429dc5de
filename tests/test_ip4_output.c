/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ip4-output and ip4-frag in a real graph: what leaves them, and their error rows; and an empty pool,
 * for every node that takes packets from it.
 */
#include "nodes/nodes.h"
#include "tests/cunit_main.h"
#include "tests/ip4_rig.h"

static void
long_datagram_is_split_and_checked(void)
{
	unsigned int n = 0;

	rig_swallow_announcement();
	rig_meet_peer();
	rig_trace();
	rig_walk(NODE_IP4_OUTPUT, rig_udp(PEER, 14798));
	for (uint32_t len; (len = rig_sent_length()) > 0; n++)
		CU_ASSERT_TRUE(len <= 1514);
	CU_ASSERT_EQUAL(n, 10);
	CU_ASSERT_TRUE(rig_trace_has("10 fragments"));
	rig_worker.mtu = 300;
	rig_walk(NODE_IP4_OUTPUT, rig_udp(PEER, 60000));
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_FRAG, "too-many"), 1);
}

static void
packet_to_ourselves_loops_unshared(void)
{
	struct rte_mbuf *m = rig_udp(US, 4000), *c, *keep;

	rig_swallow_announcement();
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM;
	rig_walk(NODE_IP4_OUTPUT, m);
	c = rig_take(NODE_CLASSIFY);
	CU_ASSERT_PTR_EQUAL(c, m);
	CU_ASSERT_EQUAL(c->ol_flags, RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_NONE);
	CU_ASSERT_EQUAL(c->port, RTE_MBUF_PORT_INVALID);
	CU_ASSERT_EQUAL(c->pkt_len, 4034);
	rte_pktmbuf_free(c);

	m = rig_udp(US, 4000);
	keep = rte_pktmbuf_clone(m, harness_pool()); /* as a send buffer that holds its data */
	rig_walk(NODE_IP4_OUTPUT, m);
	c = rig_take(NODE_CLASSIFY);
	CU_ASSERT_PTR_NOT_EQUAL(c, m);
	for (struct rte_mbuf *s = c; s != NULL; s = s->next)
		CU_ASSERT_TRUE(RTE_MBUF_DIRECT(s) && rte_mbuf_refcnt_read(s) == 1);
	CU_ASSERT_EQUAL(c->pkt_len, 4034);
	rte_pktmbuf_free(c);
	rte_pktmbuf_free(keep);
}

static void
what_cannot_be_sent_is_counted(void)
{
	struct rte_mbuf *m = rig_udp(PEER, 100);

	rig_swallow_announcement();
	m->data_off = 8; /* the packet's bytes do not matter, its headroom does */
	memcpy(rte_pktmbuf_mtod(m, void *), (char *)m->buf_addr + RTE_PKTMBUF_HEADROOM, 20);
	rig_walk(NODE_IP4_OUTPUT, m);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_OUTPUT, "no-headroom"), 1);
	rig_walk(NODE_IP4_OUTPUT, rig_udp(HARNESS_IP(198, 19, 0, 1), 100));
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_OUTPUT, "no-route"), 1);
	rig_walk(NODE_ARP_RESOLVE, rig_udp(US, 100));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "no-route"), 1);
	rig_walk(NODE_IP4_OUTPUT, rig_udp(HARNESS_IP(198, 18, 0, 255), 3000));
	CU_ASSERT_EQUAL(rig_sent_length(), 1514); /* fragments to a group need no neighbour */
}

static void
empty_pool_is_counted_and_survived(void)
{
	static struct rte_mbuf *all[HARNESS_POOL_SIZE];
	struct rte_mbuf *m = rig_udp(US, 100), *far = rig_udp(PEER, 3000);
	struct rte_mbuf *near = rig_udp(PEER, 100);
	struct rte_mbuf *clone = rte_pktmbuf_clone(m, harness_pool());
	unsigned int n = 0;

	while ((all[n] = rte_pktmbuf_alloc(harness_pool())) != NULL)
		n++;
	rig_walk(NODE_IP4_OUTPUT, m);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_OUTPUT, "no-memory"), 1);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_TIMER, "no-memory"), 2); /* announcement and question */
	rig_walk(NODE_IP4_OUTPUT, far);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_FRAG, "no-memory"), 1);
	rig_walk(NODE_IP4_OUTPUT, near);
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "no-memory"), 1);
	rig_worker.kernel_poll_tsc = 0;
	rig_walk(NULL, NULL);
	CU_ASSERT_TRUE(rig_count(NODE_KERNEL_RX, "kernel-no-memory") > 0);
	rte_pktmbuf_free(clone);
	rte_pktmbuf_free_bulk(all, n);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(long_datagram_is_split_and_checked),
	CUNIT_TEST(packet_to_ourselves_loops_unshared),
	CUNIT_TEST(what_cannot_be_sent_is_counted),
	CUNIT_TEST(empty_pool_is_counted_and_survived),
};
CUNIT_MAIN("ip4_output", tests, rig_setup, rig_teardown)
