/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which packets longer than the MTU the port cuts into segments (TSO).
 *
 * A NIC's answer is in its capabilities. On a virtual wire the peer's answer counts, and peers come
 * and go: virtio reports the present one's as its own capability; vhost does what packets ask for,
 * reports nothing, and the peer's features have to be looked up. So the question is asked again
 * whenever the link changes, on DPDK's interrupt or vhost thread; stacks read the result.
 *
 * What was queued for a peer that took large packets is lost with one that does not; TCP repairs
 * it, with segments of one MSS.
 */
#include "nodes/instance_private.h"

#include <string.h>

#include <rte_ethdev.h>

#ifdef HAVE_VHOST
#include <rte_eth_vhost.h>
#include <rte_vhost.h>
#endif

#define TSO_MAX UINT16_MAX
#define TSO_SEGS 40 /* mbufs of one large packet, at most (stack/tcp_seg.c) */
#define VIRTIO_NET_F_GUEST_TSO4 7

#ifdef HAVE_VHOST
static bool
peer_takes_large(uint16_t port)
{
	int vid = rte_eth_vhost_get_vid_from_port_id(port);
	uint64_t features;

	return vid >= 0 && rte_vhost_get_negotiated_features(vid, &features) == 0 &&
		(features & (1ull << VIRTIO_NET_F_GUEST_TSO4)) != 0;
}
#else
static bool
peer_takes_large(uint16_t port)
{
	return false;
}
#endif

static bool
port_cuts(const struct instance *in, const struct rte_eth_dev_info *info)
{
	const uint64_t need = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

	if ((in->tx_offloads & need) != need)
		return false;
	if (strcmp(info->driver_name, "net_vhost") == 0)
		return peer_takes_large(in->port);
	return (in->tx_offloads & info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0 &&
		(info->tx_desc_lim.nb_seg_max == 0 || info->tx_desc_lim.nb_seg_max >= TSO_SEGS);
}

static void
ask_again(struct instance *in)
{
	struct rte_eth_dev_info info;
	bool cuts = rte_eth_dev_info_get(in->port, &info) == 0 && port_cuts(in, &info);

	atomic_store_explicit(&in->tso_max, cuts ? TSO_MAX : 0, memory_order_relaxed);
}

static int
on_link(uint16_t port, enum rte_eth_event_type event, void *arg, void *unused)
{
	struct instance *in = arg;
	struct rte_eth_link link = { 0 };

	ask_again(in);
	if (in->stacks != NULL && rte_eth_link_get_nowait(port, &link) == 0 && link.link_status)
		stack_group_link_up(in->stacks);
	return 0;
}

void
instance_tso_start(struct instance *in)
{
	/* Also tells the stacks that the wire is back. */
	rte_eth_dev_callback_register(in->port, RTE_ETH_EVENT_INTR_LSC, on_link, in);
	ask_again(in);
}

void
instance_tso_stop(struct instance *in)
{
	rte_eth_dev_callback_unregister(in->port, RTE_ETH_EVENT_INTR_LSC, on_link, in);
}
