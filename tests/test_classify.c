/* SPDX-License-Identifier: BSD-3-Clause */
/* The decision of classify, packet by packet: what passes, and where to. */
#include "tests/classify_rig.h"

/* --- accepted ----------------------------------------------------------------------------------- */

static void
tcp_udp_and_icmp_take_their_edges(void)
{
	struct rte_mbuf *m = frame_tcp(pool, "\1\1\1\0", 4, 100);

	CU_ASSERT_EQUAL(classify_packet(&worker, m).edge, CLASSIFY_TCP);
	CU_ASSERT_EQUAL(m->l2_len, 14);
	CU_ASSERT_EQUAL(m->l3_len, 20);
	CU_ASSERT_EQUAL(m->l4_len, 24);
	rte_pktmbuf_free(m);
	expect(frame_udp(pool, 10), CLASSIFY_UDP);
	expect(frame_icmp(pool, 8, 56), CLASSIFY_ICMP);
	expect(frame_icmp(pool, 0, 56), CLASSIFY_ICMP);
}

static void
arp_goes_to_arp_input(void)
{
	struct rte_mbuf *m = frame_ip(pool, 0, 8);

	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	memset(m->buf_addr + m->data_off, 0xff, 6);
	expect(m, CLASSIFY_ARP);
}

static void
ip_options_are_part_of_the_header(void)
{
	struct rte_mbuf *m = frame_udp(pool, 4);
	uint8_t *p = (uint8_t *)rte_pktmbuf_prepend(m, 4);

	memmove(p, p + 4, 34);
	FRAME_IP(m)->version_ihl = 0x46;
	FRAME_IP(m)->total_length = htons(36);
	memset(p + 34, 1, 4);
	frame_seal(m);
	CU_ASSERT_EQUAL(classify_packet(&worker, m).edge, CLASSIFY_UDP);
	CU_ASSERT_EQUAL(m->l3_len, 24);
	rte_pktmbuf_free(m);
}

static void
padding_is_cut(void)
{
	struct rte_mbuf *m = frame_udp(pool, 1);

	memset(rte_pktmbuf_append(m, 17), 0xaa, 17);
	CU_ASSERT_EQUAL(classify_packet(&worker, m).edge, CLASSIFY_UDP);
	CU_ASSERT_EQUAL(m->pkt_len, 14 + 20 + 8 + 1);
	CU_ASSERT_EQUAL(m->data_len, m->pkt_len);
	rte_pktmbuf_free(m);
}

static void
padding_in_a_second_segment_is_freed(void)
{
	struct rte_mbuf *m = frame_udp(pool, 10);

	memset(rte_pktmbuf_append(m, 20), 0, 20);
	frame_split(m, 52);
	CU_ASSERT_EQUAL(classify_packet(&worker, m).edge, CLASSIFY_UDP);
	CU_ASSERT_EQUAL(m->nb_segs, 1);
	CU_ASSERT_EQUAL(m->pkt_len, 52);
	rte_pktmbuf_free(m);
}

static void
headers_are_joined_from_segments(void)
{
	static const uint16_t cuts[] = { 1, 13, 14, 20, 34, 40, 53, 54, 57 };

	for (size_t i = 0; i < RTE_DIM(cuts); i++) {
		struct rte_mbuf *m = frame_tcp(pool, "\2\4\5\264", 4, 100);

		frame_split(m, cuts[i]);
		CU_ASSERT_EQUAL(classify_packet(&worker, m).edge, CLASSIFY_TCP);
		CU_ASSERT(m->data_len >= 58);
		CU_ASSERT_EQUAL(m->pkt_len, 158);
		rte_pktmbuf_free(m);
	}
}

static void
fragments_go_to_reassembly_before_layer_4_is_looked_at(void)
{
	struct rte_mbuf *m = frame_ip(pool, IPPROTO_TCP, 8);

	FRAME_IP(m)->fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
	FRAME_IP(m)->hdr_checksum = rte_ipv4_cksum(FRAME_IP(m));
	expect(m, CLASSIFY_REASS);
	m = frame_ip(pool, IPPROTO_UDP, 8);
	FRAME_IP(m)->fragment_offset = RTE_BE16(185);
	FRAME_IP(m)->hdr_checksum = rte_ipv4_cksum(FRAME_IP(m));
	expect(m, CLASSIFY_REASS);
	m = frame_udp(pool, 8);
	FRAME_IP(m)->fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
	frame_seal(m);
	expect(m, CLASSIFY_UDP);
}

static void
udp_broadcasts_are_for_us(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);

	FRAME_IP(m)->dst_addr = FRAME_OURS | ~FRAME_MASK;
	memset(rte_pktmbuf_mtod(m, void *), 0xff, 6);
	frame_seal(m);
	expect(m, CLASSIFY_UDP);
	m = frame_udp(pool, 8);
	FRAME_IP(m)->dst_addr = 0xffffffff;
	frame_seal(m);
	expect(m, CLASSIFY_UDP);
}

static void
checksum_flags_of_the_port_are_believed(void)
{
	struct rte_mbuf *m = frame_tcp(pool, NULL, 0, 10);

	FRAME_L4(m, struct rte_tcp_hdr)->cksum ^= 1;
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE; /* virtio: only partly filled in */
	expect(m, CLASSIFY_TCP);
	m = frame_tcp(pool, NULL, 0, 10);
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
	expect_drop(m, "tcp-checksum");
	m = frame_tcp(pool, NULL, 0, 10);
	m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_BAD;
	expect_drop(m, "ip-checksum");
	m = frame_tcp(pool, NULL, 0, 10);
	FRAME_IP(m)->hdr_checksum = 0;
	m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	expect(m, CLASSIFY_TCP);
}

static void
udp_without_checksum_is_legal(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);

	FRAME_L4(m, struct rte_udp_hdr)->dgram_cksum = 0;
	expect(m, CLASSIFY_UDP);
}

static void
udp_surplus_is_cut(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);
	uint16_t sum = FRAME_L4(m, struct rte_udp_hdr)->dgram_cksum;

	memset(rte_pktmbuf_append(m, 6), 7, 6);
	FRAME_IP(m)->total_length = htons(42);
	frame_seal(m);
	FRAME_L4(m, struct rte_udp_hdr)->dgram_cksum = sum; /* covers the datagram alone */
	CU_ASSERT_EQUAL(classify_packet(&worker, m).edge, CLASSIFY_UDP);
	CU_ASSERT_EQUAL(m->pkt_len, 50);
	rte_pktmbuf_free(m);
}

static void
loops_from_our_own_address_pass(void)
{
	struct rte_mbuf *m = frame_tcp(pool, NULL, 0, 10);

	memset(rte_pktmbuf_mtod(m, void *), 0, 12); /* ip4-output knows no station here */
	m->port = RTE_MBUF_PORT_INVALID;
	FRAME_IP(m)->src_addr = FRAME_OURS;
	m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_NONE;
	expect(m, CLASSIFY_TCP);
}

/* --- several cores, the kernel ------------------------------------------------------------------ */

static void
packets_of_another_core_are_handed_over(void)
{
	struct rte_mbuf *m = frame_tcp(pool, NULL, 0, 10);

	worker.n_workers = 4;
	worker.index = 1;
	FRAME_L4(m, struct rte_tcp_hdr)->src_port = htons(4003);
	frame_seal(m);
	CU_ASSERT_EQUAL(classify_packet(&worker, m).edge, CLASSIFY_HANDOFF);
	CU_ASSERT_EQUAL(m->hash.usr, 3);
	FRAME_L4(m, struct rte_tcp_hdr)->src_port = htons(4001);
	frame_seal(m);
	expect(m, CLASSIFY_TCP);
	m = frame_udp(pool, 8); /* port 53: owner 1 */
	expect(m, CLASSIFY_UDP);
	worker.index = 0;
	expect(frame_udp(pool, 8), CLASSIFY_HANDOFF);
}

static void
what_is_not_for_the_stack_goes_to_the_kernel(void)
{
	struct rte_mbuf *m;

	worker.kernel_fd = 1;
	m = frame_ip(pool, IPPROTO_SCTP, 8);
	frame_seal(m);
	expect(m, CLASSIFY_KERNEL);
	m = frame_ip(pool, 0, 40);
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV6);
	expect(m, CLASSIFY_KERNEL);
	expect(frame_icmp(pool, 0, 8), CLASSIFY_KERNEL); /* reply to the kernel's ping */
	expect(frame_icmp(pool, 8, 8), CLASSIFY_ICMP);
	expect(frame_icmp(pool, 3, 8), CLASSIFY_ICMP);
	expect(frame_tcp(pool, NULL, 0, 0), CLASSIFY_TCP);
	m = frame_udp(pool, 8);
	FRAME_IP(m)->dst_addr = RTE_BE32(0xe0000001);
	frame_seal(m);
	expect(m, CLASSIFY_KERNEL);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(tcp_udp_and_icmp_take_their_edges),
	CUNIT_TEST(arp_goes_to_arp_input),
	CUNIT_TEST(ip_options_are_part_of_the_header),
	CUNIT_TEST(padding_is_cut),
	CUNIT_TEST(padding_in_a_second_segment_is_freed),
	CUNIT_TEST(headers_are_joined_from_segments),
	CUNIT_TEST(fragments_go_to_reassembly_before_layer_4_is_looked_at),
	CUNIT_TEST(udp_broadcasts_are_for_us),
	CUNIT_TEST(checksum_flags_of_the_port_are_believed),
	CUNIT_TEST(udp_without_checksum_is_legal),
	CUNIT_TEST(udp_surplus_is_cut),
	CUNIT_TEST(loops_from_our_own_address_pass),
	CUNIT_TEST(packets_of_another_core_are_handed_over),
	CUNIT_TEST(what_is_not_for_the_stack_goes_to_the_kernel),
};
EAL_TEST_MAIN("classify", tests, setup, teardown)
