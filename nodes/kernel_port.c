/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opens the tap device of the exception path.
 *
 * DPDK's net_tap driver would give an ethdev, but it learns of packets by a realtime signal with a
 * handler of its own, sent to the process. This is somebody else's program: its threads would find
 * their system calls interrupted, and where all threads block signals nothing would be received. A
 * descriptor needs neither, and every core may write to it without a lock.
 */
#include "nodes/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nodes/worker.h"

static int
set_address(int sock, struct ifreq *ifr, unsigned long request, uint32_t addr)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&ifr->ifr_addr;

	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = addr;
	return ioctl(sock, request, ifr);
}

static int
configure(int sock, struct ifreq *ifr, const struct worker *w)
{
	ifr->ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr->ifr_hwaddr.sa_data, &w->mac, sizeof(w->mac));
	if (ioctl(sock, SIOCSIFHWADDR, ifr) < 0)
		return -errno;
	ifr->ifr_mtu = w->mtu;
	if (ioctl(sock, SIOCSIFMTU, ifr) < 0)
		return -errno;
	if (w->addr != 0 && set_address(sock, ifr, SIOCSIFADDR, w->addr) < 0)
		return -errno;
	if (w->addr != 0 && set_address(sock, ifr, SIOCSIFNETMASK, w->mask) < 0)
		return -errno;
	if (ioctl(sock, SIOCGIFFLAGS, ifr) < 0)
		return -errno;
	ifr->ifr_flags |= IFF_UP;
	return ioctl(sock, SIOCSIFFLAGS, ifr) < 0 ? -errno : 0;
}

int
kernel_port_open(const struct worker *proto, const char *ifname, int *fd)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int tap, sock, err;

	if (strlen(ifname) >= sizeof(ifr.ifr_name))
		return -ENAMETOOLONG;
	memcpy(ifr.ifr_name, ifname, strlen(ifname));
	tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap < 0)
		return -errno;
	err = ioctl(tap, TUNSETIFF, &ifr) < 0 ? -errno : 0;
	if (err < 0)
		goto fail;
	/* Not socket(): in an accelerated program that is ours, and would start the stack. */
	sock = syscall(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0) {
		err = -errno;
		goto fail;
	}
	err = configure(sock, &ifr, proto);
	syscall(SYS_close, sock);
	if (err < 0)
		goto fail;
	*fd = tap;
	return 0;
fail:
	close(tap);
	return err;
}

void
kernel_port_close(int fd)
{
	if (fd >= 0)
		close(fd);
}
