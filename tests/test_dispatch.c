/* SPDX-License-Identifier: BSD-3-Clause */
/* Where frames go: dispatch-in and dispatch-out. */
#include "tests/dispatch_rig.h"

/* --- from the wire -------------------------------------------------------------------------------- */

static void
packet_goes_to_the_instance_of_its_address(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 8), SOLE);
	uint16_t queue = steer_queue(&members[0], FRAME_IP(m), m->data_len - 14);

	ASSERT_TO(in(m), 2, queue);
	CU_ASSERT_EQUAL(queue, 53 % QUEUES);
	CU_ASSERT_EQUAL(in(to(frame_tcp(pool, NULL, 0, 0), SOLE)).seen, SEEN_TCP);
	CU_ASSERT_EQUAL(in(to(frame_icmp(pool, 8, 8), SOLE)).seen, SEEN_ICMP);
}

static void
tcp_connections_spread_over_queues(void)
{
	unsigned int hits[QUEUES] = {0};

	for (int i = 0; i < 400; i++) {
		struct rte_mbuf *m = to(frame_tcp(pool, NULL, 0, 0), SOLE);

		FRAME_L4(m, struct rte_tcp_hdr)->src_port = htons(20000 + i);
		hits[in(m).dest & 0xffff]++;
	}
	for (int q = 0; q < QUEUES; q++)
		CU_ASSERT_TRUE(hits[q] > 60);
}

static void
what_nobody_owns_is_dropped_or_the_kernels(void)
{
	ASSERT_DROPPED(in(to(frame_udp(pool, 8), NONE)), DISPATCH_NO_INSTANCE);
	ASSERT_DROPPED(in(to(frame_udp(pool, 8), OUTSIDE)), DISPATCH_NO_INSTANCE);
	ASSERT_DROPPED(in(arp(RTE_ARP_OP_REQUEST, FRAME_PEER, NONE)), DISPATCH_NO_INSTANCE);
	dw.w.kernel_fd = 3;
	CU_ASSERT_EQUAL(in(to(frame_udp(pool, 8), NONE)).edge, DISPATCH_KERNEL);
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REQUEST, FRAME_PEER, NONE)).edge, DISPATCH_KERNEL);
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REPLY, FRAME_PEER, NONE)).edge, DISPATCH_KERNEL);
}

static void
segments_for_an_instance_that_ended_are_reset(void)
{
	CU_ASSERT_EQUAL(in(to(frame_tcp(pool, NULL, 0, 9), GONE)).edge, DISPATCH_RESET);
	ASSERT_DROPPED(in(to(frame_udp(pool, 8), GONE)), DISPATCH_GONE);
	ASSERT_DROPPED(in(arp(RTE_ARP_OP_REQUEST, FRAME_PEER, GONE)), DISPATCH_GONE);
}

static void
control_thread_hears_replies_while_it_waits_for_some(void)
{
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REPLY, FRAME_PEER, GONE)).hear, 0);
	lt.hearing = true;
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REPLY, FRAME_PEER, GONE)).hear, 1);
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REQUEST, FRAME_PEER, GONE)).hear, 0);
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REPLY, FRAME_PEER, SHARED)).hear, 1);
	CU_ASSERT_EQUAL(out(arp(RTE_ARP_OP_REPLY, SOLE, SHARED)).hear, 1);
	lt.hearing = false;
}

static void
malformed_frames_are_dropped(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 8), SOLE);

	rte_pktmbuf_trim(m, m->data_len - 13);
	ASSERT_DROPPED(in(m), DISPATCH_SHORT_FRAME);
	m = to(frame_udp(pool, 8), SOLE);
	rte_pktmbuf_trim(m, m->data_len - 33);
	ASSERT_DROPPED(in(m), DISPATCH_SHORT_FRAME);
	m = to(frame_udp(pool, 8), SOLE);
	FRAME_IP(m)->version_ihl = 0x44;
	ASSERT_DROPPED(in(m), DISPATCH_BAD_IP);
	m = to(frame_udp(pool, 8), SOLE);
	FRAME_IP(m)->version_ihl = 0x4f; /* 60 bytes of header in a packet of 36 */
	ASSERT_DROPPED(in(m), DISPATCH_BAD_IP);
	m = to(frame_udp(pool, 8), SOLE);
	FRAME_IP(m)->total_length = htons(19);
	ASSERT_DROPPED(in(m), DISPATCH_BAD_IP);
	m = arp(RTE_ARP_OP_REPLY, FRAME_PEER, SOLE);
	rte_pktmbuf_trim(m, 60 - 41);
	ASSERT_DROPPED(in(m), DISPATCH_BAD_ARP);
	m = to(frame_udp(pool, 8), SOLE);
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr = frame_peer_mac;
	ASSERT_DROPPED(in(m), DISPATCH_NOT_OURS);
	m = to(frame_udp(pool, 8), SOLE);
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type = RTE_BE16(0x86dd);
	ASSERT_DROPPED(in(m), DISPATCH_ETHERTYPE);
}

static void
group_packets_are_copied_to_all(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 8), RTE_BE32(0xe0000001));
	struct dispatch_result r;

	memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	r = in(m);
	CU_ASSERT_EQUAL(r.edge, DISPATCH_DROP);
	CU_ASSERT_EQUAL(r.error, DISPATCH_NO_ERROR); /* no loss: the copies are what counts */
	CU_ASSERT_EQUAL(r.copy, COPY_ALL);
	dw.w.kernel_fd = 3;
	r = in(to(frame_udp(pool, 8), 0xffffffff));
	CU_ASSERT_EQUAL(r.edge, DISPATCH_KERNEL);
	CU_ASSERT_EQUAL(r.copy, COPY_ALL);
	/* the last address of dispatch_subnet may be a host's: no netmask says otherwise */
	CU_ASSERT_EQUAL(in(to(frame_udp(pool, 8), RTE_BE32(0xc61200ff))).copy, 0);
}

/* RFC 1122 3.3.6: an address of one host in a frame for all. */
static void
unicast_packet_in_a_group_frame_is_not_delivered_alone(void)
{
	struct rte_mbuf *m = to(frame_tcp(pool, NULL, 0, 0), SOLE);

	memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	CU_ASSERT_NOT_EQUAL(in(m).edge, DISPATCH_INSTANCE);
}

static void
arp_request_goes_to_one_and_reply_to_all(void)
{
	struct dispatch_result r = in(arp(RTE_ARP_OP_REQUEST, FRAME_PEER, SHARED));

	ASSERT_TO(r, map->order[map_find(map, SHARED)->first]->index, 0);
	CU_ASSERT_EQUAL(r.copy, 0);
	r = in(arp(RTE_ARP_OP_REPLY, FRAME_PEER, SHARED));
	CU_ASSERT_EQUAL(r.edge, DISPATCH_INSTANCE);
	CU_ASSERT_EQUAL(r.copy, COPY_GROUP);
	CU_ASSERT_EQUAL(map->addrs[r.group].addr, SHARED);
	CU_ASSERT_EQUAL(in(arp(RTE_ARP_OP_REPLY, FRAME_PEER, SOLE)).copy, 0);
	r = in(arp(RTE_ARP_OP_REQUEST, FRAME_PEER, FRAME_PEER));
	CU_ASSERT_EQUAL(r.copy, COPY_ALL);
}

/* --- from this host --------------------------------------------------------------------------------- */

static struct rte_mbuf *
addressed(struct rte_mbuf *m, const struct rte_ether_addr *mac)
{
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr = *mac;
	return m;
}

static void
packets_for_others_leave_by_the_wire(void)
{
	CU_ASSERT_EQUAL(out(addressed(to(frame_udp(pool, 8), NONE), &frame_peer_mac)).edge, DISPATCH_WIRE);
	CU_ASSERT_EQUAL(out(addressed(to(frame_udp(pool, 8), OUTSIDE), &frame_peer_mac)).edge,
		DISPATCH_WIRE);
	CU_ASSERT_EQUAL(out(arp(RTE_ARP_OP_REQUEST, SOLE, NONE)).edge, DISPATCH_WIRE);
	CU_ASSERT_EQUAL(out(arp(RTE_ARP_OP_REQUEST, SOLE, NONE)).copy, COPY_KERNEL);
}

static void
neighbours_on_this_host_are_reached_directly(void)
{
	struct dispatch_result r = out(to(frame_udp(pool, 8), SOLE));

	ASSERT_TO(r, 2, 53 % QUEUES);
	/* ... even where the sender's netmask made it take the gateway */
	ASSERT_TO(out(addressed(to(frame_udp(pool, 8), SOLE), &frame_peer_mac)), 2, 53 % QUEUES);
	ASSERT_TO(out(arp(RTE_ARP_OP_REQUEST, SHARED, SOLE)), 2, 0);
	r = out(arp(RTE_ARP_OP_REPLY, SOLE, SHARED));
	CU_ASSERT_EQUAL(r.edge, DISPATCH_INSTANCE);
	CU_ASSERT_EQUAL(r.copy, COPY_GROUP);
}

static void
packets_to_our_own_mac_never_leave(void)
{
	ASSERT_DROPPED(out(to(frame_udp(pool, 8), NONE)), DISPATCH_NO_INSTANCE);
	CU_ASSERT_EQUAL(out(to(frame_tcp(pool, NULL, 0, 0), GONE)).edge, DISPATCH_RESET);
	dw.w.kernel_fd = 3;
	CU_ASSERT_EQUAL(out(to(frame_udp(pool, 8), NONE)).edge, DISPATCH_KERNEL);
	CU_ASSERT_EQUAL(out(arp(RTE_ARP_OP_REPLY, SOLE, NONE)).edge, DISPATCH_KERNEL);
}

static void
group_packets_reach_wire_kernel_and_neighbours(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 8), 0xffffffff);
	struct dispatch_result r;

	memset(&rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr, 0xff, 6);
	r = out(m);
	CU_ASSERT_EQUAL(r.edge, DISPATCH_WIRE);
	CU_ASSERT_EQUAL(r.copy, COPY_ALL | COPY_KERNEL);
	r = out(arp(RTE_ARP_OP_REQUEST, SOLE, SOLE)); /* announcement */
	CU_ASSERT_EQUAL(r.edge, DISPATCH_WIRE);
	CU_ASSERT_TRUE(r.copy & COPY_ALL);
}

static void
malformed_frames_of_this_host_are_dropped(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);

	rte_pktmbuf_trim(m, m->data_len - 10);
	ASSERT_DROPPED(out(m), DISPATCH_SHORT_FRAME);
	m = frame_udp(pool, 8);
	rte_pktmbuf_trim(m, m->data_len - 30);
	ASSERT_DROPPED(out(m), DISPATCH_SHORT_FRAME);
	m = frame_udp(pool, 8);
	FRAME_IP(m)->version_ihl = 0x65;
	ASSERT_DROPPED(out(m), DISPATCH_BAD_IP);
	m = arp(RTE_ARP_OP_REPLY, SOLE, SHARED);
	rte_pktmbuf_trim(m, 60 - 20);
	ASSERT_DROPPED(out(m), DISPATCH_BAD_ARP);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(packet_goes_to_the_instance_of_its_address),
	CUNIT_TEST(tcp_connections_spread_over_queues),
	CUNIT_TEST(what_nobody_owns_is_dropped_or_the_kernels),
	CUNIT_TEST(segments_for_an_instance_that_ended_are_reset),
	CUNIT_TEST(control_thread_hears_replies_while_it_waits_for_some),
	CUNIT_TEST(malformed_frames_are_dropped),
	CUNIT_TEST(group_packets_are_copied_to_all),
	CUNIT_TEST(unicast_packet_in_a_group_frame_is_not_delivered_alone),
	CUNIT_TEST(arp_request_goes_to_one_and_reply_to_all),
	CUNIT_TEST(packets_for_others_leave_by_the_wire),
	CUNIT_TEST(neighbours_on_this_host_are_reached_directly),
	CUNIT_TEST(packets_to_our_own_mac_never_leave),
	CUNIT_TEST(group_packets_reach_wire_kernel_and_neighbours),
	CUNIT_TEST(malformed_frames_of_this_host_are_dropped),
};
EAL_TEST_MAIN("dispatch", tests, setup, teardown)
