/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports. What a driver can is taken from its capabilities; what it does not say, from its name:
 *
 *   net_af_packet  says that frames end at 1518 bytes, although its ring's frames and the kernel's
 *                  device decide: a larger MTU is set on the device itself, if the frames hold it.
 *                  Its way to be promiscuous is the device's flag, which outlives the process and
 *                  which it clears at its start, whoever set it. A membership of its socket does
 *                  the same and ends with the socket; the flag is left as it was
 *   net_tap        does checksums in software, and wrong ones behind a segment of odd length
 *   net_virtio*    the peer hands over what its stack has made: nothing is held back to be coalesced
 */
#include "nodes/port.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_bus.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_ethdev.h>

#include "common/say.h"
#include "nodes/port_wake.h"

#define LINK_WAIT_MS 3000
#define AF_PACKET_FRAME 2048 /* the driver's default */
#define TX_OFFLOADS                                                                                \
	(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |                            \
		RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS |                     \
		RTE_ETH_TX_OFFLOAD_TCP_TSO)
#define RX_OFFLOADS                                                                                \
	(RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)
#define RSS_FUNCTIONS (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP)

bool
port_has_sockets(const char *driver)
{
	return strcmp(driver, "net_af_packet") == 0 || strcmp(driver, "net_af_xdp") == 0;
}

static bool
is_tap(const struct rte_eth_dev_info *info)
{
	return strcmp(info->driver_name, "net_tap") == 0;
}

static bool
is_af_packet(const struct rte_eth_dev_info *info)
{
	return strcmp(info->driver_name, "net_af_packet") == 0;
}

static bool
is_virtual(const struct rte_eth_dev_info *info)
{
	return strcmp(rte_bus_name(rte_dev_bus(info->device)), "vdev") == 0;
}

static bool
is_virtio(const struct rte_eth_dev_info *info)
{
	return strncmp(info->driver_name, "net_virtio", strlen("net_virtio")) == 0;
}

/* Of an af_packet ring: bytes from one frame to the next, headers included. */
static uint32_t
af_packet_frame(const struct rte_eth_dev_info *info)
{
	const struct rte_devargs *args = rte_dev_devargs(info->device);
	const char *at = args != NULL && args->args != NULL ? strstr(args->args, "framesz=") : NULL;

	return at == NULL ? AF_PACKET_FRAME : (uint32_t)strtoul(at + strlen("framesz="), NULL, 0);
}

uint32_t
port_buffer_bytes(uint16_t port)
{
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port, &info) < 0 || !is_af_packet(&info))
		return 0;
	return af_packet_frame(&info) - (TPACKET2_HDRLEN - sizeof(struct sockaddr_ll));
}

/* The af_packet driver does not count; the kernel does, and forgets what it has told. */
uint64_t
port_missed(uint16_t port)
{
	static _Atomic uint64_t told[RTE_MAX_ETHPORTS];
	struct rte_eth_stats stats = { 0 };
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port, &info) < 0 || rte_eth_stats_get(port, &stats) < 0)
		return 0;
	for (uint16_t q = 0; is_af_packet(&info) && q < info.nb_rx_queues; q++) {
		struct tpacket_stats s = { 0 };
		socklen_t len = sizeof(s);
		int fd = port_wake_socket(info.if_index, q);

		if (fd >= 0 && getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &s, &len) == 0)
			told[port] += s.tp_drops;
	}
	return stats.imissed + told[port];
}

/* What ethdev accepts of the MTU wanted: the rest is between us and the kernel's device. */
static uint16_t
ethdev_mtu(const struct rte_eth_dev_info *info, uint16_t mtu)
{
	mtu = RTE_MIN(mtu, info->max_mtu);
	if (is_af_packet(info) && mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN > (int)info->max_rx_pktlen)
		mtu = info->max_rx_pktlen - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN;
	return RTE_MAX(mtu, info->min_mtu);
}

static int
configure(uint16_t port, const struct port_params *want, const struct rte_eth_dev_info *info,
	struct port_info *got)
{
	struct rte_eth_conf conf = { 0 };

	conf.rxmode.offloads = info->rx_offload_capa & RX_OFFLOADS;
	conf.rxmode.mtu = ethdev_mtu(info, want->mtu);
	conf.txmode.offloads = info->tx_offload_capa & TX_OFFLOADS;
	if (is_tap(info))
		conf.txmode.offloads &= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (got->n_rxq > 1 && (info->flow_type_rss_offloads & RSS_FUNCTIONS) != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & RSS_FUNCTIONS;
	}
	if (want->mtu + RTE_PKTMBUF_HEADROOM > 2048)
		conf.rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	if (is_virtio(info))
		conf.rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_TCP_LRO;
	/* A virtual wire's driver notices a new peer in its link interrupt only. */
	conf.intr_conf.lsc = (*info->dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
	conf.intr_conf.rmv = (*info->dev_flags & RTE_ETH_DEV_INTR_RMV) != 0;
	got->tx_offloads = conf.txmode.offloads;
	got->has_rx_interrupts = want->rx_interrupts && !port_has_sockets(info->driver_name);
	conf.intr_conf.rxq = got->has_rx_interrupts;
	return rte_eth_dev_configure(port, got->n_rxq, got->n_txq, &conf);
}

static int
setup_queues(uint16_t port, const struct port_params *want, const struct port_info *got)
{
	uint16_t n_rxd = want->n_rxd, n_txd = want->n_txd, q;
	int ret = rte_eth_dev_adjust_nb_rx_tx_desc(port, &n_rxd, &n_txd);
	int node = rte_eth_dev_socket_id(port);

	for (q = 0; q < got->n_rxq && ret == 0; q++)
		ret = rte_eth_rx_queue_setup(port, q, n_rxd, node, NULL, want->pool);
	for (q = 0; q < got->n_txq && ret == 0; q++)
		ret = rte_eth_tx_queue_setup(port, q, n_txd, node, NULL);
	return ret;
}

/* The MTU of a kernel device is raised to `mtu`; one that takes more than we send is left alone. */
static int
raise_kernel_mtu(unsigned int if_index, uint16_t mtu)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret = 0;
	struct ifreq ifr = { 0 };

	if (sock < 0)
		return -errno;
	if (if_indextoname(if_index, ifr.ifr_name) == NULL || ioctl(sock, SIOCGIFMTU, &ifr) < 0) {
		ret = -errno;
	} else if (ifr.ifr_mtu < mtu) {
		ifr.ifr_mtu = mtu;
		ret = ioctl(sock, SIOCSIFMTU, &ifr) < 0 ? -errno : 0;
	}
	close(sock);
	return ret;
}

/* The device's flag IFF_PROMISC; with `set` it is switched on first. */
static bool
promiscuous_flag(unsigned int if_index, bool set)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { 0 };
	bool is_set = false;

	if (sock < 0)
		return false;
	if (if_indextoname(if_index, ifr.ifr_name) != NULL && ioctl(sock, SIOCGIFFLAGS, &ifr) == 0) {
		is_set = (ifr.ifr_flags & IFF_PROMISC) != 0;
		if (set && !is_set) {
			ifr.ifr_flags |= IFF_PROMISC;
			is_set = ioctl(sock, SIOCSIFFLAGS, &ifr) == 0;
		}
	}
	close(sock);
	return is_set;
}

void
port_promiscuous(uint16_t port)
{
	struct packet_mreq all = { .mr_type = PACKET_MR_PROMISC };
	struct rte_eth_dev_info info;
	int fd = -1;

	if (rte_eth_dev_info_get(port, &info) == 0 && is_af_packet(&info))
		fd = port_wake_socket(info.if_index, 0);
	all.mr_ifindex = (int)info.if_index;
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0)
		rte_eth_promiscuous_enable(port);
}

static int
start_device(uint16_t port, const struct rte_eth_dev_info *info)
{
	bool keep = is_af_packet(info) && promiscuous_flag(info->if_index, false);
	int ret = rte_eth_dev_start(port);

	if (keep)
		promiscuous_flag(info->if_index, true);
	return ret;
}

static int
apply_mtu(uint16_t port, const struct rte_eth_dev_info *info, uint16_t mtu, char *err, size_t len)
{
	int ret = 0;

	if (is_af_packet(info) && mtu + RTE_ETHER_HDR_LEN > (int)port_buffer_bytes(port)) {
		snprintf(err, len, "port %u (%s): an mtu of %u needs larger frames in its ring: add "
			"framesz=%u,blocksz=%u to its --vdev", port, info->driver_name, mtu,
			mtu > 3900 ? 16384 : 4096, mtu > 3900 ? 16384 : 4096);
		return -EINVAL;
	}
	if (info->if_index != 0 && (is_af_packet(info) || is_tap(info)))
		ret = raise_kernel_mtu(info->if_index, mtu);
	if (ret < 0)
		snprintf(err, len, "port %u (%s): its device does not take an mtu of %u: %s", port,
			info->driver_name, mtu, strerror(-ret));
	return ret;
}

/* A NIC negotiates for a while; a virtual wire is up when its peer comes, perhaps much later. */
static void
wait_for_link(uint16_t port)
{
	struct rte_eth_link link = { 0 };
	int ms;

	for (ms = 0; ms < LINK_WAIT_MS; ms += 10) {
		if (rte_eth_link_get_nowait(port, &link) < 0 || link.link_status)
			return;
		rte_delay_us_sleep(10000);
	}
	say("port %u: no link yet", port);
}

int
port_open(uint16_t port, const struct port_params *want, struct port_info *got, char *err,
	size_t err_len)
{
	struct rte_eth_dev_info info;
	int ret = rte_eth_dev_info_get(port, &info);

	if (ret < 0) {
		snprintf(err, err_len, "port %u: %s", port, strerror(-ret));
		return ret;
	}
	*got = (struct port_info){
		.n_rxq = RTE_MIN(want->n_rxq, info.max_rx_queues),
		.n_txq = RTE_MIN(want->n_txq, info.max_tx_queues),
		.driver = info.driver_name,
		.if_index = info.if_index,
		.is_virtual = is_virtual(&info),
	};
	ret = apply_mtu(port, &info, want->mtu, err, err_len);
	if (ret < 0)
		return ret;
	ret = configure(port, want, &info, got);
	if (ret == 0)
		ret = setup_queues(port, want, got);
	if (ret == 0)
		ret = start_device(port, &info);
	if (ret == 0)
		rte_eth_macaddr_get(port, &got->mac);
	if (ret < 0) {
		snprintf(err, err_len, "port %u (%s) does not start: %s", port, info.driver_name,
			strerror(-ret));
		return ret;
	}
	/* The driver and the kernel's end of a tap have the same address: with it, the kernel's ARP
	 * would look like our own coming back. */
	if (is_tap(&info))
		got->mac.addr_bytes[5] ^= 1;
	/* Virtual wires deliver everything anyway, or filter on an address nobody gave them. */
	if (got->is_virtual)
		port_promiscuous(port);
	else
		wait_for_link(port);
	return 0;
}

void
port_close(uint16_t port)
{
	rte_log_set_global_level(RTE_LOG_CRIT); /* a peer that has left already is no error */
	rte_eth_dev_stop(port);
	rte_eth_dev_close(port);
}
