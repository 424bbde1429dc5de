/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a bond: its ports are opened, and opened again after they vanished; counters.
 *
 * All ports are used with the bond's MAC address (modes 1 and 4), or each with one of its own, of
 * which the active port's is the bond's (mode 6): NICs get the address or are promiscuous, virtual
 * wires always are.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_bus.h>
#include <rte_cycles.h>
#include <rte_devargs.h>

#include "graph/graph.h"
#include "nodes/bond_private.h"
#include "nodes/nodes.h"
#include "nodes/port_wake.h"

static int
on_removed(uint16_t port, enum rte_eth_event_type event, void *slave, void *unused)
{
	atomic_store_explicit(&((struct bond_slave *)slave)->removed, true, memory_order_relaxed);
	return 0;
}

/* Drivers that look no deeper than the kernel's device: its carrier is the link. */
static bool
is_kernel_device(const struct port_info *got)
{
	return got->if_index != 0 &&
		(port_has_sockets(got->driver) || strcmp(got->driver, "net_tap") == 0);
}

static void
remember_device(struct bond_slave *s)
{
	struct rte_eth_dev_info info;
	const struct rte_devargs *args;

	if (s->devargs != NULL || rte_eth_dev_info_get(s->port, &info) < 0)
		return;
	snprintf(s->name, sizeof(s->name), "%s", rte_dev_name(info.device));
	args = rte_dev_devargs(info.device);
	if (s->is_kernel && args != NULL && args->args != NULL)
		s->devargs = strdup(args->args);
}

int
bond_open_slave(struct bond *b, unsigned int i, struct port_info *got, char *err, size_t len)
{
	struct bond_slave *s = &b->slaves[i];
	int ret = port_open(s->port, &b->p.port, got, err, len);

	if (ret < 0)
		return ret;
	s->is_open = true;
	__atomic_store_n(&s->if_index, got->if_index, __ATOMIC_RELAXED);
	s->is_kernel = is_kernel_device(got);
	if (s->is_kernel && if_indextoname(s->if_index, s->if_name) == NULL) {
		snprintf(err, len, "port %u (%s): its device has gone", s->port, got->driver);
		return -ENODEV;
	}
	if (b->p.mode == BOND_ALB || rte_is_zero_ether_addr(&b->mac) ||
		(!got->is_virtual && rte_eth_dev_default_mac_addr_set(s->port, &b->mac) < 0))
		port_promiscuous(s->port);
	remember_device(s);
	atomic_store_explicit(&s->removed, false, memory_order_relaxed);
	rte_eth_dev_callback_register(s->port, RTE_ETH_EVENT_INTR_RMV, on_removed, s);
	b->slave_of[s->port] = i;
	s->has_sockets = port_has_sockets(got->driver);
	if (s->has_sockets)
		bond_wake_slave(b, i, true);
	return 0;
}

void
bond_wake_slave(struct bond *b, unsigned int i, bool on)
{
	for (unsigned int q = 0; q < b->p.n_workers; q++) {
		struct epoll_event ev = { .events = EPOLLIN };
		int *fd = &b->slaves[i].wake_fds[q];

		if (on) /* later its device may have gone, and the socket does not tell any more */
			*fd = b->workers[q].rx_fd < 0 ? -1 : port_wake_socket(b->slaves[i].if_index, q);
		if (*fd >= 0)
			epoll_ctl(b->workers[q].rx_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, *fd, &ev);
		if (!on)
			*fd = -1;
	}
}

void
bond_calm_slave(struct bond *b, unsigned int i)
{
	for (unsigned int q = 0; q < b->p.n_workers; q++) {
		int error;
		socklen_t len = sizeof(error);

		if (b->slaves[i].wake_fds[q] >= 0)
			getsockopt(b->slaves[i].wake_fds[q], SOL_SOCKET, SO_ERROR, &error, &len);
	}
}

/* Which slave's address is the bond's. */
static int
choose_mac(struct bond *b, char *err, size_t len)
{
	int owner = b->p.primary >= 0 ? b->p.primary : 0;
	char text[RTE_ETHER_ADDR_FMT_SIZE];
	struct rte_ether_addr mac;

	if (b->p.has_mac) {
		for (owner = 0; owner < (int)b->p.n_slaves; owner++)
			if (rte_eth_macaddr_get(b->p.ports[owner], &mac) == 0 &&
				rte_is_same_ether_addr(&mac, &b->p.mac))
				break;
		if (owner == (int)b->p.n_slaves) {
			rte_ether_format_addr(text, sizeof(text), &b->p.mac);
			snprintf(err, len, "none of the bond's ports has MAC address %s", text);
			return -ENODEV;
		}
	}
	return owner;
}

/* What all ports can. Segmentation is left to drivers that are all the same: they are asked once. */
static void
merge_info(struct port_info *all, const struct port_info *one)
{
	all->n_rxq = RTE_MIN(all->n_rxq, one->n_rxq);
	all->n_txq = RTE_MIN(all->n_txq, one->n_txq);
	all->tx_offloads &= one->tx_offloads;
	if (strcmp(all->driver, one->driver) != 0)
		all->tx_offloads &= ~RTE_ETH_TX_OFFLOAD_TCP_TSO;
	all->is_virtual |= one->is_virtual;
}

static int
open_slaves(struct bond *b, struct port_info *got, char *err, size_t len)
{
	int owner = choose_mac(b, err, len), ret;
	struct port_info one;

	if (owner < 0)
		return owner;
	for (unsigned int k = 0; k < b->p.n_slaves; k++) {
		/* The owner of the address first: the others are given it. */
		unsigned int i = k == 0 ? (unsigned int)owner : k <= (unsigned int)owner ? k - 1 : k;

		b->slaves[i].port = b->p.ports[i];
		memset(b->slaves[i].wake_fds, -1, sizeof(b->slaves[i].wake_fds));
		ret = bond_open_slave(b, i, &one, err, len);
		if (ret < 0)
			return ret;
		b->slaves[i].mac = one.mac;
		if (k == 0) {
			b->mac = one.mac;
			*got = one;
		} else {
			merge_info(got, &one);
		}
	}
	got->mac = b->mac;
	got->has_rx_interrupts = false; /* sleeping workers wait for sockets, or not at all */
	return 0;
}

static void
close_wake_fds(struct bond *b)
{
	for (unsigned int i = 0; i < b->p.n_workers; i++) {
		if (b->workers[i].rx_fd >= 0)
			close(b->workers[i].rx_fd);
		b->workers[i].rx_fd = -1;
	}
}

/* Do all ports have sockets to wait for? */
static bool
can_sleep(const struct bond *b)
{
	for (unsigned int i = 0; i < b->p.n_slaves; i++)
		if (!b->slaves[i].has_sockets)
			return false;
	return true;
}

int
bond_create(const struct bond_params *p, struct bond **bond, struct port_info *got, char *err,
	size_t err_len)
{
	struct bond *b = aligned_alloc(RTE_CACHE_LINE_SIZE,
		RTE_ALIGN(sizeof(*b), RTE_CACHE_LINE_SIZE));
	int ret;

	if (b == NULL) {
		snprintf(err, err_len, "no memory for a bond");
		return -ENOMEM;
	}
	memset(b, 0, sizeof(*b));
	memset(b->slave_of, BOND_NO_SLAVE, sizeof(b->slave_of));
	b->p = *p;
	b->p.port.rx_interrupts = false;
	b->ops = &bond_all_ops;
	b->stop_fd = b->link_fd = b->ask_fd = -1;
	b->timer_active = BOND_NO_SLAVE;
	b->alb.next = BOND_ALB_PEERS;
	b->teach_ms = 1000;
	b->teach_at_tsc = rte_get_tsc_cycles() + rte_get_tsc_hz();
	rte_spinlock_init(&b->alb.lock);
	rte_spinlock_init(&b->shown_lock);
	atomic_store(&b->links, bond_pack(&(struct bond_links){.active = BOND_NO_SLAVE}));
	b->pdus = rte_ring_create("gazelle_bond", BOND_PDU_RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (b->pdus == NULL) {
		snprintf(err, err_len, "no memory for a bond's ring");
		free(b);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < p->n_workers; i++)
		b->workers[i].rx_fd = p->port.rx_interrupts ? epoll_create1(EPOLL_CLOEXEC) : -1;
	ret = open_slaves(b, got, err, err_len);
	if (ret == 0 && !can_sleep(b))
		close_wake_fds(b);
	if (ret == 0)
		ret = bond_monitor_open(b, err, err_len);
	if (ret < 0) {
		bond_free(b);
		return ret;
	}
	b->n_rxq = got->n_rxq;
	lacp_init(&b->lacp, &b->mac, b->p.n_slaves);
	bond_monitor_look(b);
	*bond = b;
	return 0;
}

int
bond_place(const char *next)
{
	int ret = graph_reroute(NODE_RX, NODE_CLASSIFY, NODE_BOND_RX);

	if (ret == 0 && strcmp(next, NODE_CLASSIFY) != 0)
		ret = graph_reroute(NODE_BOND_RX, NODE_CLASSIFY, next);
	return ret;
}

void
bond_free(struct bond *b)
{
	struct rte_mbuf *m;

	if (b == NULL)
		return;
	bond_stop(b);
	bond_monitor_close(b);
	close_wake_fds(b);
	for (unsigned int i = 0; i < b->p.n_slaves; i++) {
		struct bond_slave *s = &b->slaves[i];

		if (s->is_open) {
			rte_eth_dev_callback_unregister(s->port, RTE_ETH_EVENT_INTR_RMV, on_removed, s);
			port_close(s->port);
		}
		free(s->devargs);
	}
	while (rte_ring_sc_dequeue(b->pdus, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(b->pdus);
	free(b);
}

uint64_t
bond_due(const struct bond *b)
{
	struct bond_links l = bond_links(b);

	return l.version != b->timer_version || !rte_ring_empty(b->pdus) ? 0 : b->due_tsc;
}

int
bond_rx_fd(const struct worker *w)
{
	return w->bond->workers[w->index].rx_fd;
}

void
bond_get_stats(const struct bond *b, struct bond_stats *out)
{
	struct bond_links l = bond_links(b);

	*out = (struct bond_stats){
		.mode = b->p.mode,
		.miimon_ms = b->p.miimon_ms,
		.n_slaves = b->p.n_slaves,
		.active = b->p.mode == BOND_8023AD || l.active == BOND_NO_SLAVE ? -1 : l.active,
		.switches = atomic_load_explicit(&b->switches, memory_order_relaxed),
	};
}

void
bond_get_slave_stats(struct bond *b, unsigned int slave, struct bond_slave_stats *out)
{
	const struct bond_slave *s = &b->slaves[slave];
	struct lacp_port port;
	struct bond_links l = bond_links(b);
	struct bond_view v = bond_view(b, &l);

	*out = (struct bond_slave_stats){
		.port = s->port,
		.mac = *bond_slave_mac(b, l.active, slave),
		.link = l.up & BOND_BIT(slave),
		.present = l.present & BOND_BIT(slave),
		.active = v.tx & BOND_BIT(slave),
		.link_failures = atomic_load_explicit(&s->link_failures, memory_order_relaxed),
		.returns = atomic_load_explicit(&s->returns, memory_order_relaxed),
		.aggregate = -1,
	};
	snprintf(out->name, sizeof(out->name), "%.*s", (int)sizeof(out->name) - 1, s->name);
	for (unsigned int i = 0; i < b->p.n_workers; i++) {
		const struct bond_worker *w = &b->workers[i];

		out->rx_pkts += __atomic_load_n(&w->rx[slave], __ATOMIC_RELAXED);
		out->tx_pkts += __atomic_load_n(&w->tx[slave], __ATOMIC_RELAXED);
		out->rx_drops += __atomic_load_n(&w->rx_drops[slave], __ATOMIC_RELAXED);
		out->tx_drops += __atomic_load_n(&w->tx_drops[slave], __ATOMIC_RELAXED);
	}
	if (b->p.mode != BOND_8023AD)
		return;
	rte_spinlock_lock(&b->shown_lock);
	port = b->shown[slave];
	rte_spinlock_unlock(&b->shown_lock);
	out->actor_state = port.actor.state;
	out->partner_state = port.partner.state;
	out->partner_key = port.partner.key;
	out->partner = port.partner.system;
	out->aggregate = port.aggregate;
}
