/* SPDX-License-Identifier: BSD-3-Clause */
/* arp-resolve in a real graph: packets that wait for a neighbour, and its places in the table. */
#include <netinet/in.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_tcp.h>

#include "nodes/nodes.h"
#include "tests/cunit_main.h"
#include "tests/ip4_rig.h"

static void
packet_waits_for_the_reply(void)
{
	struct rte_mbuf *m;
	uint8_t frame[64];

	rig_swallow_announcement();
	rig_walk(NODE_IP4_OUTPUT, rig_udp(PEER, 100));
	m = rig_take(NODE_TX);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(arp_of(m)->arp_opcode, RTE_BE16(RTE_ARP_OP_REQUEST));
	CU_ASSERT_EQUAL(arp_of(m)->arp_data.arp_tip, PEER);
	rte_pktmbuf_free(m);
	rig_walk(NODE_IP4_OUTPUT, rig_udp(PEER, 200));
	CU_ASSERT_EQUAL(rig_sent_length(), 0); /* asked already */
	rig_walk(NODE_ARP_INPUT, rig_arp_frame(RTE_ARP_OP_REPLY, PEER, US));
	CU_ASSERT_EQUAL(rig_sent_length(), 134);
	CU_ASSERT_EQUAL(rig_sent_length(), 234);
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "consumed"), 1);
	CU_ASSERT_EQUAL(read(rig_kernel_end, frame, sizeof(frame)), ARP_FRAME_LEN); /* its copy */
	rig_walk(NODE_IP4_OUTPUT, rig_udp(PEER, 300));
	CU_ASSERT_EQUAL(rig_sent_length(), 334);
	CU_ASSERT_EQUAL(rig_sent_length(), 0);
}

static void
all_fragments_wait_for_the_neighbour(void)
{
	unsigned int n = 0;

	rig_swallow_announcement();
	rig_walk(NODE_IP4_OUTPUT, rig_udp(PEER, 65515));
	CU_ASSERT_EQUAL(rig_sent_length(), ARP_FRAME_LEN);
	CU_ASSERT_EQUAL(arp_count_waiting(rig_worker.arp), 45);
	rig_walk(NODE_IP4_OUTPUT, rig_udp(PEER, 65515));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "queue-full"), 90 - ARP_QUEUE_MAX);
	rig_walk(NODE_ARP_INPUT, rig_arp_frame(RTE_ARP_OP_REPLY, PEER, US));
	while (rig_sent_length() > 0)
		n++;
	CU_ASSERT_EQUAL(n, ARP_QUEUE_MAX);
}

static void
eviction_is_counted(void)
{
	rig_swallow_announcement();
	rig_worker.mask = HARNESS_IP(255, 0, 0, 0);
	for (uint32_t host = 0; host <= ARP_ASKED_MAX; host++) {
		rig_walk(NODE_ARP_RESOLVE, rig_udp(HARNESS_IP(198, 19, host >> 8, host & 255), 8));
		rte_pktmbuf_free(rig_take(NODE_TX));
	}
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "evicted"), 1);
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "table-full"), 0);
}

/* As if so many had answered us a moment ago. */
static void
fill_table(void)
{
	uint64_t now = rte_get_tsc_cycles();
	struct rte_mbuf *victim, *m;
	struct arp_entry *e;

	for (uint32_t host = 0; host < ARP_ENTRIES_MAX; host++) {
		uint32_t ip = HARNESS_IP(198, 19, host >> 8, host & 255);

		e = arp_wait(rig_worker.arp, ip, rig_udp(ip, 8), false, now, &victim);
		arp_learn(rig_worker.arp, ip, &peer_mac, true, false, now, NULL);
		while ((m = arp_pop(rig_worker.arp, e)) != NULL)
			rte_pktmbuf_free(m);
	}
}

static void
full_table_is_counted_and_requests_are_answered(void)
{
	rig_swallow_announcement();
	rig_worker.mask = HARNESS_IP(255, 0, 0, 0);
	fill_table();
	rig_walk(NODE_ARP_RESOLVE, rig_udp(PEER, 8));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "table-full"), 1);
	rig_walk(NODE_ARP_INPUT, rig_arp_frame(RTE_ARP_OP_REQUEST, PEER, US));
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_INPUT, "table-full"), 1);
	CU_ASSERT_EQUAL(rig_sent_length(), 60); /* answered all the same */
}

/* What anybody can ask for under any name, and what we send by ourselves. */
static void
answers_to_strangers_have_their_own_places(void)
{
	struct rte_mbuf *m;

	rig_swallow_announcement();
	rig_worker.mask = HARNESS_IP(255, 0, 0, 0);
	rig_walk(NODE_ARP_RESOLVE, rig_udp(PEER, 8));
	rte_pktmbuf_free(rig_take(NODE_TX));
	for (uint32_t host = 0; host < 4 * ARP_STRANGERS_MAX; host++) {
		m = rig_udp(HARNESS_IP(198, 19, host >> 8, host & 255), 32);
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
		struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);

		ip->next_proto_id = host % 2 ? IPPROTO_ICMP : IPPROTO_TCP;
		tcp->tcp_flags = host % 4 ? RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG : RTE_TCP_RST_FLAG;
		rig_walk(NODE_ARP_RESOLVE, m);
		rte_pktmbuf_free(rig_take(NODE_TX));
	}
	CU_ASSERT_EQUAL(arp_count(rig_worker.arp), 1 + ARP_STRANGERS_MAX);
	CU_ASSERT_EQUAL(arp_find(rig_worker.arp, PEER)->place, ARP_ASKED);
	CU_ASSERT_EQUAL(rig_count(NODE_ARP_RESOLVE, "evicted"), 3 * ARP_STRANGERS_MAX);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(packet_waits_for_the_reply),
	CUNIT_TEST(all_fragments_wait_for_the_neighbour),
	CUNIT_TEST(eviction_is_counted),
	CUNIT_TEST(full_table_is_counted_and_requests_are_answered),
	CUNIT_TEST(answers_to_strangers_have_their_own_places),
};
CUNIT_MAIN("arp_resolve", tests, rig_setup, rig_teardown)
