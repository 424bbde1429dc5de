/* SPDX-License-Identifier: BSD-3-Clause */
/* Turns of the instances at a worker, and what they cost. */
#include "tests/dispatch_nodes_rig.h"

/* `n` frames of instance `i` to the wire, of `segs` buffers each. */
static void
sends_many(unsigned int i, unsigned int n, unsigned int segs)
{
	while (n-- > 0) {
		struct rte_mbuf *m = sends(i, frame_udp(pool, 8), members[i].addr, OTHER);

		for (unsigned int s = 1; s < segs; s++) {
			struct rte_mbuf *more = rte_pktmbuf_alloc(pool);

			more->data_len = more->pkt_len = 100;
			CU_ASSERT_EQUAL(rte_pktmbuf_chain(m, more), 0);
		}
	}
}

static void
instance_with_many_queues_has_one_turn(void)
{
	members[0].n_queues = 2;
	sends_many(0, 60, 1);
	sends_many(1, 10, 1);
	graph_walk(graph);
	CU_ASSERT_EQUAL(stats[0].tx_pkts, 32);
	CU_ASSERT_EQUAL(stats[1].tx_pkts, 10);
	CU_ASSERT_EQUAL(members[0].next_queue, 1);
}

static void
large_packets_are_paid_for_with_turns(void)
{
	sends_many(0, 2, 48);
	graph_walk(graph);
	CU_ASSERT_EQUAL(stats[0].tx_pkts, 2);
	sends_many(0, 1, 1);
	for (int i = 0; i < 2; i++) { /* 96 buffers are three turns */
		uint64_t moved = dw.moved;

		sends_many(1, 3, 1);
		graph_walk(graph);
		CU_ASSERT_EQUAL(stats[0].tx_pkts, 2);
		CU_ASSERT_EQUAL(stats[1].tx_pkts, 3u * (i + 1));
		CU_ASSERT(dw.moved > moved + 3); /* its worker does not sleep */
	}
	graph_walk(graph);
	CU_ASSERT_EQUAL(stats[0].tx_pkts, 3);
}

static void
copies_for_everybody_are_paid_for_with_turns(void)
{
	for (int i = 0; i < 22; i++) {
		struct rte_mbuf *m = sends(0, frame_udp(pool, 8), ADDR_A, 0xffffffff);

		memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	}
	graph_walk(graph);
	CU_ASSERT_EQUAL(members[0].debt, 22 * 3);
	sends_many(0, 1, 1);
	for (int i = 0; i < 3; i++)
		graph_walk(graph);
	CU_ASSERT_EQUAL(stats[0].tx_pkts, 22);
	graph_walk(graph);
	CU_ASSERT_EQUAL(stats[0].tx_pkts, 23);
	CU_ASSERT_EQUAL(members[0].debt, 0);
}

static void
frames_for_everybody_are_bounded(void)
{
	rings[1].room = 10000;
	for (int i = 0; i < 5000; i++) {
		struct rte_mbuf *m = sends(0, frame_udp(pool, 8), ADDR_A, 0xffffffff);

		memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
		members[0].debt = 0;
		graph_walk(graph);
		rte_pktmbuf_free_bulk(wire, n_wire);
		CU_ASSERT_EQUAL(n_wire, 1); /* the wire gets them all */
		n_wire = 0;
	}
	CU_ASSERT(rings[1].n_in >= 1000 && rings[1].n_in < 5000); /* it takes less than 0.4 s */
	CU_ASSERT_EQUAL(stats[0].drops[MEMBER_RATE], 5000 - rings[1].n_in);
}

static void
every_instance_gets_its_turn(void)
{
	for (int i = 0; i < RING_MAX; i++)
		for (int j = 0; j < 3; j++)
			sends(j, frame_udp(pool, 0), members[j].addr, ADDR_B);
	graph_walk(graph);
	for (int j = 0; j < 3; j++)
		CU_ASSERT_EQUAL(rings[j].n_out, RING_MAX - 32);
	rings[1].room = 3 * RING_MAX;
	graph_walk(graph);
	for (int j = 0; j < 3; j++)
		CU_ASSERT_EQUAL(rings[j].n_out, 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(instance_with_many_queues_has_one_turn),
	CUNIT_TEST(large_packets_are_paid_for_with_turns),
	CUNIT_TEST(copies_for_everybody_are_paid_for_with_turns),
	CUNIT_TEST(frames_for_everybody_are_bounded),
	CUNIT_TEST(every_instance_gets_its_turn),
};
EAL_TEST_MAIN("dispatch_turns", tests, setup, teardown)
