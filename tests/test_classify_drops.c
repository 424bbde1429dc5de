/* SPDX-License-Identifier: BSD-3-Clause */
/* The decision of classify, packet by packet: what each row catches. */
#include "tests/classify_rig.h"

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
EAL_TEST_MAIN("classify_drops", tests, setup, teardown)
