/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port of the wire: the one with the MAC address `devices`, else the first. It gets one pair of queues
 * per stack, or as many as it has: stacks without a receive queue live from handoff-rx, stacks that
 * share a transmit queue take its lock.
 */
#include "nodes/instance_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_bus.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

#define LINK_WAIT_MS 3000
#define TX_OFFLOADS                                                                                \
	(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |                            \
		RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS |                     \
		RTE_ETH_TX_OFFLOAD_TCP_TSO)
#define RX_OFFLOADS                                                                                \
	(RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)
#define RSS_FUNCTIONS (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP)

static int
choose_port(struct instance *in, char *err, size_t err_len)
{
	const struct rte_ether_addr *want = (const struct rte_ether_addr *)in->conf->devices;
	char text[RTE_ETHER_ADDR_FMT_SIZE];
	struct rte_ether_addr mac;
	uint16_t port, n = 0;

	RTE_ETH_FOREACH_DEV(port) {
		n++;
		if (rte_eth_macaddr_get(port, &mac) < 0)
			continue;
		if (in->conf->has_devices && !rte_is_same_ether_addr(&mac, want))
			continue;
		in->port = port;
		in->mac = mac;
		return 0;
	}
	rte_ether_format_addr(text, sizeof(text), want);
	if (n == 0)
		snprintf(err, err_len, "DPDK has no port: bind a NIC or give a --vdev in dpdk_args");
	else
		snprintf(err, err_len, "devices: none of %u DPDK ports has MAC address %s", n, text);
	return -ENODEV;
}

static bool
is_tap(const struct rte_eth_dev_info *info)
{
	return strcmp(info->driver_name, "net_tap") == 0;
}

static bool
is_virtual(const struct rte_eth_dev_info *info)
{
	return strcmp(rte_bus_name(rte_dev_bus(info->device)), "vdev") == 0;
}

/* The peer's kernel or another Gazelle hands over what its stack has made: nothing is held back to be
 * coalesced, as a NIC's receive offload would. */
static bool
is_virtio(const struct rte_eth_dev_info *info)
{
	return strncmp(info->driver_name, "net_virtio", strlen("net_virtio")) == 0;
}

static int
configure_port(struct instance *in, const struct rte_eth_dev_info *info)
{
	struct rte_eth_conf conf = { 0 };

	conf.rxmode.offloads = info->rx_offload_capa & RX_OFFLOADS;
	conf.rxmode.mtu = RTE_MIN(in->conf->mtu, info->max_mtu);
	conf.txmode.offloads = info->tx_offload_capa & TX_OFFLOADS;
	/* The tap driver's checksums are software too, and wrong behind a segment of odd length. */
	if (is_tap(info))
		conf.txmode.offloads &= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (in->n_rxq > 1 && (info->flow_type_rss_offloads & RSS_FUNCTIONS) != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & RSS_FUNCTIONS;
	}
	if (in->conf->mtu + RTE_PKTMBUF_HEADROOM > 2048)
		conf.rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	if (is_virtio(info))
		conf.rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_TCP_LRO;
	/* A virtual wire's driver notices a new peer in its link interrupt only. */
	conf.intr_conf.lsc = (*info->dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
	in->tx_offloads = conf.txmode.offloads;
	in->has_rx_interrupts = in->conf->low_power_mode && !instance_sleep_by_socket(info->driver_name);
	conf.intr_conf.rxq = in->has_rx_interrupts;
	return rte_eth_dev_configure(in->port, in->n_rxq, in->n_txq, &conf);
}

static int
setup_queues(struct instance *in)
{
	uint16_t n_rxd = in->conf->nic_rxqueue_size, n_txd = in->conf->nic_txqueue_size, q;
	int ret = rte_eth_dev_adjust_nb_rx_tx_desc(in->port, &n_rxd, &n_txd);
	int node = rte_eth_dev_socket_id(in->port);

	for (q = 0; q < in->n_rxq && ret == 0; q++)
		ret = rte_eth_rx_queue_setup(in->port, q, n_rxd, node, NULL, in->pool);
	for (q = 0; q < in->n_txq && ret == 0; q++)
		ret = rte_eth_tx_queue_setup(in->port, q, n_txd, node, NULL);
	return ret;
}

/* A NIC negotiates for a while; a virtual wire is up when its peer comes, perhaps much later. */
static void
wait_for_link(const struct instance *in)
{
	struct rte_eth_link link = { 0 };
	int ms;

	for (ms = 0; ms < LINK_WAIT_MS; ms += 10) {
		if (rte_eth_link_get_nowait(in->port, &link) < 0 || link.link_status)
			return;
		rte_delay_us_sleep(10000);
	}
	fprintf(stderr, "gazelle: port %u: no link yet\n", in->port);
}

int
instance_port_start(struct instance *in, char *err, size_t err_len)
{
	struct rte_eth_dev_info info;
	int ret;

	ret = choose_port(in, err, err_len);
	if (ret < 0)
		return ret;
	ret = rte_eth_dev_info_get(in->port, &info);
	if (ret == 0) {
		in->n_rxq = RTE_MIN(in->n_workers, info.max_rx_queues);
		in->n_txq = RTE_MIN(in->n_workers, info.max_tx_queues);
		ret = configure_port(in, &info);
	}
	if (ret == 0)
		ret = setup_queues(in);
	if (ret == 0)
		ret = rte_eth_dev_start(in->port);
	if (ret < 0) {
		snprintf(err, err_len, "port %u (%s) does not start: %s", in->port,
			info.driver_name, strerror(-ret));
		return ret;
	}
	in->port_ready = true;
	instance_tso_start(in);
	/* The driver and the kernel's end of a tap have the same address: with it, the kernel's ARP
	 * would look like our own coming back. */
	if (is_tap(&info))
		in->mac.addr_bytes[5] ^= 1;
	/* Virtual wires deliver everything anyway, or filter on an address nobody gave them. */
	if (is_virtual(&info))
		rte_eth_promiscuous_enable(in->port);
	else
		wait_for_link(in);
	return 0;
}

void
instance_port_stop(struct instance *in)
{
	if (!in->port_ready)
		return;
	instance_tso_stop(in);
	rte_log_set_global_level(RTE_LOG_CRIT); /* a peer that has left already is no error */
	rte_eth_dev_stop(in->port);
	rte_eth_dev_close(in->port);
	in->port_ready = false;
}
