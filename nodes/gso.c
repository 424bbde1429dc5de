/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Node gso: cuts large TCP packets for a port that cannot.
 *
 * Expects  frames (nodes.h). Those with TX_TCP_SEG have l2_len to l4_len and tso_segsz set, but may
 *          come from another process: nothing in them is believed.
 * Sets     frames of at most the MTU, one buffer each where that holds one, TX_* flags and lengths.
 * Next     tx; drop.
 * Drops    cannot be cut, too long for the wire, no memory.
 * Runs on  every core of ltran, in front of ports without TSO.
 *
 * The payload is copied. rte_gso would attach buffers to pieces of the large packet instead: two
 * buffers per segment, and ports that take only one (af_packet, and most that lack TSO) would have
 * them joined, which is a copy again.
 *
 * Header rules: identification and sequence number count on; FIN and PSH belong to the last
 * segment, CWR to the first (RFC 3168 6.1.2); URG is refused, since its pointer has one meaning only.
 */
#include "nodes/gso.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "nodes/nodes.h"

enum edge { EDGE_TX, EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_TX] = NODE_TX,
	[EDGE_DROP] = NODE_DROP,
};

enum error { GSO_NO_MEMORY, GSO_NOT_CUTTABLE, GSO_TOO_LONG, GSO_ERRORS };

static const struct graph_error errors[GSO_ERRORS] = {
	[GSO_NO_MEMORY] = {"gso-no-memory", GRAPH_BROKEN, "no packets for the segments"},
	[GSO_NOT_CUTTABLE] = {"not-cuttable", GRAPH_BROKEN, "headers or segment size make no sense"},
	[GSO_TOO_LONG] = {"too-long", GRAPH_BROKEN, "longer than the MTU, and not to be cut"},
};

struct trace_record {
	uint32_t len;
	uint16_t segsz;
	int16_t n; /* segments, or -errno */
};

/* --- cutting ----------------------------------------------------------------------------------- */

/* What all segments of a packet have in common. */
struct plan {
	const struct rte_mbuf *m;
	uint16_t l3_off, l4_off, header_len;
	uint32_t seq;      /* host order, of the first byte */
	uint16_t ip_id;
	uint8_t flags;
	uint32_t payload, segsz, n;
};

static int
make_plan(struct plan *p, const struct rte_mbuf *m, uint16_t mtu)
{
	uint32_t l3 = m->l3_len, l4 = m->l4_len;
	const struct rte_ipv4_hdr *ip;
	const struct rte_tcp_hdr *tcp;

	p->m = m;
	p->l3_off = m->l2_len;
	p->l4_off = m->l2_len + l3;
	p->header_len = p->l4_off + l4;
	p->segsz = m->tso_segsz;
	if (m->l2_len < RTE_ETHER_HDR_LEN || l3 < sizeof(*ip) || l4 < sizeof(*tcp) || l4 > 60 ||
		l3 > 60 || p->header_len > m->data_len || p->header_len >= m->pkt_len ||
		p->segsz < GSO_SEGSZ_MIN || l3 + l4 + p->segsz > mtu)
		return -EINVAL;
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, p->l3_off);
	tcp = rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, p->l4_off);
	if (ip->version_ihl != (RTE_IPV4_VHL_DEF & 0xf0) + l3 / 4 || l3 % 4 != 0 ||
		ip->next_proto_id != IPPROTO_TCP || tcp->data_off >> 4 != l4 / 4 || l4 % 4 != 0 ||
		(ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) ||
		(tcp->tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG | RTE_TCP_URG_FLAG)))
		return -EINVAL;
	p->seq = rte_be_to_cpu_32(tcp->sent_seq);
	p->ip_id = rte_be_to_cpu_16(ip->packet_id);
	p->flags = tcp->tcp_flags;
	p->payload = m->pkt_len - p->header_len;
	p->n = (p->payload + p->segsz - 1) / p->segsz;
	return p->n <= GSO_SEGMENTS_MAX ? 0 : -EINVAL;
}

/* Where the next byte of payload comes from. */
struct cursor {
	const struct rte_mbuf *seg;
	uint32_t off;
};

/* Append `len` bytes from `from` to `m`, in further buffers where one is full. */
static int
append(struct rte_mbuf *m, struct cursor *from, uint32_t len, struct rte_mempool *pool)
{
	struct rte_mbuf *last = m;

	while (len > 0) {
		uint32_t here = from->seg->data_len - from->off, room = rte_pktmbuf_tailroom(last);

		if (here == 0) {
			from->seg = from->seg->next;
			from->off = 0;
			continue;
		}
		if (room == 0) {
			last->next = rte_pktmbuf_alloc(pool);
			if (last->next == NULL)
				return -ENOMEM;
			last = last->next;
			m->nb_segs++;
			continue;
		}
		here = RTE_MIN(here, room);
		here = RTE_MIN(here, len);
		memcpy(rte_pktmbuf_mtod_offset(last, char *, last->data_len),
			rte_pktmbuf_mtod_offset(from->seg, const char *, from->off), here);
		last->data_len += here;
		m->pkt_len += here;
		from->off += here;
		len -= here;
	}
	return 0;
}

static void
set_header(struct rte_mbuf *out, const struct plan *p, uint32_t i)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(out, struct rte_ipv4_hdr *, p->l3_off);
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(out, struct rte_tcp_hdr *, p->l4_off);
	uint8_t flags = p->flags;

	if (i > 0)
		flags &= ~RTE_TCP_CWR_FLAG;
	if (i < p->n - 1)
		flags &= ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
	ip->total_length = rte_cpu_to_be_16(out->pkt_len - p->l3_off);
	ip->packet_id = rte_cpu_to_be_16(p->ip_id + i);
	tcp->sent_seq = rte_cpu_to_be_32(p->seq + i * p->segsz);
	tcp->tcp_flags = flags;
	out->port = p->m->port;
	out->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
	out->l2_len = p->l3_off;
	out->l3_len = p->l4_off - p->l3_off;
	out->l4_len = p->header_len - p->l4_off;
}

int
gso_cut(const struct rte_mbuf *m, uint16_t mtu, struct rte_mempool *pool, struct rte_mbuf **out)
{
	struct cursor at;
	struct plan p;
	uint32_t i;

	if (make_plan(&p, m, mtu) < 0)
		return -EINVAL;
	if (rte_pktmbuf_alloc_bulk(pool, out, p.n) != 0)
		return -ENOMEM;
	at = (struct cursor){.seg = m, .off = p.header_len};
	for (i = 0; i < p.n; i++) {
		struct cursor head = {.seg = m};
		uint32_t len = RTE_MIN(p.segsz, p.payload - i * p.segsz);

		if (append(out[i], &head, p.header_len, pool) < 0 ||
			append(out[i], &at, len, pool) < 0 ||
			out[i]->data_len < p.header_len) {
			rte_pktmbuf_free_bulk(out, p.n);
			return -ENOMEM;
		}
		set_header(out[i], &p, i);
	}
	return p.n;
}

/* --- the node ---------------------------------------------------------------------------------- */

static void
cut_packet(struct rte_graph *rg, struct rte_node *node, struct worker *w, struct rte_mbuf *m)
{
	struct rte_mbuf *out[GSO_SEGMENTS_MAX];
	uint32_t handle = *graph_trace_handle(m);
	int n = -EMSGSIZE;

	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
		n = gso_cut(m, w->mtu, w->pool, out);
	if (graph_tracing(node)) {
		struct trace_record r = {m->pkt_len, m->tso_segsz, n};

		graph_trace_add(node, m, &r, sizeof(r));
	}
	if (n < 0) {
		graph_count(node, n == -ENOMEM ? GSO_NO_MEMORY :
			n == -EINVAL ? GSO_NOT_CUTTABLE : GSO_TOO_LONG, 1);
		graph_send_one(rg, node, EDGE_DROP, m);
		return;
	}
	/* The first segment goes on with the trace of the whole. */
	for (int i = 0; i < n; i++)
		*graph_trace_handle(out[i]) = i == 0 ? handle : 0;
	rte_pktmbuf_free(m);
	graph_send(rg, node, EDGE_TX, (void **)out, n);
}

/* Large, or too large: everything else passes without a look at its bytes. */
static inline bool
is_special(const struct rte_mbuf *m, uint32_t frame_max)
{
	return (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0 || m->pkt_len > frame_max;
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	uint32_t frame_max = w->mtu + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN;
	uint16_t start = 0, i;

	for (i = 0; i < n; i++) {
		if (likely(!is_special(objs[i], frame_max)))
			continue;
		if (i > start)
			graph_send(rg, node, EDGE_TX, objs + start, i - start);
		start = i + 1;
		cut_packet(rg, node, w, objs[i]);
	}
	graph_forward_all(rg, node, objs + start, EDGE_TX, n - start);
	return n;
}

static int
format(char *buf, size_t len, const void *record)
{
	const struct trace_record *r = record;

	if (r->n >= 0)
		return snprintf(buf, len, "%u bytes, %d segments of %u", r->len, r->n, r->segsz);
	return snprintf(buf, len, "%u bytes, segments of %u -> %s", r->len, r->segsz,
		errors[r->n == -ENOMEM ? GSO_NO_MEMORY :
			r->n == -EINVAL ? GSO_NOT_CUTTABLE : GSO_TOO_LONG].symbol);
}

static struct graph_node gso = {
	.name = NODE_GSO,
	.process = process,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = GSO_ERRORS,
	.format = format,
};
GRAPH_NODE(gso)
