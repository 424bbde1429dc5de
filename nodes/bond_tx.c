/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which port of a bond a packet leaves by. Called by tx, which keeps what is not taken; the port is
 * chosen anew each time a packet is offered, so that packets that wait move with the links.
 *
 *   mode 1   the active port
 *   mode 4   by addresses and ports of the flow, one of the ports the partner collects from; LACP
 *            by the port that mbuf.port names
 *   mode 6   by the flow, one of the ports with a link, with its address as the sender's; ARP to one
 *            peer by the port that peer is to send to, ARP to all and groups by the active port;
 *            frames for the switches (bond_timer.c) by the port that mbuf.port names
 *
 * A port that takes nothing for TX_STALL_MS is left out for as long again, if there are others.
 */
#include <netinet/in.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ip.h>

#include "graph/graph.h"
#include "nodes/arp.h"
#include "nodes/bond_private.h"
#include "nodes/bond_tx.h"
#include "nodes/tx.h"

#define SEND_MAX WORKER_TX_BACKLOG

uint8_t
bond_hash_slave(uint8_t mask, uint32_t hash)
{
	unsigned int n = hash % (unsigned int)__builtin_popcount(mask);

	while (n-- > 0)
		mask &= mask - 1;
	return __builtin_ctz(mask);
}

/* The same for both directions of a flow; fragments of a datagram keep together. */
uint32_t
bond_flow_hash(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(eth + 1);
	uint32_t h = 0, off = RTE_ETHER_HDR_LEN;

	if (eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4) || m->data_len < off + sizeof(*ip)) {
		memcpy(&h, &eth->dst_addr.addr_bytes[2], sizeof(h));
		return h * 0x9e3779b1u >> 16;
	}
	h = ip->src_addr ^ ip->dst_addr;
	off += rte_ipv4_hdr_len(ip);
	if ((ip->next_proto_id == IPPROTO_TCP || ip->next_proto_id == IPPROTO_UDP) &&
		(ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) == 0 &&
		m->data_len >= off + 4) {
		const rte_be16_t *port = rte_pktmbuf_mtod_offset(m, const rte_be16_t *, off);

		h ^= (uint32_t)(port[0] ^ port[1]) * 0x10001u;
	}
	return h * 0x9e3779b1u >> 16;
}

/* A frame that belongs to one port, or BOND_NO_SLAVE. */
static uint8_t
bound_to(const struct bond *b, const struct rte_mbuf *m, rte_be16_t type)
{
	if (type != RTE_BE16(RTE_ETHER_TYPE_SLOW) && type != RTE_BE16(BOND_TYPE_LEARN))
		return BOND_NO_SLAVE;
	return m->port < RTE_MAX_ETHPORTS ? b->slave_of[m->port] : BOND_NO_SLAVE;
}

/* ARP of our own: who is told which address. Returns the slave. */
static uint8_t
choose_arp(struct bond *b, const struct bond_view *v, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);
	struct rte_arp_ipv4 *d = &arp->arp_data;
	const struct rte_ether_addr *mac;
	uint8_t slave;

	if (m->data_len < ARP_FRAME_LEN)
		return v->active;
	if (!rte_is_same_ether_addr(&d->arp_sha, &b->mac)) {
		for (slave = 0; slave < b->p.n_slaves; slave++)
			if ((v->tx & BOND_BIT(slave)) && rte_is_same_ether_addr(&d->arp_sha,
				bond_slave_mac(b, v->active, slave)))
				return slave;
		return v->active;
	}
	if (rte_is_broadcast_ether_addr(&eth->dst_addr)) {
		bond_alb_broadcast(&b->alb, &b->mac);
		return v->active;
	}
	slave = bond_alb_assign(v->tx, d->arp_tip, d->arp_sip);
	mac = bond_slave_mac(b, v->active, slave);
	bond_alb_learn(&b->alb, d->arp_tip, d->arp_sip, &eth->dst_addr, mac);
	d->arp_sha = *mac;
	eth->src_addr = *mac;
	return slave;
}

static uint8_t
choose_alb(struct bond *b, const struct bond_view *v, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	uint8_t slave;

	if (eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP))
		return choose_arp(b, v, m);
	if (rte_is_multicast_ether_addr(&eth->dst_addr)) {
		eth->src_addr = b->mac;
		return v->active;
	}
	slave = bond_hash_slave(v->tx, bond_flow_hash(m));
	eth->src_addr = *bond_slave_mac(b, v->active, slave);
	return slave;
}

uint8_t
bond_tx_choose(struct bond *b, const struct bond_view *v, struct rte_mbuf *m)
{
	rte_be16_t type = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *)->ether_type;
	uint8_t slave;

	if (v->mode == BOND_ACTIVE_BACKUP)
		return v->active;
	slave = bound_to(b, m, type);
	if (slave != BOND_NO_SLAVE)
		return v->present & BOND_BIT(slave) ? slave : BOND_NO_SLAVE;
	if (v->tx == 0)
		return BOND_NO_SLAVE;
	if (v->mode == BOND_ALB)
		return choose_alb(b, v, m);
	return bond_hash_slave(v->tx, bond_flow_hash(m));
}

/* Offer packets of one slave until it takes no more. */
static uint16_t
send_slave(struct worker *w, uint8_t slave, struct rte_mbuf **pkts, uint16_t n)
{
	struct bond_worker *mine = &w->bond->workers[w->index];
	uint16_t port = w->bond->slaves[slave].port, sent = 0, taken;

	if (w->tx_lock != NULL)
		rte_spinlock_lock(w->tx_lock);
	do {
		taken = rte_eth_tx_burst(port, w->txq, pkts + sent, n - sent);
		sent += taken;
	} while (taken > 0 && sent < n);
	if (w->tx_lock != NULL)
		rte_spinlock_unlock(w->tx_lock);
	bond_add(&mine->tx[slave], sent);
	if (sent > 0)
		mine->stalled_tsc[slave] = 0;
	else if (mine->stalled_tsc[slave] == 0)
		mine->stalled_tsc[slave] = rte_rdtsc();
	return sent;
}

/* Ports that have stood still for a while are passed over, where there are others. */
static uint8_t
without_stalled(struct bond_worker *mine, uint8_t mask)
{
	uint64_t limit = rte_get_tsc_hz() / 1000 * TX_STALL_MS, now = 0;
	uint8_t stalled = 0;

	for (uint8_t rest = mask; rest != 0; rest &= rest - 1) {
		unsigned int i = __builtin_ctz(rest);

		if (likely(mine->stalled_tsc[i] == 0))
			continue;
		now = now != 0 ? now : rte_rdtsc();
		if (now - mine->stalled_tsc[i] > 2 * limit)
			mine->stalled_tsc[i] = 0; /* try again */
		else if (now - mine->stalled_tsc[i] > limit)
			stalled |= BOND_BIT(i);
	}
	return mask & ~stalled ? mask & ~stalled : mask;
}

/* A frame for a port that has vanished since. */
static bool
free_if_bound(struct worker *w, struct rte_mbuf *m)
{
	uint8_t slave = bound_to(w->bond, m,
		rte_pktmbuf_mtod(m, const struct rte_ether_hdr *)->ether_type);

	if (slave == BOND_NO_SLAVE || w->bond->p.mode == BOND_ACTIVE_BACKUP)
		return false;
	bond_add(&w->bond->workers[w->index].tx_drops[slave], 1);
	rte_pktmbuf_free(m);
	return true;
}

static uint16_t
send_some(struct worker *w, struct rte_mbuf **pkts, uint16_t n)
{
	struct bond *b = w->bond;
	struct bond_links l = bond_links(b);
	struct bond_view v = bond_view(b, &l);
	struct rte_mbuf *mine[SEND_MAX];
	uint8_t slave[SEND_MAX];
	uint16_t n_left = 0, n_mine, sent, i;
	uint8_t used = 0, one;

	v.tx = without_stalled(&b->workers[w->index], v.tx);
	for (i = 0; i < n; i++) {
		slave[i] = bond_tx_choose(b, &v, pkts[i]);
		if (likely(slave[i] != BOND_NO_SLAVE))
			used |= BOND_BIT(slave[i]);
		else if (free_if_bound(w, pkts[i]))
			pkts[i] = NULL;
	}
	for (; used != 0; used &= used - 1) {
		one = __builtin_ctz(used);
		for (i = 0, n_mine = 0; i < n; i++)
			if (slave[i] == one)
				mine[n_mine++] = pkts[i];
		sent = send_slave(w, one, mine, n_mine);
		for (i = 0; i < n && sent > 0; i++) {
			if (slave[i] != one)
				continue;
			pkts[i] = NULL;
			sent--;
		}
	}
	/* What is left goes to the end. */
	for (i = n; i-- > 0;)
		if (pkts[i] != NULL)
			pkts[n - ++n_left] = pkts[i];
	return n - n_left;
}

static uint16_t
send_all(struct worker *w, struct rte_mbuf **pkts, uint16_t n)
{
	struct bond_worker *mine = bond_enter(w->bond, w);
	uint16_t sent = 0, part, done;

	/* Parts of what the arrays hold; the rest of an earlier part moves up to the next. */
	while (sent < n) {
		part = RTE_MIN(n - sent, SEND_MAX);
		done = send_some(w, pkts + sent, part);
		sent += done;
		if (done < part)
			break;
	}
	bond_leave(mine);
	return sent;
}

static uint16_t
sort_sendable(struct worker *w, struct rte_mbuf **pkts, uint16_t n)
{
	struct bond_links l = bond_links(w->bond);
	uint16_t n_ok = 0;

	if (likely(bond_view(w->bond, &l).tx != 0))
		return n;
	for (uint16_t i = 0; i < n; i++) {
		rte_be16_t type = rte_pktmbuf_mtod(pkts[i], struct rte_ether_hdr *)->ether_type;

		if (bound_to(w->bond, pkts[i], type) == BOND_NO_SLAVE)
			continue;
		RTE_SWAP(pkts[n_ok], pkts[i]);
		n_ok++;
	}
	return n_ok;
}

static bool
can_send(const struct worker *w)
{
	struct bond_links l = bond_links(w->bond);

	return bond_view(w->bond, &l).tx != 0;
}

const struct bond_ops bond_all_ops = {
	.receive = bond_rx_burst,
	.send = send_all,
	.sort = sort_sendable,
	.can_send = can_send,
};
