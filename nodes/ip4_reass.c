/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Node ip4-reass: fragments in, whole datagrams out.
 *
 * Expects  fragments from classify: data_off at the Ethernet header, l2_len and l3_len set, header
 *          checked and in the first segment, pkt_len without padding. Writable and unshared.
 * Sets     the header of the whole: total length, no fragment bits, checksum; RX_IP_CKSUM_GOOD and
 *          nothing about L4: classify verifies that over all segments.
 * Next     classify.
 * Drops    see the rows; frees what it drops, since whole lists go at once. Datagrams that never
 *          become whole are given up by ip4-timer.
 * Runs on  the core that received the fragments; classify hands the whole to its owner.
 */
#include <errno.h>
#include <stdio.h>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_random.h>

#include "nodes/nodes.h"
#include "nodes/reass.h"

enum edge { EDGE_CLASSIFY, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_CLASSIFY] = NODE_CLASSIFY,
};

/* Rows are the results of reass_add() from REASS_DUPLICATE on, and what made room for others. */
#define ROW(result) ((result) - REASS_DUPLICATE)
#define ROW_EVICTED ROW(REASS_RESULTS)

static const struct graph_error errors[] = {
	[ROW(REASS_DUPLICATE)] = {"duplicate", GRAPH_NORMAL, "fragment came twice"},
	[ROW(REASS_POISONED)] = {"poisoned", GRAPH_ODD, "fragment of a datagram given up before"},
	[ROW(REASS_OVERLAP)] = {"overlap", GRAPH_BROKEN, "fragments overlap: datagram given up"},
	[ROW(REASS_CONFLICT)] = {"conflict", GRAPH_BROKEN, "fragments disagree where the end is"},
	[ROW(REASS_TOO_LONG)] = {"too-long", GRAPH_BROKEN, "more than 65535 bytes in all"},
	[ROW(REASS_TOO_MANY)] = {"too-many", GRAPH_ODD, "datagram has too many fragments"},
	[ROW(REASS_BAD_LENGTH)] = {"bad-length", GRAPH_BROKEN, "empty, or no multiple of 8 bytes"},
	[ROW_EVICTED] = {"evicted", GRAPH_ODD, "held fragments, freed for newer datagrams"},
};

struct trace_record {
	uint16_t id, offset, result;
	uint32_t len; /* of the fragment, or of the whole */
};

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	uint64_t now = rte_get_tsc_cycles();
	uint16_t n_whole = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i], *whole;
		const struct rte_ipv4_hdr *ip =
			rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, m->l2_len);
		struct trace_record r = {.id = rte_be_to_cpu_16(ip->packet_id),
			.offset = rte_be_to_cpu_16(ip->fragment_offset),
			.len = m->pkt_len};

		if (graph_tracing(node))
			graph_trace_add(node, m, &r, sizeof(r));
		r.result = reass_add(w->reass, m, now, &whole);
		if (r.result == REASS_DONE) {
			r.len = whole->pkt_len;
			if (graph_tracing(node))
				graph_trace_add(node, whole, &r, sizeof(r));
			objs[n_whole++] = whole;
		} else if (r.result != REASS_HELD) {
			graph_count(node, ROW(r.result), 1);
		}
	}
	graph_count(node, ROW_EVICTED, reass_evicted(w->reass));
	graph_forward_all(rg, node, objs, EDGE_CLASSIFY, n_whole);
	return n;
}

static int
format(char *buf, size_t len, const void *record)
{
	const struct trace_record *r = record;

	if (r->result == REASS_DONE)
		return snprintf(buf, len, "id %u whole, %u bytes", r->id, r->len);
	return snprintf(buf, len, "id %u offset %u%s, %u bytes", r->id,
		(r->offset & RTE_IPV4_HDR_OFFSET_MASK) * RTE_IPV4_HDR_OFFSET_UNITS,
		r->offset & RTE_IPV4_HDR_MF_FLAG ? " and more" : "", r->len);
}

static int
init(struct graph *g, struct rte_node *node)
{
	struct worker *w = graph_user(g);

	w->reass = reass_create(rte_get_tsc_hz(), rte_rand());
	return w->reass != NULL ? 0 : -ENOMEM;
}

static void
fini(struct graph *g, struct rte_node *node)
{
	struct worker *w = graph_user(g);

	reass_free(w->reass);
	w->reass = NULL;
}

static struct graph_node ip4_reass = {
	.name = NODE_IP4_REASS,
	.process = process,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = RTE_DIM(errors),
	.format = format,
	.init = init,
	.fini = fini,
};
GRAPH_NODE(ip4_reass)
