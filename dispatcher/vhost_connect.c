/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * librte_vhost as a client makes its connections itself, by connect(). It is to get one end of a socket
 * pair instead (ring_link.c), and has no call for that; so its connect() is ours, which it finds before
 * libc's.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dispatcher/ring_link.h"

static __thread int given = -1;

void
vhost_connect_give(int fd)
{
	given = fd;
}

__attribute__((visibility("default"))) int
connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int ret = given;

	if (ret < 0)
		return (int)syscall(SYS_connect, fd, addr, len);
	given = -1;
	return dup3(ret, fd, O_CLOEXEC) < 0 ? -1 : 0;
}
