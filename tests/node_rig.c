/* SPDX-License-Identifier: BSD-3-Clause */
/* A graph of real nodes between test doubles. */
#include "tests/node_rig.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#include "nodes/nodes.h"
#include "stack/edge.h"

#define SINK_MAX 512
#define STATS_MAX 32
#define SOURCES_MAX 8

struct sink {
	const char *name;
	unsigned int n, taken;
	struct rte_mbuf *pkts[SINK_MAX];
};

static struct sink sinks[] = {{.name = NODE_TX}, {.name = NODE_CLASSIFY}, {.name = NODE_DROP}};

static const char *const targets[] = {
	NODE_ARP_INPUT, NODE_ARP_RESOLVE, NODE_IP4_OUTPUT, NODE_IP4_FRAG, NODE_IP4_REASS,
	NODE_KERNEL_TX};

unsigned int rig_kicks;

void
stack_kick(struct stack *s)
{
	rig_kicks++;
}

static struct graph *rig;
static struct rte_mbuf *next_packet;
static rte_edge_t next_target;

static uint16_t
process_source(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	if (next_packet == NULL)
		return 0;
	graph_trace_mark(node, &next_packet, 1);
	graph_send_one(rg, node, next_target, next_packet);
	next_packet = NULL;
	return 1;
}

static struct graph_node rig_source = {
	.name = "rig",
	.process = process_source,
	.source = true,
	.edges = targets,
	.n_edges = RTE_DIM(targets),
};
GRAPH_NODE(rig_source)

static uint16_t
keep(struct sink *s, void **objs, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		if (s->n == SINK_MAX) {
			fprintf(stderr, "sink %s is full\n", s->name);
			exit(2);
		}
		s->pkts[s->n++] = objs[i];
	}
	return n;
}

#define SINK(id, index)                                                                            \
	static uint16_t process_##id(struct rte_graph *rg, struct rte_node *node, void **objs,     \
		uint16_t n)                                                                        \
	{                                                                                          \
		return keep(&sinks[index], objs, n);                                               \
	}                                                                                          \
	static struct graph_node sink_##id = {.name = #id, .process = process_##id};               \
	GRAPH_NODE(sink_##id)

SINK(tx, 0)
SINK(classify, 1)
SINK(drop, 2)

void
rig_start(struct worker *w, const char *const *more)
{
	const char *sources[SOURCES_MAX] = {"rig"};
	unsigned int n = 1;

	while (*more != NULL)
		sources[n++] = *more++;
	rig = graph_create("rig", sources, n, w);
	if (rig == NULL) {
		fprintf(stderr, "no graph: %s\n", rte_strerror(rte_errno));
		exit(2);
	}
}

void
rig_stop(void)
{
	struct rte_mbuf *m;

	for (size_t i = 0; i < RTE_DIM(sinks); i++) {
		while ((m = rig_take(sinks[i].name)) != NULL)
			rte_pktmbuf_free(m);
	}
	graph_destroy(rig);
}

void
rig_walk(const char *node, struct rte_mbuf *m)
{
	size_t i;

	for (i = 0; m != NULL && i < RTE_DIM(targets) && strcmp(targets[i], node) != 0; i++)
		continue;
	next_target = i;
	next_packet = m;
	graph_walk(rig);
}

struct rte_mbuf *
rig_take(const char *sink)
{
	for (size_t i = 0; i < RTE_DIM(sinks); i++) {
		struct sink *s = &sinks[i];

		if (strcmp(s->name, sink) != 0)
			continue;
		if (s->taken < s->n)
			return s->pkts[s->taken++];
		s->taken = s->n = 0;
	}
	return NULL;
}

uint64_t
rig_count(const char *node, const char *symbol)
{
	static struct graph_node_stats stats[STATS_MAX];
	unsigned int n = graph_stats(rig, stats, STATS_MAX);

	for (unsigned int i = 0; i < n; i++) {
		for (uint16_t k = 0; strcmp(stats[i].name, node) == 0 && k < stats[i].n_errors; k++) {
			if (strcmp(stats[i].errors[k].row->symbol, symbol) == 0)
				return stats[i].errors[k].count;
		}
	}
	fprintf(stderr, "no row %s of node %s\n", symbol, node);
	CU_FAIL("no such row");
	return UINT64_MAX;
}

void
rig_trace(void)
{
	CU_ASSERT_EQUAL(graph_trace_request(rig, SINK_MAX), 0);
}

struct search {
	const char *what;
	bool found;
};

static void
look_at(void *arg, const char *line)
{
	struct search *s = arg;

	s->found |= strstr(line, s->what) != NULL;
}

bool
rig_trace_has(const char *what)
{
	struct search s = {.what = what};

	graph_trace_print(rig, look_at, &s);
	return s.found;
}
