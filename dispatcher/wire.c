/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The NIC of ltran. A single port of real hardware is used as it is. Several ports are a bond; so is a single
 * one where the mode asks for it (LACP), and a kernel's device: a bond takes the device again when it
 * has vanished and come back.
 */
#include "dispatcher/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>

#include "dispatcher/dispatcher.h"
#include "nodes/bond.h"
#include "nodes/nodes.h"
#include "nodes/port.h"

#define RX_DESCRIPTORS 4096
#define TX_DESCRIPTORS 2048

static bool
is_kernel_device(uint16_t port)
{
	struct rte_eth_dev_info info;

	return rte_eth_dev_info_get(port, &info) == 0 && port_has_sockets(info.driver_name);
}

int
wire_choose(struct ltran *lt, char *err, size_t err_len)
{
	const struct ltran_conf *c = lt->conf;
	struct rte_ether_addr mac;
	uint16_t port;

	lt->n_ports = 0;
	lt->primary = -1;
	RTE_ETH_FOREACH_DEV(port) {
		if (port >= 32 || !(c->bond_ports & 1u << port) || lt->n_ports == LTRAN_PORTS_MAX)
			continue;
		if (c->has_bond_macs && rte_eth_macaddr_get(port, &mac) == 0 &&
			memcmp(&mac, c->bond_macs, sizeof(mac)) == 0)
			lt->primary = lt->n_ports;
		lt->ports[lt->n_ports++] = port;
	}
	if (lt->n_ports == 0)
		snprintf(err, err_len, "no DPDK port is in bond_ports = 0x%x: bind a NIC, or give a "
			"--vdev in forward_kit_args", c->bond_ports);
	else if (c->has_bond_macs && lt->primary < 0)
		snprintf(err, err_len, "none of the ports in bond_ports = 0x%x has the MAC address "
			"bond_macs", c->bond_ports);
	else
		return 0;
	return -ENODEV;
}

/* What the bond announces when it moves to another port: every address of ours. A walk of worker 0. */
static unsigned int
addresses(void *arg, unsigned int from, uint32_t *out, unsigned int max)
{
	const struct ltran *lt = arg;
	const struct map *map = lt->workers[0]->map;
	unsigned int n = 0;

	for (unsigned int i = from + 1; i < map->n_addrs && n < max; i++)
		out[n++] = map->addrs[i].addr;
	return n;
}

static void
wake(void *arg)
{
	workers_kick(arg);
}

static int
open_bond(struct ltran *lt, const struct port_params *want, struct port_info *info, char *err,
	size_t err_len)
{
	struct bond_params p = {
		.mode = (enum bond_mode)lt->conf->bond_mode,
		.miimon_ms = lt->conf->bond_miimon,
		.n_slaves = lt->n_ports,
		.primary = lt->primary,
		.port = *want,
		.n_workers = lt->n_workers,
		.addresses = addresses,
		.wake = wake,
		.arg = lt,
	};

	for (unsigned int i = 0; i < lt->n_ports; i++)
		p.ports[i] = lt->ports[i];
	return bond_create(&p, &lt->bond, info, err, err_len);
}

int
wire_open(struct ltran *lt, struct port_info *info, char *err, size_t err_len)
{
	struct port_params want = {
		.n_rxq = lt->n_workers, .n_txq = lt->n_workers,
		.n_rxd = RX_DESCRIPTORS, .n_txd = TX_DESCRIPTORS,
		.mtu = lt->conf->bond_mtu, .pool = lt->pool,
		.rx_interrupts = lt->conf->low_power_mode,
	};
	int ret;

	if (lt->n_ports > 1 || lt->conf->bond_mode != LTRAN_BOND_ACTIVE_BACKUP ||
		is_kernel_device(lt->ports[0]))
		ret = open_bond(lt, &want, info, err, err_len);
	else
		ret = port_open(lt->ports[0], &want, info, err, err_len);
	lt->has_port = ret == 0;
	lt->mac = info->mac;
	lt->mtu = lt->conf->bond_mtu;
	return ret;
}

int
wire_place(struct ltran *lt)
{
	int ret;

	if (lt->bond != NULL)
		return bond_place(NODE_DISPATCH_IN);
	ret = graph_reroute(NODE_RX, NODE_CLASSIFY, NODE_DISPATCH_IN);
	/* Not walked, but there: every edge of it has to lead somewhere. */
	return ret == 0 ? graph_reroute(NODE_BOND_RX, NODE_CLASSIFY, NODE_DISPATCH_IN) : ret;
}

void
wire_close(struct ltran *lt)
{
	if (lt->has_port && lt->bond == NULL)
		port_close(lt->ports[0]);
	bond_free(lt->bond);
	lt->bond = NULL;
	lt->has_port = false;
}
