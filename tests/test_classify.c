/* SPDX-License-Identifier: BSD-3-Clause */
/* The decision of classify, packet by packet: what passes, and what each row catches. */
#include "tests/cunit_main.h"
#include "tests/eal.h"
#include "tests/frames.h"

#include "nodes/classify.h"
#include "nodes/worker.h"

static struct rte_mempool *pool;
static struct worker worker;

static void
setup(void)
{
	pool = eal_test_pool(255, 0, 2048);
	memset(&worker, 0, sizeof(worker));
	worker.n_workers = 1;
	worker.addr = FRAME_OURS;
	worker.mask = FRAME_MASK;
	worker.mac = frame_our_mac;
	worker.kernel_fd = -1;
}

static void
teardown(void)
{
	eal_test_pool_done(pool);
}

static void
expect(struct rte_mbuf *m, enum classify_edge edge)
{
	struct classify_result r = classify_packet(&worker, m);

	CU_ASSERT_EQUAL(r.edge, edge);
	CU_ASSERT_STRING_EQUAL(classify_symbol(r.error), "");
	rte_pktmbuf_free(m);
}

static void
expect_drop(struct rte_mbuf *m, const char *symbol)
{
	struct classify_result r = classify_packet(&worker, m);

	CU_ASSERT_EQUAL(r.edge, CLASSIFY_DROP);
	CU_ASSERT_STRING_EQUAL(classify_symbol(r.error), symbol);
	if (strcmp(classify_symbol(r.error), symbol) != 0)
		printf("got \"%s\", not \"%s\"\n", classify_symbol(r.error), symbol);
	rte_pktmbuf_free(m);
}

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

/* --- dropped ------------------------------------------------------------------------------------ */

static void
frames_that_end_early_are_dropped(void)
{
	for (uint16_t len = 0; len < 34; len++) {
		struct rte_mbuf *m = frame_udp(pool, 8);

		rte_pktmbuf_trim(m, m->pkt_len - len);
		expect_drop(m, "short-frame");
	}
	for (uint16_t len = 34; len < 50; len++) {
		struct rte_mbuf *m = frame_udp(pool, 8);

		rte_pktmbuf_trim(m, m->pkt_len - len);
		expect_drop(m, "ip-length");
	}
}

static void
frames_of_others_are_dropped(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);

	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr = frame_peer_mac;
	expect_drop(m, "not-ours");
	m = frame_udp(pool, 8);
	FRAME_IP(m)->dst_addr = FRAME_PEER;
	FRAME_IP(m)->src_addr = RTE_BE32(0xc6120003);
	frame_seal(m);
	expect_drop(m, "not-local");
	m = frame_udp(pool, 8);
	FRAME_IP(m)->dst_addr = RTE_BE32(0xe00000fb);
	frame_seal(m);
	expect_drop(m, "multicast");
}

static void
other_ethertypes_are_dropped(void)
{
	static const struct {
		uint16_t type;
		const char *symbol;
	} rows[] = {
		{ RTE_ETHER_TYPE_VLAN, "vlan" }, { RTE_ETHER_TYPE_QINQ, "vlan" },
		{ RTE_ETHER_TYPE_IPV6, "ipv6" }, { RTE_ETHER_TYPE_LLDP, "ethertype" },
		{ 100, "ethertype" },
	};

	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		struct rte_mbuf *m = frame_udp(pool, 40);

		rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type = htons(rows[i].type);
		expect_drop(m, rows[i].symbol);
	}
}

static void
stripped_vlan_tags_are_still_seen(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);

	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	m->vlan_tci = 7;
	expect_drop(m, "vlan");
	m = frame_udp(pool, 8);
	m->ol_flags |= RTE_MBUF_F_RX_VLAN;
	m->vlan_tci = 5 << 13; /* priority without a VLAN */
	expect(m, CLASSIFY_UDP);
}

static void
bad_ip_headers_are_dropped(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);

	FRAME_IP(m)->version_ihl = 0x65;
	expect_drop(m, "ip-version");
	m = frame_udp(pool, 8);
	FRAME_IP(m)->version_ihl = 0x44;
	expect_drop(m, "ip-header");
	m = frame_udp(pool, 8);
	FRAME_IP(m)->version_ihl = 0x4f; /* 60 bytes, longer than the packet */
	expect_drop(m, "ip-length");
	m = frame_udp(pool, 8);
	FRAME_IP(m)->total_length = htons(19);
	expect_drop(m, "ip-length");
	m = frame_udp(pool, 8);
	FRAME_IP(m)->total_length = htons(37);
	expect_drop(m, "ip-length");
	m = frame_udp(pool, 8);
	FRAME_IP(m)->time_to_live--;
	expect_drop(m, "ip-checksum");
}

static void
impossible_sources_are_dropped(void)
{
	static const uint32_t sources[] = {
		0, RTE_BE32(0x00000001), RTE_BE32(0x7f000001), RTE_BE32(0xe0000001),
		RTE_BE32(0xf0000001), 0xffffffff, FRAME_OURS,
	};

	for (size_t i = 0; i < RTE_DIM(sources); i++) {
		struct rte_mbuf *m = frame_udp(pool, 8);

		FRAME_IP(m)->src_addr = sources[i];
		frame_seal(m);
		expect_drop(m, "bad-source");
	}
}

static void
only_udp_may_be_broadcast(void)
{
	struct rte_mbuf *m = frame_tcp(pool, NULL, 0, 0);

	FRAME_IP(m)->dst_addr = FRAME_OURS | ~FRAME_MASK;
	frame_seal(m);
	expect_drop(m, "broadcast");
	m = frame_icmp(pool, 8, 8);
	FRAME_IP(m)->dst_addr = 0xffffffff;
	frame_seal(m);
	expect_drop(m, "broadcast");
	m = frame_tcp(pool, NULL, 0, 0); /* our address in a broadcast frame */
	memset(rte_pktmbuf_mtod(m, void *), 0xff, 6);
	expect_drop(m, "broadcast");
	worker.mask = 0xffffffff; /* no broadcast address on a host route */
	m = frame_udp(pool, 8);
	FRAME_IP(m)->dst_addr = FRAME_OURS | ~FRAME_MASK;
	frame_seal(m);
	expect_drop(m, "not-local");
}

static void
bad_tcp_headers_are_dropped(void)
{
	struct rte_mbuf *m = frame_ip(pool, IPPROTO_TCP, 19);

	FRAME_IP(m)->hdr_checksum = rte_ipv4_cksum(FRAME_IP(m));
	expect_drop(m, "tcp-header");
	m = frame_tcp(pool, NULL, 0, 10);
	FRAME_L4(m, struct rte_tcp_hdr)->data_off = 4 << 4;
	frame_seal(m);
	expect_drop(m, "tcp-header");
	m = frame_tcp(pool, NULL, 0, 10);
	FRAME_L4(m, struct rte_tcp_hdr)->data_off = 15 << 4;
	frame_seal(m);
	expect_drop(m, "tcp-header");
	m = frame_tcp(pool, NULL, 0, 10);
	FRAME_L4(m, struct rte_tcp_hdr)->sent_seq ^= 1;
	expect_drop(m, "tcp-checksum");
}

static void
tcp_option_lists_are_checked(void)
{
	static const struct {
		const char *bytes;
		bool ok;
	} rows[] = {
		{ "\1\1\1\1", true }, { "\0\xff\xff\xff", true }, { "\2\4\5\264", true },
		{ "\1\1\4\2", true }, { "\3\3\7\0", true },
		{ "\1\1\1\2", false },   /* length byte beyond the list */
		{ "\2\0\1\1", false },   /* length 0 would never end */
		{ "\2\1\1\1", false }, { "\2\5\1\1", false }, { "\1\1\2\3", false },
	};

	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		struct rte_mbuf *m = frame_tcp(pool, rows[i].bytes, 4, 10);

		if (rows[i].ok)
			expect(m, CLASSIFY_TCP);
		else
			expect_drop(m, "tcp-options");
	}
}

static void
bad_udp_and_icmp_are_dropped(void)
{
	struct rte_mbuf *m = frame_udp(pool, 8);

	FRAME_L4(m, struct rte_udp_hdr)->dgram_len = htons(7);
	expect_drop(m, "udp-length");
	m = frame_udp(pool, 8);
	FRAME_L4(m, struct rte_udp_hdr)->dgram_len = htons(17);
	expect_drop(m, "udp-length");
	m = frame_udp(pool, 8);
	FRAME_L4(m, struct rte_udp_hdr)->src_port ^= 1;
	expect_drop(m, "udp-checksum");
	m = frame_icmp(pool, 8, 8);
	FRAME_L4(m, struct rte_icmp_hdr)->icmp_ident ^= 1;
	expect_drop(m, "icmp-checksum");
	m = frame_ip(pool, IPPROTO_ICMP, 7);
	FRAME_IP(m)->hdr_checksum = rte_ipv4_cksum(FRAME_IP(m));
	expect_drop(m, "icmp-length");
	m = frame_ip(pool, IPPROTO_GRE, 8);
	frame_seal(m);
	expect_drop(m, "protocol");
}

static void
headers_without_room_to_join_are_dropped(void)
{
	struct rte_mbuf *m = frame_udp(pool, 100);

	frame_split(m, 30);
	m->data_off = m->buf_len - 30; /* the first segment has no tail room */
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->dst_addr = frame_our_mac;
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	expect_drop(m, "no-memory");
}

/* Seeded noise: no input may crash, run off the end or leave an accepted packet unchecked. */
static void
random_bytes_never_pass_unchecked(void)
{
	unsigned int seed = 1;

	for (int i = 0; i < 200000; i++) {
		struct rte_mbuf *m = i % 2 ? frame_tcp(pool, "\1\1\1\1", 4, 20) : frame_udp(pool, 24);

		for (int k = rand_r(&seed) % 4; k >= 0; k--)
			rte_pktmbuf_mtod(m, uint8_t *)[rand_r(&seed) % m->data_len] =
				rand_r(&seed);
		if (rand_r(&seed) % 4 == 0)
			rte_pktmbuf_trim(m, rand_r(&seed) % m->data_len);
		if (m->data_len > 1 && rand_r(&seed) % 4 == 0)
			frame_split(m, 1 + rand_r(&seed) % (m->data_len - 1));
		struct classify_result r = classify_packet(&worker, m);
		if (r.edge == CLASSIFY_TCP || r.edge == CLASSIFY_UDP)
			CU_ASSERT_FATAL(m->data_len >= m->l2_len + m->l3_len + m->l4_len);
		rte_pktmbuf_free(m);
	}
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
	CUNIT_TEST(frames_that_end_early_are_dropped),
	CUNIT_TEST(frames_of_others_are_dropped),
	CUNIT_TEST(other_ethertypes_are_dropped),
	CUNIT_TEST(stripped_vlan_tags_are_still_seen),
	CUNIT_TEST(bad_ip_headers_are_dropped),
	CUNIT_TEST(impossible_sources_are_dropped),
	CUNIT_TEST(only_udp_may_be_broadcast),
	CUNIT_TEST(bad_tcp_headers_are_dropped),
	CUNIT_TEST(tcp_option_lists_are_checked),
	CUNIT_TEST(bad_udp_and_icmp_are_dropped),
	CUNIT_TEST(headers_without_room_to_join_are_dropped),
	CUNIT_TEST(random_bytes_never_pass_unchecked),
};
EAL_TEST_MAIN("classify", tests, setup, teardown)
