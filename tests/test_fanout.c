/* SPDX-License-Identifier: BSD-3-Clause */
/* ltran's setsockopt(): everything as the kernel's, but no joining of fragments in packet sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/cunit_main.h"

static void
other_options_are_the_kernels(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, got = 0;
	const void *volatile no_value = NULL; /* libc's prototype says that it never is */
	socklen_t len = sizeof(got);

	CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	CU_ASSERT_EQUAL(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &got, &len), 0);
	CU_ASSERT_EQUAL(got, 1);
	CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, 9999, &one, sizeof(one)), -1);
	CU_ASSERT_EQUAL(errno, ENOPROTOOPT);
	CU_ASSERT_EQUAL(setsockopt(fd, SOL_PACKET, PACKET_FANOUT, no_value, sizeof(one)), -1);
	close(fd);
	CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
}

/* As DPDK's driver does it; needs CAP_NET_RAW. */
static void
packet_sockets_get_fragments_as_they_are(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), got = 0;
	struct sockaddr_ll lo = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex("lo")};
	uint32_t arg = (getpid() & 0xffff) | (uint32_t)(PACKET_FANOUT_HASH |
		PACKET_FANOUT_FLAG_DEFRAG | PACKET_FANOUT_FLAG_ROLLOVER) << 16;
	socklen_t len = sizeof(got);

	if (fd < 0) /* an unprivileged run: the system test of fragments covers it */
		return;
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&lo, sizeof(lo)), 0);
	CU_ASSERT_EQUAL_FATAL(setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &arg, sizeof(arg)), 0);
	CU_ASSERT_EQUAL(getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &got, &len), 0);
	CU_ASSERT_EQUAL(got >> 16 & PACKET_FANOUT_FLAG_DEFRAG, 0);
	CU_ASSERT_NOT_EQUAL(got >> 16 & PACKET_FANOUT_FLAG_ROLLOVER, 0);
	close(fd);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(other_options_are_the_kernels),
	CUNIT_TEST(packet_sockets_get_fragments_as_they_are),
};
CUNIT_MAIN("fanout", tests, NULL, NULL)
