/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine on a toy graph: a source, a splitter with a lossy edge, two sinks. */
#include "tests/cunit_main.h"
#include "tests/eal.h"

#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"

struct toy {
	struct rte_mempool *pool;
	uint16_t produce; /* packets of the next walk */
	unsigned int n_even, n_odd, n_init, n_fini;
	bool fail_init;
};

enum split_edge { SPLIT_EVEN, SPLIT_ODD };
enum split_error { SPLIT_EMPTY };

static struct toy *
toy_of(struct rte_node *node)
{
	return graph_node_user(node);
}

static uint16_t
source_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct toy *t = toy_of(node);
	struct rte_mbuf **pkts = (struct rte_mbuf **)node->objs;

	n = t->produce;
	t->produce = 0;
	for (uint16_t i = 0; i < n; i++) {
		pkts[i] = rte_pktmbuf_alloc(t->pool);
		*rte_pktmbuf_mtod(pkts[i], uint8_t *) = i;
		pkts[i]->pkt_len = pkts[i]->data_len = i == 5 ? 0 : 1;
	}
	graph_trace_mark(node, pkts, n);
	node->idx = n;
	graph_forward_all(rg, node, node->objs, 0, n);
	return n;
}

static uint16_t
split_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	rte_edge_t next[GRAPH_VECTOR_MAX];
	uint64_t n_empty = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		uint8_t value = *rte_pktmbuf_mtod(m, uint8_t *);

		n_empty += m->pkt_len == 0;
		next[i] = value % 2 ? SPLIT_ODD : SPLIT_EVEN;
		if (graph_tracing(node))
			graph_trace_add(node, m, &value, sizeof(value));
	}
	graph_count(node, SPLIT_EMPTY, n_empty);
	graph_forward(rg, node, objs, next, n);
	return n;
}

static int
split_format(char *buf, size_t len, const void *record)
{
	return snprintf(buf, len, "value %u", *(const uint8_t *)record);
}

static int
split_init(struct graph *g, struct rte_node *node)
{
	struct toy *t = graph_user(g);

	t->n_init++;
	return t->fail_init ? -EDOM : 0;
}

static void
split_fini(struct graph *g, struct rte_node *node)
{
	((struct toy *)graph_user(g))->n_fini++;
}

static uint16_t
sink_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct toy *t = toy_of(node);

	*(strcmp(node->name, "toy-even") == 0 ? &t->n_even : &t->n_odd) += n;
	for (uint16_t i = 0; i < n && graph_tracing(node); i++)
		graph_trace_add(node, objs[i], "", 1);
	rte_pktmbuf_free_bulk((struct rte_mbuf **)objs, n);
	return n;
}

static const char *const source_edges[] = { "toy-split" };
static struct graph_node source_node = {
	.name = "toy-source", .process = source_process, .source = true,
	.edges = source_edges, .n_edges = 1,
};
static const char *const split_edges[] = { [SPLIT_EVEN] = "toy-even", [SPLIT_ODD] = "toy-odd" };
static const struct graph_error split_errors[] = {
	[SPLIT_EMPTY] = { "empty", GRAPH_ODD, "packet without bytes" },
};
static struct graph_node split_node = {
	.name = "toy-split", .process = split_process, .edges = split_edges, .n_edges = 2,
	.errors = split_errors, .n_errors = 1, .format = split_format,
	.init = split_init, .fini = split_fini,
};
static struct graph_node even_node = { .name = "toy-even", .process = sink_process };
static struct graph_node odd_node = { .name = "toy-odd", .process = sink_process };
GRAPH_NODE(source_node)
GRAPH_NODE(split_node)
GRAPH_NODE(even_node)
GRAPH_NODE(odd_node)

static const char *const sources[] = { "toy-source" };
static struct rte_mempool *pool;
static struct toy toy;
static struct graph *graph;

static void
setup(void)
{
	pool = eal_test_pool(1023, 0, 2048);
	toy = (struct toy){ .pool = pool };
	graph = graph_create("toy", sources, 1, &toy);
	CU_ASSERT_PTR_NOT_NULL_FATAL(graph);
}

static void
teardown(void)
{
	graph_destroy(graph);
	CU_ASSERT_EQUAL(toy.n_init, toy.n_fini);
	eal_test_pool_done(pool);
}

static void
walk(uint16_t n)
{
	toy.produce = n;
	graph_walk(graph);
}

static const struct graph_node_stats *
stats_of(const char *name)
{
	static struct graph_node_stats stats[8];
	unsigned int n = graph_stats(graph, stats, 8);

	for (unsigned int i = 0; i < n; i++)
		if (strcmp(stats[i].name, name) == 0)
			return &stats[i];
	CU_FAIL_FATAL("node has no statistics");
	return NULL;
}

static void
packets_take_their_edges(void)
{
	walk(10);
	CU_ASSERT_EQUAL(toy.n_even, 5);
	CU_ASSERT_EQUAL(toy.n_odd, 5);
	walk(1); /* whole vector on one edge: the stream is swapped */
	CU_ASSERT_EQUAL(toy.n_even, 6);
	walk(GRAPH_VECTOR_MAX);
	CU_ASSERT_EQUAL(toy.n_even, 6 + GRAPH_VECTOR_MAX / 2);
}

static void
counters_tell_calls_packets_and_errors(void)
{
	walk(0);
	walk(10);
	CU_ASSERT_EQUAL(stats_of("toy-source")->calls, 2);
	CU_ASSERT_EQUAL(stats_of("toy-source")->packets, 10);
	CU_ASSERT_EQUAL(stats_of("toy-split")->calls, 1);
	CU_ASSERT(stats_of("toy-split")->cycles > 0);
	CU_ASSERT_EQUAL(stats_of("toy-split")->n_errors, 1);
	CU_ASSERT_STRING_EQUAL(stats_of("toy-split")->errors[0].row->symbol, "empty");
	CU_ASSERT_EQUAL(stats_of("toy-split")->errors[0].count, 1);
}

static void
statistics_come_in_registration_order(void)
{
	struct graph_node_stats s[4];

	CU_ASSERT_EQUAL_FATAL(graph_stats(graph, s, 4), 4);
	CU_ASSERT_STRING_EQUAL(s[0].name, "toy-source");
	CU_ASSERT_STRING_EQUAL(s[3].name, "toy-odd");
}

static void
graphs_do_not_share_counters(void)
{
	struct toy other_toy = { .pool = pool, .produce = 4 };
	struct graph *other = graph_create("toy2", sources, 1, &other_toy);

	CU_ASSERT_PTR_NOT_NULL_FATAL(other);
	graph_walk(other);
	CU_ASSERT_EQUAL(other_toy.n_even, 2);
	CU_ASSERT_EQUAL(stats_of("toy-split")->packets, 0);
	graph_destroy(other);
}

static void
failing_init_fails_the_graph(void)
{
	struct toy bad = { .pool = pool, .fail_init = true };

	CU_ASSERT_PTR_NULL(graph_create("bad", sources, 1, &bad));
	CU_ASSERT_EQUAL(rte_errno, EDOM);
	CU_ASSERT_EQUAL(bad.n_fini, 0);
	CU_ASSERT_PTR_NULL(rte_graph_lookup("bad"));
}

static char printed[4096];

static void
keep_line(void *arg, const char *line)
{
	size_t used = strlen(printed);

	snprintf(printed + used, sizeof(printed) - used, "%s\n", line);
}

static int
print(void)
{
	printed[0] = '\0';
	return graph_trace_print(graph, keep_line, NULL);
}

static void
trace_shows_the_way_of_the_next_packets(void)
{
	CU_ASSERT_EQUAL(graph_trace_request(graph, 3), 0);
	walk(2);
	walk(10);
	walk(10);
	CU_ASSERT_EQUAL(print(), 3);
	CU_ASSERT_PTR_NOT_NULL(strstr(printed, "packet 1 (toy)"));
	CU_ASSERT_PTR_NOT_NULL(strstr(printed, "toy-split      value 1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(printed, "toy-odd"));
	CU_ASSERT_PTR_NULL(strstr(printed, "packet 4"));
	CU_ASSERT_EQUAL(print(), 0);
}

static void
handles_left_in_recycled_packets_are_ignored(void)
{
	graph_trace_request(graph, 4);
	walk(4);
	CU_ASSERT_EQUAL(print(), 4);
	for (int i = 0; i < 300; i++)
		walk(4); /* off: the field keeps its old numbers */
	graph_trace_request(graph, 1);
	walk(256);
	CU_ASSERT_EQUAL(print(), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(printed, "value 0"));
	CU_ASSERT_PTR_NULL(strstr(printed, "value 1"));
}

static void
cancelled_trace_takes_no_more_packets(void)
{
	graph_trace_request(graph, 20);
	walk(2);
	CU_ASSERT_EQUAL(graph_trace_request(graph, 0), 0);
	walk(10);
	CU_ASSERT_EQUAL(print(), 2);
}

static void
trace_ring_keeps_the_newest(void)
{
	for (int i = 0; i < 3; i++) {
		graph_trace_request(graph, 100);
		walk(200);
	}
	CU_ASSERT_EQUAL(print(), 256);
	CU_ASSERT_PTR_NOT_NULL(strstr(printed, "packet 45 "));
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(packets_take_their_edges),
	CUNIT_TEST(counters_tell_calls_packets_and_errors),
	CUNIT_TEST(statistics_come_in_registration_order),
	CUNIT_TEST(graphs_do_not_share_counters),
	CUNIT_TEST(failing_init_fails_the_graph),
	CUNIT_TEST(trace_shows_the_way_of_the_next_packets),
	CUNIT_TEST(handles_left_in_recycled_packets_are_ignored),
	CUNIT_TEST(cancelled_trace_takes_no_more_packets),
	CUNIT_TEST(trace_ring_keeps_the_newest),
};
EAL_TEST_MAIN("graph", tests, setup, teardown)
