/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * icmp-to-lwip: echo requests and ICMP errors for this core's stack. Any core may answer a ping.
 *
 * Expects: ICMP as `classify` leaves it. Next: drop; what is not dropped the stack keeps. Drops: echo
 * requests above ECHO_RATE (Linux answers all by default; a core that serves connections does not
 * spend itself on pings). Runs on: every core.
 */
#include <rte_cycles.h>
#include <rte_icmp.h>

#include "nodes/nodes.h"
#include "nodes/packet_record.h"
#include "stack/edge.h"

#define ECHO_RATE 20000 /* per second and core; a tenth of what a core can do */
#define ECHO_BURST 20000

enum icmp_edge { ICMP_DROP, ICMP_EDGES };

static const char *const icmp_edges[ICMP_EDGES] = { [ICMP_DROP] = NODE_DROP };

enum icmp_error { ICMP_REFUSED, ICMP_NO_MEMORY, ICMP_ECHO_RATE };

static const struct graph_error icmp_rows[] = {
	[ICMP_REFUSED] = { "icmp-refused", GRAPH_NORMAL, "type the stack does not handle" },
	[ICMP_NO_MEMORY] = { "icmp-no-memory", GRAPH_BROKEN, "stack has no memory left" },
	[ICMP_ECHO_RATE] = { "echo-rate", GRAPH_ODD, "echo request not answered: rate limit" },
};

/* classify has checked that the ICMP header is in the first segment. */
static bool
is_echo(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, const struct rte_icmp_hdr *, m->l2_len + m->l3_len)
		       ->icmp_type == RTE_IP_ICMP_ECHO_REQUEST;
}

/* Send echo requests above the rate to drop; the others stay in order. Returns how many. */
static uint16_t
limit_echoes(struct rte_graph *rg, struct rte_node *node, struct rte_mbuf **pkts, uint16_t n)
{
	struct worker *w = node_worker(node);
	uint64_t now = rte_get_tsc_cycles(), hz = rte_get_tsc_hz();
	uint16_t n_left = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (likely(!is_echo(pkts[i]) ||
			    token_bucket_take(&w->icmp_echoes, ECHO_RATE, ECHO_BURST, now, hz)))
			pkts[n_left++] = pkts[i];
		else
			graph_send_one(rg, node, ICMP_DROP, pkts[i]);
	}
	graph_count(node, ICMP_ECHO_RATE, n - n_left);
	return n_left;
}

static uint16_t
icmp_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	uint64_t counts[STACK_VERDICTS] = { 0 };
	uint16_t n_left;

	if (graph_tracing(node)) {
		for (uint16_t i = 0; i < n; i++)
			graph_trace_add(node, pkts[i], NULL, 0);
	}
	n_left = limit_echoes(rg, node, pkts, n);
	if (graph_tracing(node)) {
		for (uint16_t i = 0; i < n_left; i++)
			graph_trace_end(pkts[i]);
	}
	stack_rx_icmp(node_worker(node)->stack, pkts, n_left, counts);
	graph_count(node, ICMP_REFUSED, counts[STACK_REFUSED] + counts[STACK_NO_SOCKET]);
	graph_count(node, ICMP_NO_MEMORY, counts[STACK_NO_MEMORY]);
	return n;
}

static struct graph_node icmp_node = {
	.name = NODE_ICMP_TO_LWIP,
	.process = icmp_process,
	.edges = icmp_edges,
	.n_edges = ICMP_EDGES,
	.errors = icmp_rows,
	.n_errors = RTE_DIM(icmp_rows),
};
GRAPH_NODE(icmp_node)
