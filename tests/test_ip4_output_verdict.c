/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes and the verdict of ip4-output. test_ip4_output.c has the node in a graph. */
#include "nodes/ip4_output_verdict.h"
#include "tests/cunit_main.h"
#include "tests/harness.h"

#define US HARNESS_IP(198, 18, 0, 1)
#define PEER HARNESS_IP(198, 18, 0, 2)
#define GATEWAY HARNESS_IP(198, 18, 0, 254)
#define FAR HARNESS_IP(198, 19, 7, 7)

static const struct worker worker = {.addr = US,
	.mask = HARNESS_IP(255, 255, 255, 0),
	.gateway = GATEWAY,
	.mtu = 1500};

static struct ip4_output_verdict
verdict(const struct worker *w, uint32_t dst, uint16_t len, bool df)
{
	const struct rte_ipv4_hdr ip = {.version_ihl = 0x45,
		.total_length = rte_cpu_to_be_16(len),
		.fragment_offset = df ? RTE_BE16(RTE_IPV4_HDR_DF_FLAG) : 0,
		.src_addr = US,
		.dst_addr = dst};

	return ip4_output_verdict(w, &ip, len, len);
}

static void
neighbour_is_its_own_next_hop(void)
{
	struct ip4_output_verdict v = verdict(&worker, PEER, 1500, true);

	CU_ASSERT_EQUAL(v.edge, IP4_OUTPUT_TX);
	CU_ASSERT_EQUAL(v.route, IP4_ROUTE_UNICAST);
	CU_ASSERT_EQUAL(v.hop, PEER);
}

static void
far_host_is_behind_the_gateway(void)
{
	struct worker w = worker;
	struct ip4_output_verdict v = verdict(&w, FAR, 100, false);

	CU_ASSERT_EQUAL(v.edge, IP4_OUTPUT_TX);
	CU_ASSERT_EQUAL(v.hop, GATEWAY);
	w.gateway = 0;
	v = verdict(&w, FAR, 100, false);
	CU_ASSERT_EQUAL(v.edge, IP4_OUTPUT_DROP);
	CU_ASSERT_EQUAL(v.error, IP4_OUTPUT_NO_ROUTE);
}

static void
addresses_that_are_no_destination_have_no_route(void)
{
	const uint32_t bad[] = {HARNESS_IP(0, 0, 0, 0), HARNESS_IP(0, 1, 2, 3),
		HARNESS_IP(127, 0, 0, 1), HARNESS_IP(240, 0, 0, 1)};

	for (size_t i = 0; i < RTE_DIM(bad); i++) {
		struct ip4_output_verdict v = verdict(&worker, bad[i], 100, false);

		CU_ASSERT_EQUAL(v.edge, IP4_OUTPUT_DROP);
		CU_ASSERT_EQUAL(v.error, IP4_OUTPUT_NO_ROUTE);
	}
}

static void
own_address_loops_whatever_its_length(void)
{
	CU_ASSERT_EQUAL(verdict(&worker, US, 60000, true).edge, IP4_OUTPUT_CLASSIFY);
}

static void
long_packet_is_fragmented_unless_df(void)
{
	struct ip4_output_verdict v = verdict(&worker, PEER, 1501, false);

	CU_ASSERT_EQUAL(v.edge, IP4_OUTPUT_FRAG);
	v = verdict(&worker, PEER, 1501, true);
	CU_ASSERT_EQUAL(v.edge, IP4_OUTPUT_DROP);
	CU_ASSERT_EQUAL(v.error, IP4_OUTPUT_DF_TOO_LONG);
}

static void
large_packet_that_the_port_cuts_is_not_too_long(void)
{
	struct rte_mbuf m = {.pkt_len = 64280, .ol_flags = RTE_MBUF_F_TX_TCP_SEG};
	struct rte_ipv4_hdr ip = {.total_length = RTE_BE16(64280),
		.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG), .dst_addr = PEER};

	m.l3_len = m.l4_len = 20;
	m.tso_segsz = 1460;
	CU_ASSERT_EQUAL(ip4_output_on_wire(&m), 1500);
	CU_ASSERT_EQUAL(ip4_output_verdict(&worker, &ip, m.pkt_len, 1500).edge, IP4_OUTPUT_TX);
	m.tso_segsz = 1461;
	CU_ASSERT_EQUAL(ip4_output_verdict(&worker, &ip, m.pkt_len, ip4_output_on_wire(&m)).error,
		IP4_OUTPUT_DF_TOO_LONG);
	m.ol_flags = 0;
	CU_ASSERT_EQUAL(ip4_output_on_wire(&m), 64280);
}

static void
length_must_match_the_header(void)
{
	struct rte_ipv4_hdr ip = {.total_length = RTE_BE16(100), .dst_addr = PEER};

	CU_ASSERT_EQUAL(ip4_output_verdict(&worker, &ip, 101, 101).error, IP4_OUTPUT_BAD_LENGTH);
	CU_ASSERT_EQUAL(ip4_output_verdict(&worker, &ip, 0, 0).error, IP4_OUTPUT_BAD_LENGTH);
	CU_ASSERT_EQUAL(ip4_output_verdict(&worker, &ip, 0, 0).edge, IP4_OUTPUT_DROP);
}

static void
groups_map_to_their_mac_address(void)
{
	const struct {
		uint32_t dst;
		struct rte_ether_addr mac;
	} rows[] = {
		{HARNESS_IP(255, 255, 255, 255), {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}},
		{HARNESS_IP(198, 18, 0, 255), {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}},
		{HARNESS_IP(224, 0, 0, 251), {{0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb}}},
		{HARNESS_IP(239, 255, 1, 2), {{0x01, 0x00, 0x5e, 0x7f, 0x01, 0x02}}},
	};

	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		struct ip4_output_verdict v = verdict(&worker, rows[i].dst, 100, false);
		struct rte_ether_addr mac = ip4_route_group_mac(v.hop);

		CU_ASSERT_EQUAL(v.edge, IP4_OUTPUT_TX);
		CU_ASSERT_EQUAL(v.route, IP4_ROUTE_GROUP);
		CU_ASSERT_TRUE(rte_is_same_ether_addr(&mac, &rows[i].mac));
	}
}

static void
link_of_two_has_no_broadcast(void)
{
	struct worker w = worker;

	w.addr = HARNESS_IP(198, 18, 0, 2);
	w.mask = HARNESS_IP(255, 255, 255, 254);
	CU_ASSERT_EQUAL(verdict(&w, HARNESS_IP(198, 18, 0, 3), 100, false).route, IP4_ROUTE_UNICAST);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(neighbour_is_its_own_next_hop),
	CUNIT_TEST(far_host_is_behind_the_gateway),
	CUNIT_TEST(addresses_that_are_no_destination_have_no_route),
	CUNIT_TEST(own_address_loops_whatever_its_length),
	CUNIT_TEST(long_packet_is_fragmented_unless_df),
	CUNIT_TEST(large_packet_that_the_port_cuts_is_not_too_long),
	CUNIT_TEST(length_must_match_the_header),
	CUNIT_TEST(groups_map_to_their_mac_address),
	CUNIT_TEST(link_of_two_has_no_broadcast),
};
CUNIT_MAIN("ip4_output_verdict", tests, NULL, NULL)
