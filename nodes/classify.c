/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * classify: whose packet is it? Everything later nodes and lwIP rely on is verified here, in the
 * order of RFC 894 (frame), RFC 791 and RFC 1122 3.2.1 (IPv4), RFC 9293 3.1 (TCP), RFC 768 (UDP)
 * and RFC 792 (ICMP).
 *
 * Expects: a frame from its Ethernet header on, in any number of segments (nodes.h).
 * Sets: l2_len, l3_len, l4_len, packet_type; cuts padding; headers in the first segment; hash.usr
 * towards handoff-tx. Next: see classify_edges. Drops: see classify_rows. Runs on: every core.
 *
 * With an exception path (kernel_fd) what is not for the stack goes to the kernel: IPv6,
 * multicast, other protocols and ethertypes, ICMP other than echo requests and errors. A malformed
 * packet never does.
 */
#include "nodes/cksum.h"
#include "nodes/classify.h"

#include <netinet/in.h>
#include <stdio.h>

#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "nodes/nodes.h"
#include "nodes/packet_record.h"
#include "stack/edge.h"

#define ICMP_DEST_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define PREFETCH_AHEAD 4

static const char *const classify_edges[] = {
	[CLASSIFY_DROP] = NODE_DROP,
	[CLASSIFY_ARP] = NODE_ARP_INPUT,
	[CLASSIFY_REASS] = NODE_IP4_REASS,
	[CLASSIFY_TCP] = NODE_TCP_TO_LWIP,
	[CLASSIFY_UDP] = NODE_UDP_TO_LWIP,
	[CLASSIFY_ICMP] = NODE_ICMP_TO_LWIP,
	[CLASSIFY_HANDOFF] = NODE_HANDOFF_TX,
	[CLASSIFY_KERNEL] = NODE_KERNEL_TX,
};
_Static_assert(RTE_DIM(classify_edges) == CLASSIFY_EDGES, "a name for every edge");

static const struct graph_error classify_rows[] = {
	[CLASSIFY_SHORT_FRAME] = { "short-frame", GRAPH_BROKEN, "frame ends before its headers do" },
	[CLASSIFY_VLAN] = { "vlan", GRAPH_ODD, "VLAN tagged frame" },
	[CLASSIFY_NOT_OURS] = { "not-ours", GRAPH_NORMAL, "frame for another station" },
	[CLASSIFY_IPV6] = { "ipv6", GRAPH_NORMAL, "IPv6 packet" },
	[CLASSIFY_ETHERTYPE] = { "ethertype", GRAPH_NORMAL, "neither IPv4 nor ARP" },
	[CLASSIFY_IP_VERSION] = { "ip-version", GRAPH_BROKEN, "version field is not 4" },
	[CLASSIFY_IP_HEADER] = { "ip-header", GRAPH_BROKEN, "header length below 20 bytes" },
	[CLASSIFY_IP_LENGTH] = { "ip-length", GRAPH_BROKEN, "total length and frame disagree" },
	[CLASSIFY_IP_CHECKSUM] = { "ip-checksum", GRAPH_BROKEN, "wrong header checksum" },
	[CLASSIFY_BAD_SOURCE] = { "bad-source", GRAPH_ODD, "source is no host, or ourselves" },
	[CLASSIFY_MULTICAST] = { "multicast", GRAPH_NORMAL, "multicast group nobody joined" },
	[CLASSIFY_BROADCAST] = { "broadcast", GRAPH_NORMAL, "broadcast of other than UDP" },
	[CLASSIFY_NOT_LOCAL] = { "not-local", GRAPH_NORMAL, "destination is another address" },
	[CLASSIFY_TCP_HEADER] = { "tcp-header", GRAPH_BROKEN, "TCP header does not fit" },
	[CLASSIFY_TCP_OPTIONS] = { "tcp-options", GRAPH_BROKEN, "malformed TCP option list" },
	[CLASSIFY_TCP_CHECKSUM] = { "tcp-checksum", GRAPH_BROKEN, "wrong TCP checksum" },
	[CLASSIFY_UDP_LENGTH] = { "udp-length", GRAPH_BROKEN, "UDP and IP length disagree" },
	[CLASSIFY_UDP_CHECKSUM] = { "udp-checksum", GRAPH_BROKEN, "wrong UDP checksum" },
	[CLASSIFY_ICMP_LENGTH] = { "icmp-length", GRAPH_BROKEN, "ICMP header does not fit" },
	[CLASSIFY_ICMP_CHECKSUM] = { "icmp-checksum", GRAPH_BROKEN, "wrong ICMP checksum" },
	[CLASSIFY_PROTOCOL] = { "protocol", GRAPH_ODD, "neither TCP, UDP nor ICMP" },
	[CLASSIFY_NO_MEMORY] = { "no-memory", GRAPH_BROKEN, "no room to join headers" },
};
_Static_assert(RTE_DIM(classify_rows) == CLASSIFY_ERRORS, "a row for every error");
_Static_assert(CLASSIFY_ERRORS <= GRAPH_ERRORS_MAX, "rows fit the statistics");

static inline struct classify_result
take(enum classify_edge edge)
{
	return (struct classify_result){ edge, CLASSIFY_NO_ERROR };
}

static inline struct classify_result
reject(enum classify_error error)
{
	return (struct classify_result){ CLASSIFY_DROP, error };
}

/* Not for the stack: the kernel's if there is an exception path. */
static inline struct classify_result
except(const struct worker *w, enum classify_error error)
{
	return w->kernel_fd >= 0 ? take(CLASSIFY_KERNEL) : reject(error);
}

static inline bool
is_loop(const struct rte_mbuf *m)
{
	return m->port == RTE_MBUF_PORT_INVALID;
}

/* Bring the first `len` bytes into the first segment; the packet has that many. */
static bool
pull_up(struct rte_mbuf *m, uint16_t len)
{
	while (m->data_len < len) {
		struct rte_mbuf *next = m->next;
		uint16_t part = RTE_MIN((uint16_t)(len - m->data_len), next->data_len);

		if (rte_pktmbuf_tailroom(m) < part)
			return false;
		memcpy(rte_pktmbuf_mtod_offset(m, char *, m->data_len),
			rte_pktmbuf_mtod(next, char *), part);
		m->data_len += part;
		next->data_off += part;
		next->data_len -= part;
		if (next->data_len == 0) {
			m->next = next->next;
			m->nb_segs--;
			rte_pktmbuf_free_seg(next);
		}
	}
	return true;
}

static inline bool
have(struct rte_mbuf *m, uint16_t len)
{
	return likely(m->data_len >= len) || pull_up(m, len);
}

/* Cut the packet to `len` bytes: what follows is Ethernet padding. */
static void
cut(struct rte_mbuf *m, uint32_t len)
{
	struct rte_mbuf *seg = m;
	uint32_t left = len;

	m->pkt_len = len;
	if (likely(m->nb_segs == 1)) {
		m->data_len = len;
		return;
	}
	m->nb_segs = 1;
	while (left > seg->data_len) {
		left -= seg->data_len;
		seg = seg->next;
		m->nb_segs++;
	}
	seg->data_len = left;
	rte_pktmbuf_free(seg->next);
	seg->next = NULL;
}

static inline bool
ip_checksum_ok(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip, uint8_t ihl)
{
	uint64_t flag = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;

	if (flag == RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN)
		return cksum_add(ip, ihl, 0) == 0xffff;
	return flag != RTE_MBUF_F_RX_IP_CKSUM_BAD;
}

/* `len` bytes of TCP or UDP. NONE: verified, without a complete checksum in the packet (virtio, our
 * own loop). */
static inline bool
l4_checksum_ok(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip, uint16_t l4_off, uint16_t len)
{
	uint64_t flag = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	if (flag != RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN)
		return flag != RTE_MBUF_F_RX_L4_CKSUM_BAD;
	return cksum_l4(m, ip, l4_off, len) == 0;
}

/* RFC 9293 3.1: kinds 0 and 1 have no length byte; every other length counts itself. */
static bool
tcp_options_ok(const uint8_t *opt, uint16_t len)
{
	uint16_t i = 0;

	while (i < len && opt[i] != 0) {
		if (opt[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= len || opt[i + 1] < 2 || i + opt[i + 1] > len)
			return false;
		i += opt[i + 1];
	}
	return true;
}

static inline struct classify_result
to_owner(const struct worker *w, struct rte_mbuf *m, unsigned int owner, enum classify_edge local)
{
	if (owner == w->index)
		return take(local);
	m->hash.usr = owner;
	return take(CLASSIFY_HANDOFF);
}

static inline struct classify_result
classify_tcp(const struct worker *w, struct rte_mbuf *m, uint16_t l4_off)
{
	const struct rte_ipv4_hdr *ip;
	const struct rte_tcp_hdr *tcp;
	uint16_t hdr_len;

	if (m->pkt_len < l4_off + sizeof(*tcp))
		return reject(CLASSIFY_TCP_HEADER);
	if (!have(m, l4_off + sizeof(*tcp)))
		return reject(CLASSIFY_NO_MEMORY);
	tcp = rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, l4_off);
	hdr_len = (tcp->data_off >> 4) * 4;
	if (hdr_len < sizeof(*tcp) || m->pkt_len < (uint32_t)l4_off + hdr_len)
		return reject(CLASSIFY_TCP_HEADER);
	if (!have(m, l4_off + hdr_len))
		return reject(CLASSIFY_NO_MEMORY);
	if (hdr_len > sizeof(*tcp) &&
		!tcp_options_ok((const uint8_t *)(tcp + 1), hdr_len - sizeof(*tcp)))
		return reject(CLASSIFY_TCP_OPTIONS);
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);
	if (!l4_checksum_ok(m, ip, l4_off, m->pkt_len - l4_off))
		return reject(CLASSIFY_TCP_CHECKSUM);
	m->l4_len = hdr_len;
	if (w->n_workers == 1)
		return take(CLASSIFY_TCP);
	return to_owner(w, m,
		stack_owner_tcp(ip->src_addr, tcp->src_port, ip->dst_addr, tcp->dst_port,
			w->n_workers),
		CLASSIFY_TCP);
}

static inline struct classify_result
classify_udp(const struct worker *w, struct rte_mbuf *m, uint16_t l4_off)
{
	const struct rte_ipv4_hdr *ip;
	const struct rte_udp_hdr *udp;
	uint16_t len;

	if (m->pkt_len < l4_off + sizeof(*udp))
		return reject(CLASSIFY_UDP_LENGTH);
	if (!have(m, l4_off + sizeof(*udp)))
		return reject(CLASSIFY_NO_MEMORY);
	udp = rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, l4_off);
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);
	len = ntohs(udp->dgram_len);
	if (len < sizeof(*udp) || len > m->pkt_len - l4_off)
		return reject(CLASSIFY_UDP_LENGTH);
	/* RFC 768: zero means that the sender made no checksum. */
	if (udp->dgram_cksum != 0 && !l4_checksum_ok(m, ip, l4_off, len))
		return reject(CLASSIFY_UDP_CHECKSUM);
	if (m->pkt_len > (uint32_t)l4_off + len)
		cut(m, l4_off + len); /* surplus of RFC 9868: not part of the datagram */
	m->l4_len = sizeof(*udp);
	if (w->n_workers == 1)
		return take(CLASSIFY_UDP);
	return to_owner(w, m, stack_owner_udp(udp->dst_port, w->n_workers), CLASSIFY_UDP);
}

static inline struct classify_result
classify_icmp(const struct worker *w, struct rte_mbuf *m, uint16_t l4_off)
{
	const struct rte_icmp_hdr *icmp;

	if (m->pkt_len < l4_off + sizeof(*icmp))
		return reject(CLASSIFY_ICMP_LENGTH);
	if (!have(m, l4_off + sizeof(*icmp)))
		return reject(CLASSIFY_NO_MEMORY);
	if (!is_loop(m) && cksum_packet(m, l4_off, m->pkt_len - l4_off, 0) != 0xffff)
		return reject(CLASSIFY_ICMP_CHECKSUM);
	icmp = rte_pktmbuf_mtod_offset(m, const struct rte_icmp_hdr *, l4_off);
	m->l4_len = sizeof(*icmp);
	switch (icmp->icmp_type) {
	case RTE_IP_ICMP_ECHO_REQUEST:
	case ICMP_DEST_UNREACHABLE:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER_PROBLEM:
		return take(CLASSIFY_ICMP);
	default: /* replies to somebody's ping: not ours unless there is no one else */
		return take(w->kernel_fd >= 0 ? CLASSIFY_KERNEL : CLASSIFY_ICMP);
	}
}

/* RFC 1122 3.2.1.3: addresses that no host may use as its own. */
static inline bool
source_ok(const struct worker *w, const struct rte_mbuf *m, uint32_t src)
{
	uint32_t host = ntohl(src);

	if (is_loop(m))
		return src == w->addr;
	return host >> 24 != 0 && host >> 24 != 127 && host < 0xe0000000 &&
		src != w->addr;
}

static inline bool
is_broadcast(const struct worker *w, uint32_t dst)
{
	if (dst == INADDR_BROADCAST)
		return true;
	/* RFC 3021: a /31 and a /32 have no broadcast address. */
	return ntohl(w->mask) < 0xfffffffe && ((dst ^ w->addr) & w->mask) == 0 &&
		(dst | w->mask) == 0xffffffff;
}

static inline struct classify_result
classify_ip4(const struct worker *w, struct rte_mbuf *m, bool group_frame)
{
	const struct rte_ipv4_hdr *ip;
	uint16_t total, l4_off;
	bool broadcast = false;
	uint8_t ihl;

	if (m->pkt_len < RTE_ETHER_HDR_LEN + sizeof(*ip))
		return reject(CLASSIFY_SHORT_FRAME);
	if (!have(m, RTE_ETHER_HDR_LEN + sizeof(*ip)))
		return reject(CLASSIFY_NO_MEMORY);
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);
	if (ip->version_ihl >> 4 != 4)
		return reject(CLASSIFY_IP_VERSION);
	ihl = (ip->version_ihl & 0xf) * 4;
	if (ihl < sizeof(*ip))
		return reject(CLASSIFY_IP_HEADER);
	total = ntohs(ip->total_length);
	l4_off = RTE_ETHER_HDR_LEN + ihl;
	if (total < ihl || (uint32_t)RTE_ETHER_HDR_LEN + total > m->pkt_len)
		return reject(CLASSIFY_IP_LENGTH);
	if (!have(m, l4_off))
		return reject(CLASSIFY_NO_MEMORY);
	if (!ip_checksum_ok(m, ip, ihl))
		return reject(CLASSIFY_IP_CHECKSUM);
	if (m->pkt_len > (uint32_t)RTE_ETHER_HDR_LEN + total)
		cut(m, RTE_ETHER_HDR_LEN + total);
	if (!source_ok(w, m, ip->src_addr))
		return reject(CLASSIFY_BAD_SOURCE);
	if (unlikely(ip->dst_addr != w->addr)) {
		if (IN_MULTICAST(ntohl(ip->dst_addr)))
			return except(w, CLASSIFY_MULTICAST);
		broadcast = is_broadcast(w, ip->dst_addr);
		if (!broadcast)
			return reject(CLASSIFY_NOT_LOCAL);
		if (ip->next_proto_id != IPPROTO_UDP)
			return reject(CLASSIFY_BROADCAST);
	} else if (unlikely(group_frame)) {
		return reject(CLASSIFY_BROADCAST); /* RFC 1122 3.3.6 */
	}
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = ihl;
	if (ip->fragment_offset & htons(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK))
		return take(CLASSIFY_REASS);
	switch (ip->next_proto_id) {
	case IPPROTO_TCP:
		return classify_tcp(w, m, l4_off);
	case IPPROTO_UDP:
		return classify_udp(w, m, l4_off);
	case IPPROTO_ICMP:
		return classify_icmp(w, m, l4_off);
	default:
		return except(w, CLASSIFY_PROTOCOL);
	}
}

struct classify_result
classify_packet(const struct worker *w, struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth;
	bool group;

	if (m->pkt_len < sizeof(*eth))
		return reject(CLASSIFY_SHORT_FRAME);
	if (!have(m, sizeof(*eth)))
		return reject(CLASSIFY_NO_MEMORY);
	eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	group = rte_is_multicast_ether_addr(&eth->dst_addr) != 0;
	if (!group && !is_loop(m) && !rte_is_same_ether_addr(&eth->dst_addr, &w->mac))
		return reject(CLASSIFY_NOT_OURS);
	/* A driver may have taken the tag out; priority tags (id 0) do not make a VLAN. */
	if ((m->ol_flags & RTE_MBUF_F_RX_VLAN) && (m->vlan_tci & RTE_VLAN_ID_MASK) != 0 && !is_loop(m))
		return reject(CLASSIFY_VLAN);
	switch (eth->ether_type) {
	case RTE_BE16(RTE_ETHER_TYPE_IPV4):
		return classify_ip4(w, m, group);
	case RTE_BE16(RTE_ETHER_TYPE_ARP):
		return take(CLASSIFY_ARP);
	case RTE_BE16(RTE_ETHER_TYPE_VLAN):
	case RTE_BE16(RTE_ETHER_TYPE_QINQ):
		return reject(CLASSIFY_VLAN);
	case RTE_BE16(RTE_ETHER_TYPE_IPV6):
		return except(w, CLASSIFY_IPV6);
	default:
		return except(w, CLASSIFY_ETHERTYPE);
	}
}

const char *
classify_symbol(unsigned int error)
{
	return error < CLASSIFY_ERRORS ? classify_rows[error].symbol : "";
}

static void
trace_vector(struct rte_node *node, void **objs, const rte_edge_t *next, const uint8_t *errors,
	uint16_t n)
{
	struct packet_record r;

	for (uint16_t i = 0; i < n; i++) {
		packet_record_fill(&r, objs[i], RTE_ETHER_HDR_LEN);
		r.edge = next[i];
		r.error = errors[i];
		graph_trace_add(node, objs[i], &r, sizeof(r));
	}
}

static uint16_t
classify_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	const struct worker *w = node_worker(node);
	rte_edge_t next[GRAPH_VECTOR_MAX];
	uint8_t errors[GRAPH_VECTOR_MAX];
	struct classify_result result;
	uint16_t i;

	for (i = 0; i < RTE_MIN(n, PREFETCH_AHEAD); i++)
		rte_prefetch0(rte_pktmbuf_mtod((struct rte_mbuf *)objs[i], void *));
	for (i = 0; i < n; i++) {
		if (i + PREFETCH_AHEAD < n) {
			struct rte_mbuf *ahead = objs[i + PREFETCH_AHEAD];

			rte_prefetch0(rte_pktmbuf_mtod(ahead, void *));
			rte_mbuf_prefetch_part2(ahead);
		}
		result = classify_packet(w, objs[i]);
		next[i] = result.edge;
		errors[i] = result.error;
		if (unlikely(result.error != CLASSIFY_NO_ERROR))
			graph_count(node, result.error, 1);
	}
	if (graph_tracing(node))
		trace_vector(node, objs, next, errors, n);
	graph_forward(rg, node, objs, next, n);
	return n;
}

static int
classify_format(char *buf, size_t len, const void *record)
{
	const struct packet_record *r = record;
	int n = packet_record_format(buf, len, r);

	if (n < 0 || (size_t)n >= len)
		return n;
	return n + snprintf(buf + n, len - n, " -> %s %s", classify_edges[r->edge],
		classify_symbol(r->error));
}

static struct graph_node classify_node = {
	.name = NODE_CLASSIFY,
	.process = classify_process,
	.edges = classify_edges,
	.n_edges = RTE_DIM(classify_edges),
	.errors = classify_rows,
	.n_errors = RTE_DIM(classify_rows),
	.format = classify_format,
};
GRAPH_NODE(classify_node)
