/* SPDX-License-Identifier: BSD-3-Clause */
/* ltran's nodes: who gets what, what is counted, who waits for whom. */
#include "tests/dispatch_nodes_rig.h"

static void
wire_reaches_rings(void)
{
	arrives(frame_udp(pool, 8), ADDR_B);
	arrives(frame_udp(pool, 8), ADDR_A);
	arrives(frame_udp(pool, 8), ADDR_B);
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[1].n_in, 2);
	CU_ASSERT_EQUAL(rings[0].n_in, 1);
	CU_ASSERT_EQUAL(stats[1].rx_pkts, 2);
	CU_ASSERT_EQUAL(stats[1].rx_bytes, rings[1].in_bytes);
	CU_ASSERT_EQUAL(dw.seen[SEEN_UDP], 3);
	CU_ASSERT_EQUAL(dw.moved, 3);
}

static void
instances_reach_each_other_and_the_wire(void)
{
	sends(0, frame_udp(pool, 8), ADDR_A, ADDR_B);
	sends(0, frame_udp(pool, 8), ADDR_A, OTHER);
	rte_pktmbuf_mtod(rings[0].out[1], struct rte_ether_hdr *)->dst_addr = frame_peer_mac;
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[1].n_in, 1);
	CU_ASSERT_EQUAL(n_wire, 1);
	CU_ASSERT_EQUAL(stats[0].tx_pkts, 2);
}

static void
spoofed_packets_are_counted_under_their_instance(void)
{
	struct rte_mbuf *m;

	sends(0, frame_udp(pool, 8), ADDR_B, OTHER);
	m = sends(2, frame_udp(pool, 8), members[2].addr, OTHER);
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr = frame_peer_mac;
	m = sends(2, frame_udp(pool, 8), members[2].addr, OTHER);
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	m = sends(2, frame_udp(pool, 8), members[2].addr, OTHER);
	FRAME_IP(m)->version_ihl = 0x41;
	graph_walk(graph);
	CU_ASSERT_EQUAL(n_wire + rings[0].n_in + rings[1].n_in + rings[2].n_in, 0);
	CU_ASSERT_EQUAL(stats[0].drops[MEMBER_SPOOFED_IP], 1);
	CU_ASSERT_EQUAL(stats[2].drops[MEMBER_SPOOFED_MAC], 1);
	CU_ASSERT_EQUAL(stats[2].drops[MEMBER_SPOOFED_ARP], 1);
	CU_ASSERT_EQUAL(stats[2].drops[MEMBER_BAD_FRAME], 1);
	CU_ASSERT_EQUAL(stats[0].tx_pkts + stats[2].tx_pkts, 0);
	CU_ASSERT_EQUAL(count(NODE_GUARD, "spoofed-ip"), 1);
	CU_ASSERT_EQUAL(count(NODE_GUARD, "spoofed-mac"), 1);
	CU_ASSERT_EQUAL(count(NODE_GUARD, "spoofed-arp"), 1);
	CU_ASSERT_EQUAL(count(NODE_GUARD, "bad-frame"), 1);
}

static void
full_ring_loses_its_own_packets_only(void)
{
	rings[0].room = 1;
	for (int i = 0; i < 4; i++) {
		arrives(frame_udp(pool, 8), ADDR_A);
		arrives(frame_udp(pool, 8), ADDR_B);
	}
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[0].n_in, 1);
	CU_ASSERT_EQUAL(rings[1].n_in, 4);
	CU_ASSERT_EQUAL(stats[0].drops[MEMBER_RING_FULL], 3);
	CU_ASSERT_EQUAL(stats[1].drops[MEMBER_RING_FULL], 0);
	CU_ASSERT_EQUAL(count(NODE_INSTANCE_TX, "ring-full"), 3);
}

static void
unconnected_and_broken_rings_are_left_alone(void)
{
	members[0].vid = -1;
	members[1].broken = true;
	sends(1, frame_udp(pool, 8), ADDR_B, OTHER);
	arrives(frame_udp(pool, 8), ADDR_A);
	arrives(frame_udp(pool, 8), ADDR_B);
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[0].n_in + rings[1].n_in, 0);
	CU_ASSERT_EQUAL(rings[1].n_out, 1);
	CU_ASSERT_EQUAL(stats[0].drops[MEMBER_NO_RING], 1);
	CU_ASSERT_EQUAL(stats[1].drops[MEMBER_NO_RING], 1);
	CU_ASSERT_EQUAL(count(NODE_INSTANCE_TX, "no-ring"), 2);
}

static void
broadcast_reaches_all_but_its_sender(void)
{
	struct rte_mbuf *m = sends(0, frame_udp(pool, 8), ADDR_A, 0xffffffff);

	memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	dw.w.kernel_fd = 3;
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[0].n_in, 0);
	CU_ASSERT_EQUAL(rings[1].n_in, 1);
	CU_ASSERT_EQUAL(rings[2].n_in, 1);
	CU_ASSERT_EQUAL(n_wire, 1);
	CU_ASSERT_EQUAL(n_kernel, 1);
}

static void
copies_fail_one_by_one_without_memory(void)
{
	struct rte_mbuf *all[511], *m = frame_udp(pool, 8);
	unsigned int n = 0;

	memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	arrives(m, 0xffffffff);
	while ((m = rte_pktmbuf_alloc(pool)) != NULL)
		all[n++] = m;
	rte_pktmbuf_free(all[--n]);
	graph_walk(graph);
	rte_pktmbuf_free_bulk(all, n);
	CU_ASSERT_EQUAL(rings[0].n_in + rings[1].n_in + rings[2].n_in, 1);
	CU_ASSERT_EQUAL(count(NODE_DISPATCH_IN, "no-memory"), 2);
}

/* The port is behind: rings fill up, their owners notice and wait. */
static void
nothing_is_taken_from_rings_while_the_wire_is_full(void)
{
	sends(0, frame_udp(pool, 8), ADDR_A, ADDR_B);
	dw.w.tx_backlog.n = 1;
	dw.w.tx_backlog.pkts[0] = frame_udp(pool, 8);
	port_stands_still = true;
	graph_walk(graph); /* stands still for too long: what waited goes to tx, to be dropped */
	CU_ASSERT_EQUAL(n_wire, 1);
	CU_ASSERT_EQUAL(dw.w.tx_backlog.n, 0);
	CU_ASSERT_EQUAL(rings[1].n_in, 1);
}

/* What two nodes and their copies bring to a third in one walk. */
static void
vectors_beyond_the_usual_length_are_taken_in_parts(void)
{
	for (int i = 0; i < RING_MAX; i++) {
		struct rte_mbuf *m = arrives(frame_udp(pool, 0), 0xffffffff);

		memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	}
	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 3; j++)
			sends(j, frame_udp(pool, 0), members[j].addr, ADDR_B);
	for (int j = 0; j < 3; j++)
		rings[j].room = 1000;
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[0].n_in + rings[1].n_in + rings[2].n_in, 3 * RING_MAX + 3 * 32);
}

static void
control_thread_sends_like_a_neighbour(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);

	FRAME_IP(m)->src_addr = OTHER;
	FRAME_IP(m)->dst_addr = ADDR_B;
	rte_ring_enqueue(lt.control, m);
	graph_walk(graph);
	CU_ASSERT_EQUAL(rings[1].n_in, 1);
}

static void
checksums_that_a_virtual_wire_left_open_stay_open(void)
{
	struct rte_mbuf *m = arrives(frame_tcp(pool, NULL, 0, 100), ADDR_B);

	rte_mbuf_refcnt_set(m, 2); /* to look at it afterwards */
	m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE | RTE_MBUF_F_RX_LRO;
	graph_walk(graph);
	CU_ASSERT_EQUAL(m->ol_flags & RTE_MBUF_F_TX_L4_MASK, RTE_MBUF_F_TX_TCP_CKSUM);
	CU_ASSERT_TRUE((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0);
	CU_ASSERT_EQUAL(m->l2_len, 14);
	CU_ASSERT_EQUAL(m->l3_len, 20);
	CU_ASSERT_EQUAL(m->l4_len, 20);
	rte_pktmbuf_free(m);
	m = arrives(frame_tcp(pool, NULL, 0, 100), ADDR_B);
	rte_mbuf_refcnt_set(m, 2);
	m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	FRAME_IP(m)->fragment_offset = htons(RTE_IPV4_HDR_MF_FLAG); /* there is nothing to be done */
	graph_walk(graph);
	CU_ASSERT_EQUAL(m->ol_flags & RTE_MBUF_F_TX_L4_MASK, 0);
	rte_pktmbuf_free(m);
	m = arrives(frame_tcp(pool, NULL, 0, 100), ADDR_B);
	rte_mbuf_refcnt_set(m, 2);
	m->ol_flags = 0;
	graph_walk(graph);
	CU_ASSERT_EQUAL(m->ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG), 0);
	rte_pktmbuf_free(m);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(wire_reaches_rings),
	CUNIT_TEST(instances_reach_each_other_and_the_wire),
	CUNIT_TEST(spoofed_packets_are_counted_under_their_instance),
	CUNIT_TEST(full_ring_loses_its_own_packets_only),
	CUNIT_TEST(unconnected_and_broken_rings_are_left_alone),
	CUNIT_TEST(broadcast_reaches_all_but_its_sender),
	CUNIT_TEST(copies_fail_one_by_one_without_memory),
	CUNIT_TEST(nothing_is_taken_from_rings_while_the_wire_is_full),
	CUNIT_TEST(vectors_beyond_the_usual_length_are_taken_in_parts),
	CUNIT_TEST(control_thread_sends_like_a_neighbour),
	CUNIT_TEST(checksums_that_a_virtual_wire_left_open_stay_open),
};
EAL_TEST_MAIN("dispatch_nodes", tests, setup, teardown)
