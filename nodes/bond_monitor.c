/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads that watch a bond's links, off the packet path.
 *
 * A NIC's driver tells its link. For a kernel device (af_packet, af_xdp, tap) the carrier of the device
 * counts that has the index the driver has bound to: by the flag IFF_RUNNING, and as ethtool asks for
 * it. The flag, like netlink's messages, may lag by a second, since the kernel gathers such changes;
 * ethtool's question waits for the kernel's network lock, which is held for long while a device is
 * being removed. So a second thread asks it, and the first takes what it has got last. Where messages
 * come at once they shorten the wait.
 *
 * A device that is gone is absent from `links` at once. It is closed when no worker can be using it
 * any more, and a kernel device of the same name is probed anew by DPDK's hotplug, with the arguments
 * of the first time.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "common/say.h"
#include "nodes/bond_private.h"
#include "nodes/eal_args.h"
#include "nodes/eal_memory.h"

/* A link that is back is relied on after so long, if there are others: the switch behind it may not
 * forward yet. */
#define SETTLE_MS 1000
#define TELL_AGAIN_MS 50
#define RETRY_MS 100   /* a device that is gone is looked for so often */

static uint64_t
now_ms(void)
{
	return bond_tsc_ms(rte_get_tsc_hz(), rte_get_tsc_cycles());
}

uint8_t
bond_choose_active(uint8_t up, uint8_t current, int primary, bool settled)
{
	bool has_current = current != BOND_NO_SLAVE && (up & BOND_BIT(current));

	if (primary >= 0 && (up & BOND_BIT(primary)) && (settled || !has_current))
		return primary;
	if (has_current)
		return current;
	return up == 0 ? BOND_NO_SLAVE : __builtin_ctz(up);
}

/* What the kernel tells at once of a device; *present: it is there. */
static bool
kernel_link(const struct bond *b, const struct bond_slave *s, bool *present)
{
	struct ifreq ifr = { .ifr_ifindex = __atomic_load_n(&s->if_index, __ATOMIC_RELAXED) };

	*present = ioctl(b->ask_fd, SIOCGIFNAME, &ifr) == 0;
	return *present && ioctl(b->ask_fd, SIOCGIFFLAGS, &ifr) == 0 &&
		(ifr.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING) &&
		!atomic_load_explicit(&s->no_carrier, memory_order_relaxed);
}

/* What it tells after a wait for its lock: the carriers as they are now. */
static void
ask_carriers(struct bond *b)
{
	for (unsigned int i = 0; i < b->p.n_slaves; i++) {
		struct bond_slave *s = &b->slaves[i];
		struct ethtool_value carrier = { .cmd = ETHTOOL_GLINK };
		struct ifreq ifr = { .ifr_ifindex = __atomic_load_n(&s->if_index, __ATOMIC_RELAXED) };
		bool known;

		if (!s->is_kernel || ioctl(b->ask_fd, SIOCGIFNAME, &ifr) < 0)
			continue;
		ifr.ifr_data = (char *)&carrier;
		known = ioctl(b->ask_fd, SIOCETHTOOL, &ifr) == 0;
		atomic_store_explicit(&s->no_carrier, known && carrier.data == 0, memory_order_relaxed);
	}
}

/* Until something comes or it is time to look. False: the end. Where the program allows itself fewer descriptors
 * (RLIMIT_NOFILE) than poll() is given, poll() fails, and it is a nap. */
static bool
wait_for(struct bond *b, struct pollfd *fds, nfds_t n)
{
	if (poll(fds, n, b->p.miimon_ms) < 0) {
		for (nfds_t i = 0; i < n; i++)
			fds[i].revents = 0;
		if (errno != EINTR)
			poll(NULL, 0, b->p.miimon_ms);
	}
	return !atomic_load(&b->stops);
}

static void *
ask(void *arg)
{
	struct bond *b = arg;
	struct pollfd fd = {b->stop_fd, POLLIN, 0};

	do {
		ask_carriers(b);
	} while (wait_for(b, &fd, 1));
	return NULL;
}

static bool
driver_link(struct bond_slave *s)
{
	struct rte_eth_link link = { 0 };
	uint32_t key;

	if (rte_eth_link_get_nowait(s->port, &link) < 0)
		return false;
	key = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 1 : RTE_MAX(1u, link.link_speed / 10);
	atomic_store_explicit(&s->key, RTE_MIN(key, (uint32_t)UINT16_MAX), memory_order_relaxed);
	atomic_store_explicit(&s->full_duplex, link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX,
		memory_order_relaxed);
	return link.link_status == RTE_ETH_LINK_UP;
}

static bool
slave_link(const struct bond *b, struct bond_slave *s, bool *present)
{
	bool link;

	*present = s->is_open && !atomic_load_explicit(&s->removed, memory_order_relaxed);
	if (!*present)
		return false;
	link = driver_link(s);
	return s->is_kernel ? kernel_link(b, s, present) : link;
}

/* What has changed about a slave's link. True: it has been up for a while. */
static bool
note_link(struct bond_slave *s, bool link, bool first, uint64_t now)
{
	if (link && !s->has_link)
		s->up_since_ms = first ? now - SETTLE_MS : now;
	if (!link && s->has_link)
		atomic_fetch_add_explicit(&s->link_failures, 1, memory_order_relaxed);
	s->has_link = link;
	return link && now - s->up_since_ms >= SETTLE_MS;
}

/* What people want to know of a port: one line when it stops to carry packets and one when it does
 * again. A new device may have another address; the peers know the old one, and that stays in use. */
static void
say_change(struct bond_slave *s, bool present, bool up)
{
	const char *name = s->is_kernel ? s->if_name : s->name;
	struct rte_ether_addr mac;
	bool other = false;

	if (up && s->said != BOND_SAID_UP) {
		if (s->said == BOND_SAID_GONE && rte_eth_macaddr_get(s->port, &mac) == 0)
			other = !rte_is_same_ether_addr(&mac, &s->mac);
		say("%s is %s%s", name,
			s->said == BOND_SAID_GONE ? "back" : "up",
			other ? ", with another MAC address; the old one stays in use" : "");
		s->said = BOND_SAID_UP;
	} else if (!up && s->said == BOND_SAID_UP) {
		say("%s %s", name, present ? "is down" : "has gone");
		s->said = present ? BOND_SAID_DOWN : BOND_SAID_GONE;
	} else if (!present) {
		s->said = BOND_SAID_GONE;
	}
}

static void
tell_lost(const struct bond *b)
{
	if (b->p.lost != NULL)
		b->p.lost(b->p.arg);
}

void
bond_monitor_look(struct bond *b)
{
	struct bond_links old = bond_links(b), l = {.active = BOND_NO_SLAVE};
	uint8_t settled = 0;
	uint64_t now = now_ms();

	for (unsigned int i = 0; i < b->p.n_slaves; i++) {
		bool present, link = slave_link(b, &b->slaves[i], &present);

		l.present |= present ? BOND_BIT(i) : 0;
		l.up |= link ? BOND_BIT(i) : 0;
		if (note_link(&b->slaves[i], link, old.version == 0, now))
			settled |= BOND_BIT(i);
		/* At first only of a device that was there when the driver opened it. */
		if (old.version != 0 || !present || b->slaves[i].said == BOND_SAID_GONE)
			say_change(&b->slaves[i], present, link);
		if (!link)
			bond_calm_slave(b, i);
	}
	/* Mode 4 has LACP to know when the other end is ready; in mode 6, time must do. */
	if (b->p.mode == BOND_ALB && settled != 0)
		l.up = settled;
	if (b->p.mode != BOND_8023AD)
		l.active = bond_choose_active(l.up, old.active, b->p.primary,
			b->p.primary >= 0 && (settled & BOND_BIT(b->p.primary)));
	if (l.present == old.present && l.up == old.up && l.active == old.active)
		return;
	if (l.active != old.active && l.active != BOND_NO_SLAVE && old.version != 0)
		atomic_fetch_add_explicit(&b->switches, 1, memory_order_relaxed);
	for (uint8_t gone = old.present & ~l.present; gone != 0; gone &= gone - 1)
		bond_wake_slave(b, __builtin_ctz(gone), false);
	l.version = old.version + 1;
	atomic_store(&b->links, bond_pack(&l));
	if (l.up != old.up && l.up != 0 && old.version != 0) {
		tell_lost(b);
		b->tell_again_ms = now + TELL_AGAIN_MS;
	}
	if (b->p.wake != NULL)
		b->p.wake(b->p.arg);
}

/* Nobody uses a port that has been absent since before this call. */
static bool
is_quiet(const struct bond *b)
{
	for (unsigned int i = 0; i < b->p.n_workers; i++)
		if (atomic_load(&b->workers[i].busy))
			return false;
	return true;
}

/*
 * The rings were made while the process might lock any amount of memory. If it has given up that right since
 * (user 0 and CAP_IPC_LOCK), large ones cannot be made again.
 */
static void
choose_rings(struct bond_slave *s)
{
	if (memory_may_lock(true) || !args_drop_framecnt(s->devargs))
		return;
	say("%s: this process may not lock much memory any more (ulimit -l, CAP_IPC_LOCK), so the device gets "
		"small rings", s->if_name);
}

/* The device of a vanished slave is there again, perhaps: open it. */
static void
take_back(struct bond *b, unsigned int i)
{
	struct bond_slave *s = &b->slaves[i];
	struct port_info got;
	char err[160];

	if (s->devargs == NULL || if_nametoindex(s->if_name) == 0 || !is_quiet(b))
		return;
	if (s->is_open) {
		b->slave_of[s->port] = BOND_NO_SLAVE;
		rte_eth_dev_stop(s->port);
		s->is_open = false;
		rte_eal_hotplug_remove("vdev", s->name);
	}
	choose_rings(s);
	if (rte_eal_hotplug_add("vdev", s->name, s->devargs) < 0 ||
		rte_eth_dev_get_port_by_name(s->name, &s->port) < 0 ||
		bond_open_slave(b, i, &got, err, sizeof(err)) < 0)
		return; /* next time */
	atomic_fetch_add_explicit(&s->returns, 1, memory_order_relaxed);
}

static void
look_for_devices(struct bond *b)
{
	struct bond_links l = bond_links(b);

	for (unsigned int i = 0; i < b->p.n_slaves; i++)
		if (!(l.present & BOND_BIT(i)) && b->slaves[i].is_kernel)
			take_back(b, i);
}

static void
drain(int fd)
{
	char buf[4096];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		continue;
}

static void *
watch(void *arg)
{
	struct bond *b = arg;
	struct pollfd fds[] = { {b->stop_fd, POLLIN, 0}, {b->link_fd, POLLIN, 0} };
	uint64_t look_at = now_ms() + RETRY_MS;

	while (wait_for(b, fds, b->link_fd >= 0 ? 2 : 1)) {
		if (b->link_fd >= 0 && fds[1].revents != 0)
			drain(b->link_fd);
		bond_monitor_look(b);
		if (b->tell_again_ms != 0 && now_ms() >= b->tell_again_ms) {
			b->tell_again_ms = 0;
			tell_lost(b);
		}
		if (now_ms() < look_at)
			continue;
		look_for_devices(b);
		look_at = now_ms() + RETRY_MS;
	}
	return NULL;
}

int
bond_monitor_open(struct bond *b, char *err, size_t len)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };

	b->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b->ask_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (b->stop_fd < 0 || b->ask_fd < 0) {
		snprintf(err, len, "bond: no descriptor: %s", strerror(errno));
		return -errno;
	}
	/* Without it, the clock has to do. */
	b->link_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (b->link_fd >= 0 && bind(b->link_fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		close(b->link_fd);
		b->link_fd = -1;
	}
	ask_carriers(b);
	return 0;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
bond_monitor_close(struct bond *b)
{
	close_fd(&b->stop_fd);
	close_fd(&b->ask_fd);
	close_fd(&b->link_fd);
}

int
bond_start(struct bond *b)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* ltran gives up its rights with it */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&b->thread, NULL, watch, b);
	b->has_thread = ret == 0;
	if (ret == 0)
		ret = pthread_create(&b->asker, NULL, ask, b);
	b->has_asker = ret == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (b->has_thread)
		pthread_setname_np(b->thread, "gazelle-bond");
	if (b->has_asker)
		pthread_setname_np(b->asker, "gazelle-carrier");
	return -ret;
}

void
bond_stop(struct bond *b)
{
	if (b == NULL || !b->has_thread)
		return;
	atomic_store(&b->stops, true);
	eventfd_write(b->stop_fd, 1);
	pthread_join(b->thread, NULL);
	if (b->has_asker)
		pthread_join(b->asker, NULL);
	b->has_thread = b->has_asker = false;
}
