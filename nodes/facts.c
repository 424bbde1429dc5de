/* SPDX-License-Identifier: BSD-3-Clause */
/* Snapshots of graphs, ports and pools, see facts.h. */
#include "nodes/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "nodes/port.h"

static const enum ctl_severity severities[] = {
	[GRAPH_NORMAL] = CTL_NORMAL,
	[GRAPH_ODD] = CTL_ODD,
	[GRAPH_BROKEN] = CTL_BROKEN,
};

enum ctl_severity
facts_severity(enum graph_severity severity)
{
	return severities[severity];
}

static int
fill_node(struct ctl_node *to, const struct graph_node_stats *from)
{
	snprintf(to->name, sizeof(to->name), "%s", from->name);
	to->calls = from->calls;
	to->packets = from->packets;
	to->cycles = from->cycles;
	to->errors = calloc(from->n_errors + 1, sizeof(*to->errors));
	if (to->errors == NULL)
		return -ENOMEM;
	for (uint16_t i = 0; i < from->n_errors; i++) {
		const struct graph_error *row = from->errors[i].row;
		struct ctl_error *e = &to->errors[to->errors_count];

		if (from->errors[i].count == 0)
			continue;
		snprintf(e->symbol, sizeof(e->symbol), "%s", row->symbol);
		snprintf(e->text, sizeof(e->text), "%s", row->text);
		e->severity = facts_severity(row->severity);
		e->count = from->errors[i].count;
		to->errors_count++;
	}
	return 0;
}

static int
fill_core(const struct facts_core *from, struct graph_node_stats *stats, struct ctl_core *core)
{
	unsigned int n = graph_stats(from->graph, stats, FACTS_NODES_MAX);

	if (n > FACTS_NODES_MAX)
		n = FACTS_NODES_MAX;
	core->index = from->index;
	core->tid = from->tid;
	core->nodes = calloc(n + 1, sizeof(*core->nodes));
	if (core->nodes == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++) {
		core->nodes_count = i + 1;
		if (fill_node(&core->nodes[i], &stats[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

int
facts_graph(const struct facts_core *cores, unsigned int n, struct ctl_graph *out)
{
	struct graph_node_stats *stats = calloc(FACTS_NODES_MAX, sizeof(*stats));
	int ret = 0;

	out->cycles_hz = rte_get_tsc_hz();
	out->cores = calloc(n + 1, sizeof(*out->cores));
	if (stats == NULL || out->cores == NULL)
		ret = -ENOMEM;
	for (unsigned int i = 0; i < n && ret == 0; i++) {
		out->cores_count = i + 1;
		ret = fill_core(&cores[i], stats, &out->cores[i]);
	}
	free(stats);
	return ret;
}

static void
add_line(void *arg, const char *line)
{
	struct ctl_trace *t = arg;
	char **grown = realloc(t->lines, (t->lines_count + 1) * sizeof(*grown));

	if (grown == NULL)
		return;
	t->lines = grown;
	t->lines[t->lines_count] = strdup(line);
	if (t->lines[t->lines_count] != NULL)
		t->lines_count++;
}

static void
forget_line(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

int
facts_trace(const struct facts_core *cores, unsigned int n, const struct ctl_trace_request *r,
	struct ctl_trace *out, char *err, size_t err_len)
{
	int ret = 0;

	if (r->packets > CTL_TRACE_MAX) {
		snprintf(err, err_len, "at most %d packets can be traced", CTL_TRACE_MAX);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < n && ret == 0; i++) {
		struct graph *g = cores[i].graph;

		if (r->action == CTL_TRACE_START)
			graph_trace_print(g, forget_line, NULL);
		else
			out->packets += graph_trace_print(g, add_line, out);
		if (r->action != CTL_TRACE_READ)
			ret = graph_trace_request(g, r->action == CTL_TRACE_START ? r->packets : 0);
	}
	return ret;
}

uint64_t
facts_errors(const struct graph_node_stats *node)
{
	uint64_t sum = 0;

	for (uint16_t i = 0; i < node->n_errors; i++)
		sum += node->errors[i].count;
	return sum;
}

void
facts_port(uint16_t port, struct ctl_port *p)
{
	struct rte_eth_dev_info info = {0};
	struct rte_eth_stats stats = {0};
	struct rte_ether_addr mac = {0};
	struct rte_eth_link link = {0};
	char name[RTE_ETH_NAME_MAX_LEN] = "";

	rte_eth_dev_get_name_by_port(port, name);
	rte_eth_dev_info_get(port, &info);
	rte_eth_macaddr_get(port, &mac);
	rte_eth_link_get_nowait(port, &link);
	rte_eth_stats_get(port, &stats);
	snprintf(p->name, sizeof(p->name), "%.*s", (int)sizeof(p->name) - 1, name);
	snprintf(p->driver, sizeof(p->driver), "%s",
		info.driver_name != NULL ? info.driver_name : "?");
	rte_ether_format_addr(p->mac, sizeof(p->mac), &mac);
	p->link_up = link.link_status == RTE_ETH_LINK_UP;
	p->rx_pkts = stats.ipackets;
	p->rx_bytes = stats.ibytes;
	p->rx_missed = port_missed(port);
	p->rx_err = stats.ierrors;
	p->rx_allocmbuf_fail = stats.rx_nombuf;
	p->tx_pkts = stats.opackets;
	p->tx_bytes = stats.obytes;
	p->tx_err = stats.oerrors;
}

void
facts_pool(const struct rte_mempool *pool, uint64_t *size, uint64_t *free_count)
{
	if (pool == NULL)
		return;
	*size = pool->size;
	*free_count = rte_mempool_avail_count(pool);
}
