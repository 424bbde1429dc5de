/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine on a toy graph: two sources, a node that makes many packets of one, a splitter with a
 * lossy edge, two sinks. */
#include "tests/cunit_main.h"
#include "tests/eal.h"

#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"

#define SEEN_MAX 4096

struct toy {
	struct rte_mempool *pool;
	uint16_t produce, produce2; /* packets of the sources in the next walk */
	uint16_t copies; /* of each packet, made by toy-many; they share its memory */
	unsigned int n_even, n_odd, n_init, n_fini;
	uint16_t longest; /* vector that a node was given */
	unsigned int n_seen;
	uint8_t seen[SEEN_MAX]; /* values in the order in which toy-even got them */
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
	uint16_t *produce = strcmp(node->name, "toy-source") == 0 ? &t->produce : &t->produce2;

	n = *produce;
	*produce = 0;
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

static void
note_length(struct rte_node *node, uint16_t n)
{
	struct toy *t = toy_of(node);

	t->longest = RTE_MAX(t->longest, n);
	CU_ASSERT_EQUAL(node->idx, n);
}

static uint16_t
many_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct toy *t = toy_of(node);

	note_length(node, n);
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];

		rte_mbuf_refcnt_update(m, t->copies);
		for (uint16_t k = 0; k < t->copies; k++)
			graph_send_one(rg, node, 0, m);
		rte_pktmbuf_free(m);
	}
	return n;
}

/* Everything, whole vectors. */
static uint16_t
pass_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	note_length(node, n);
	graph_forward_all(rg, node, objs, 0, n);
	return n;
}

static uint16_t
split_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	rte_edge_t next[GRAPH_VECTOR_MAX];
	uint64_t n_empty = 0;

	note_length(node, n);
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

	note_length(node, n);
	*(strcmp(node->name, "toy-even") == 0 ? &t->n_even : &t->n_odd) += n;
	for (uint16_t i = 0; i < n && strcmp(node->name, "toy-even") == 0; i++)
		t->seen[t->n_seen++ % SEEN_MAX] = *rte_pktmbuf_mtod((struct rte_mbuf *)objs[i], uint8_t *);
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
static struct graph_node source2_node = {
	.name = "toy-source2", .process = source_process, .source = true,
	.edges = source_edges, .n_edges = 1,
};
static const char *const many_edges[] = { "toy-pass" };
static struct graph_node many_source_node = {
	.name = "toy-many-source", .process = source_process, .source = true,
	.edges = (const char *const[]){ "toy-many" }, .n_edges = 1,
};
static struct graph_node many_node = {
	.name = "toy-many", .process = many_process, .edges = many_edges, .n_edges = 1,
};
static const char *const pass_edges[] = { "toy-even" };
static struct graph_node pass_node = {
	.name = "toy-pass", .process = pass_process, .edges = pass_edges, .n_edges = 1,
};
static const char *const self_edges[] = { "toy-self" };
static struct graph_node self_node = {
	.name = "toy-self", .process = pass_process, .edges = self_edges, .n_edges = 1,
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
GRAPH_NODE(source2_node)
GRAPH_NODE(many_source_node)
GRAPH_NODE(many_node)
GRAPH_NODE(pass_node)
GRAPH_NODE(self_node)

static const char *const sources[] = { "toy-source" };
static struct rte_mempool *pool;
static struct toy toy;
static struct graph *graph;
static bool self_edge_refused;

/* Possible until the first graph is made. */
static void
try_edge_to_itself(void)
{
	static bool tried;

	if (tried)
		return;
	tried = true;
	self_edge_refused = graph_create("self", sources, 1, &toy) == NULL && rte_errno == EINVAL;
	CU_ASSERT_EQUAL(graph_reroute("toy-self", "toy-self", "toy-even"), 0);
}

static void
setup(void)
{
	try_edge_to_itself();
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

static struct graph *
open_graph(const char *name, const char *first, const char *second, struct toy *t)
{
	const char *const names[] = { first, second };
	struct graph *g = graph_create(name, names, second != NULL ? 2 : 1, t);

	CU_ASSERT_PTR_NOT_NULL_FATAL(g);
	return g;
}

static uint64_t
count_of(struct graph *g, const char *name, const char *symbol)
{
	struct graph_node_stats s[8];
	unsigned int n = graph_stats(g, s, 8);

	for (unsigned int i = 0; i < n; i++)
		for (uint16_t k = 0; strcmp(s[i].name, name) == 0 && k < s[i].n_errors; k++)
			if (strcmp(s[i].errors[k].row->symbol, symbol) == 0)
				return s[i].errors[k].count;
	return 0;
}

static void
two_full_sources_reach_a_node_in_pieces(void)
{
	struct toy t = { .pool = pool };
	struct graph *g = open_graph("full", "toy-source", "toy-source2", &t);
	struct graph_node_stats s[8];

	for (unsigned int k = 0; k < 10; k++) {
		t.produce = t.produce2 = GRAPH_VECTOR_MAX;
		graph_walk(g);
	}
	CU_ASSERT_EQUAL(t.longest, GRAPH_VECTOR_MAX);
	CU_ASSERT_EQUAL(t.n_even, 10 * GRAPH_VECTOR_MAX);
	CU_ASSERT_EQUAL(t.n_odd, 10 * GRAPH_VECTOR_MAX);
	graph_stats(g, s, 8);
	CU_ASSERT_STRING_EQUAL(s[1].name, "toy-split");
	CU_ASSERT_EQUAL(s[1].calls, 20);
	CU_ASSERT_EQUAL(s[1].packets, 20 * GRAPH_VECTOR_MAX);
	CU_ASSERT_EQUAL(count_of(g, "toy-split", "empty"), 20);
	graph_destroy(g);
}

static void
vectors_of_every_length_keep_their_order(void)
{
	struct toy t = { .pool = pool };
	struct graph *g = open_graph("order", "toy-source", "toy-source2", &t);

	for (uint16_t a = 1; a <= GRAPH_VECTOR_MAX; a += 15) {
		bool ordered = true;

		t.produce = a;
		t.produce2 = GRAPH_VECTOR_MAX;
		t.n_seen = 0;
		graph_walk(g);
		/* Each source counts its packets from 0, whichever comes first. */
		for (unsigned int i = 1; i < t.n_seen; i++)
			ordered &= t.seen[i] == t.seen[i - 1] + 2 || t.seen[i] == 0;
		CU_ASSERT(ordered);
		CU_ASSERT_EQUAL(t.n_seen, (a + 1) / 2 + GRAPH_VECTOR_MAX / 2u);
	}
	CU_ASSERT_EQUAL(t.longest, GRAPH_VECTOR_MAX);
	graph_destroy(g);
}

static void
pieces_that_move_on_whole_arrive(void)
{
	struct toy t = { .pool = pool, .copies = 5 };
	struct graph *g = open_graph("whole", "toy-many-source", NULL, &t);
	bool ordered = true;

	for (unsigned int k = 0; k < 20; k++) {
		t.n_seen = 0;
		t.produce2 = 250;
		graph_walk(g);
	}
	CU_ASSERT_EQUAL(t.longest, GRAPH_VECTOR_MAX);
	CU_ASSERT_EQUAL(t.n_even, 20 * 5 * 250);
	for (unsigned int i = 0; i < t.n_seen; i++)
		ordered &= t.seen[i] == i / 5;
	CU_ASSERT(ordered);
	graph_destroy(g);
}

static void
vector_without_bounds_is_cut_and_counted(void)
{
	struct toy t = { .pool = pool, .copies = 250 };
	struct graph *g = open_graph("flood", "toy-many-source", NULL, &t);

	for (unsigned int k = 1; k <= 2; k++) {
		t.produce2 = 250;
		graph_walk(g);
		CU_ASSERT_EQUAL(t.n_even, k * GRAPH_PENDING_MAX);
		CU_ASSERT_EQUAL(count_of(g, "toy-many", "next-full"),
			k * (250 * 250 - GRAPH_PENDING_MAX));
	}
	CU_ASSERT_EQUAL(t.longest, GRAPH_VECTOR_MAX);
	graph_destroy(g);
}

static void
look_for_199(void *arg, const char *line)
{
	*(unsigned int *)arg += strstr(line, "toy-split      value 199") != NULL;
}

static void
trace_follows_packets_through_pieces(void)
{
	struct toy t = { .pool = pool };
	struct graph *g = open_graph("trace", "toy-source", "toy-source2", &t);
	unsigned int n_found = 0;

	graph_trace_request(g, 256);
	t.produce = t.produce2 = 200;
	graph_walk(g);
	CU_ASSERT_EQUAL(graph_trace_print(g, look_for_199, &n_found), 256);
	CU_ASSERT_EQUAL(n_found, 1); /* all of one source, and 56 of the other */
	graph_trace_request(g, 256);
	t.produce = t.produce2 = 128;
	graph_walk(g);
	CU_ASSERT_EQUAL(graph_trace_print(g, look_for_199, &n_found), 256);
	graph_destroy(g);
}

static void
edge_of_a_node_to_itself_is_refused(void)
{
	CU_ASSERT(self_edge_refused);
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
	CUNIT_TEST(two_full_sources_reach_a_node_in_pieces),
	CUNIT_TEST(vectors_of_every_length_keep_their_order),
	CUNIT_TEST(pieces_that_move_on_whole_arrive),
	CUNIT_TEST(vector_without_bounds_is_cut_and_counted),
	CUNIT_TEST(trace_follows_packets_through_pieces),
	CUNIT_TEST(edge_of_a_node_to_itself_is_refused),
};
EAL_TEST_MAIN("graph", tests, setup, teardown)
