/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * udp-to-lwip: gives datagrams to this core's stack. What has no socket is answered with an ICMP
 * port unreachable (RFC 1122 4.1.3.1), at a bounded rate, or goes to the kernel where there is an
 * exception path.
 *
 * Expects: UDP as `classify` leaves it, owned by this core. Next: ip4-output (ICMP), kernel-tx,
 * drop. Runs on: every core.
 */
#include <netinet/in.h>

#include <rte_cycles.h>
#include <rte_ip.h>

#include "nodes/icmp_error.h"
#include "nodes/nodes.h"
#include "stack/edge.h"

enum udp_edge { UDP_OUTPUT, UDP_KERNEL, UDP_DROP };

static const char *const udp_edges[] = {
	[UDP_OUTPUT] = NODE_IP4_OUTPUT,
	[UDP_KERNEL] = NODE_KERNEL_TX,
	[UDP_DROP] = NODE_DROP,
};

enum udp_error { UDP_NO_SOCKET, UDP_REFUSED, UDP_NO_MEMORY, UDP_ICMP_RATE };

static const struct graph_error udp_rows[] = {
	[UDP_NO_SOCKET] = { "udp-no-socket", GRAPH_NORMAL, "no socket on this port" },
	[UDP_REFUSED] = { "udp-refused", GRAPH_NORMAL, "receive queue of the socket is full" },
	[UDP_NO_MEMORY] = { "udp-no-memory", GRAPH_BROKEN, "no memory left" },
	[UDP_ICMP_RATE] = { "icmp-rate", GRAPH_ODD, "port unreachable not sent: rate limit" },
};

/* Answer where RFC 1122 3.2.2 allows it: never a broadcast. */
static void
answer(struct rte_graph *rg, struct rte_node *node, struct worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, m->l2_len);
	struct rte_mbuf *reply;

	if (ip->dst_addr != w->addr)
		return;
	if (!icmp_error_take(&w->icmp_errors, rte_rdtsc(), rte_get_tsc_hz())) {
		graph_count(node, UDP_ICMP_RATE, 1);
		return;
	}
	reply = icmp_error_build(w, m, ICMP_ERROR_UNREACHABLE, ICMP_ERROR_PORT);
	if (reply == NULL) {
		graph_count(node, UDP_NO_MEMORY, 1);
		return;
	}
	if (graph_tracing(node))
		*graph_trace_handle(reply) = *graph_trace_handle(m);
	graph_send_one(rg, node, UDP_OUTPUT, reply);
}

static uint16_t
udp_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs, *no_socket[GRAPH_VECTOR_MAX];
	uint64_t counts[STACK_VERDICTS] = { 0 };
	bool kernel = w->kernel_fd >= 0;
	uint16_t n_no_socket = 0;

	if (graph_tracing(node))
		for (uint16_t i = 0; i < n; i++)
			graph_trace_add(node, pkts[i], NULL, 0);
	stack_rx_udp(w->stack, pkts, n, counts, no_socket, &n_no_socket);
	if (!kernel)
		for (uint16_t i = 0; i < n_no_socket; i++)
			answer(rg, node, w, no_socket[i]);
	graph_forward_all(rg, node, (void **)no_socket, kernel ? UDP_KERNEL : UDP_DROP, n_no_socket);
	graph_count(node, UDP_NO_SOCKET, counts[STACK_NO_SOCKET]);
	graph_count(node, UDP_REFUSED, counts[STACK_REFUSED]);
	graph_count(node, UDP_NO_MEMORY, counts[STACK_NO_MEMORY]);
	return n;
}

static struct graph_node udp_node = {
	.name = NODE_UDP_TO_LWIP,
	.process = udp_process,
	.edges = udp_edges,
	.n_edges = RTE_DIM(udp_edges),
	.errors = udp_rows,
	.n_errors = RTE_DIM(udp_rows),
};
GRAPH_NODE(udp_node)
