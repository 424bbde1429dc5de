/* SPDX-License-Identifier: BSD-3-Clause */
/* Large packets cut for a port that cannot: against librte_gso, and by the rules it does not know. */
#include "nodes/gso.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_ethdev.h>
#include <rte_gso.h>
#include <rte_tcp.h>

#include "nodes/nodes.h"
#include "tests/cunit_main.h"
#include "tests/feed_rig.h"
#include "tests/harness.h"

#define MTU 1500
#define LARGEST (65535 - 40)
#define US HARNESS_IP(198, 18, 0, 1)
#define PEER HARNESS_IP(198, 18, 0, 2)

FEED_TARGET(NODE_GSO)
FEED_SINK(sent, NODE_TX)
FEED_SINK(drop, NODE_DROP)

static struct rte_mbuf *out[GSO_SEGMENTS_MAX], *expected[GSO_SEGMENTS_MAX];
static struct rte_mempool *indirect;

static void
setup(void)
{
	harness_setup();
	if (indirect == NULL)
		indirect = rte_pktmbuf_pool_create("indirect", 4095, 0, 0, 0, SOCKET_ID_ANY);
}

/* What a test may bend. */
struct large {
	uint32_t payload;
	uint16_t segsz, seg; /* bytes per buffer; 0: as much as fits */
	uint8_t options;     /* bytes of TCP options */
	uint8_t flags;
	uint32_t seq;
	uint16_t id;
};

static struct rte_mbuf *
large(const struct large *l)
{
	static uint8_t buf[65535 + 14];
	uint8_t l4 = 20 + l->options;
	uint32_t len = 14 + 20 + l4 + l->payload;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(buf + 14);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
	struct rte_mbuf *m;

	memset(buf, 0, 14);
	buf[12] = 8;
	*ip = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF, .time_to_live = 64,
		.total_length = rte_cpu_to_be_16(len - 14), .packet_id = rte_cpu_to_be_16(l->id),
		.next_proto_id = IPPROTO_TCP, .src_addr = US, .dst_addr = PEER};
	*tcp = (struct rte_tcp_hdr){.src_port = 1, .dst_port = 2, .data_off = l4 / 4 << 4,
		.sent_seq = rte_cpu_to_be_32(l->seq), .tcp_flags = l->flags};
	for (uint32_t i = 34 + 20; i < len; i++)
		buf[i] = harness_pattern(i);
	m = harness_packet(buf, len, l->seg);
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM |
		RTE_MBUF_F_TX_TCP_SEG;
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = l4;
	m->tso_segsz = l->segsz;
	return m;
}

static struct rte_tcp_hdr *
tcp_of(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, 34);
}

static bool
same_bytes(const struct rte_mbuf *a, const struct rte_mbuf *b)
{
	static uint8_t x[65549], y[65549];

	return a->pkt_len == b->pkt_len && memcmp(rte_pktmbuf_read(a, 0, a->pkt_len, x),
		rte_pktmbuf_read(b, 0, b->pkt_len, y), a->pkt_len) == 0;
}

/* Cuts it both ways and compares. */
static void
expect_as_library(const struct large *l)
{
	struct rte_gso_ctx ctx = {.direct_pool = harness_pool(), .indirect_pool = indirect,
		.gso_types = RTE_ETH_TX_OFFLOAD_TCP_TSO,
		.gso_size = 14 + 20 + 20 + l->options + l->segsz};
	struct rte_mbuf *m = large(l), *other = rte_pktmbuf_copy(m, harness_pool(), 0, UINT32_MAX);
	int n = gso_cut(m, MTU, harness_pool(), out), n_other, same = 0;

	CU_ASSERT_EQUAL(n, (int)((l->payload + l->segsz - 1) / l->segsz));
	n_other = rte_gso_segment(other, &ctx, expected, GSO_SEGMENTS_MAX);
	if (n_other > 0) {
		CU_ASSERT_EQUAL_FATAL(n, n_other);
		for (int i = 0; i < n; i++)
			same += same_bytes(out[i], expected[i]);
		rte_pktmbuf_free_bulk(expected, n_other);
	} else { /* to the library it is not too long */
		CU_ASSERT_EQUAL(n, 1);
		same = same_bytes(out[0], other);
	}
	CU_ASSERT_EQUAL(same, n);
	if (same != n)
		printf(" payload %u, segsz %u, seg %u, options %u: %d of %d\n", l->payload, l->segsz,
			l->seg, l->options, same, n);
	rte_pktmbuf_free_bulk(out, n > 0 ? n : 0);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(other);
}

static void
segments_are_those_of_librte_gso(void)
{
	static const uint32_t payloads[] = {1, 1459, 1460, 1461, 2920, 2921, 9000, 32768, LARGEST};

	for (size_t i = 0; i < RTE_DIM(payloads); i++) {
		struct large l = {.payload = payloads[i], .segsz = 1460, .id = 7,
			.flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG,
			.seq = 0xffffff00};

		expect_as_library(&l);
	}
}

static void
any_lengths_in_any_buffers(void)
{
	uint64_t seed = 4242;

	printf("seed %lu ", seed);
	for (int i = 0; i < 2000; i++) {
		struct large l = {.options = harness_random(&seed) % 11 * 4,
			.id = harness_random(&seed), .seq = harness_random(&seed),
			.flags = RTE_TCP_ACK_FLAG | (harness_random(&seed) & RTE_TCP_PSH_FLAG)};

		l.segsz = GSO_SEGSZ_MIN + harness_random(&seed) % (1461 - 40 - GSO_SEGSZ_MIN);
		l.payload = 1 + harness_random(&seed) % (i % 10 ? 6000 : LARGEST - 40);
		if (l.payload / l.segsz > 800) /* the library wants two buffers for each */
			l.payload = 800 * l.segsz;
		l.seg = 14 + 20 + 60 + harness_random(&seed) % 1900;
		expect_as_library(&l);
	}
}

static void
the_first_keeps_cwr_and_the_last_fin(void)
{
	struct large l = {.payload = 3000, .segsz = 1000,
		.flags = RTE_TCP_ACK_FLAG | RTE_TCP_CWR_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG};
	struct rte_mbuf *m = large(&l);

	CU_ASSERT_EQUAL_FATAL(gso_cut(m, MTU, harness_pool(), out), 3);
	CU_ASSERT_EQUAL(tcp_of(out[0])->tcp_flags, RTE_TCP_ACK_FLAG | RTE_TCP_CWR_FLAG);
	CU_ASSERT_EQUAL(tcp_of(out[1])->tcp_flags, RTE_TCP_ACK_FLAG);
	CU_ASSERT_EQUAL(tcp_of(out[2])->tcp_flags,
		RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
	rte_pktmbuf_free_bulk(out, 3);
	rte_pktmbuf_free(m);
}

/* As `tx` wants to see them: it fills in what the port cannot. */
static void
segments_ask_for_their_checksums(void)
{
	struct large l = {.payload = LARGEST - 12, .segsz = 1448, .options = 12, .seg = 1000};
	struct rte_mbuf *m = large(&l);
	int n = gso_cut(m, MTU, harness_pool(), out);

	CU_ASSERT_EQUAL_FATAL(n, 46);
	for (int i = 0; i < n; i++) {
		CU_ASSERT_EQUAL(out[i]->nb_segs, 1);
		CU_ASSERT_EQUAL(out[i]->ol_flags,
			RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM);
		CU_ASSERT_EQUAL(out[i]->l2_len, 14);
		CU_ASSERT_EQUAL(out[i]->l3_len, 20);
		CU_ASSERT_EQUAL(out[i]->l4_len, 32);
	}
	rte_pktmbuf_free_bulk(out, n);
	rte_pktmbuf_free(m);
}

/* A jumbo port: a segment does not fit one buffer. */
static void
long_segments_are_chains(void)
{
	struct large l = {.payload = 20000, .segsz = 8000};
	struct rte_mbuf *m = large(&l);
	const char *reason;

	CU_ASSERT_EQUAL_FATAL(gso_cut(m, 9000, harness_pool(), out), 3);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(rte_mbuf_check(out[i], 1, &reason), 0);
		CU_ASSERT_EQUAL(out[i]->pkt_len, 54 + (i < 2 ? 8000 : 4000));
	}
	rte_pktmbuf_free_bulk(out, 3);
	rte_pktmbuf_free(m);
}

enum bend {
	BEND_SEGSZ_ZERO, BEND_SEGSZ_SMALL, BEND_SEGSZ_LARGE, BEND_L2, BEND_L3, BEND_L4_LONG,
	BEND_L4_SHORT, BEND_HEADER_SPLIT, BEND_UDP, BEND_IPV6, BEND_FRAGMENT, BEND_SYN, BEND_RST,
	BEND_URG, BEND_NO_PAYLOAD, BENDS
};

static struct rte_mbuf *
bent(enum bend bend)
{
	struct large l = {.payload = bend == BEND_NO_PAYLOAD ? 0 : 5000, .segsz = 1460,
		.seg = bend == BEND_HEADER_SPLIT ? 50 : 0,
		.flags = bend == BEND_SYN ? RTE_TCP_SYN_FLAG : bend == BEND_RST ? RTE_TCP_RST_FLAG :
			bend == BEND_URG ? RTE_TCP_URG_FLAG : RTE_TCP_ACK_FLAG};
	struct rte_mbuf *m = large(&l);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, 14);

	if (bend == BEND_SEGSZ_ZERO)
		m->tso_segsz = 0;
	else if (bend == BEND_SEGSZ_SMALL)
		m->tso_segsz = GSO_SEGSZ_MIN - 1;
	else if (bend == BEND_SEGSZ_LARGE)
		m->tso_segsz = 1461;
	else if (bend == BEND_L2)
		m->l2_len = 0;
	else if (bend == BEND_L3)
		m->l3_len = 24;
	else if (bend == BEND_L4_LONG)
		m->l4_len = 64;
	else if (bend == BEND_L4_SHORT)
		m->l4_len = 0;
	else if (bend == BEND_UDP)
		ip->next_proto_id = IPPROTO_UDP;
	else if (bend == BEND_IPV6)
		ip->version_ihl = 0x65;
	else if (bend == BEND_FRAGMENT)
		ip->fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
	return m;
}

static void
what_makes_no_sense_is_refused(void)
{
	for (enum bend b = 0; b < BENDS; b++) {
		struct rte_mbuf *m = bent(b);

		CU_ASSERT_EQUAL(gso_cut(m, MTU, harness_pool(), out), -EINVAL);
		rte_pktmbuf_free(m);
	}
}

static void
empty_pool_leaves_the_packet_and_nothing_else(void)
{
	struct large l = {.payload = 20000, .segsz = 8000};
	struct rte_mbuf *m = large(&l), *all[HARNESS_POOL_SIZE];

	for (unsigned int left = 0; left < 10; left++) { /* 10 would be enough */
		unsigned int n = 0;

		while (rte_mempool_avail_count(harness_pool()) > left)
			all[n++] = rte_pktmbuf_alloc(harness_pool());
		CU_ASSERT_EQUAL(gso_cut(m, 9000, harness_pool(), out), -ENOMEM);
		CU_ASSERT_EQUAL(rte_mempool_avail_count(harness_pool()), left);
		rte_pktmbuf_free_bulk(all, n);
	}
	rte_pktmbuf_free(m);
}

/* --- the node ---------------------------------------------------------------------------------- */

static void
small_ones_pass_and_large_ones_are_cut_in_order(void)
{
	struct worker w = {.mtu = MTU, .pool = harness_pool(), .n_workers = 1};
	struct large small = {.payload = 100}, big = {.payload = 5000, .segsz = 1460};
	struct rte_mbuf *pkts[6];

	feed_open(&w);
	for (int i = 0; i < 6; i++) {
		pkts[i] = large(i % 2 ? &big : &small);
		if (i % 2 == 0)
			pkts[i]->ol_flags &= ~RTE_MBUF_F_TX_TCP_SEG;
	}
	CU_ASSERT_EQUAL(graph_trace_request(feed_graph, 2), 0);
	feed_walk(pkts, 6);
	CU_ASSERT_EQUAL_FATAL(sent.n, 3 * 5);
	for (int i = 0; i < sent.n; i++)
		CU_ASSERT_EQUAL(sent.pkts[i]->pkt_len, i % 5 == 0 ? 154 : i % 5 == 4 ? 674 : 1514);
	CU_ASSERT_TRUE(feed_trace_has("5054 bytes, 4 segments of 1460"));
	feed_close();
}

static void
what_cannot_go_out_is_dropped_and_counted(void)
{
	struct worker w = {.mtu = MTU, .pool = harness_pool(), .n_workers = 1};
	struct large l = {.payload = 5000, .segsz = 1460};
	struct rte_mbuf *pkts[3] = {bent(BEND_UDP), large(&l), large(&l)}, *all[HARNESS_POOL_SIZE];
	unsigned int n = 0;

	pkts[1]->ol_flags &= ~RTE_MBUF_F_TX_TCP_SEG;
	feed_open(&w);
	while ((all[n] = rte_pktmbuf_alloc(harness_pool())) != NULL)
		n++;
	feed_walk(pkts, 3);
	CU_ASSERT_EQUAL(drop.n, 3);
	CU_ASSERT_EQUAL(sent.n, 0);
	CU_ASSERT_EQUAL(feed_count("not-cuttable"), 1);
	CU_ASSERT_EQUAL(feed_count("too-long"), 1);
	CU_ASSERT_EQUAL(feed_count("gso-no-memory"), 1);
	rte_pktmbuf_free_bulk(all, n);
	feed_close();
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(segments_are_those_of_librte_gso),
	CUNIT_TEST(any_lengths_in_any_buffers),
	CUNIT_TEST(the_first_keeps_cwr_and_the_last_fin),
	CUNIT_TEST(segments_ask_for_their_checksums),
	CUNIT_TEST(long_segments_are_chains),
	CUNIT_TEST(what_makes_no_sense_is_refused),
	CUNIT_TEST(empty_pool_leaves_the_packet_and_nothing_else),
	CUNIT_TEST(small_ones_pass_and_large_ones_are_cut_in_order),
	CUNIT_TEST(what_cannot_go_out_is_dropped_and_counted),
};
CUNIT_MAIN("gso", tests, setup, harness_teardown)
