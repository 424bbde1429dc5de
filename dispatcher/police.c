/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Node police: rate_limit of ltran.conf, bytes and packets per second of what the instances of one
 * address send.
 *
 * Expects  frames from guard, `port` naming their member; L4 lengths and tso_segsz where TX_TCP_SEG.
 * Next     dispatch-out; drop.
 * Drops    above the rate. Counted for the member as well (MEMBER_RATE).
 * Runs on  every core. In the graph only if ltran.conf limits somebody.
 *
 * Theory of operation. Each limited address has two token buckets (srTCM of RFC 2697 without an
 * excess burst): one of bytes of frames, one of packets as they will be on the wire, so that a large
 * one the port cuts counts as what it becomes. A packet passes when both have enough and takes from
 * both, or from none. A bucket holds BURST_MS of its rate, but at least one of the largest frames: a
 * slow instance may still send it.
 *
 * Instances of one address share its buckets and may be polled by different workers. A lock per
 * policer is taken once for a run of packets under it, mostly a whole vector; splitting the rate
 * over workers instead would give an address whose instances all sit on one worker only a part of
 * its rate. Who is not limited pays one load.
 */
#include "dispatcher/police.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_meter.h>

#include "dispatcher/dispatcher.h"
#include "nodes/nodes.h"

#define BURST_MS 20
#define BURST_BYTES_MIN 65550  /* the largest frame */
#define BURST_PACKETS_MIN 128  /* as many segments of 536 bytes as that may become */

enum edge { EDGE_DISPATCH_OUT, EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_DISPATCH_OUT] = NODE_DISPATCH_OUT,
	[EDGE_DROP] = NODE_DROP,
};

enum error { POLICE_RATE, POLICE_ERRORS };

static const struct graph_error errors[POLICE_ERRORS] = {
	[POLICE_RATE] = {"rate", GRAPH_ODD, "the instance sends more than rate_limit allows"},
};

struct bucket {
	struct rte_meter_srtcm meter;
	struct rte_meter_srtcm_profile profile;
	bool is_limited;
};

struct policer {
	rte_spinlock_t lock; /* of all below */
	struct bucket bytes, packets;
	uint64_t last_tsc;
	uint32_t addr;
	struct policer *next;
};

struct trace_record {
	uint32_t len, packets;
	bool is_allowed;
};

/* --- the verdict ------------------------------------------------------------------------------- */

static int
fill_bucket(struct bucket *b, uint64_t per_s, uint64_t burst_min, uint64_t now)
{
	struct rte_meter_srtcm_params p = {
		.cir = per_s,
		.cbs = RTE_MAX(per_s / (1000 / BURST_MS), burst_min),
	};
	int ret;

	if (per_s == 0)
		return 0;
	ret = rte_meter_srtcm_profile_config(&b->profile, &p);
	if (ret == 0)
		ret = rte_meter_srtcm_config(&b->meter, &b->profile);
	b->meter.time = now;
	b->is_limited = ret == 0;
	return ret;
}

static bool
take(struct bucket *b, uint32_t tokens, uint64_t now)
{
	return !b->is_limited || rte_meter_srtcm_color_blind_check(&b->meter, &b->profile, now,
					 tokens) == RTE_COLOR_GREEN;
}

bool
policer_allows(struct policer *p, uint32_t bytes, uint32_t packets, uint64_t now)
{
	if (now > p->last_tsc)
		p->last_tsc = now;
	if (!take(&p->packets, packets, p->last_tsc))
		return false;
	if (take(&p->bytes, bytes, p->last_tsc))
		return true;
	p->packets.meter.tc += packets;
	return false;
}

struct policer *
policer_create(const struct ltran_rate *rate, uint64_t now)
{
	struct policer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	rte_spinlock_init(&p->lock);
	p->addr = rate->addr;
	p->last_tsc = now;
	if (fill_bucket(&p->bytes, rate->bytes, BURST_BYTES_MIN, now) == 0 &&
		fill_bucket(&p->packets, rate->packets, BURST_PACKETS_MIN, now) == 0 &&
		(p->bytes.is_limited || p->packets.is_limited))
		return p;
	policer_free(p);
	return NULL;
}

void
policer_free(struct policer *p)
{
	free(p);
}

/* --- policers of ltran.conf -------------------------------------------------------------------- */

struct policer *
policer_get(struct ltran *lt, uint32_t addr)
{
	const struct ltran_rate *rate = NULL;
	struct policer *p;

	for (p = lt->policers; p != NULL; p = p->next) {
		if (p->addr == addr)
			return p;
	}
	for (unsigned int i = 0; i < lt->conf->n_rates && rate == NULL; i++) {
		if (lt->conf->rates[i].addr == addr)
			rate = &lt->conf->rates[i];
	}
	p = rate != NULL ? policer_create(rate, rte_get_tsc_cycles()) : NULL;
	if (p != NULL) {
		p->next = lt->policers;
		lt->policers = p;
	}
	return p;
}

bool
policer_pass(struct policer *p, uint32_t bytes)
{
	bool passes;

	if (p == NULL)
		return true;
	rte_spinlock_lock(&p->lock);
	passes = policer_allows(p, bytes, 1, rte_get_tsc_cycles());
	rte_spinlock_unlock(&p->lock);
	return passes;
}

void
policer_free_all(struct ltran *lt)
{
	struct policer *p;

	while ((p = lt->policers) != NULL) {
		lt->policers = p->next;
		policer_free(p);
	}
}

/* --- the node ---------------------------------------------------------------------------------- */

/* What the packet becomes on the wire. */
static uint32_t
wire_packets(const struct rte_mbuf *m)
{
	uint32_t headers = m->l2_len + m->l3_len + m->l4_len;

	if (likely((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0) || m->tso_segsz == 0 ||
		m->pkt_len <= headers)
		return 1;
	return (m->pkt_len - headers + m->tso_segsz - 1) / m->tso_segsz;
}

/* Verdicts of one vector; returns how many packets may not pass. */
static uint16_t
police_vector(struct dispatch_worker *dw, struct rte_mbuf **pkts, rte_edge_t *next, uint16_t n,
	uint64_t now)
{
	struct policer *held = NULL;
	uint16_t n_dropped = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct member *member = packet_member(dw, pkts[i]);
		struct policer *p = member->policer;

		next[i] = EDGE_DISPATCH_OUT;
		if (p != held) {
			if (held != NULL)
				rte_spinlock_unlock(&held->lock);
			if (p != NULL)
				rte_spinlock_lock(&p->lock);
			held = p;
		}
		if (p == NULL || policer_allows(p, pkts[i]->pkt_len, wire_packets(pkts[i]), now))
			continue;
		next[i] = EDGE_DROP;
		member->stats[dw->w.index].drops[MEMBER_RATE]++;
		n_dropped++;
	}
	if (held != NULL)
		rte_spinlock_unlock(&held->lock);
	return n_dropped;
}

static void
trace_vector(struct rte_node *node, struct rte_mbuf **pkts, const rte_edge_t *next, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct trace_record r = {pkts[i]->pkt_len, wire_packets(pkts[i]),
			next[i] == EDGE_DISPATCH_OUT};

		graph_trace_add(node, pkts[i], &r, sizeof(r));
	}
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct dispatch_worker *dw = node_dispatch_worker(node_worker(node));
	rte_edge_t next[GRAPH_VECTOR_MAX];
	uint64_t now = rte_get_tsc_cycles();

	graph_count(node, POLICE_RATE, police_vector(dw, (struct rte_mbuf **)objs, next, n, now));
	if (graph_tracing(node))
		trace_vector(node, (struct rte_mbuf **)objs, next, n);
	graph_forward(rg, node, objs, next, n);
	return n;
}

static int
format(char *buf, size_t len, const void *record)
{
	const struct trace_record *r = record;

	return snprintf(buf, len, "%" PRIu32 " bytes, %" PRIu32 " packets%s", r->len, r->packets,
		r->is_allowed ? "" : " -> rate");
}

static struct graph_node police = {
	.name = NODE_POLICE,
	.process = process,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = POLICE_ERRORS,
	.format = format,
};
GRAPH_NODE(police)
