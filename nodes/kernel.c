/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nodes kernel-tx and kernel-rx: the exception path. What the stack does not serve goes to the
 * kernel through a tap device, and what the kernel answers goes out of our port.
 *
 * kernel-tx
 * Expects  whole packets, data_off at the Ethernet header; any number of segments up to
 *          SEGMENTS_MAX, writable. A checksum the sender left to its device (RX_L4_CKSUM_NONE, TX_*
 *          of an instance on ltran) is filled in here: the kernel would not know. A large packet
 *          (TX_TCP_SEG) goes up whole, with one checksum: the kernel takes it.
 * Next     drop (what the kernel did not take). What it took is freed here.
 * Drops    no kernel port, refused.
 * Runs on  every core: a tap descriptor takes writers from any thread.
 *
 * kernel-rx
 * Sets     frames as the kernel wrote them, checksums complete (the device offers no offloads).
 * Next     tx. Never classify: the kernel talks to the wire, not to us.
 * Runs on  the first core. Asking the device is a system call, so an idle one is asked every
 *          IDLE_US only: 1% of a core at most, and 50 us more for the kernel's answers.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "nodes/cksum.h"
#include "nodes/nodes.h"

#define SEGMENTS_MAX 128 /* as many as reassembly joins */
#define IDLE_US 50
#define BURST_MAX 32

enum kernel_tx_edge { KERNEL_TX_DROP, KERNEL_TX_EDGES };

static const char *const kernel_tx_edges[KERNEL_TX_EDGES] = {
	[KERNEL_TX_DROP] = NODE_DROP,
};

enum kernel_tx_error { KERNEL_TX_CLOSED, KERNEL_TX_SEGMENTS, KERNEL_TX_REFUSED, KERNEL_TX_ERRORS };

static const struct graph_error kernel_tx_errors[KERNEL_TX_ERRORS] = {
	[KERNEL_TX_CLOSED] = {"kernel-closed", GRAPH_ODD, "there is no exception path"},
	[KERNEL_TX_SEGMENTS] = {"kernel-segments", GRAPH_ODD, "packet in too many segments"},
	[KERNEL_TX_REFUSED] = {"kernel-refused", GRAPH_ODD, "the tap device is down or full"},
};

enum kernel_rx_edge { KERNEL_RX_TX, KERNEL_RX_EDGES };

static const char *const kernel_rx_edges[KERNEL_RX_EDGES] = {
	[KERNEL_RX_TX] = NODE_TX,
};

enum kernel_rx_error { KERNEL_RX_NO_MEMORY, KERNEL_RX_ERRORS };

static const struct graph_error kernel_rx_errors[KERNEL_RX_ERRORS] = {
	[KERNEL_RX_NO_MEMORY] = {"kernel-no-memory", GRAPH_BROKEN, "no packet to read into"},
};

struct trace_record {
	uint32_t len;
	uint16_t ether_type;
	uint16_t row; /* KERNEL_TX_ERRORS: taken */
};

/* Whoever sent it left the checksum to a device: a virtual wire's peer (RX), or this host (TX). */
static inline bool
is_unfinished(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE ||
		(m->ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IP_CKSUM)) != 0;
}

static void
fill_checksums(struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, sizeof(*eth));
	uint16_t l4_off = sizeof(*eth), len;
	rte_be16_t *field;

	if (m->data_len < sizeof(*eth) + sizeof(*ip) ||
		eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4))
		return;
	l4_off += rte_ipv4_hdr_len(ip);
	len = rte_be_to_cpu_16(ip->total_length) - rte_ipv4_hdr_len(ip); /* without padding */
	if (m->pkt_len < (uint32_t)l4_off + len || l4_off < sizeof(*eth) + sizeof(*ip) ||
		(ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)))
		return;
	if (ip->next_proto_id == IPPROTO_TCP && m->data_len >= l4_off + sizeof(struct rte_tcp_hdr))
		field = rte_pktmbuf_mtod_offset(m, rte_be16_t *,
			l4_off + offsetof(struct rte_tcp_hdr, cksum));
	else if (ip->next_proto_id == IPPROTO_UDP &&
		m->data_len >= l4_off + sizeof(struct rte_udp_hdr))
		field = rte_pktmbuf_mtod_offset(m, rte_be16_t *,
			l4_off + offsetof(struct rte_udp_hdr, dgram_cksum));
	else
		return;
	if ((m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) && m->data_len >= l4_off) {
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	}
	*field = 0;
	*field = cksum_l4_field(m, ip, l4_off, len);
}

/* KERNEL_TX_ERRORS: written. */
static enum kernel_tx_error
write_frame(int fd, struct rte_mbuf *m)
{
	struct iovec iov[SEGMENTS_MAX];
	int n = 0;

	if (fd < 0)
		return KERNEL_TX_CLOSED;
	if (m->nb_segs > SEGMENTS_MAX)
		return KERNEL_TX_SEGMENTS;
	if (is_unfinished(m))
		fill_checksums(m);
	for (struct rte_mbuf *s = m; s != NULL; s = s->next)
		iov[n++] = (struct iovec){rte_pktmbuf_mtod(s, void *), s->data_len};
	return writev(fd, iov, n) < 0 ? KERNEL_TX_REFUSED : KERNEL_TX_ERRORS;
}

static uint16_t
process_tx(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	const struct worker *w = node_worker(node);

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		enum kernel_tx_error row = write_frame(w->kernel_fd, m);

		if (graph_tracing(node)) {
			const struct rte_ether_hdr *eth =
				rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
			struct trace_record r = {m->pkt_len, rte_be_to_cpu_16(eth->ether_type), row};

			graph_trace_add(node, m, &r, sizeof(r));
		}
		if (row == KERNEL_TX_ERRORS) {
			graph_trace_end(m);
			rte_pktmbuf_free(m);
		} else {
			graph_count(node, row, 1);
			graph_send_one(rg, node, KERNEL_TX_DROP, m);
		}
	}
	return n;
}

/* One frame, or NULL: none there, or no memory (counted). */
static struct rte_mbuf *
read_frame(struct rte_node *node, const struct worker *w)
{
	uint16_t room = rte_pktmbuf_data_room_size(w->pool) - RTE_PKTMBUF_HEADROOM;
	uint16_t n = (w->mtu + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN + room - 1) / room;
	struct rte_mbuf *seg[BURST_MAX];
	struct iovec iov[BURST_MAX];
	ssize_t len;
	uint16_t i;

	if (n > BURST_MAX || rte_pktmbuf_alloc_bulk(w->pool, seg, n) != 0) {
		graph_count(node, KERNEL_RX_NO_MEMORY, 1);
		return NULL;
	}
	for (i = 0; i < n; i++)
		iov[i] = (struct iovec){rte_pktmbuf_mtod(seg[i], void *), room};
	len = readv(w->kernel_fd, iov, n);
	if (len <= 0) {
		rte_pktmbuf_free_bulk(seg, n);
		return NULL;
	}
	seg[0]->pkt_len = len;
	seg[0]->port = w->port;
	for (i = 0; len > 0; i++, len -= room) {
		seg[i]->data_len = RTE_MIN(len, (ssize_t)room);
		if (i > 0)
			seg[i - 1]->next = seg[i];
	}
	seg[0]->nb_segs = i;
	if (i < n)
		rte_pktmbuf_free_bulk(seg + i, n - i);
	return seg[0];
}

static uint16_t
process_rx(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	struct rte_mbuf **pkts = (struct rte_mbuf **)node->objs;
	uint64_t now;

	if (w->kernel_fd < 0 || w->index != 0)
		return 0;
	now = rte_get_tsc_cycles();
	if (now < w->kernel_poll_tsc)
		return 0;
	for (n = 0; n < BURST_MAX && (pkts[n] = read_frame(node, w)) != NULL; n++)
		continue;
	if (n < BURST_MAX)
		w->kernel_poll_tsc = now + rte_get_tsc_hz() / 1000000 * IDLE_US;
	if (n == 0)
		return 0;
	node->idx = n;
	graph_trace_mark(node, pkts, n);
	if (graph_tracing(node)) {
		for (uint16_t i = 0; i < n; i++) {
			const struct rte_ether_hdr *eth =
				rte_pktmbuf_mtod(pkts[i], const struct rte_ether_hdr *);
			struct trace_record r = {pkts[i]->pkt_len, rte_be_to_cpu_16(eth->ether_type),
				KERNEL_TX_ERRORS};

			graph_trace_add(node, pkts[i], &r, sizeof(r));
		}
	}
	graph_forward_all(rg, node, node->objs, KERNEL_RX_TX, n);
	return n;
}

static int
format(char *buf, size_t len, const void *record)
{
	const struct trace_record *r = record;

	return snprintf(buf, len, "%u bytes, ethertype 0x%04x%s%s", r->len, r->ether_type,
		r->row == KERNEL_TX_ERRORS ? "" : " -> ",
		r->row == KERNEL_TX_ERRORS ? "" : kernel_tx_errors[r->row].symbol);
}

static struct graph_node kernel_tx = {
	.name = NODE_KERNEL_TX,
	.process = process_tx,
	.edges = kernel_tx_edges,
	.n_edges = KERNEL_TX_EDGES,
	.errors = kernel_tx_errors,
	.n_errors = KERNEL_TX_ERRORS,
	.format = format,
};
GRAPH_NODE(kernel_tx)

static struct graph_node kernel_rx = {
	.name = NODE_KERNEL_RX,
	.process = process_rx,
	.source = true,
	.edges = kernel_rx_edges,
	.n_edges = KERNEL_RX_EDGES,
	.errors = kernel_rx_errors,
	.n_errors = KERNEL_RX_ERRORS,
	.format = format,
};
GRAPH_NODE(kernel_rx)
