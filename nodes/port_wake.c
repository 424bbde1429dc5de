/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors that become readable when the port has packets for a core's queue:
 *
 *   receive interrupts   virtio-user, vhost, tap, NICs: asked for before each sleep, because vhost's
 *                        descriptor comes and goes with its peer; taken back afterwards
 *   the driver's socket  af_packet, af_xdp: these drivers have no interrupts, but their sockets can
 *                        be waited for. They are found among our descriptors by what they are: the
 *                        driver opens one per queue, in order
 *   neither              -1
 */
#include "nodes/port_wake.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ethdev.h>

#include "nodes/bond.h"
#include "nodes/worker.h"

#define FDS_MAX 4096 /* numbers that are tried where /proc cannot be read, as in ltran after its start */

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

/* Number q in the order of descriptors. A program may have a million of them, and the library's own lie
 * behind those of the program: the kernel tells which there are. */
int
port_wake_socket(unsigned int if_index, uint16_t q)
{
	DIR *open_fds = opendir("/proc/self/fd");
	int found = -1;

	if (open_fds == NULL) {
		for (int fd = 0; fd < FDS_MAX && found < 0; fd++)
			if (is_wire_socket(fd, if_index) && q-- == 0)
				found = fd;
		return found;
	}
	for (struct dirent *e; found < 0 && (e = readdir(open_fds)) != NULL;) {
		int fd = e->d_name[0] == '.' ? -1 : (int)strtol(e->d_name, NULL, 10);

		if (fd >= 0 && is_wire_socket(fd, if_index) && q-- == 0)
			found = fd;
	}
	closedir(open_fds);
	return found;
}

void
port_wake_prepare(struct worker *w, bool has_rx_interrupts)
{
	struct rte_eth_dev_info info;

	w->rx_fd = -1;
	if (w->bond != NULL)
		w->rx_fd = bond_rx_fd(w);
	if (w->bond != NULL || w->rxq == WORKER_NO_PORT || rte_eth_dev_info_get(w->port, &info) < 0)
		return;
	w->has_rx_interrupt = has_rx_interrupts;
	w->counts_interrupts = strcmp(info.driver_name, "net_tap") != 0;
	if (!has_rx_interrupts)
		w->rx_fd = port_wake_socket(info.if_index, w->rxq);
}

/* The tap driver has nothing to switch on: the queue itself is the descriptor. One whose device has been
 * deleted is always readable, and brings nothing. */
static int
tap_fd(const struct worker *w)
{
	int fd = rte_eth_dev_rx_intr_ctl_q_get_fd(w->port, w->rxq);
	struct ifreq ifr;

	return fd >= 0 && ioctl(fd, TUNGETIFF, &ifr) < 0 && errno == EBADFD ? -1 : fd;
}

int
port_wake_arm(struct worker *w)
{
	if (!w->has_rx_interrupt)
		return w->rx_fd;
	if (!w->counts_interrupts)
		return tap_fd(w);
	if (rte_eth_dev_rx_intr_enable(w->port, w->rxq) < 0)
		return -1;
	return rte_eth_dev_rx_intr_ctl_q_get_fd(w->port, w->rxq);
}

bool
port_wake_can_bring(const struct worker *w)
{
	struct rte_eth_link link = { 0 };

	return !w->has_rx_interrupt || (w->counts_interrupts &&
		rte_eth_link_get_nowait(w->port, &link) == 0 && link.link_status);
}

void
port_wake_disarm(struct worker *w)
{
	uint64_t count;
	int fd;

	if (!w->has_rx_interrupt)
		return;
	rte_eth_dev_rx_intr_disable(w->port, w->rxq);
	fd = rte_eth_dev_rx_intr_ctl_q_get_fd(w->port, w->rxq);
	if (w->counts_interrupts && fd >= 0 && read(fd, &count, sizeof(count)) < 0)
		return; /* none came */
}
