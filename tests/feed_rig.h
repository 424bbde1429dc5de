/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One node between test doubles: source "feed" gives it packets, sinks keep what comes out.
 *
 *	FEED_TARGET(NODE_POLICE)
 *	FEED_SINK(out, NODE_DISPATCH_OUT)
 *	FEED_SINK(drop, NODE_DROP)
 *
 * Then feed_open(user), feed_walk(pkts, n), out.pkts[0 .. out.n), feed_count("row"), feed_close().
 */
#ifndef TESTS_FEED_RIG_H
#define TESTS_FEED_RIG_H

#include <string.h>

#include <CUnit/CUnit.h>
#include <rte_mbuf.h>

#include "graph/graph.h"

#ifndef FEED_SOURCES
#define FEED_SOURCES "feed" /* and others: "feed", NODE_X */
#endif

#define FEED_MAX 1024
#define FEED_STATS_MAX 16

struct feed_sink {
	uint16_t n;
	struct rte_mbuf *pkts[FEED_MAX];
	struct feed_sink *next;
};

static struct feed_sink *feed_sinks;
static struct graph *feed_graph;
static struct rte_mbuf **feed_pkts;
static uint16_t feed_n;

static inline uint16_t
feed_keep(struct feed_sink *s, void **objs, uint16_t n)
{
	CU_ASSERT_FATAL(s->n + n <= FEED_MAX);
	memcpy(&s->pkts[s->n], objs, n * sizeof(objs[0]));
	s->n += n;
	return n;
}

#define FEED_SINK(id, node_name)                                                                   \
	static struct feed_sink id;                                                                \
	static uint16_t feed_##id(struct rte_graph *rg, struct rte_node *node, void **objs,        \
		uint16_t n)                                                                        \
	{                                                                                          \
		return feed_keep(&id, objs, n);                                                    \
	}                                                                                          \
	static struct graph_node feed_node_##id = {.name = node_name, .process = feed_##id};       \
	GRAPH_NODE(feed_node_##id)                                                                 \
	static void __attribute__((constructor)) feed_list_##id(void)                              \
	{                                                                                          \
		id.next = feed_sinks;                                                              \
		feed_sinks = &id;                                                                  \
	}

static inline uint16_t
feed_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	n = feed_n;
	feed_n = 0;
	if (n == 0)
		return 0;
	graph_trace_mark(node, feed_pkts, n);
	graph_send(rg, node, 0, (void **)feed_pkts, n);
	return n;
}

#define FEED_TARGET(node_name)                                                                     \
	static const char *const feed_edges[] = {node_name};                                       \
	static struct graph_node feed_source = {.name = "feed", .process = feed_process,           \
		.source = true, .edges = feed_edges, .n_edges = 1};                                \
	GRAPH_NODE(feed_source)

static inline void
feed_open(void *user)
{
	static const char *const sources[] = {FEED_SOURCES};

	feed_graph = graph_create("feed", sources, RTE_DIM(sources), user);
	CU_ASSERT_PTR_NOT_NULL_FATAL(feed_graph);
}

/* Frees what sinks hold. */
static inline void
feed_forget(void)
{
	for (struct feed_sink *s = feed_sinks; s != NULL; s = s->next) {
		rte_pktmbuf_free_bulk(s->pkts, s->n);
		s->n = 0;
	}
}

static inline void
feed_close(void)
{
	feed_forget();
	graph_destroy(feed_graph);
}

static inline void
feed_walk(struct rte_mbuf **pkts, uint16_t n)
{
	feed_pkts = pkts;
	feed_n = n;
	graph_walk(feed_graph);
}

/* Of all nodes, since feed_open(). */
static inline uint64_t
feed_count(const char *symbol)
{
	static struct graph_node_stats stats[FEED_STATS_MAX];
	unsigned int n = graph_stats(feed_graph, stats, FEED_STATS_MAX);

	for (unsigned int i = 0; i < n; i++) {
		for (uint16_t k = 0; k < stats[i].n_errors; k++) {
			if (strcmp(stats[i].errors[k].row->symbol, symbol) == 0)
				return stats[i].errors[k].count;
		}
	}
	CU_FAIL("no such row");
	return 0;
}

struct feed_search {
	const char *what;
	bool found;
};

static inline void
feed_look_at(void *arg, const char *line)
{
	struct feed_search *s = arg;

	s->found |= strstr(line, s->what) != NULL;
}

/* Ask for a trace of the next packet before feed_walk(); afterwards: does a line contain `what`? */
static inline bool
feed_trace_has(const char *what)
{
	struct feed_search s = {.what = what};

	graph_trace_print(feed_graph, feed_look_at, &s);
	return s.found;
}

#endif
