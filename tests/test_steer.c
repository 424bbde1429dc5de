/* SPDX-License-Identifier: BSD-3-Clause */
/* Who gets what of an address that several instances share. */
#include "tests/dispatch_rig.h"

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

static const struct cunit_test tests[] = {
	CUNIT_TEST(new_connections_spread_over_listeners),
	CUNIT_TEST(only_listeners_get_new_connections),
	CUNIT_TEST(connection_goes_where_its_table_shows_it),
	CUNIT_TEST(datagrams_go_to_who_has_bound_the_port),
	CUNIT_TEST(icmp_errors_follow_the_packet_they_quote),
	CUNIT_TEST(fragments_for_a_shared_address_are_put_together),
	CUNIT_TEST(hostile_tables_cannot_send_packets_elsewhere),
};
EAL_TEST_MAIN("steer", tests, setup, teardown)
