/* SPDX-License-Identifier: BSD-3-Clause */
/* A bond with LACP (mode 4): flows, frames of the protocol, what is heard meanwhile. */
#include "tests/bond_rig.h"

static void
flows_keep_to_a_port_and_fragments_together(void)
{
	struct rte_mbuf *m = numbered(1, 1), *back = numbered(1, 1);
	unsigned int on[2] = {0};
	uint32_t h;

	start(BOND_8023AD, -1);
	h = bond_flow_hash(m);
	RTE_SWAP(FRAME_IP(back)->src_addr, FRAME_IP(back)->dst_addr);
	RTE_SWAP(FRAME_L4(back, struct rte_tcp_hdr)->src_port,
		FRAME_L4(back, struct rte_tcp_hdr)->dst_port);
	CU_ASSERT_EQUAL(bond_flow_hash(back), h);
	FRAME_IP(m)->fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
	h = bond_flow_hash(m);
	FRAME_IP(m)->fragment_offset = RTE_BE16(100);
	FRAME_L4(m, struct rte_tcp_hdr)->src_port = 99;
	CU_ASSERT_EQUAL(bond_flow_hash(m), h);
	FRAME_IP(m)->fragment_offset = 0;
	for (uint16_t i = 0; i < 1000; i++) {
		FRAME_L4(m, struct rte_tcp_hdr)->src_port = rte_cpu_to_be_16(30000 + i);
		on[bond_hash_slave(3, bond_flow_hash(m))]++;
	}
	CU_ASSERT(on[0] > 400 && on[1] > 400);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(back);
}

static struct rte_mbuf *
frame_lacp(const struct rte_ether_addr *system)
{
	struct lacp_info actor = {.system = *system, .key = 1, .port = 1, .state = 0x47}, none = {0};
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	lacp_write_frame(rte_pktmbuf_append(m, LACP_FRAME_LEN), system, &actor, &none);
	return m;
}

static void
lacp_frames_are_for_the_bond(void)
{
	struct rte_mbuf *m;

	start(BOND_8023AD, -1);
	put(0, frame_lacp(&frame_peer_mac));
	put(0, frame_lacp(&frame_our_mac));
	m = frame_lacp(&frame_peer_mac);
	rte_pktmbuf_trim(m, 80);
	put(0, m);
	m = frame_lacp(&frame_peer_mac);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 14) = 10;
	put(0, m);
	m = frame_lacp(&frame_peer_mac);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 16) = 9;
	put(0, m);
	walk();
	walk();
	CU_ASSERT_EQUAL(row("bond-timer", "lacp-taken"), 1);
	CU_ASSERT_EQUAL(row("bond-timer", "lacp-looped"), 1);
	CU_ASSERT_EQUAL(row("bond-timer", "lacp-short"), 1);
	CU_ASSERT_EQUAL(row("bond-timer", "lacp-unknown"), 1);
	CU_ASSERT_EQUAL(row("bond-timer", "lacp-bad-tlv"), 1);
	CU_ASSERT_EQUAL(bond->lacp.ports[0].partner.port, 1);
	drain();
	put(1, frame_lacp(&frame_peer_mac));
	walk();
	set_link(1, false);
	put(1, frame_lacp(&frame_peer_mac));
	walk();
	walk();
	CU_ASSERT(row("bond-timer", "lacp-no-link") > 0); /* ours come back here, too */
	for (unsigned int i = 0; i < 100; i++)
		put(0, frame_lacp(&frame_peer_mac));
	walk();
	CU_ASSERT(row("bond-rx", "lacp-full") > 0);
	walk();
}

static void
lacp_leaves_by_its_own_port(void)
{
	start(BOND_8023AD, -1);
	CU_ASSERT_EQUAL(lacp_distributing(&bond->lacp), 0);
	for (unsigned int i = 0; i < LINKS; i++)
		bond->lacp.ports[i].ntt = true;
	bond->due_tsc = 0;
	drain();
	walk();
	for (unsigned int i = 0; i < LINKS; i++) {
		struct rte_mbuf *m = take(i, RTE_ETHER_TYPE_SLOW);

		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		CU_ASSERT_EQUAL(rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr.addr_bytes[5],
			macs[i].addr_bytes[5]);
		rte_pktmbuf_free(m);
	}
}

static void
only_collecting_ports_are_heard(void)
{
	start(BOND_8023AD, -1);
	atomic_store(&bond->masks, 2);
	bond->due_tsc = UINT64_MAX;
	put(0, frame_to(&frame_our_mac));
	put(1, frame_to(&frame_our_mac));
	walk();
	CU_ASSERT_EQUAL(stack.n_tcp, 1);
	CU_ASSERT_EQUAL(row("bond-rx", "passive-link"), 1);
}

static void
markers_come_back(void)
{
	struct rte_mbuf *m = frame_lacp(&frame_peer_mac);

	start(BOND_8023AD, -1);
	rte_pktmbuf_mtod(m, uint8_t *)[14] = 2;
	put(1, m);
	walk();
	drain();
	walk();
	for (m = take(1, RTE_ETHER_TYPE_SLOW); m != NULL; m = take(1, RTE_ETHER_TYPE_SLOW)) {
		bool response = rte_pktmbuf_mtod(m, uint8_t *)[14] == 2 &&
			rte_pktmbuf_mtod(m, uint8_t *)[16] == 2;

		rte_pktmbuf_free(m);
		if (response)
			return;
	}
	CU_FAIL("no response");
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(flows_keep_to_a_port_and_fragments_together),
	CUNIT_TEST(lacp_frames_are_for_the_bond),
	CUNIT_TEST(lacp_leaves_by_its_own_port),
	CUNIT_TEST(only_collecting_ports_are_heard),
	CUNIT_TEST(markers_come_back),
};
EAL_TEST_MAIN("bond_lacp", tests, setup, teardown)
