/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port of the wire: the ring to ltran, else the one with the MAC address `devices`, else the first. It gets one pair of queues
 * per stack, or as many as it has: stacks without a receive queue live from handoff-rx, stacks that
 * share a transmit queue take its lock.
 */
#include "nodes/instance_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>

#include "nodes/port.h"

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
		.rx_interrupts = in->conf->low_power_mode,
	};
	struct port_info got;
	int ret;

	ret = choose_port(in, err, err_len);
	if (ret == 0)
		ret = port_open(in->port, &want, &got, err, err_len);
	if (ret < 0)
		return ret;
	in->port_ready = true;
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
	if (!in->port_ready)
		return;
	instance_tso_stop(in);
	port_close(in->port);
	in->port_ready = false;
}
