/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Node registry, graph construction and the counters.
 *
 * Descriptors join a list from constructors, in link order. The first graph_create() freezes it:
 * every descriptor becomes an rte_graph node class (these live as long as the process), after
 * checking that names are unique and edges lead somewhere. Each graph is then a private set of
 * node objects. rte_graph has 16 bytes of context per node object and no way to pass arguments to
 * a node's init, so graph_create() fills the contexts and calls init() itself, after the graph
 * exists and before anybody can walk it.
 */
#include "graph/private.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

static struct graph_node *registry_first, **registry_last = &registry_first;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER; /* freezing, graph_create() */
static bool registry_frozen;

void
graph_register(struct graph_node *n)
{
	n->next = NULL;
	*registry_last = n;
	registry_last = &n->next;
}

static struct graph_node *
find_node(const char *name)
{
	struct graph_node *n;

	for (n = registry_first; n != NULL; n = n->next)
		if (strcmp(n->name, name) == 0)
			return n;
	return NULL;
}

/* Descriptors share constant tables of edges: this one gets its own, for the process's life. */
static int
replace_edge(struct graph_node *n, const char *to, const char *instead)
{
	const char **edges = malloc(n->n_edges * sizeof(edges[0]));
	bool found = false;
	uint16_t i;

	if (edges == NULL)
		return -ENOMEM;
	for (i = 0; i < n->n_edges; i++) {
		bool same = strcmp(n->edges[i], to) == 0;

		edges[i] = same ? instead : n->edges[i];
		found |= same;
	}
	if (!found) {
		free(edges);
		return -ENOENT;
	}
	n->edges = edges;
	return 0;
}

int
graph_reroute(const char *from, const char *to, const char *instead)
{
	struct graph_node *n = find_node(from);
	int ret = -EBUSY;

	if (n == NULL)
		return -ENOENT;
	pthread_mutex_lock(&registry_lock);
	if (!registry_frozen)
		ret = replace_edge(n, to, instead);
	pthread_mutex_unlock(&registry_lock);
	return ret;
}

static int
check_node(const struct graph_node *n)
{
	uint16_t i;

	if (find_node(n->name) != n) {
		rte_log(RTE_LOG_ERR, RTE_LOGTYPE_EAL, "graph: two nodes named %s\n", n->name);
		return -EEXIST;
	}
	if (strlen(n->name) >= RTE_NODE_NAMESIZE || n->n_errors > GRAPH_ERRORS_MAX) {
		rte_log(RTE_LOG_ERR, RTE_LOGTYPE_EAL, "graph: %s: too large\n", n->name);
		return -E2BIG;
	}
	for (i = 0; i < n->n_edges; i++) {
		if (strcmp(n->edges[i], n->name) == 0) {
			rte_log(RTE_LOG_ERR, RTE_LOGTYPE_EAL, "graph: %s: has an edge to itself\n",
				n->name);
			return -EINVAL; /* its vector is emptied after it ran */
		}
		if (find_node(n->edges[i]) != NULL)
			continue;
		rte_log(RTE_LOG_ERR, RTE_LOGTYPE_EAL, "graph: %s: no node named %s to go to\n",
			n->name, n->edges[i]);
		return -ENOENT;
	}
	return 0;
}

static int
register_node(const struct graph_node *n)
{
	struct rte_node_register *reg;
	rte_node_t id;
	uint16_t i;

	reg = calloc(1, sizeof(*reg) + n->n_edges * sizeof(reg->next_nodes[0]));
	if (reg == NULL)
		return -ENOMEM;
	snprintf(reg->name, sizeof(reg->name), "%s", n->name);
	reg->process = n->process;
	reg->flags = n->source ? RTE_NODE_SOURCE_F : 0;
	reg->parent_id = RTE_NODE_ID_INVALID;
	reg->nb_edges = n->n_edges;
	for (i = 0; i < n->n_edges; i++)
		reg->next_nodes[i] = n->edges[i];
	id = __rte_node_register(reg);
	free(reg);
	return id == RTE_NODE_ID_INVALID ? -rte_errno : 0;
}

static int
freeze_registry(void)
{
	const struct graph_node *n;
	int ret;

	if (registry_frozen)
		return 0;
	for (n = registry_first; n != NULL; n = n->next) {
		ret = check_node(n);
		if (ret < 0)
			return ret;
	}
	ret = trace_register_field();
	for (n = registry_first; n != NULL && ret == 0; n = n->next)
		ret = register_node(n);
	registry_frozen = ret == 0;
	return ret;
}

static int
add_slot(struct graph *g, const struct graph_node *desc, struct rte_node *node)
{
	struct graph_slot *slot = &g->nodes[g->n_nodes];
	struct graph_node_ctx *ctx = graph_ctx(node);
	size_t bytes = RTE_ALIGN((desc->n_errors + 1) * sizeof(uint64_t), RTE_CACHE_LINE_SIZE);

	RTE_BUILD_BUG_ON(sizeof(*ctx) > RTE_NODE_CTX_SZ);
	if (g->n_nodes == GRAPH_NODES_MAX)
		return -E2BIG;
	slot->errors = aligned_alloc(RTE_CACHE_LINE_SIZE, bytes);
	if (slot->errors == NULL)
		return -ENOMEM;
	memset(slot->errors, 0, bytes);
	slot->desc = desc;
	slot->node = node;
	ctx->graph = g;
	ctx->errors = slot->errors;
	g->n_nodes++;
	return 0;
}

/* Contexts of all nodes first, then their init(): an init() may look at another node. */
static int
init_nodes(struct graph *g)
{
	const struct graph_node *n;
	struct rte_node *node;
	unsigned int i;
	int ret;

	for (n = registry_first; n != NULL; n = n->next) {
		node = rte_graph_node_get_by_name(g->rte->name, n->name);
		if (node == NULL)
			continue; /* no edge of this graph leads to it */
		ret = add_slot(g, n, node);
		if (ret < 0)
			return ret;
	}
	for (i = 0; i < g->n_nodes; i++) {
		struct graph_slot *slot = &g->nodes[i];

		ret = slot->desc->init != NULL ? slot->desc->init(g, slot->node) : 0;
		if (ret < 0)
			return ret;
		slot->ready = true;
	}
	return 0;
}

struct graph *
graph_create(const char *name, const char *const *sources, unsigned int n_sources, void *user)
{
	struct rte_graph_param prm = {
		.socket_id = SOCKET_ID_ANY,
		.nb_node_patterns = n_sources,
		.node_patterns = (const char **)(uintptr_t)sources,
	};
	struct graph *g = calloc(1, sizeof(*g));
	int ret;

	if (g == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	g->head.user = user;
	g->id = RTE_GRAPH_ID_INVALID;
	pthread_mutex_lock(&registry_lock);
	ret = freeze_registry();
	if (ret == 0) {
		g->id = rte_graph_create(name, &prm);
		ret = g->id == RTE_GRAPH_ID_INVALID ? -rte_errno : 0;
	}
	pthread_mutex_unlock(&registry_lock);
	if (ret == 0) {
		g->rte = rte_graph_lookup(name);
		ret = trace_create(g);
	}
	if (ret == 0)
		ret = walk_create(g);
	if (ret == 0)
		ret = init_nodes(g);
	if (ret < 0) {
		graph_destroy(g);
		rte_errno = -ret;
		return NULL;
	}
	return g;
}

void
graph_destroy(struct graph *g)
{
	unsigned int i;

	if (g == NULL)
		return;
	for (i = g->n_nodes; i-- > 0;) {
		struct graph_slot *slot = &g->nodes[i];

		if (slot->ready && slot->desc->fini != NULL)
			slot->desc->fini(g, slot->node);
		free(slot->errors);
	}
	if (g->id != RTE_GRAPH_ID_INVALID)
		rte_graph_destroy(g->id);
	trace_destroy(g);
	walk_destroy(g);
	free(g);
}

/* Plain words of another thread: read once, relaxed, so that the compiler does not split them. */
static inline uint64_t
read_counter(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

unsigned int
graph_stats(const struct graph *g, struct graph_node_stats *out, unsigned int max)
{
	unsigned int i, e;

	for (i = 0; i < g->n_nodes && i < max; i++) {
		const struct graph_slot *slot = &g->nodes[i];
		struct graph_node_stats *s = &out[i];

		s->name = slot->desc->name;
		s->calls = read_counter(&slot->node->total_calls);
		s->packets = read_counter(&slot->node->total_objs);
		s->cycles = read_counter(&slot->node->total_cycles);
		s->n_errors = slot->desc->n_errors;
		for (e = 0; e <= slot->desc->n_errors; e++) {
			s->errors[e].row = e < slot->desc->n_errors ? &slot->desc->errors[e] :
				&graph_full_row;
			s->errors[e].count = read_counter(&slot->errors[e]);
		}
		s->n_errors += s->errors[s->n_errors].count > 0;
	}
	return g->n_nodes;
}
