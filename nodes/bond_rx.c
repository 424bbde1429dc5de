/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Node bond-rx: what a bond accepts. Every packet of the network comes in once, however many links
 * a switch has sent it to.
 *
 * Expects  frames of `rx`, data_off at the Ethernet header, port: the slave's.
 * Sets     port: the worker's. Mode 6: the bond's MAC address where a port's own one stands, in the
 *          frame's destination and in ARP replies.
 * Next     classify, or what bond_place() was given; drop. LACP goes to worker 0 (bond-timer).
 * Drops    what comes in at a link that is not for it; see the rows.
 * Runs on  cores with a receive queue.
 *
 *   mode 1   everything from the active port
 *   mode 4   everything from ports whose partner may send there
 *   mode 6   frames to a port's own address from that port; to the bond's address, to groups, and to
 *            the address of a port without link, from the active port
 */
#include <stdio.h>

#include "nodes/arp.h"
#include "nodes/bond_rx.h"
#include "nodes/nodes.h"

enum edge { EDGE_NEXT, EDGE_DROP, EDGES };

static const char *const edges[EDGES] = {
	[EDGE_NEXT] = NODE_CLASSIFY,
	[EDGE_DROP] = NODE_DROP,
};

static const struct graph_error errors[BOND_RX_ERRORS] = {
	[BOND_RX_SHORT] = {"bond-short", GRAPH_BROKEN, "frame ends before its header does"},
	[BOND_RX_STRANGER] = {"bond-stranger", GRAPH_ODD, "from a port that is not of the bond"},
	[BOND_RX_PASSIVE] = {"passive-link", GRAPH_NORMAL, "for us, at a link that is not in use"},
	[BOND_RX_PASSIVE_GROUP] = {"passive-group", GRAPH_NORMAL,
		"broadcast or multicast, at a link that is not in use"},
	[BOND_RX_OTHER_SLAVE] = {"other-slave", GRAPH_NORMAL, "for another port of the bond"},
	[BOND_RX_SLOW_FULL] = {"lacp-full", GRAPH_ODD, "more LACP frames than the first core takes"},
};

struct trace_record {
	uint8_t slave, row;
	bool slow;
};

/* The slave whose own address `mac` is, while `active` is the active one; BOND_NO_SLAVE: none. */
static uint8_t
owner_of(const struct bond *b, uint8_t active, const struct rte_ether_addr *mac)
{
	for (unsigned int i = 0; i < b->p.n_slaves; i++)
		if (rte_is_same_ether_addr(bond_slave_mac(b, active, i), mac))
			return i;
	return BOND_NO_SLAVE;
}

static enum bond_rx_error
check_alb(const struct bond *b, const struct bond_view *v, uint8_t slave,
	const struct rte_ether_hdr *eth)
{
	uint8_t owner = owner_of(b, v->active, &eth->dst_addr);

	if (owner == BOND_NO_SLAVE)
		return BOND_RX_ERRORS; /* for somebody else: the next node says so */
	if (!(v->tx & BOND_BIT(owner)))
		owner = v->active;
	return owner == slave ? BOND_RX_ERRORS : BOND_RX_OTHER_SLAVE;
}

enum bond_rx_error
bond_rx_verdict(const struct bond *b, const struct bond_view *v, uint8_t slave,
	const struct rte_ether_hdr *eth)
{
	bool group = rte_is_multicast_ether_addr(&eth->dst_addr);

	if (group)
		return v->rx_group & BOND_BIT(slave) ? BOND_RX_ERRORS : BOND_RX_PASSIVE_GROUP;
	if (!(v->rx & BOND_BIT(slave)))
		return BOND_RX_PASSIVE;
	return v->mode == BOND_ALB ? check_alb(b, v, slave, eth) : BOND_RX_ERRORS;
}

/* A peer has answered us, or will hear our answer: everything above knows one address only. */
static void
rewrite_alb(struct bond *b, const struct bond_view *v, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);
	struct rte_ether_addr told = eth->dst_addr;

	if (rte_is_multicast_ether_addr(&eth->dst_addr) ||
		owner_of(b, v->active, &eth->dst_addr) == BOND_NO_SLAVE)
		return;
	eth->dst_addr = b->mac;
	if (eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_ARP) || m->data_len < ARP_FRAME_LEN ||
		arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REPLY))
		return;
	arp->arp_data.arp_tha = b->mac;
	bond_alb_learn(&b->alb, arp->arp_data.arp_sip, arp->arp_data.arp_tip, &arp->arp_data.arp_sha,
		&told);
}

static bool
is_slow(const struct bond *b, const struct rte_ether_hdr *eth)
{
	return b->p.mode == BOND_8023AD && eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_SLOW);
}

/* Give an LACP frame to worker 0. */
static bool
hand_over(struct bond *b, struct worker *w, struct rte_mbuf *m)
{
	if (rte_ring_mp_enqueue(b->pdus, m) < 0)
		return false;
	if (w->index != 0 && b->p.wake != NULL)
		b->p.wake(b->p.arg);
	return true;
}

/* BOND_RX_ERRORS: accepted. */
static enum bond_rx_error
judge(struct bond *b, const struct bond_view *v, struct rte_mbuf *m, uint8_t slave)
{
	enum bond_rx_error row;

	if (m->data_len < RTE_ETHER_HDR_LEN)
		return BOND_RX_SHORT;
	if (slave == BOND_NO_SLAVE)
		return BOND_RX_STRANGER;
	row = bond_rx_verdict(b, v, slave, rte_pktmbuf_mtod(m, struct rte_ether_hdr *));
	if (row == BOND_RX_ERRORS && v->mode == BOND_ALB)
		rewrite_alb(b, v, m);
	return row;
}

static void
trace(struct rte_node *node, struct rte_mbuf *m, uint8_t slave, uint8_t row, bool slow)
{
	struct trace_record r = {.slave = slave, .row = row, .slow = slow};

	graph_trace_add(node, m, &r, sizeof(r));
	if (slow)
		graph_trace_end(m);
}

static uint16_t
process(struct rte_graph *rg, struct rte_node *node, void **objs, uint16_t n)
{
	struct worker *w = node_worker(node);
	struct bond *b = w->bond;
	struct bond_links l = bond_links(b);
	struct bond_view v = bond_view(b, &l);
	rte_edge_t next[GRAPH_VECTOR_MAX];
	uint16_t n_left = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		uint8_t slave = m->port < RTE_MAX_ETHPORTS ? b->slave_of[m->port] : BOND_NO_SLAVE;
		enum bond_rx_error row = judge(b, &v, m, slave);

		if (slave != BOND_NO_SLAVE && row != BOND_RX_SHORT &&
			is_slow(b, rte_pktmbuf_mtod(m, struct rte_ether_hdr *))) {
			if (graph_tracing(node))
				trace(node, m, slave, row, true);
			if (hand_over(b, w, m))
				continue;
			row = BOND_RX_SLOW_FULL;
		}
		if (graph_tracing(node))
			trace(node, m, slave, row, false);
		if (row != BOND_RX_ERRORS) {
			graph_count(node, row, 1);
			if (slave != BOND_NO_SLAVE)
				bond_add(&b->workers[w->index].rx_drops[slave], 1);
		}
		m->port = w->port;
		objs[n_left] = m;
		next[n_left++] = row == BOND_RX_ERRORS ? EDGE_NEXT : EDGE_DROP;
	}
	graph_forward(rg, node, objs, next, n_left);
	return n;
}

uint16_t
bond_rx_burst(struct worker *w, struct rte_mbuf **pkts, uint16_t n)
{
	struct bond *b = w->bond;
	struct bond_worker *mine = bond_enter(b, w);
	struct bond_links l = bond_links(b);
	uint8_t i = mine->next_rx;
	uint16_t got = 0;

	for (unsigned int k = 0; k < b->p.n_slaves && got < n; k++) {
		if (l.present & BOND_BIT(i)) {
			uint16_t one = rte_eth_rx_burst(b->slaves[i].port, w->rxq, pkts + got, n - got);

			bond_add(&mine->rx[i], one);
			got += one;
		}
		i = i + 1 < (int)b->p.n_slaves ? i + 1 : 0;
	}
	bond_leave(mine);
	mine->next_rx = i;
	return got;
}

static int
format(char *buf, size_t len, const void *record)
{
	const struct trace_record *r = record;

	return snprintf(buf, len, "port %u of the bond -> %s", r->slave, r->slow ? "LACP" :
		r->row == BOND_RX_ERRORS ? "accepted" : errors[r->row].symbol);
}

static struct graph_node bond_rx = {
	.name = NODE_BOND_RX,
	.process = process,
	.edges = edges,
	.n_edges = EDGES,
	.errors = errors,
	.n_errors = BOND_RX_ERRORS,
	.format = format,
};
GRAPH_NODE(bond_rx)
