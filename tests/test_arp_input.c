/* SPDX-License-Identifier: BSD-3-Clause */
/* arp-input in a real graph: what it answers, learns, passes on and refuses. */
#include <unistd.h>

#include <rte_cycles.h>

#include "common/say.h"
#include "nodes/arp_node.h"
#include "nodes/nodes.h"
#include "tests/cunit_main.h"
#include "tests/ip4_rig.h"

static struct worker other;

static void
request_is_answered_in_place(void)
{
	struct rte_mbuf *m;

	rig_swallow_announcement();
	rig_trace();
	rig_walk(NODE_ARP_INPUT, rig_arp_frame(RTE_ARP_OP_REQUEST, PEER, US));
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(arp_of(m)->arp_opcode, RTE_BE16(RTE_ARP_OP_REPLY));
	CU_ASSERT_EQUAL(arp_of(m)->arp_data.arp_sip, US);
	CU_ASSERT_EQUAL(arp_of(m)->arp_data.arp_tip, PEER);
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&arp_of(m)->arp_data.arp_sha, &our_mac));
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&arp_of(m)->arp_data.arp_tha, &peer_mac));
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&eth_of(m)->dst_addr, &peer_mac));
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&eth_of(m)->src_addr, &our_mac));
	rte_pktmbuf_free(m);
	CU_ASSERT_TRUE(rig_trace_has("from 198.18.0.2 at 02:00:00:00:00:02 for 198.18.0.1 -> reply"));
}

static void
answers_are_copied_to_other_cores_once(void)
{
	struct rte_mbuf *copy = NULL;

	other = rig_worker;
	other.index = 1;
	other.handoff = rte_ring_create("other", 2, SOCKET_ID_ANY, RING_F_EXACT_SZ);
	rig_worker.n_workers = 2;
	rig_worker.peers[1] = &other;
	rig_swallow_announcement();
	rig_kicks = 0;
	rig_walk(NODE_ARP_INPUT, rig_arp_frame(RTE_ARP_OP_REPLY, PEER, US));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "unsolicited"), 1);
	CU_ASSERT_EQUAL(rig_kicks, 1); /* it may be asleep */
	CU_ASSERT_EQUAL_FATAL(rte_ring_dequeue(other.handoff, (void **)&copy), 0);
	CU_ASSERT_EQUAL(copy->port, RTE_MBUF_PORT_INVALID);
	rig_walk(NODE_ARP_INPUT, copy); /* as the other core would: not copied again */
	CU_ASSERT_NOT_EQUAL(rte_ring_dequeue(other.handoff, (void **)&copy), 0);
	for (unsigned int i = 0; i < 3; i++)
		rig_walk(NODE_ARP_INPUT, rig_arp_frame(RTE_ARP_OP_REPLY, PEER, US));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "copy-failed"), 1);
	while (rte_ring_dequeue(other.handoff, (void **)&copy) == 0)
		rte_pktmbuf_free(copy);
	rte_ring_free(other.handoff);
}

static void
moving_neighbour_is_followed_once_a_second(void)
{
	struct rte_mbuf *m;

	rig_swallow_announcement();
	rig_meet_peer();
	m = rig_arp_frame(RTE_ARP_OP_REQUEST, PEER, US);
	rte_pktmbuf_mtod_offset(m, struct rte_arp_hdr *, 14)->arp_data.arp_sha.addr_bytes[5] = 9;
	rig_walk(NODE_ARP_INPUT, m);
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "flapping"), 1);
	CU_ASSERT_TRUE(
		rte_is_same_ether_addr(&arp_header(arp_find(rig_worker.arp, PEER))->dst_addr, &peer_mac));
}

static struct rte_mbuf *
claim_of(uint32_t ip, uint8_t station)
{
	struct rte_mbuf *m = rig_arp_frame(RTE_ARP_OP_REQUEST, ip, ip);

	rte_pktmbuf_mtod_offset(m, struct rte_arp_hdr *, 14)->arp_data.arp_sha.addr_bytes[5] = station;
	return m;
}

static void
claim_to_a_confirmed_address_has_it_asked(void)
{
	uint64_t past = rte_get_tsc_cycles() - 5 * rte_get_tsc_hz();
	struct rte_mbuf *victim, *m;
	struct arp_entry *e;

	rig_swallow_announcement();
	e = arp_wait(rig_worker.arp, PEER, rig_udp(PEER, 8), false, past, &victim);
	arp_learn(rig_worker.arp, PEER, &peer_mac, true, false, past, NULL);
	rte_pktmbuf_free(arp_pop(rig_worker.arp, e));
	rig_walk(NODE_ARP_INPUT, claim_of(PEER, 9));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "disputed"), 1);
	rig_walk(NULL, NULL);
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&eth_of(m)->dst_addr, &peer_mac));
	rte_pktmbuf_free(m);
	e->tries = ARP_TRIES; /* silent: the last request asks all */
	m = arp_node_request(&rig_worker, e);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_TRUE(rte_is_broadcast_ether_addr(&eth_of(m)->dst_addr));
	rte_pktmbuf_free(m);
}

static char said[512];
static int n_said;

static void
keep_said(const char *text, size_t n)
{
	snprintf(said, sizeof(said), "%.*s", (int)n, text);
	n_said++;
}

static void
another_station_with_our_address_is_said_once(void)
{
	rig_swallow_announcement();
	n_said = 0;
	say_write_by(keep_said);
	for (int i = 0; i < 3; i++)
		rig_walk(NODE_ARP_INPUT, rig_arp_frame(RTE_ARP_OP_REPLY, US, US));
	say_write_by(NULL);
	CU_ASSERT_EQUAL(n_said, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "has the address 198.18.0.1 as well"));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "duplicate-address"), 3);
	CU_ASSERT_EQUAL(rig_sent_length(), 0);
}

static void
announcements_to_other_cores_have_a_rate(void)
{
	unsigned int n = 0;
	struct rte_mbuf *m;

	rig_swallow_announcement();
	for (unsigned int i = 0; i < 3000; i++) {
		rig_walk(NODE_ARP_INPUT, claim_of(HARNESS_IP(198, 18, 0, 3 + i % 200), i));
		while ((m = rig_take(NODE_DROP)) != NULL)
			rte_pktmbuf_free(m);
		n++;
	}
	CU_ASSERT_TRUE(rig_count(NODE_ARP_INPUT, "copy-rate") > n / 4);
	while (read(rig_kernel_end, (char[2048]){0}, 2048) > 0)
		continue;
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(request_is_answered_in_place),
	CUNIT_TEST(answers_are_copied_to_other_cores_once),
	CUNIT_TEST(moving_neighbour_is_followed_once_a_second),
	CUNIT_TEST(claim_to_a_confirmed_address_has_it_asked),
	CUNIT_TEST(another_station_with_our_address_is_said_once),
	CUNIT_TEST(announcements_to_other_cores_have_a_rate),
};
CUNIT_MAIN("arp_input", tests, rig_setup, rig_teardown)
