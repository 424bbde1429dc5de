/* SPDX-License-Identifier: BSD-3-Clause */
/* For test_mem.c: connections from A to a listener of B, and streams of bytes that are known. */
#ifndef TESTS_MEM_RIG_H
#define TESTS_MEM_RIG_H

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/uio.h>

#include "stack/sock.h"
#include "tests/cunit_main.h"
#include "tests/sim.h"

#define PORT 7000

static struct sock *listener;
static uint8_t buf[256 * 1024];

static inline void
start(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_TCP, &listener), 0);
	CU_ASSERT_EQUAL_FATAL(sock_bind(listener, &at), 0);
	CU_ASSERT_EQUAL_FATAL(sock_listen(listener, 4096), 0);
}

/* One more connection to `listener`; b NULL: B does not accept it. */
static inline void
join(struct sock **a, struct sock **b)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), SOCK_TCP, a), 0);
	CU_ASSERT_EQUAL_FATAL(sock_connect(*a, &at), -EINPROGRESS);
	sim_run(1000);
	if (b != NULL)
		CU_ASSERT_EQUAL_FATAL(sock_accept(listener, b, NULL), 0);
}

/* Byte `i` of the stream of connection `n`. */
static inline uint8_t
pattern(uint32_t n, uint64_t i)
{
	return (uint8_t)(n * 31 + i + (i >> 8) * 7);
}

/* As much of the stream as the socket takes; its new length. */
static inline uint64_t
send_stream(struct sock *s, uint32_t n, uint64_t from, size_t len)
{
	struct iovec iov = {buf, len};
	ssize_t sent;

	for (size_t i = 0; i < len; i++)
		buf[i] = pattern(n, from + i);
	sent = sock_send(s, &iov, 1, 0, NULL);
	return sent > 0 ? from + (uint64_t)sent : from;
}

/* Read what is there and compare; its new length. */
static inline uint64_t
recv_stream(struct sock *s, uint32_t n, uint64_t from)
{
	struct iovec iov = {buf, sizeof(buf)};
	unsigned int wrong = 0;
	ssize_t got;

	while ((got = sock_recv(s, &iov, 1, 0, NULL, NULL)) > 0) {
		for (ssize_t i = 0; i < got; i++)
			wrong += buf[i] != pattern(n, from + (uint64_t)i);
		from += (uint64_t)got;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	return from;
}

/* A request of `a` and the answer of `b`, which must come within `us`. */
static inline void
ping(struct sock *a, struct sock *b, uint64_t us)
{
	char c[4] = "png";
	struct iovec iov = {c, sizeof(c)};
	uint64_t until = sim_now_us + us;
	ssize_t n = -EAGAIN;

	CU_ASSERT_EQUAL(sock_send(a, &iov, 1, 0, NULL), sizeof(c));
	while (n == -EAGAIN && sim_now_us < until) {
		sim_run(200);
		n = sock_recv(b, &iov, 1, 0, NULL, NULL);
	}
	CU_ASSERT_EQUAL(n, sizeof(c));
	CU_ASSERT_EQUAL(sock_send(b, &iov, 1, 0, NULL), sizeof(c));
	for (n = -EAGAIN; n == -EAGAIN && sim_now_us < until;) {
		sim_run(200);
		n = sock_recv(a, &iov, 1, 0, NULL, NULL);
	}
	CU_ASSERT_EQUAL(n, sizeof(c));
}

static inline void
nodelay(struct sock *s)
{
	int on = 1;

	sock_setopt(s, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof(on));
}

#endif
