/* SPDX-License-Identifier: BSD-3-Clause */
/* Segments for instances that have gone: what RFC 9293 says of a connection that does not exist. */
#include "dispatcher/reset.h"

#include "dispatcher/dispatcher.h"
#include "nodes/cksum.h"
#include "nodes/nodes.h"
#include "tests/cunit_main.h"
#include "tests/eal.h"
#include "tests/feed_rig.h"
#include "tests/frames.h"

FEED_TARGET(NODE_RESET)
FEED_SINK(out, NODE_DISPATCH_OUT)
FEED_SINK(drop, NODE_DROP)

static struct rte_mempool *pool;
static struct dispatch_worker dw;

static void
setup(void)
{
	pool = eal_test_pool(255, 0, 2048);
	dw.w.mac = frame_our_mac;
	feed_open(&dw);
}

static void
teardown(void)
{
	feed_close();
	eal_test_pool_done(pool);
}

static struct rte_mbuf *
segment(uint8_t flags, uint32_t seq, uint32_t ack, uint16_t payload)
{
	struct rte_mbuf *m = frame_tcp(pool, NULL, 0, payload);
	struct rte_tcp_hdr *tcp = FRAME_L4(m, struct rte_tcp_hdr);

	tcp->tcp_flags = flags;
	tcp->sent_seq = htonl(seq);
	tcp->recv_ack = htonl(ack);
	frame_seal(m);
	return m;
}

/* The segment's answer is as expected, and a whole and proper frame. */
static void
expect_answer(struct rte_mbuf *m, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct rte_tcp_hdr *tcp;
	struct rte_ipv4_hdr *ip;
	struct rte_ether_hdr *eth;

	feed_forget();
	feed_walk(&m, 1);
	CU_ASSERT_EQUAL_FATAL(out.n, 1);
	m = out.pkts[0];
	eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	ip = FRAME_IP(m);
	tcp = FRAME_L4(m, struct rte_tcp_hdr);
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&eth->dst_addr, &frame_peer_mac));
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&eth->src_addr, &frame_our_mac));
	CU_ASSERT_EQUAL(ip->src_addr, FRAME_OURS);
	CU_ASSERT_EQUAL(ip->dst_addr, FRAME_PEER);
	CU_ASSERT_EQUAL(ip->version_ihl, 0x45);
	CU_ASSERT_EQUAL(ip->total_length, htons(40));
	CU_ASSERT_EQUAL(rte_raw_cksum(ip, 20), 0xffff);
	CU_ASSERT_EQUAL(cksum_l4(m, ip, 34, 20), 0);
	CU_ASSERT_EQUAL(tcp->src_port, htons(80));
	CU_ASSERT_EQUAL(tcp->dst_port, htons(40000));
	CU_ASSERT_EQUAL(tcp->tcp_flags, flags);
	CU_ASSERT_EQUAL(ntohl(tcp->sent_seq), seq);
	CU_ASSERT_EQUAL(ntohl(tcp->recv_ack), ack);
	CU_ASSERT_EQUAL(m->pkt_len, 54);
	CU_ASSERT_EQUAL(m->data_len, 54);
	CU_ASSERT_EQUAL(m->nb_segs, 1);
	CU_ASSERT_EQUAL(m->ol_flags, 0);
	CU_ASSERT_EQUAL(m->port, RTE_MBUF_PORT_INVALID);
}

static void
expect_drop(struct rte_mbuf *m, const char *row)
{
	uint64_t before = feed_count(row);

	feed_forget();
	feed_walk(&m, 1);
	CU_ASSERT_EQUAL(out.n, 0);
	CU_ASSERT_EQUAL(drop.n, 1);
	CU_ASSERT_EQUAL(feed_count(row), before + 1);
}

static void
segment_with_ack_is_reset_at_that_number(void)
{
	expect_answer(segment(RTE_TCP_ACK_FLAG, 1000, 77000, 0), RTE_TCP_RST_FLAG, 77000, 0);
	expect_answer(segment(RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, 1000, 77000, 500),
		RTE_TCP_RST_FLAG, 77000, 0);
	expect_answer(segment(RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG, 1000, 0xffffffff, 0),
		RTE_TCP_RST_FLAG, 0xffffffff, 0);
	expect_answer(segment(RTE_TCP_ACK_FLAG | RTE_TCP_SYN_FLAG, 1000, 5, 0), RTE_TCP_RST_FLAG,
		5, 0);
}

static void
segment_without_ack_is_acknowledged(void)
{
	uint8_t flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG;

	expect_answer(segment(RTE_TCP_SYN_FLAG, 1000, 0, 0), flags, 0, 1001);
	expect_answer(segment(RTE_TCP_SYN_FLAG, 0xffffffff, 0, 10), flags, 0, 10);
	expect_answer(segment(RTE_TCP_FIN_FLAG, 1000, 0, 100), flags, 0, 1101);
	expect_answer(segment(0, 1000, 0, 0), flags, 0, 1000);
}

static void
reset_is_never_answered(void)
{
	expect_drop(segment(RTE_TCP_RST_FLAG, 1, 2, 0), "is-reset");
	expect_drop(segment(RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG, 1, 2, 0), "is-reset");
	expect_drop(segment(RTE_TCP_RST_FLAG | RTE_TCP_SYN_FLAG, 1, 2, 0), "is-reset");
}

static void
segment_of_several_buffers_becomes_one(void)
{
	struct rte_mbuf *m = segment(RTE_TCP_ACK_FLAG, 1, 2, 900);

	frame_split(m, 100);
	expect_answer(m, RTE_TCP_RST_FLAG, 2, 0);
}

static void
options_do_not_come_back(void)
{
	static const uint8_t options[8] = {1, 1, 1, 1, 1, 1, 1, 0};
	struct rte_mbuf *m = frame_tcp(pool, options, 8, 3);

	expect_answer(m, RTE_TCP_RST_FLAG, 0, 0);
}

static void
padding_does_not_count(void)
{
	struct rte_mbuf *m = segment(RTE_TCP_SYN_FLAG, 1000, 0, 0);

	rte_pktmbuf_append(m, 6);
	expect_answer(m, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG, 0, 1001);
}

static void
wrong_checksum_is_not_answered(void)
{
	struct rte_mbuf *m = segment(RTE_TCP_ACK_FLAG, 1, 2, 10);

	FRAME_L4(m, struct rte_tcp_hdr)->cksum ^= 1;
	expect_drop(m, "bad-checksum");
	m = segment(RTE_TCP_ACK_FLAG, 1, 2, 10);
	m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_BAD;
	expect_drop(m, "bad-checksum");
}

static void
checksum_of_a_neighbour_on_this_host_need_not_be_there(void)
{
	static const uint64_t flags[] = {RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4,
		RTE_MBUF_F_RX_L4_CKSUM_NONE, RTE_MBUF_F_RX_L4_CKSUM_GOOD};

	for (unsigned int i = 0; i < RTE_DIM(flags); i++) {
		struct rte_mbuf *m = segment(RTE_TCP_ACK_FLAG, 1, 2, 10);

		FRAME_L4(m, struct rte_tcp_hdr)->cksum = 0;
		m->ol_flags = flags[i];
		expect_answer(m, RTE_TCP_RST_FLAG, 2, 0);
	}
}

static void
truncated_segment_is_not_answered(void)
{
	struct rte_mbuf *m = segment(RTE_TCP_ACK_FLAG, 1, 2, 0);

	rte_pktmbuf_trim(m, 1);
	expect_drop(m, "truncated");
	m = segment(RTE_TCP_ACK_FLAG, 1, 2, 50);
	rte_pktmbuf_trim(m, 1);
	expect_drop(m, "truncated");
	m = segment(RTE_TCP_ACK_FLAG, 1, 2, 0);
	FRAME_L4(m, struct rte_tcp_hdr)->data_off = 0x40;
	expect_drop(m, "truncated");
	m = segment(RTE_TCP_ACK_FLAG, 1, 2, 0);
	FRAME_L4(m, struct rte_tcp_hdr)->data_off = 0x60;
	expect_drop(m, "truncated");
}

static void
sender_that_is_no_host_is_not_answered(void)
{
	static const uint32_t addrs[] = {0, RTE_BE32(0x7f000001), RTE_BE32(0xe0000001),
		RTE_BE32(0xffffffff), FRAME_OURS};
	struct rte_mbuf *m;

	for (unsigned int i = 0; i < RTE_DIM(addrs); i++) {
		m = segment(RTE_TCP_ACK_FLAG, 1, 2, 0);
		FRAME_IP(m)->src_addr = addrs[i];
		frame_seal(m);
		expect_drop(m, "bad-source");
	}
	m = segment(RTE_TCP_ACK_FLAG, 1, 2, 0);
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->src_addr.addr_bytes[0] |= 1;
	expect_drop(m, "bad-source");
}

static void
trace_says_what_became_of_it(void)
{
	struct rte_mbuf *pkts[] = {segment(RTE_TCP_ACK_FLAG, 1, 2, 0),
		segment(RTE_TCP_RST_FLAG, 1, 2, 0)};

	CU_ASSERT_EQUAL(graph_trace_request(feed_graph, 2), 0);
	feed_walk(pkts, 2);
	CU_ASSERT_TRUE(feed_trace_has("peer 198.18.0.2 is reset"));
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(segment_with_ack_is_reset_at_that_number),
	CUNIT_TEST(segment_without_ack_is_acknowledged),
	CUNIT_TEST(reset_is_never_answered),
	CUNIT_TEST(segment_of_several_buffers_becomes_one),
	CUNIT_TEST(options_do_not_come_back),
	CUNIT_TEST(padding_does_not_count),
	CUNIT_TEST(wrong_checksum_is_not_answered),
	CUNIT_TEST(checksum_of_a_neighbour_on_this_host_need_not_be_there),
	CUNIT_TEST(truncated_segment_is_not_answered),
	CUNIT_TEST(sender_that_is_no_host_is_not_answered),
	CUNIT_TEST(trace_says_what_became_of_it),
};
EAL_TEST_MAIN("reset", tests, setup, teardown)
