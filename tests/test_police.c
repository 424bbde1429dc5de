/* SPDX-License-Identifier: BSD-3-Clause */
/* rate_limit: what passes in a second, and who is counted. The clock is an argument. */
#include "dispatcher/police.h"

#include <stdlib.h>

#include <rte_cycles.h>

#include "dispatcher/dispatcher.h"
#include "nodes/nodes.h"
#include "tests/cunit_main.h"
#include "tests/eal.h"
#include "tests/feed_rig.h"
#include "tests/frames.h"

#define FRAME 1514

FEED_TARGET(NODE_POLICE)
FEED_SINK(out, NODE_DISPATCH_OUT)
FEED_SINK(drop, NODE_DROP)

static struct rte_mempool *pool;

static void
setup(void)
{
	pool = eal_test_pool(511, 0, 2048);
}

static void
teardown(void)
{
	eal_test_pool_done(pool);
}

/* Offers packets evenly over `seconds` from `start` on; returns how many pass. */
static uint64_t
passed(struct policer *p, uint32_t bytes, uint32_t packets, uint64_t per_s, double seconds,
	uint64_t start)
{
	uint64_t n = 0, all = per_s * seconds;

	for (uint64_t i = 0; i < all; i++)
		n += policer_allows(p, bytes, packets,
			start + (double)rte_get_tsc_hz() * i / per_s);
	return n;
}

/* Within 2 % of the rate and the burst at the beginning. */
static void
expect_rate(struct ltran_rate rate, uint32_t bytes, uint32_t packets, double want_per_s,
	double burst)
{
	struct policer *p = policer_create(&rate, 1000);
	uint64_t n = passed(p, bytes, packets, want_per_s * 3, 2, 1000);

	CU_ASSERT(n >= want_per_s * 2 * .98);
	CU_ASSERT(n <= want_per_s * 2 * 1.02 + burst + 1);
	policer_free(p);
}

static void
bytes_per_second_are_limited(void)
{
	static const uint64_t rates[] = {2000000, 125000000, 1250000000};

	for (size_t i = 0; i < RTE_DIM(rates); i++) {
		struct ltran_rate r = {.bytes = rates[i]};
		double burst = RTE_MAX(rates[i] / 50, 65550u);

		expect_rate(r, FRAME, 1, (double)rates[i] / FRAME, burst / FRAME);
	}
}

static void
packets_per_second_are_limited(void)
{
	static const uint64_t rates[] = {1000, 100000, 5000000};

	for (size_t i = 0; i < RTE_DIM(rates); i++) {
		struct ltran_rate r = {.packets = rates[i]};

		expect_rate(r, 60, 1, rates[i], RTE_MAX(rates[i] / 50, 128u));
	}
}

static void
the_tighter_limit_counts(void)
{
	struct ltran_rate r = {.bytes = 1000000000, .packets = 10000};

	expect_rate(r, FRAME, 1, 10000, 200);
	r = (struct ltran_rate){.bytes = FRAME * 10000, .packets = 1000000};
	expect_rate(r, FRAME, 1, 10000, 200);
}

/* What the byte limit stops takes no packet tokens: small packets get through behind large ones. */
static void
a_refused_packet_costs_nothing(void)
{
	struct ltran_rate r = {.bytes = 1, .packets = 1};
	struct policer *p = policer_create(&r, 0);

	CU_ASSERT_TRUE(policer_allows(p, 65500, 1, 0));
	for (int i = 0; i < 1000; i++)
		CU_ASSERT_FALSE(policer_allows(p, 1000, 1, 0));
	for (int i = 0; i < 50; i++)
		CU_ASSERT_TRUE(policer_allows(p, 1, 1, 0));
	CU_ASSERT_FALSE(policer_allows(p, 1, 1, 0));
	policer_free(p);
}

static void
the_largest_frame_passes_the_smallest_rate(void)
{
	struct ltran_rate r = {.bytes = 1000, .packets = 10};
	struct policer *p = policer_create(&r, 0);
	uint64_t hz = rte_get_tsc_hz();

	CU_ASSERT_TRUE(policer_allows(p, 65549, 46, 0));
	CU_ASSERT_FALSE(policer_allows(p, 65549, 46, hz));
	CU_ASSERT_TRUE(policer_allows(p, 65549, 46, hz * 70));
	policer_free(p);
}

/* Two workers read their clocks and then wait for each other. */
static void
time_that_goes_back_gives_no_tokens(void)
{
	struct ltran_rate r = {.packets = 1000};
	struct policer *p = policer_create(&r, 1 << 30);
	unsigned int n = 0;

	for (unsigned int i = 0; i < 1000; i++)
		n += policer_allows(p, 60, 1, (1 << 30) + (i & 1 ? 1000 : 0));
	CU_ASSERT_EQUAL(n, 128);
	policer_free(p);
}

static void
no_limit_is_no_policer(void)
{
	struct ltran_rate rates[] = {{.addr = FRAME_OURS, .packets = 5}, {.addr = FRAME_PEER}};
	struct ltran_conf conf = {.rates = rates, .n_rates = 2};
	struct ltran lt = {.conf = &conf};
	struct policer *p = policer_get(&lt, FRAME_OURS);

	CU_ASSERT_PTR_NOT_NULL(p);
	CU_ASSERT_PTR_EQUAL(policer_get(&lt, FRAME_OURS), p);
	CU_ASSERT_PTR_NULL(policer_get(&lt, FRAME_PEER));
	CU_ASSERT_PTR_NULL(policer_get(&lt, RTE_BE32(0x01020304)));
	policer_free_all(&lt);
	CU_ASSERT_PTR_NULL(lt.policers);
}

/* --- the node ---------------------------------------------------------------------------------- */

/* Two members of one limited address, the first of them on worker 1, and one without limits. */
static struct {
	struct member_stats stats[3][2];
	struct member members[3];
	struct dispatch_worker dw;
	struct map *map;
	struct policer *policer;
} bed;

static void
open_bed(uint64_t packets)
{
	struct ltran_rate r = {.packets = packets};

	memset(&bed, 0, sizeof(bed));
	bed.policer = policer_create(&r, rte_get_tsc_cycles());
	bed.map = calloc(1, sizeof(*bed.map));
	bed.map->members = calloc(3, sizeof(bed.map->members[0]));
	for (unsigned int i = 0; i < 3; i++) {
		bed.members[i] = (struct member){.index = i, .stats = bed.stats[i],
			.policer = i < 2 ? bed.policer : NULL};
		bed.map->members[i] = &bed.members[i];
	}
	bed.dw.map = bed.map;
	bed.dw.w.index = 1;
	bed.dw.w.n_workers = 2;
	feed_open(&bed.dw);
}

static void
close_bed(void)
{
	feed_close();
	free(bed.map->members);
	free(bed.map);
	policer_free(bed.policer);
}

static struct rte_mbuf *
from(unsigned int member)
{
	struct rte_mbuf *m = frame_udp(pool, 100);

	m->port = MEMBER_PORT | member;
	return m;
}

static void
who_sends_too_much_is_counted(void)
{
	struct rte_mbuf *pkts[300];

	open_bed(1);
	for (unsigned int i = 0; i < 300; i++)
		pkts[i] = from(i % 3);
	feed_walk(pkts, 300);
	CU_ASSERT_EQUAL(out.n, 128 + 100);
	CU_ASSERT_EQUAL(drop.n, 72);
	CU_ASSERT_EQUAL(feed_count("rate"), 72);
	CU_ASSERT_EQUAL(bed.stats[0][1].drops[MEMBER_RATE] + bed.stats[1][1].drops[MEMBER_RATE], 72);
	CU_ASSERT(bed.stats[0][1].drops[MEMBER_RATE] >= 30);
	CU_ASSERT_EQUAL(bed.stats[2][1].drops[MEMBER_RATE], 0);
	close_bed();
}

/* A large packet is as many as the port will make of it. */
static void
large_packets_count_as_their_segments(void)
{
	struct rte_mbuf *pkts[4];

	open_bed(1);
	for (unsigned int i = 0; i < 4; i++) {
		pkts[i] = frame_tcp(pool, NULL, 0, 1000);
		pkts[i]->port = MEMBER_PORT;
		pkts[i]->ol_flags = RTE_MBUF_F_TX_TCP_SEG;
		pkts[i]->l2_len = 14;
		pkts[i]->l3_len = 20;
		pkts[i]->l4_len = 20;
		pkts[i]->tso_segsz = 17; /* 59 of them */
	}
	CU_ASSERT_EQUAL(graph_trace_request(feed_graph, 4), 0);
	feed_walk(pkts, 4);
	CU_ASSERT_EQUAL(out.n, 2);
	CU_ASSERT_EQUAL(drop.n, 2);
	CU_ASSERT_TRUE(feed_trace_has("1054 bytes, 59 packets -> rate"));
	close_bed();
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(bytes_per_second_are_limited),
	CUNIT_TEST(packets_per_second_are_limited),
	CUNIT_TEST(the_tighter_limit_counts),
	CUNIT_TEST(a_refused_packet_costs_nothing),
	CUNIT_TEST(the_largest_frame_passes_the_smallest_rate),
	CUNIT_TEST(time_that_goes_back_gives_no_tokens),
	CUNIT_TEST(no_limit_is_no_policer),
	CUNIT_TEST(who_sends_too_much_is_counted),
	CUNIT_TEST(large_packets_count_as_their_segments),
};
EAL_TEST_MAIN("police", tests, setup, teardown)
