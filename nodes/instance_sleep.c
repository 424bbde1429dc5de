/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What wakes a sleeping stack (low_power_mode): descriptors that become readable when the port has
 * packets for a core's queue.
 *
 *   receive interrupts   virtio-user, vhost, tap, NICs: asked for before each sleep, because vhost's
 *                        descriptor comes and goes with its peer; taken back afterwards
 *   the driver's socket  af_packet, af_xdp: these drivers have no interrupts, but their sockets can
 *                        be waited for. They are found among our descriptors by what they are: the
 *                        driver opens one per queue, in order
 *   neither              the stack looks itself, every BLIND_US
 *
 * The tap device of the exception path is watched by the first core, which reads it.
 */
#include "nodes/instance_private.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "nodes/arp.h"
#include "nodes/reass.h"

#define BLIND_US 1000
#define PEER_US 40000 /* a virtual wire's peer that comes back begins anew, without our request */
#define FDS_MAX 4096

/* A packet socket of interface `if_index`, or an XDP socket, which does not tell. */
static bool
is_wire_socket(int fd, unsigned int if_index)
{
	struct sockaddr_ll at;
	socklen_t len = sizeof(int), at_len = sizeof(at);
	int domain;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return false;
	if (domain == AF_XDP)
		return true;
	return domain == AF_PACKET && getsockname(fd, (struct sockaddr *)&at, &at_len) == 0 &&
		at.sll_ifindex == (int)if_index;
}

/* The socket of queue `q`: number q in the order of descriptors; -1: none. */
static int
find_socket(unsigned int if_index, uint16_t q)
{
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (is_wire_socket(fd, if_index) && q-- == 0)
			return fd;
	return -1;
}

void
instance_sleep_prepare(const struct instance *in, struct worker *w)
{
	struct rte_eth_dev_info info;

	w->rx_fd = -1;
	if (!in->conf->low_power_mode || w->rxq == WORKER_NO_PORT ||
		rte_eth_dev_info_get(w->port, &info) < 0)
		return;
	w->has_rx_interrupt = in->has_rx_interrupts;
	w->counts_interrupts = strcmp(info.driver_name, "net_tap") != 0;
	if (!in->has_rx_interrupts)
		w->rx_fd = find_socket(info.if_index, w->rxq);
}

static void
lower(uint64_t *until_us, uint64_t us)
{
	if (us < *until_us)
		*until_us = us;
}

static void
lower_to_tsc(uint64_t *until_us, uint64_t due_tsc)
{
	uint64_t now = rte_get_tsc_cycles();

	if (due_tsc != UINT64_MAX)
		lower(until_us, due_tsc > now ?
			(due_tsc - now) / (rte_get_tsc_hz() / 1000000) + 1 : 0);
}

static int
queue_fd(const struct worker *w)
{
	if (!w->has_rx_interrupt)
		return w->rx_fd;
	if (rte_eth_dev_rx_intr_enable(w->port, w->rxq) < 0)
		return -1;
	return rte_eth_dev_rx_intr_ctl_q_get_fd(w->port, w->rxq);
}

int
instance_sleep_arm(void *worker, int *fds, uint64_t *until_us)
{
	struct worker *w = worker;
	int n = 0, fd;

	if (w->tx_backlog.n > 0)
		return -EBUSY;
	if (w->rxq != WORKER_NO_PORT) {
		fd = queue_fd(w);
		if (fd >= 0)
			fds[n++] = fd;
		lower(until_us, fd < 0 ? BLIND_US : w->has_rx_interrupt ? PEER_US : UINT64_MAX);
	}
	if (w->kernel_fd >= 0 && w->index == 0)
		fds[n++] = w->kernel_fd;
	lower_to_tsc(until_us, arp_due(w->arp));
	if (w->reass != NULL)
		lower_to_tsc(until_us, reass_due(w->reass));
	return n;
}

void
instance_sleep_disarm(void *worker)
{
	struct worker *w = worker;
	uint64_t count;
	int fd;

	if (!w->has_rx_interrupt)
		return;
	rte_eth_dev_rx_intr_disable(w->port, w->rxq);
	fd = rte_eth_dev_rx_intr_ctl_q_get_fd(w->port, w->rxq);
	if (w->counts_interrupts && fd >= 0 && read(fd, &count, sizeof(count)) < 0)
		return; /* none came */
}
