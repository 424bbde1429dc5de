/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dispatch-in and dispatch-out: every packet of ltran passes one of them, and it decides where the
 * packet goes. What comes from the wire never goes back to it; what comes from this host (instances,
 * the kernel, ltran itself) goes to its neighbours on this host or to the wire.
 *
 * Expects: a frame from its Ethernet header on. From instances: TX_* flags as they asked for (the
 * same that another instance or the port will understand). Sets: hash.usr towards instance-tx;
 * l2_len, l3_len towards ip4-reass; TX_* flags for what a virtual wire left unfinished. Next: see
 * the edges. Drops: see the rows. Runs on: every core.
 */
#include "dispatcher/dispatch.h"

#include <netinet/in.h>

#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <rte_tcp.h>

#include "dispatcher/measure.h"
#include "nodes/nodes.h"
#include "nodes/packet_record.h"

#define PREFETCH_AHEAD 4
#define SPREAD_PER_S 10000 /* frames of an instance that others here get a copy of; more than that ... */
#define SPREAD_BURST 1000  /* ... would leave them time for nothing else */

static const char *const in_edges[DISPATCH_EDGES] = {
	[DISPATCH_DROP] = NODE_DROP,
	[DISPATCH_INSTANCE] = NODE_INSTANCE_TX,
	[DISPATCH_WIRE] = NODE_DROP, /* never taken */
	[DISPATCH_KERNEL] = NODE_KERNEL_TX,
	[DISPATCH_REASS] = NODE_IP4_REASS,
	[DISPATCH_RESET] = NODE_RESET,
	[DISPATCH_HOLD] = NODE_HOLD,
};

static const char *const out_edges[DISPATCH_EDGES] = {
	[DISPATCH_DROP] = NODE_DROP,
	[DISPATCH_INSTANCE] = NODE_INSTANCE_TX,
	[DISPATCH_WIRE] = NODE_GSO,
	[DISPATCH_KERNEL] = NODE_KERNEL_TX,
	[DISPATCH_REASS] = NODE_DROP, /* never taken */
	[DISPATCH_RESET] = NODE_RESET,
	[DISPATCH_HOLD] = NODE_HOLD,
};

static const struct graph_error rows[] = {
	[DISPATCH_SHORT_FRAME] = {"short-frame", GRAPH_BROKEN, "frame ends before its headers do"},
	[DISPATCH_NOT_OURS] = {"not-ours", GRAPH_NORMAL, "frame for another station"},
	[DISPATCH_NO_INSTANCE] = {"no-instance", GRAPH_NORMAL, "destination is no instance's address"},
	[DISPATCH_GONE] = {"gone", GRAPH_NORMAL, "for an instance that has ended"},
	[DISPATCH_ETHERTYPE] = {"ethertype", GRAPH_NORMAL, "neither IPv4 nor ARP"},
	[DISPATCH_BAD_ARP] = {"bad-arp", GRAPH_BROKEN, "not ARP for IPv4 over Ethernet"},
	[DISPATCH_BAD_IP] = {"bad-ip", GRAPH_BROKEN, "IPv4 header does not fit"},
	[DISPATCH_NO_MEMORY] = {"no-memory", GRAPH_BROKEN, "no buffer for a copy"},
};
_Static_assert(RTE_DIM(rows) == DISPATCH_ERRORS, "a row for every error");

static void
trace(struct rte_node *node, struct rte_mbuf *m, struct dispatch_result r)
{
	struct packet_record rec;

	packet_record_fill(&rec, m, RTE_ETHER_HDR_LEN);
	rec.edge = r.edge;
	rec.error = r.error == DISPATCH_NO_ERROR ? PACKET_RECORD_NO_ERROR : r.error;
	graph_trace_add(node, m, &rec, sizeof(rec));
}

static void
send_copy(struct rte_graph *rg, struct rte_node *node, struct rte_mbuf *m, rte_edge_t edge,
	uint32_t dest)
{
	struct worker *w = node_worker(node);
	struct rte_mbuf *c = rte_pktmbuf_copy(m, w->pool, 0, UINT32_MAX);

	if (c == NULL) {
		graph_count(node, DISPATCH_NO_MEMORY, 1);
		return;
	}
	c->hash.usr = dest;
	graph_trace_end(c);
	graph_send_one(rg, node, edge, c);
}

/* A frame of an instance for several: it pays for as many copies as there may be. False: there were too many
 * such frames, the others here do not get this one. */
static bool
may_spread(struct dispatch_worker *dw, struct rte_mbuf *m)
{
	struct member *mb = packet_member(dw, m);

	member_charge(mb, (uint32_t)m->nb_segs * dw->map->n_members);
	if (token_bucket_take(&mb->spread, SPREAD_PER_S, SPREAD_BURST, rte_rdtsc(), rte_get_tsc_hz()))
		return true;
	mb->stats[dw->w.index].drops[MEMBER_RATE]++;
	return false;
}

/* Frames for several: deep copies, because each goes another way and is finished there. */
static void
send_copies(struct rte_graph *rg, struct rte_node *node, struct rte_mbuf *m,
	struct dispatch_result r)
{
	struct dispatch_worker *dw = node_dispatch_worker(node_worker(node));
	const struct map *map = dw->map;
	const struct map_addr *a = &map->addrs[r.group];
	uint16_t skip = packet_is_from_member(m) ? m->port & ~MEMBER_PORT : MEMBER_NONE, i;

	if (skip != MEMBER_NONE && !may_spread(dw, m))
		return;
	if (r.copy & COPY_ALL)
		for (i = 0; i < map->n_members; i++)
			if (map->members[i] != NULL && i != skip)
				send_copy(rg, node, m, DISPATCH_INSTANCE, (uint32_t)i << 16);
	if (r.copy & COPY_GROUP)
		for (i = 0; i < a->n; i++)
			if (map->order[a->first + i]->index != r.dest >> 16)
				send_copy(rg, node, m, DISPATCH_INSTANCE,
					(uint32_t)map->order[a->first + i]->index << 16);
	if ((r.copy & COPY_KERNEL) && dw->w.kernel_fd >= 0 && m->port != dw->w.port)
		send_copy(rg, node, m, DISPATCH_KERNEL, 0);
}

/* A neighbour answers the control thread, which resets the peers of an instance that has gone. */
static void
let_hear(struct rte_node *node, struct rte_mbuf *m)
{
	struct dispatch_worker *dw = node_dispatch_worker(node_worker(node));
	struct rte_mbuf *c = rte_pktmbuf_copy(m, dw->w.pool, 0, UINT32_MAX);

	if (c != NULL && rte_ring_enqueue(dw->lt->heard, c) < 0)
		rte_pktmbuf_free(c);
}

/* Needs more than its edge: rare. */
static void
extras(struct rte_graph *rg, struct rte_node *node, struct rte_mbuf *m, struct dispatch_result r)
{
	if (r.error != DISPATCH_NO_ERROR)
		graph_count(node, r.error, 1);
	if (r.hear)
		let_hear(node, m);
	if (r.copy != 0)
		send_copies(rg, node, m, r);
}

/*
 * A virtual wire may leave checksums and cutting to the receiver (RX_L4_CKSUM_NONE, LRO). An
 * instance's ring can do the same: say it in the flags of a packet to be sent. vhost has no flag for
 * a checksum that the NIC found good; one that is left to be done spares the instance looking, too.
 */
static void
pass_offloads(struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);
	uint16_t ihl = (ip->version_ihl & 0xf) * 4;
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)((const char *)ip + ihl);

	if (rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type !=
		RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
		(ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)))
		return;
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = ihl;
	m->ol_flags |= RTE_MBUF_F_TX_IPV4;
	if (ip->next_proto_id == IPPROTO_UDP)
		m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
	if (ip->next_proto_id != IPPROTO_TCP ||
		m->data_len < RTE_ETHER_HDR_LEN + ihl + sizeof(*tcp))
		return;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	if (m->ol_flags & RTE_MBUF_F_RX_LRO) {
		m->l4_len = (tcp->data_off >> 4) * 4;
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	}
}

/* RX_L4_CKSUM_NONE has the bit of GOOD. */
static inline bool
spares_checksum(const struct rte_mbuf *m)
{
	return (m->ol_flags & (RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_GOOD)) != 0;
}

static uint16_t
process_in(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct dispatch_worker *dw = node_dispatch_worker(node_worker(node));
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	rte_edge_t next[GRAPH_VECTOR_MAX];
	uint64_t seen[SEEN_KINDS] = {0};
	bool tracing = graph_tracing(node);
	uint16_t i;

	if (measure_is_on(dw))
		measure_in(dw, pkts, n);
	for (i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		struct dispatch_result r;

		if (likely(i + PREFETCH_AHEAD < n))
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + PREFETCH_AHEAD], void *));
		r = dispatch_in(dw, m);
		seen[r.seen]++;
		next[i] = r.edge;
		m->hash.usr = r.dest;
		if (unlikely(r.error != DISPATCH_NO_ERROR || r.copy != 0 || r.hear))
			extras(rg, node, m, r);
		else if (unlikely(spares_checksum(m)) && r.edge == DISPATCH_INSTANCE)
			pass_offloads(m);
		if (unlikely(tracing))
			trace(node, m, r);
	}
	for (i = 0; i < SEEN_KINDS; i++)
		dw->seen[i] += seen[i];
	dw->moved += n;
	graph_forward(rg, node, objs, next, n);
	return n;
}

static uint16_t
process_out(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct dispatch_worker *dw = node_dispatch_worker(node_worker(node));
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	rte_edge_t next[GRAPH_VECTOR_MAX];
	bool tracing = graph_tracing(node);

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		struct dispatch_result r = dispatch_out(dw, m);

		next[i] = r.edge;
		m->hash.usr = r.dest;
		if (unlikely(r.error != DISPATCH_NO_ERROR || r.copy != 0 || r.hear))
			extras(rg, node, m, r);
		if (unlikely(tracing))
			trace(node, m, r);
	}
	dw->moved += n;
	graph_forward(rg, node, objs, next, n);
	return n;
}

static int
format(char *buf, size_t len, const void *record)
{
	const struct packet_record *r = record;
	int n = packet_record_format(buf, len, r);

	if (r->error != PACKET_RECORD_NO_ERROR && n >= 0 && (size_t)n < len)
		n += snprintf(buf + n, len - n, " %s", rows[r->error].symbol);
	return n;
}

static struct graph_node dispatch_in_node = {
	.name = NODE_DISPATCH_IN,
	.process = process_in,
	.edges = in_edges,
	.n_edges = RTE_DIM(in_edges),
	.errors = rows,
	.n_errors = RTE_DIM(rows),
	.format = format,
};
GRAPH_NODE(dispatch_in_node)

static struct graph_node dispatch_out_node = {
	.name = NODE_DISPATCH_OUT,
	.process = process_out,
	.edges = out_edges,
	.n_edges = RTE_DIM(out_edges),
	.errors = rows,
	.n_errors = RTE_DIM(rows),
	.format = format,
};
GRAPH_NODE(dispatch_out_node)
