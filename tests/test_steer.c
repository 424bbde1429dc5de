/* SPDX-License-Identifier: BSD-3-Clause */
/* Who gets what of an address that several instances share. */
#include "tests/dispatch_rig.h"

#include "nodes/ltran_left.h"

static void
listen_on(unsigned int i, uint8_t protocol, uint16_t port)
{
	uint16_t q = protocol == IPPROTO_UDP ? port % members[i].n_queues : 0;

	CU_ASSERT_TRUE(ltran_table_add(tables[i] + q * SLOTS, SLOTS,
		ltran_slot_key(0, 0, htons(port)), protocol));
}

static struct rte_mbuf *
syn_from(uint16_t port)
{
	struct rte_mbuf *m = to(frame_tcp(pool, NULL, 0, 0), SHARED);

	FRAME_L4(m, struct rte_tcp_hdr)->src_port = htons(port);
	FRAME_L4(m, struct rte_tcp_hdr)->tcp_flags = RTE_TCP_SYN_FLAG;
	return m;
}

static void
new_connections_spread_over_listeners(void)
{
	unsigned int hits[5] = {0};

	listen_on(1, IPPROTO_TCP, 80);
	listen_on(2, IPPROTO_TCP, 80);
	listen_on(3, IPPROTO_TCP, 80);
	for (int i = 0; i < 600; i++) {
		struct dispatch_result first = in(syn_from(10000 + i));

		CU_ASSERT_EQUAL(first.dest, in(syn_from(10000 + i)).dest); /* repeated SYN */
		hits[first.dest >> 16]++;
	}
	CU_ASSERT_EQUAL(hits[1] + hits[2], 0);
	CU_ASSERT_TRUE(hits[3] > 140 && hits[0] > 140 && hits[4] > 140);
}

static void
only_listeners_get_new_connections(void)
{
	listen_on(2, IPPROTO_TCP, 80);
	for (int i = 0; i < 50; i++)
		CU_ASSERT_EQUAL(in(syn_from(10000 + i)).dest >> 16, 0);
}

static void
connection_goes_where_its_table_shows_it(void)
{
	listen_on(1, IPPROTO_TCP, 80);
	listen_on(2, IPPROTO_TCP, 80);
	for (int i = 0; i < 50; i++) {
		struct rte_mbuf *m = syn_from(10000 + i);
		uint16_t q = steer_queue(&members[3], FRAME_IP(m), m->data_len - 14);

		/* of the one that does not listen any more */
		ltran_table_add(tables[3] + q * SLOTS, SLOTS,
			ltran_slot_key(FRAME_PEER, htons(10000 + i), htons(80)), IPPROTO_TCP);
		ASSERT_TO(in(m), 4, q);
	}
}

static void
datagrams_go_to_who_has_bound_the_port(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 8), SHARED);

	listen_on(3, IPPROTO_UDP, 53);
	ASSERT_TO(in(m), 4, 1);
}

static void
icmp_errors_follow_the_packet_they_quote(void)
{
	struct rte_mbuf *m = to(frame_icmp(pool, 3, 28), SHARED);
	struct rte_ipv4_hdr *quoted = (struct rte_ipv4_hdr *)(FRAME_L4(m, struct rte_icmp_hdr) + 1);
	uint16_t *ports = (uint16_t *)(quoted + 1);

	*quoted = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF, .next_proto_id = IPPROTO_TCP,
		.src_addr = SHARED, .dst_addr = FRAME_PEER};
	ports[0] = htons(80);
	ports[1] = htons(777);
	ltran_table_add(tables[1], SLOTS, ltran_slot_key(FRAME_PEER, htons(777), htons(80)),
		IPPROTO_TCP);
	ASSERT_TO(in(m), 3, 0);
	/* cut short: to the first, without a look beyond the end */
	m = to(frame_icmp(pool, 3, 10), SHARED);
	CU_ASSERT_EQUAL(in(m).edge, DISPATCH_INSTANCE);
}

static void
fragments_for_a_shared_address_are_put_together(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 64), SHARED);
	struct dispatch_result r;

	FRAME_IP(m)->fragment_offset = htons(RTE_IPV4_HDR_MF_FLAG);
	r = dispatch_in(&dw, m);
	CU_ASSERT_EQUAL(r.edge, DISPATCH_REASS);
	CU_ASSERT_EQUAL(m->l2_len, 14);
	CU_ASSERT_EQUAL(m->l3_len, 20);
	FRAME_IP(m)->dst_addr = SOLE; /* its only instance does that itself */
	ASSERT_TO(in(m), 2, 0);
}

/* A table is an instance's own: whatever stands in it, the answer is a member of the address. */
static void
hostile_tables_cannot_send_packets_elsewhere(void)
{
	srand(4711);
	for (int round = 0; round < 200; round++) {
		struct rte_mbuf *m = syn_from(rand());
		uint32_t dest;

		for (unsigned int i = 1; i < N_MEMBERS; i++)
			for (unsigned int j = 0; j < QUEUES * SLOTS; j++) {
				tables[i][j].key =
					rand() & 1 ? ltran_slot_key(0, 0, htons(80)) : (uint64_t)rand();
				tables[i][j].info = rand();
			}
		dest = in(m).dest;
		CU_ASSERT_TRUE(dest >> 16 == 3 || dest >> 16 == 0 || dest >> 16 == 4);
		CU_ASSERT_TRUE((dest & 0xffff) < QUEUES);
	}
}

/* --- somebody may listen soon ------------------------------------------------------------------------ */

static uint64_t lefts[N_MEMBERS][LTRAN_LEFT_MAX];

static void
leave(unsigned int i, uint16_t port, uint64_t ms_ago)
{
	memset(lefts[i], 0, sizeof(lefts[i]));
	members[i].left = lefts[i];
	ltran_left_listens(lefts[i], htons(port));
	ltran_left_ends(lefts[i], htons(port), ltran_left_now_ms() - ms_ago);
}

static struct rte_mbuf *
syn_to(uint32_t addr)
{
	return to(syn_from(10000), addr);
}

static void
syn_waits_where_a_listener_lives_on_elsewhere(void)
{
	leave(2, 80, 0);
	CU_ASSERT_EQUAL(in(syn_to(SHARED)).edge, DISPATCH_HOLD);
	CU_ASSERT_EQUAL(out(syn_to(SHARED)).edge, DISPATCH_HOLD);
	leave(0, 80, LTRAN_LEFT_MS / 2);
	CU_ASSERT_EQUAL(in(syn_to(SOLE)).edge, DISPATCH_HOLD);
	listen_on(3, IPPROTO_TCP, 80);
	CU_ASSERT_EQUAL(in(syn_to(SHARED)).dest >> 16, 4);
	listen_on(0, IPPROTO_TCP, 80);
	CU_ASSERT_EQUAL(in(syn_to(SOLE)).edge, DISPATCH_INSTANCE);
}

static void
nothing_else_waits(void)
{
	struct rte_mbuf *m = to(frame_tcp(pool, NULL, 0, 0), SOLE); /* no SYN */

	leave(0, 80, 0);
	CU_ASSERT_EQUAL(in(m).edge, DISPATCH_INSTANCE);
	m = syn_to(SOLE);
	FRAME_L4(m, struct rte_tcp_hdr)->tcp_flags |= RTE_TCP_RST_FLAG;
	CU_ASSERT_EQUAL(in(m).edge, DISPATCH_INSTANCE);
	m = syn_to(SOLE);
	FRAME_L4(m, struct rte_tcp_hdr)->dst_port = htons(81);
	CU_ASSERT_EQUAL(in(m).edge, DISPATCH_INSTANCE);
	leave(0, 80, LTRAN_LEFT_MS + 1);
	CU_ASSERT_EQUAL(in(syn_to(SOLE)).edge, DISPATCH_INSTANCE);
	ltran_left_listens(lefts[0], htons(80)); /* it does, and its table had no room to say so */
	CU_ASSERT_EQUAL(in(syn_to(SOLE)).edge, DISPATCH_INSTANCE);
	CU_ASSERT_EQUAL(in(syn_to(SHARED)).edge, DISPATCH_INSTANCE);
}

static void
syn_of_a_connection_that_is_there_goes_to_it(void)
{
	struct rte_mbuf *m = syn_to(SHARED);
	uint16_t q = steer_queue(&members[2], FRAME_IP(m), m->data_len - 14);

	leave(2, 80, 0);
	ltran_table_add(tables[2] + q * SLOTS, SLOTS, ltran_slot_key(FRAME_PEER, htons(10000), htons(80)), IPPROTO_TCP);
	ASSERT_TO(in(m), 0, q);
}

static void
port_of_an_instance_that_has_gone_is_awaited_for_a_time(void)
{
	const uint64_t now_ms = ltran_left_now_ms();
	struct map_awaited w[] = {{.addr = GONE, .port = htons(80), .until_ms = now_ms + 60000},
		{.addr = SHARED, .port = htons(81), .until_ms = now_ms + 60000}};
	struct rte_mbuf *m;

	CU_ASSERT_EQUAL(in(syn_to(GONE)).edge, DISPATCH_RESET);
	map_await(map, w, 2);
	CU_ASSERT_EQUAL(in(syn_to(GONE)).edge, DISPATCH_HOLD);
	m = syn_to(GONE);
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr = frame_our_mac;
	CU_ASSERT_EQUAL(out(m).edge, DISPATCH_HOLD);
	CU_ASSERT_EQUAL(in(syn_to(SHARED)).edge, DISPATCH_INSTANCE);
	m = syn_to(SHARED);
	FRAME_L4(m, struct rte_tcp_hdr)->dst_port = htons(81);
	CU_ASSERT_EQUAL(in(m).edge, DISPATCH_HOLD);
	w[0].until_ms = now_ms;
	map_await(map, w, 1);
	CU_ASSERT_EQUAL(in(syn_to(GONE)).edge, DISPATCH_RESET);
}

static struct rte_mbuf *
udp_to_80(void)
{
	struct rte_mbuf *m = to(frame_udp(pool, 8), SHARED);

	FRAME_L4(m, struct rte_udp_hdr)->dst_port = htons(80);
	return m;
}

static void
instance_whose_ring_is_not_there_gets_no_new_connections(void)
{
	listen_on(1, IPPROTO_TCP, 80);
	listen_on(2, IPPROTO_TCP, 80);
	listen_on(2, IPPROTO_UDP, 80);
	atomic_store(&members[2].vid, -1);
	for (int i = 0; i < 50; i++)
		ASSERT_TO(in(syn_from(10000 + i)), 3, 0);
	atomic_store(&members[1].vid, -1);
	CU_ASSERT_EQUAL(in(syn_to(SHARED)).edge, DISPATCH_HOLD);
	listen_on(0, IPPROTO_TCP, 80);
	atomic_store(&members[0].vid, -1);
	CU_ASSERT_EQUAL(in(syn_to(SOLE)).edge, DISPATCH_HOLD);
	/* A datagram is lost there, but whoever else it went to would refuse it. */
	CU_ASSERT_EQUAL(in(udp_to_80()).dest >> 16, 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(new_connections_spread_over_listeners),
	CUNIT_TEST(only_listeners_get_new_connections),
	CUNIT_TEST(connection_goes_where_its_table_shows_it),
	CUNIT_TEST(datagrams_go_to_who_has_bound_the_port),
	CUNIT_TEST(icmp_errors_follow_the_packet_they_quote),
	CUNIT_TEST(fragments_for_a_shared_address_are_put_together),
	CUNIT_TEST(hostile_tables_cannot_send_packets_elsewhere),
	CUNIT_TEST(syn_waits_where_a_listener_lives_on_elsewhere),
	CUNIT_TEST(nothing_else_waits),
	CUNIT_TEST(syn_of_a_connection_that_is_there_goes_to_it),
	CUNIT_TEST(port_of_an_instance_that_has_gone_is_awaited_for_a_time),
	CUNIT_TEST(instance_whose_ring_is_not_there_gets_no_new_connections),
};
EAL_TEST_MAIN("steer", tests, setup, teardown)
