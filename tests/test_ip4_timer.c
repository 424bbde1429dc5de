/* SPDX-License-Identifier: BSD-3-Clause */
/* ip4-timer in a real graph: neighbours that are asked again or lost, and old fragments. */
#include <rte_cycles.h>
#include <rte_icmp.h>

#include "nodes/nodes.h"
#include "nodes/reass.h"
#include "tests/cunit_main.h"
#include "tests/ip4_rig.h"

static void
silent_neighbour_costs_its_packets(void)
{
	uint64_t hz = rte_get_tsc_hz(), past = rte_get_tsc_cycles() - 20 * hz;
	struct rte_mbuf *victim;
	struct arp_entry *e;

	rig_swallow_announcement();
	e = arp_wait(rig_worker.arp, PEER, rig_udp(PEER, 100), false, past, &victim);
	for (unsigned int i = 0; i < ARP_TRIES; i++)
		CU_ASSERT_TRUE(arp_take_request(rig_worker.arp, e, past + i * hz));
	rig_walk(NULL, NULL);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_TIMER, "unresolved"), 1);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_TIMER, "neighbour-lost"), 1);
	CU_ASSERT_PTR_NULL(arp_find(rig_worker.arp, PEER));
}

static void
neighbour_in_use_is_confirmed_alone(void)
{
	struct rte_mbuf *m;

	rig_swallow_announcement();
	rig_meet_peer(); /* known, not confirmed */
	rig_walk(NODE_IP4_OUTPUT, rig_udp(PEER, 100));
	CU_ASSERT_EQUAL(rig_sent_length(), 134);
	rig_walk(NULL, NULL);
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->pkt_len, ARP_FRAME_LEN);
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&eth_of(m)->dst_addr, &peer_mac));
	rte_pktmbuf_free(m);
}

static void
old_fragments_are_given_up_and_their_sender_told(void)
{
	uint64_t past = rte_get_tsc_cycles() - (REASS_TIMEOUT_S + 1) * rte_get_tsc_hz();
	const struct rte_icmp_hdr *icmp;
	struct rte_mbuf *whole, *m;

	rig_swallow_announcement();
	rig_meet_peer();
	reass_add(rig_worker.reass, rig_fragment(1, 0, 1480, true), past, &whole);
	/* no first part: no error */
	reass_add(rig_worker.reass, rig_fragment(2, 8, 8, true), past, &whole);
	rig_walk(NULL, NULL);
	CU_ASSERT_EQUAL(rig_count(NODE_IP4_TIMER, "reass-timeout"), 2);
	CU_ASSERT_EQUAL(reass_count(rig_worker.reass), 0);
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	icmp = rte_pktmbuf_mtod_offset(m, const struct rte_icmp_hdr *, 34);
	CU_ASSERT_EQUAL(icmp->icmp_type, 11);
	CU_ASSERT_EQUAL(icmp->icmp_code, 1);
	CU_ASSERT_EQUAL(m->pkt_len, RTE_ETHER_HDR_LEN + 576);
	rte_pktmbuf_free(m);
	for (uint16_t id = 0; id < 100; id++)
		reass_add(rig_worker.reass, rig_fragment(id, 0, 8, true), past, &whole);
	rig_walk(NULL, NULL);
	CU_ASSERT_TRUE(rig_count(NODE_IP4_TIMER, "icmp-rate") > 40);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(silent_neighbour_costs_its_packets),
	CUNIT_TEST(neighbour_in_use_is_confirmed_alone),
	CUNIT_TEST(old_fragments_are_given_up_and_their_sender_told),
};
CUNIT_MAIN("ip4_timer", tests, rig_setup, rig_teardown)
