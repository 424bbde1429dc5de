/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device of the kernel that has vanished comes back, and DPDK's af_packet driver opens it anew: with
 * socket() and ioctl(), which it finds here before libc's. What needs rights goes to the helper.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dispatcher/helper.h"

static int
result(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

__attribute__((visibility("default"))) int
socket(int domain, int type, int protocol)
{
	if (domain == AF_PACKET && helper_is_there())
		return result(helper_packet_socket(type, protocol));
	return (int)syscall(SYS_socket, domain, type, protocol);
}

__attribute__((visibility("default"))) int
ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (helper_is_there() && (request == SIOCSIFFLAGS || request == SIOCSIFHWADDR ||
		request == SIOCSIFMTU))
		return result(helper_set_device(request, arg));
	return (int)syscall(SYS_ioctl, fd, request, arg);
}
