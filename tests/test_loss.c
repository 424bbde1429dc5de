/* SPDX-License-Identifier: BSD-3-Clause */
/* A lossy path: who gets lost, when the others come out, what is counted. */
#include "tests/cunit_main.h"
#include "tests/eal.h"
#include "tests/frames.h"

#include <string.h>

#include "nodes/loss.h"
#include "nodes/nodes.h"
#include "nodes/tx.h"

#define ROLLS 1000000
#define QUEUE 64
#define STATS_MAX 8

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

/* --- the dice ----------------------------------------------------------------------------------- */

static unsigned int
lost_of(double probability, uint64_t seed, unsigned int n)
{
	struct loss_dice d = loss_dice(probability, seed);
	unsigned int lost = 0;

	while (n-- > 0)
		lost += loss_roll(&d);
	return lost;
}

/* Within five standard deviations, for seeds close to each other as people choose them. */
static void
loss_rate_is_the_one_asked_for(void)
{
	static const double rates[] = { .001, .01, .03, .5 };

	for (size_t i = 0; i < RTE_DIM(rates); i++) {
		double p = rates[i], tolerance2 = 25 * ROLLS * p * (1 - p);

		for (uint64_t seed = 0; seed < 4; seed++) {
			double off = lost_of(p, seed, ROLLS) - p * ROLLS;

			CU_ASSERT(off * off < tolerance2);
		}
	}
}

static void
nothing_is_lost_at_0_and_everything_at_1(void)
{
	CU_ASSERT_EQUAL(lost_of(0, 1, ROLLS), 0);
	CU_ASSERT_EQUAL(lost_of(1, 1, ROLLS), ROLLS);
}

static void
same_seed_same_losses(void)
{
	struct loss_dice a = loss_dice(.03, 42), b = loss_dice(.03, 42), c = loss_dice(.03, 43);
	unsigned int differ = 0;

	for (unsigned int i = 0; i < 10000; i++) {
		bool lost = loss_roll(&a);

		CU_ASSERT_EQUAL(lost, loss_roll(&b));
		differ += lost != loss_roll(&c);
	}
	CU_ASSERT(differ > 100);
}

/* Losses come alone: as many follow a loss as follow anything else. */
static void
losses_are_independent(void)
{
	struct loss_dice d = loss_dice(.1, 7);
	unsigned int pairs = 0;
	bool before = false;

	for (unsigned int i = 0; i < ROLLS; i++) {
		bool lost = loss_roll(&d);

		pairs += lost && before;
		before = lost;
	}
	CU_ASSERT(pairs > ROLLS / 100 - 600 && pairs < ROLLS / 100 + 600);
}

/* --- the queue ---------------------------------------------------------------------------------- */

static void
packets_leave_after_the_delay_in_order(void)
{
	struct loss *l = loss_create(loss_dice(0, 1), 1000, QUEUE);
	struct rte_mbuf *in[3], *out[3];

	for (unsigned int i = 0; i < 3; i++) {
		in[i] = frame_udp(pool, 8);
		CU_ASSERT_EQUAL(loss_put(l, in[i], 10 * i), LOSS_PASS);
	}
	CU_ASSERT_EQUAL(loss_take(l, out, 3, 999), 0);
	CU_ASSERT_EQUAL(loss_take(l, out, 3, 1010), 2);
	CU_ASSERT_PTR_EQUAL(out[0], in[0]);
	CU_ASSERT_PTR_EQUAL(out[1], in[1]);
	CU_ASSERT_EQUAL(loss_take(l, out + 2, 1, 5000), 1);
	CU_ASSERT_PTR_EQUAL(out[2], in[2]);
	CU_ASSERT_EQUAL(l->n_in, 3);
	CU_ASSERT_EQUAL(l->n_out, 3);
	rte_pktmbuf_free_bulk(out, 3);
	loss_destroy(l);
}

/* The queue goes round more than once; what is under way at the end is freed. */
static void
full_queue_refuses_and_goes_on(void)
{
	struct loss *l = loss_create(loss_dice(0, 1), 0, QUEUE);
	struct rte_mbuf *out[QUEUE], *extra = frame_udp(pool, 8);

	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < QUEUE; i++)
			CU_ASSERT_EQUAL(loss_put(l, frame_udp(pool, 8), 0), LOSS_PASS);
		CU_ASSERT_EQUAL(loss_put(l, extra, 0), LOSS_QUEUE_FULL);
		CU_ASSERT_EQUAL(loss_take(l, out, QUEUE / 2, 0), QUEUE / 2);
		rte_pktmbuf_free_bulk(out, QUEUE / 2);
		if (round < 2) {
			CU_ASSERT_EQUAL(loss_take(l, out, QUEUE, 0), QUEUE / 2);
			rte_pktmbuf_free_bulk(out, QUEUE / 2);
		}
	}
	CU_ASSERT_EQUAL(l->n_full, 3);
	rte_pktmbuf_free(extra);
	loss_destroy(l);
}

/* --- the nodes ---------------------------------------------------------------------------------- */

static uint16_t n_fed, n_sent;
static struct rte_mbuf *sent[QUEUE];

static uint16_t
feed_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf *m;

	for (n = 0; n_fed > 0; n_fed--, n++) {
		m = frame_udp(pool, 8);
		graph_send_one(rg, node, 0, m);
	}
	return n;
}

static uint16_t
tx_double(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	memcpy(&sent[n_sent], objs, n * sizeof(objs[0]));
	n_sent += n;
	return n;
}

static const char *const feed_edges[] = { NODE_CLASSIFY };
static struct graph_node feed_node = {
	.name = "feed", .process = feed_process, .source = true, .edges = feed_edges, .n_edges = 1,
};
static struct graph_node tx_node = { .name = NODE_TX, .process = tx_double };
GRAPH_NODE(feed_node)
GRAPH_NODE(tx_node)

static bool port_stands_still;

bool
tx_send_waiting(struct worker *w)
{
	if (port_stands_still)
		return false;
	rte_pktmbuf_free_bulk(w->tx_backlog.pkts, w->tx_backlog.n);
	w->tx_backlog.n = 0;
	return true;
}

static const char *const sources[] = { "feed", NODE_LOSS_OUT };
static struct worker worker;

/* One port that sends itself what it has received. */
static void
open_path(double probability, uint64_t delay_tsc)
{
	static bool rerouted;

	if (!rerouted) {
		CU_ASSERT_EQUAL(graph_reroute("feed", "no-edge", NODE_LOSS), -ENOENT);
		CU_ASSERT_EQUAL(graph_reroute("feed", NODE_CLASSIFY, NODE_LOSS), 0);
	}
	rerouted = true;
	worker = (struct worker){ 0 };
	worker.loss_rx = worker.loss_tx = loss_create(loss_dice(probability, 1), delay_tsc, QUEUE);
	worker.graph = graph_create("path", sources, RTE_DIM(sources), &worker);
	CU_ASSERT_PTR_NOT_NULL_FATAL(worker.graph);
	n_sent = 0;
}

static void
close_path(void)
{
	rte_pktmbuf_free_bulk(sent, n_sent);
	graph_destroy(worker.graph);
	loss_destroy(worker.loss_rx);
}

static void
walk(uint16_t n)
{
	n_fed = n;
	graph_walk(worker.graph); /* loss-out may have its turn before loss */
	graph_walk(worker.graph);
}

static uint64_t
count(const char *symbol)
{
	static struct graph_node_stats stats[STATS_MAX];
	unsigned int n = graph_stats(worker.graph, stats, STATS_MAX);

	for (unsigned int i = 0; i < n; i++)
		for (uint16_t k = 0; k < stats[i].n_errors; k++)
			if (strcmp(stats[i].errors[k].row->symbol, symbol) == 0)
				return stats[i].errors[k].count;
	CU_FAIL("no such row");
	return UINT64_MAX;
}

static void
nodes_pass_what_is_not_lost(void)
{
	open_path(0, 0);
	walk(20);
	CU_ASSERT_EQUAL(n_sent, 20);
	CU_ASSERT_EQUAL(count("loss-random"), 0);
	close_path();
}

static void
lost_packets_are_counted_and_freed(void)
{
	open_path(.5, 0);
	walk(60);
	CU_ASSERT(n_sent > 10 && n_sent < 50);
	CU_ASSERT_EQUAL(count("loss-random"), 60u - n_sent);
	CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), n_sent);
	close_path();
}

static void
too_many_under_way_are_counted_and_freed(void)
{
	open_path(0, UINT64_MAX / 2);
	walk(QUEUE + 5);
	CU_ASSERT_EQUAL(n_sent, 0);
	CU_ASSERT_EQUAL(count("loss-queue-full"), 5);
	CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), QUEUE);
	close_path();
}

static void
packets_wait_behind_those_the_port_refused(void)
{
	open_path(0, 0);
	worker.tx_backlog.pkts[0] = frame_udp(pool, 8);
	worker.tx_backlog.n = 1;
	walk(1);
	CU_ASSERT_EQUAL(n_sent, 1); /* the waiting one went to the port first */
	worker.tx_backlog.pkts[0] = frame_udp(pool, 8);
	worker.tx_backlog.n = 1;
	port_stands_still = true;
	walk(1);
	port_stands_still = false;
	CU_ASSERT_EQUAL(n_sent, 3); /* given to tx, which drops it */
	CU_ASSERT_EQUAL(worker.tx_backlog.n, 0);
	close_path();
}

static void
edges_can_be_rerouted_only_before_the_first_graph(void)
{
	open_path(0, 0);
	CU_ASSERT_EQUAL(graph_reroute("feed", NODE_LOSS, NODE_DROP), -EBUSY);
	CU_ASSERT_EQUAL(graph_reroute("nobody", NODE_LOSS, NODE_DROP), -ENOENT);
	close_path();
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(loss_rate_is_the_one_asked_for),
	CUNIT_TEST(nothing_is_lost_at_0_and_everything_at_1),
	CUNIT_TEST(same_seed_same_losses),
	CUNIT_TEST(losses_are_independent),
	CUNIT_TEST(packets_leave_after_the_delay_in_order),
	CUNIT_TEST(full_queue_refuses_and_goes_on),
	CUNIT_TEST(nodes_pass_what_is_not_lost),
	CUNIT_TEST(lost_packets_are_counted_and_freed),
	CUNIT_TEST(too_many_under_way_are_counted_and_freed),
	CUNIT_TEST(packets_wait_behind_those_the_port_refused),
	CUNIT_TEST(edges_can_be_rerouted_only_before_the_first_graph),
};
EAL_TEST_MAIN("loss", tests, setup, teardown)
