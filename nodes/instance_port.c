/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port of the wire: the ring to ltran, else a bond, else the port with the MAC address `devices`,
 * else the first. A kernel's device is a bond of one port. The port gets one pair of queues per stack, or
 * as many as it has: stacks without a receive queue live from handoff-rx, stacks that share a transmit
 * queue take its lock.
 */
#include "nodes/instance_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_alarm.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_log.h>

#include "nodes/bond.h"
#include "nodes/nodes.h"
#include "nodes/port.h"
#include "stack/edge.h"

#define SETTLE_US 300000 /* of a link that changes */
#define LINK_LOOK_MS 100 /* a kernel device is asked so often whether it is there and up */

static int
choose_port(struct instance *in, char *err, size_t err_len)
{
	const struct rte_ether_addr *want = (const struct rte_ether_addr *)in->conf->devices;
	char text[RTE_ETHER_ADDR_FMT_SIZE];
	struct rte_ether_addr mac;
	uint16_t port, n = 0;

	if (in->ltran != NULL && rte_eth_dev_get_port_by_name(INSTANCE_LTRAN_PORT, &in->port) == 0)
		return 0;
	RTE_ETH_FOREACH_DEV(port) {
		n++;
		if (rte_eth_macaddr_get(port, &mac) < 0)
			continue;
		if (in->conf->has_devices && !rte_is_same_ether_addr(&mac, want))
			continue;
		in->port = port;
		return 0;
	}
	rte_ether_format_addr(text, sizeof(text), want);
	if (n == 0)
		snprintf(err, err_len, "DPDK has no port: bind a NIC or give a --vdev in dpdk_args");
	else
		snprintf(err, err_len, "devices: none of %u DPDK ports has MAC address %s", n, text);
	return -ENODEV;
}

/* The port with the MAC address `mac`. */
static int
find_port(const uint8_t *mac, uint16_t *port, char *err, size_t err_len)
{
	const struct rte_ether_addr *want = (const struct rte_ether_addr *)mac;
	char text[RTE_ETHER_ADDR_FMT_SIZE];
	struct rte_ether_addr has;

	RTE_ETH_FOREACH_DEV(*port)
		if (rte_eth_macaddr_get(*port, &has) == 0 && rte_is_same_ether_addr(&has, want))
			return 0;
	rte_ether_format_addr(text, sizeof(text), want);
	snprintf(err, err_len, "bond_slave_mac: no DPDK port has MAC address %s", text);
	return -ENODEV;
}

static unsigned int
own_addresses(void *arg, unsigned int from, uint32_t *out, unsigned int max)
{
	const struct instance *in = arg;

	if (from > 0 || max == 0)
		return 0;
	out[0] = in->conf->host_addr;
	return 1;
}

static void
wake_first(void *arg)
{
	const struct instance *in = arg;

	if (in->workers[0] != NULL)
		stack_kick(in->workers[0]->stack);
}

/* TCP need not wait for its timers to find out what was lost with the link. */
static void
send_again(void *arg)
{
	const struct instance *in = arg;

	if (in->stacks != NULL)
		stack_group_link_up(in->stacks);
}

static int
place_bond(struct instance *in, struct bond_params *p, struct port_info *got, char *err,
	size_t err_len)
{
	int ret;

	p->n_workers = in->n_workers;
	p->addresses = own_addresses;
	p->wake = wake_first;
	p->lost = send_again;
	p->arg = in;
	ret = bond_create(p, &in->bond, got, err, err_len);
	return ret == 0 ? bond_place(NODE_CLASSIFY) : ret;
}

/* A kernel's device may be set down, vanish and come back, and the driver notices nothing of it: a bond
 * of one port does. */
static bool
is_kernel_device(uint16_t port)
{
	struct rte_eth_dev_info info;

	return rte_eth_dev_info_get(port, &info) == 0 && port_has_sockets(info.driver_name);
}

static int
open_single(struct instance *in, const struct port_params *want, struct port_info *got, char *err,
	size_t err_len)
{
	struct bond_params p = {
		.mode = BOND_ACTIVE_BACKUP,
		.miimon_ms = LINK_LOOK_MS,
		.n_slaves = 1,
		.ports = { in->port },
		.primary = -1,
		.port = *want,
	};

	if (!is_kernel_device(in->port))
		return port_open(in->port, want, got, err, err_len);
	return place_bond(in, &p, got, err, err_len);
}

static int
open_bond(struct instance *in, const struct port_params *want, struct port_info *got, char *err,
	size_t err_len)
{
	const struct conf *c = in->conf;
	struct bond_params p = {
		.mode = (enum bond_mode)c->bond_mode,
		.miimon_ms = c->bond_miimon,
		.n_slaves = c->n_bond_slaves,
		.primary = -1,
		.port = *want,
	};
	int ret = 0;

	for (unsigned int i = 0; i < c->n_bond_slaves && ret == 0; i++) {
		ret = find_port(c->bond_slave_mac[i], &p.ports[i], err, err_len);
		if (c->has_devices && memcmp(c->bond_slave_mac[i], c->devices, 6) == 0)
			p.primary = i;
	}
	if (ret == 0)
		ret = place_bond(in, &p, got, err, err_len);
	in->port = p.ports[0];
	return ret;
}

static void
say_link(void *arg)
{
	struct instance *in = arg;
	struct rte_eth_link link = { 0 };
	bool down = rte_eth_link_get_nowait(in->port, &link) < 0 || !link.link_status;

	if (down == in->said_down)
		return;
	in->said_down = down;
	fprintf(stderr, "gazelle: port %u (%s): its peer %s\n", in->port, in->port_name,
		down ? "has gone" : "is back");
}

/* Of a virtual wire: the driver tells when its peer, or a tap's device, goes down. A peer that comes
 * sets the link up and down more than once: what counts is where it has settled. All in DPDK's
 * interrupt thread. */
static int
on_link(uint16_t port, enum rte_eth_event_type event, void *in, void *unused)
{
	rte_eal_alarm_cancel(say_link, in);
	rte_eal_alarm_set(SETTLE_US, say_link, in);
	return 0;
}

static void
watch_link(struct instance *in)
{
	struct rte_eth_dev_info info;

	if (in->bond != NULL || in->ltran != NULL || rte_eth_dev_info_get(in->port, &info) < 0)
		return;
	snprintf(in->port_name, sizeof(in->port_name), "%s", rte_dev_name(info.device));
	rte_eth_dev_callback_register(in->port, RTE_ETH_EVENT_INTR_LSC, on_link, in);
}

int
instance_port_start(struct instance *in, char *err, size_t err_len)
{
	const struct port_params want = {
		.n_rxq = in->n_workers,
		.n_txq = in->n_workers,
		.n_rxd = in->conf->nic_rxqueue_size,
		.n_txd = in->conf->nic_txqueue_size,
		.mtu = in->mtu,
		.pool = in->pool,
		.rx_interrupts = in->conf->low_power_mode && in->ltran == NULL, /* it has bells */
	};
	struct port_info got;
	int ret;

	if (in->conf->bond_mode != CONF_BOND_OFF && in->ltran == NULL) {
		ret = open_bond(in, &want, &got, err, err_len);
	} else {
		ret = choose_port(in, err, err_len);
		if (ret == 0)
			ret = open_single(in, &want, &got, err, err_len);
	}
	if (ret < 0)
		return ret;
	in->port_ready = true;
	watch_link(in);
	if (in->ltran != NULL) /* that ltran has gone says instance_ltran_link.c, once */
		rte_log_set_level_pattern("pmd.net.virtio*", RTE_LOG_CRIT);
	in->n_rxq = got.n_rxq;
	in->n_txq = got.n_txq;
	in->tx_offloads = got.tx_offloads;
	in->has_rx_interrupts = got.has_rx_interrupts;
	in->mac = got.mac;
	instance_tso_start(in);
	return 0;
}

void
instance_port_stop(struct instance *in)
{
	if (in->port_ready)
		instance_tso_stop(in);
	if (in->port_ready && in->bond == NULL) {
		rte_eth_dev_callback_unregister(in->port, RTE_ETH_EVENT_INTR_LSC, on_link, in);
		rte_eal_alarm_cancel(say_link, in);
		port_close(in->port);
	}
	bond_free(in->bond);
	in->bond = NULL;
	in->port_ready = false;
}
