/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tx: the way out ends at the port. Finishes checksums, sends bursts.
 *
 * Expects: frames (nodes.h). Next: drop. Runs on: every core; cores that share a queue take its
 * lock.
 *
 * What a port does not take waits in the worker's backlog: socket-tx offers it again at every walk
 * (tx_send_waiting(), a few packets first, since a full ring is the rule then) and keeps the stack
 * from producing more meanwhile. Nothing is lost between TCP and the port unless the port stands
 * still for TX_STALL_MS (peer of a virtual wire gone): then the backlog is dropped, or replies made by
 * nodes (ARP, ICMP, resets) would fill it for ever.
 *
 * Of a bond, the port is chosen whenever a packet is offered (bond_tx.c).
 */
#include "nodes/bond.h"
#include "nodes/cksum.h"
#include "nodes/tx.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "nodes/ltran_bells.h"
#include "nodes/nodes.h"
#include "nodes/packet_record.h"

#define PROBE 8 /* waiting packets offered before the rest */

enum tx_edge { TX_DROP };
static const char *const tx_edges[] = { [TX_DROP] = NODE_DROP };

enum tx_error { TX_NO_MEMORY, TX_RING_FULL, TX_STALLED, TX_NO_LINK };

static const struct graph_error tx_rows[] = {
	[TX_NO_MEMORY] = { "tx-no-memory", GRAPH_BROKEN, "no buffer to join segments" },
	[TX_RING_FULL] = { "tx-ring-full", GRAPH_ODD, "port and backlog full" },
	[TX_STALLED] = { "tx-stalled", GRAPH_ODD, "port took nothing for 500 ms" },
	[TX_NO_LINK] = { "tx-no-link", GRAPH_ODD, "no port of the bond has a link" },
};

static void
finish_l4(struct rte_mbuf *m, struct rte_ipv4_hdr *ip, uint64_t kind, bool offloaded)
{
	uint16_t l4_off = m->l2_len + m->l3_len;
	size_t field_off = kind == RTE_MBUF_F_TX_TCP_CKSUM ?
		offsetof(struct rte_tcp_hdr, cksum) : offsetof(struct rte_udp_hdr, dgram_cksum);
	rte_be16_t *field = rte_pktmbuf_mtod_offset(m, rte_be16_t *, l4_off + field_off);

	if (offloaded) {
		*field = rte_ipv4_phdr_cksum(ip, m->ol_flags);
		return;
	}
	*field = 0;
	*field = cksum_l4_field(m, ip, l4_off, m->pkt_len - l4_off);
	m->ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
}

static struct rte_mbuf *
join_segments(struct rte_mbuf *m)
{
	struct rte_mbuf *copy;

	/* Headers are ours, but payload segments may belong to send buffers: never move data. */
	copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
	if (copy != NULL && copy->nb_segs > 1) {
		rte_pktmbuf_free(copy);
		copy = NULL;
	}
	rte_pktmbuf_free(m);
	return copy;
}

struct rte_mbuf *
tx_prepare(struct rte_mbuf *m, uint64_t offloads)
{
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;

	if (m->ol_flags & RTE_MBUF_F_TX_IPV4) {
		struct rte_ipv4_hdr *ip =
			rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);

		if (l4 == RTE_MBUF_F_TX_TCP_CKSUM)
			finish_l4(m, ip, l4, offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM);
		else if (l4 == RTE_MBUF_F_TX_UDP_CKSUM)
			finish_l4(m, ip, l4, offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM);
		if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) {
			ip->hdr_checksum = 0;
			if (!(offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM)) {
				ip->hdr_checksum = rte_ipv4_cksum(ip);
				m->ol_flags &= ~RTE_MBUF_F_TX_IP_CKSUM;
			}
		}
	}
	if (unlikely(m->nb_segs > 1 && !(offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS)))
		m = join_segments(m);
	return m;
}

/* Offer packets until the port takes no more. */
static uint16_t
send_burst(struct worker *w, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t sent = 0, taken;

	if (unlikely(w->bond != NULL))
		return bond_send(w, pkts, n);
	if (w->tx_lock != NULL)
		rte_spinlock_lock(w->tx_lock);
	do {
		taken = rte_eth_tx_burst(w->port, w->txq, pkts + sent, n - sent);
		sent += taken;
	} while (taken > 0 && sent < n);
	if (w->tx_lock != NULL)
		rte_spinlock_unlock(w->tx_lock);
	if (w->bells != NULL && sent > 0)
		ltran_bells_kick(w->bells);
	return sent;
}

static bool
is_stalled(const struct tx_backlog *b)
{
	return rte_rdtsc() - b->since_tsc > rte_get_tsc_hz() / 1000 * TX_STALL_MS;
}

bool
tx_send_waiting(struct worker *w)
{
	struct tx_backlog *b = &w->tx_backlog;
	uint16_t n = RTE_MIN(b->n, PROBE), sent;

	if (unlikely(w->bond != NULL)) {
		if (!bond_can_send(w))
			return false;
		n = b->n; /* the first may wait for another port than the rest */
	}
	sent = send_burst(w, b->pkts, n);
	if (sent == n && n < b->n)
		sent += send_burst(w, b->pkts + n, b->n - n);
	if (sent == 0)
		return !is_stalled(b);
	b->n -= sent;
	memmove(b->pkts, b->pkts + sent, b->n * sizeof(b->pkts[0]));
	b->since_tsc = b->n > 0 ? rte_rdtsc() : 0;
	return true;
}

/* What the port did not take: wait, or go. */
static void
keep_or_drop(struct rte_graph *rg, struct rte_node *node, struct worker *w, struct rte_mbuf **pkts,
	uint16_t n)
{
	struct tx_backlog *b = &w->tx_backlog;
	enum tx_error reason = TX_RING_FULL;
	uint16_t kept = 0;

	if (is_stalled(b))
		reason = TX_STALLED;
	else
		kept = RTE_MIN(n, WORKER_TX_BACKLOG - b->n);
	memcpy(&b->pkts[b->n], pkts, kept * sizeof(pkts[0]));
	b->n += kept;
	if (kept < n) {
		graph_count(node, reason, n - kept);
		graph_send(rg, node, TX_DROP, (void **)pkts + kept, n - kept);
	}
}

static void
drop_unlinked(struct rte_graph *rg, struct rte_node *node, struct rte_mbuf **pkts, uint16_t n)
{
	graph_count(node, TX_NO_LINK, n);
	graph_send(rg, node, TX_DROP, (void **)pkts, n);
}

static void
trace_vector(struct rte_node *node, struct rte_mbuf **pkts, uint16_t n)
{
	struct packet_record r;

	for (uint16_t i = 0; i < n; i++) {
		packet_record_fill(&r, pkts[i], RTE_ETHER_HDR_LEN);
		graph_trace_add(node, pkts[i], &r, sizeof(r));
		graph_trace_end(pkts[i]);
	}
}

static uint16_t
tx_process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	uint16_t i, n_ready = 0, sent = 0;

	for (i = 0; i < n; i++) {
		struct rte_mbuf *m = tx_prepare(pkts[i], w->tx_offloads);

		if (unlikely(m == NULL))
			graph_count(node, TX_NO_MEMORY, 1);
		else
			pkts[n_ready++] = m;
		/* What the port's segments need beyond it (virtio: length in the pseudo header). */
		if (m != NULL && unlikely(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
			rte_eth_tx_prepare(w->port, w->txq, &pkts[n_ready - 1], 1);
	}
	if (unlikely(w->bond != NULL) && (i = bond_sort(w, pkts, n_ready)) < n_ready) {
		drop_unlinked(rg, node, pkts + i, n_ready - i);
		n_ready = i;
	}
	if (graph_tracing(node))
		trace_vector(node, pkts, n_ready);
	if (likely(w->tx_backlog.n == 0)) /* else: behind those that wait */
		sent = send_burst(w, pkts, n_ready);
	if (likely(sent == n_ready)) {
		w->tx_backlog.since_tsc = 0;
		return n;
	}
	if (sent > 0 || w->tx_backlog.since_tsc == 0)
		w->tx_backlog.since_tsc = rte_rdtsc();
	keep_or_drop(rg, node, w, pkts + sent, n_ready - sent);
	return n;
}

static int
tx_format(char *buf, size_t len, const void *record)
{
	return packet_record_format(buf, len, record);
}

static struct graph_node tx_node = {
	.name = NODE_TX,
	.process = tx_process,
	.edges = tx_edges,
	.n_edges = RTE_DIM(tx_edges),
	.errors = tx_rows,
	.n_errors = RTE_DIM(tx_rows),
	.format = tx_format,
};
GRAPH_NODE(tx_node)
