/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What DPDK's af_packet driver asks of the kernel, without one wish.
 *
 * The driver has the kernel put IP fragments together before it spreads them over queues, and the
 * result does not fit its ring's frames. Fragments are to stay as they are: they go to their instance,
 * or through ip4-reass. Those of one datagram still meet on one queue. The driver is a plugin and
 * finds this setsockopt() before libc's, as that of liblstack.so (preload/fd_opt.c) in instances.
 */
#include <linux/if_packet.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) int
setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	uint32_t arg;

	if (level == SOL_PACKET && name == PACKET_FANOUT && val != NULL &&
		len >= sizeof(arg)) {
		memcpy(&arg, val, sizeof(arg));
		arg &= ~((uint32_t)PACKET_FANOUT_FLAG_DEFRAG << 16);
		return (int)syscall(SYS_setsockopt, fd, level, name, &arg, sizeof(arg));
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, val, len);
}
