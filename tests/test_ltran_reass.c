/* SPDX-License-Identifier: BSD-3-Clause */
/* Fragments in ltran: whole ones go back to dispatch-in, the others are given up in time. */
#include <netinet/in.h>

#include "dispatcher/dispatcher.h"
#include "nodes/nodes.h"
#include "nodes/reass.h"
#include "tests/cunit_main.h"
#include "tests/harness.h"

#define FEED_SOURCES "feed", NODE_REASS_TIMER
#include "tests/feed_rig.h"

#define SHARED HARNESS_IP(198, 18, 0, 1)
#define PEER HARNESS_IP(198, 18, 0, 2)

FEED_TARGET(NODE_IP4_REASS)
FEED_SINK(in, NODE_DISPATCH_IN)
FEED_SINK(drop, NODE_DROP)

static struct worker w;

static void
setup(void)
{
	static bool rerouted;

	harness_setup();
	if (!rerouted)
		CU_ASSERT_EQUAL(graph_reroute(NODE_IP4_REASS, NODE_CLASSIFY, NODE_DISPATCH_IN), 0);
	rerouted = true;
	w = (struct worker){.n_workers = 1, .pool = harness_pool()};
	feed_open(&w);
}

static void
teardown(void)
{
	feed_close();
	harness_teardown();
}

static struct rte_mbuf *
fragment(uint16_t id, uint16_t offset, bool more)
{
	const struct harness_ip4 h = {.src = PEER, .dst = SHARED, .id = id, .offset = offset,
		.mf = more, .proto = IPPROTO_UDP, .ether = true};

	return harness_ip4_packet(&h, NULL, 80, 0);
}

static void
whole_datagrams_are_dispatched_again(void)
{
	struct rte_mbuf *pkts[] = {fragment(1, 80, false), fragment(2, 0, true), fragment(1, 0, true)};

	feed_walk(pkts, 3);
	CU_ASSERT_EQUAL_FATAL(in.n, 1);
	CU_ASSERT_EQUAL(in.pkts[0]->pkt_len, 14 + 20 + 160);
	CU_ASSERT_EQUAL(reass_count_held(w.reass), 1);
}

static void
others_are_given_up_and_counted(void)
{
	struct rte_mbuf *pkts[] = {fragment(1, 0, true), fragment(2, 80, true), fragment(2, 160, true)};

	reass_free(w.reass);
	w.reass = reass_create(1, 1); /* a second is a cycle of the clock */
	feed_walk(pkts, 3);
	feed_walk(NULL, 0);
	CU_ASSERT_EQUAL(reass_count(w.reass), 0);
	CU_ASSERT_EQUAL(drop.n, 1); /* the only first one */
	CU_ASSERT_EQUAL(in.n, 0);
	CU_ASSERT_EQUAL(feed_count("reass-timeout"), 3);
}

static void
young_ones_stay(void)
{
	struct rte_mbuf *pkts[] = {fragment(1, 0, true)};

	feed_walk(pkts, 1);
	feed_walk(NULL, 0);
	CU_ASSERT_EQUAL(reass_count_held(w.reass), 1);
	CU_ASSERT_EQUAL(feed_count("reass-timeout"), 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(whole_datagrams_are_dispatched_again),
	CUNIT_TEST(others_are_given_up_and_counted),
	CUNIT_TEST(young_ones_stay),
};
CUNIT_MAIN("ltran_reass", tests, setup, teardown)
