/* SPDX-License-Identifier: BSD-3-Clause */
/* A bond that balances by ARP (mode 6): addresses of its ports, peers and what they are told. */
#include "tests/bond_rig.h"

static void
each_port_hears_its_own_address(void)
{
	struct bond_links l;
	struct bond_view v;
	struct rte_ether_hdr eth = {0};

	start(BOND_ALB, -1);
	l = bond_links(bond);
	v = bond_view(bond, &l);
	eth.dst_addr = macs[0];
	CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 0, &eth), BOND_RX_ERRORS);
	CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 1, &eth), BOND_RX_OTHER_SLAVE);
	eth.dst_addr = macs[1];
	CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 0, &eth), BOND_RX_OTHER_SLAVE);
	CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 1, &eth), BOND_RX_ERRORS);
	eth.dst_addr = everybody;
	CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 0, &eth), BOND_RX_ERRORS);
	CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 1, &eth), BOND_RX_PASSIVE_GROUP);
	/* The active port loses its link: the other has the bond's address, and what was its own. */
	set_link(0, false);
	l = bond_links(bond);
	v = bond_view(bond, &l);
	for (unsigned int i = 0; i < LINKS; i++) {
		eth.dst_addr = macs[i];
		CU_ASSERT_EQUAL(bond_rx_verdict(bond, &v, 1, &eth), BOND_RX_ERRORS);
	}
	CU_ASSERT_EQUAL(bond_slave_mac(bond, 1, 0)->addr_bytes[5], macs[1].addr_bytes[5]);
}

static void
a_link_that_is_back_is_used_after_a_while(void)
{
	start(BOND_ALB, -1);
	set_link(1, false);
	set_link(1, true);
	CU_ASSERT_EQUAL(bond_links(bond).up, 1);
	bond->slaves[1].up_since_ms -= 2000;
	bond_monitor_look(bond);
	CU_ASSERT_EQUAL(bond_links(bond).up, 3);
	set_link(1, false);
	set_link(1, true);
	set_link(0, false); /* better than none */
	CU_ASSERT_EQUAL(bond_links(bond).up, 2);
}

static void
frames_are_rewritten_to_one_address(void)
{
	start(BOND_ALB, -1);
	put(1, frame_to(&macs[1]));
	put(1, frame_to(&macs[0]));
	walk();
	CU_ASSERT_EQUAL(stack.n_tcp, 1);
	CU_ASSERT_EQUAL(row("bond-rx", "other-slave"), 1);
	CU_ASSERT_EQUAL(rte_pktmbuf_mtod(stack.in[0], struct rte_ether_hdr *)->dst_addr.addr_bytes[5],
		macs[0].addr_bytes[5]);
}

/* A peer whose assigned slave is `slave`. */
static uint32_t
peer_of(uint8_t slave)
{
	uint32_t peer = FRAME_PEER;

	while (bond_alb_assign(3, peer, FRAME_OURS) != slave)
		peer += RTE_BE32(1);
	return peer;
}

static void
peers_are_told_their_port(void)
{
	struct rte_mbuf *m;

	start(BOND_ALB, -1);
	for (uint8_t slave = 0; slave < LINKS; slave++) {
		put(0, frame_arp(RTE_ARP_OP_REQUEST, &everybody, &frame_peer_mac, peer_of(slave),
			&everybody, FRAME_OURS));
		walk();
		m = take(slave, RTE_ETHER_TYPE_ARP);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		CU_ASSERT(rte_is_same_ether_addr(&arp_of(m)->arp_sha, &macs[slave]));
		CU_ASSERT(rte_is_same_ether_addr(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr,
			&macs[slave]));
		rte_pktmbuf_free(m);
		drain();
	}
}

static void
a_lost_port_moves_its_peers(void)
{
	struct rte_mbuf *m;
	uint32_t peer = peer_of(1);

	start(BOND_ALB, -1);
	put(0, frame_arp(RTE_ARP_OP_REQUEST, &everybody, &frame_peer_mac, peer, &everybody, FRAME_OURS));
	walk();
	drain();
	set_link(1, false);
	walk();
	/* At once: switches learn that the lost port's address is behind the active one. */
	for (unsigned int i = 0; i < LINKS; i++) {
		m = take(0, BOND_TYPE_LEARN);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		CU_ASSERT(rte_is_same_ether_addr(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr,
			&macs[i]));
		rte_pktmbuf_free(m);
	}
	CU_ASSERT_EQUAL(count(0, BOND_TYPE_LEARN), 0);
	bond->teach_at_tsc = 1; /* and again: what waited at a port has other addresses */
	bond->due_tsc = 0;
	walk();
	CU_ASSERT_EQUAL(count(0, BOND_TYPE_LEARN), LINKS);
	/* Then, with time, the peer hears of it. */
	bond->alb.at_tsc = 1;
	bond->due_tsc = 0;
	walk();
	m = take(0, RTE_ETHER_TYPE_ARP);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(rte_is_same_ether_addr(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr,
		&frame_peer_mac));
	CU_ASSERT(rte_is_same_ether_addr(&arp_of(m)->arp_sha, &macs[0]));
	CU_ASSERT_EQUAL(arp_of(m)->arp_sip, FRAME_OURS);
	CU_ASSERT_EQUAL(arp_of(m)->arp_tip, FRAME_OURS);
	rte_pktmbuf_free(m);
}

static void
a_broadcast_is_put_right_later(void)
{
	struct rte_mbuf *m = frame_arp(RTE_ARP_OP_REQUEST, &everybody, &macs[0], FRAME_OURS,
		&everybody, FRAME_PEER + RTE_BE32(99));

	start(BOND_ALB, -1);
	bond_alb_learn(&bond->alb, peer_of(1), FRAME_OURS, &frame_peer_mac, &macs[1]);
	CU_ASSERT_EQUAL(bond_send(&worker, &m, 1), 1);
	CU_ASSERT_EQUAL(count(0, RTE_ETHER_TYPE_ARP), 1); /* by the active port, with its address */
	walk();
	CU_ASSERT(bond->alb.at_tsc != 0);
	bond->alb.at_tsc = 1;
	bond->due_tsc = 0;
	walk();
	m = take(1, RTE_ETHER_TYPE_ARP);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(rte_is_same_ether_addr(&arp_of(m)->arp_sha, &macs[1]));
	rte_pktmbuf_free(m);
}

static void
flows_carry_the_address_of_their_port(void)
{
	start(BOND_ALB, -1);
	for (uint8_t slave = 0; slave < LINKS; slave++) {
		struct rte_mbuf *m = numbered(flow_of(slave), 1);

		CU_ASSERT_EQUAL(bond_send(&worker, &m, 1), 1);
		m = take(slave, 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		CU_ASSERT(rte_is_same_ether_addr(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr,
			&macs[slave]));
		rte_pktmbuf_free(m);
	}
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(each_port_hears_its_own_address),
	CUNIT_TEST(a_link_that_is_back_is_used_after_a_while),
	CUNIT_TEST(frames_are_rewritten_to_one_address),
	CUNIT_TEST(peers_are_told_their_port),
	CUNIT_TEST(a_lost_port_moves_its_peers),
	CUNIT_TEST(a_broadcast_is_put_right_later),
	CUNIT_TEST(flows_carry_the_address_of_their_port),
};
EAL_TEST_MAIN("bond_alb", tests, setup, teardown)
