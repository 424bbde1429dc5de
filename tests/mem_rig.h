/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the suites of memory: connections from A to a listener of B, and streams of bytes that are known. To be
 * included behind the headers of DPDK, whose arguments share names with it.
 */
#ifndef TESTS_MEM_RIG_H
#define TESTS_MEM_RIG_H

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/uio.h>

#include "stack/impl.h"
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

static inline struct mem *
mem_of(int side)
{
	return &sim_stack(side)->mem;
}

/* --- many connections ---------------------------------------------------------------------------- */

#define MANY 60

struct stream {
	struct sock *a, *b;
	uint64_t sent, got;
	uint32_t edge; /* right edge of B's window */
};

static struct stream streams[MANY];

static inline uint32_t
edge_of(struct sock *s)
{
	struct stack_conn_info i = {0};

	tcp_fill_info(s->stack, s, &i);
	return i.rcv_nxt + i.rcv_wnd;
}

/* RFC 9293 3.8.6.2.1 */
static inline void
check_edges(void)
{
	for (int i = 0; i < MANY; i++) {
		uint32_t edge = edge_of(streams[i].b);

		CU_ASSERT((int32_t)(edge - streams[i].edge) >= 0);
		streams[i].edge = edge;
	}
}

static inline void
open_streams(void)
{
	for (uint32_t i = 0; i < MANY; i++) {
		streams[i] = (struct stream){0};
		join(&streams[i].a, &streams[i].b);
		streams[i].edge = edge_of(streams[i].b);
	}
}

static inline void
close_streams(void)
{
	for (int i = 0; i < MANY; i++) {
		sock_close(streams[i].a);
		sock_close(streams[i].b);
	}
	sock_close(listener);
}

static inline void
send_all_streams(void)
{
	for (uint32_t i = 0; i < MANY; i++)
		streams[i].sent = send_stream(streams[i].a, i, streams[i].sent, 100000);
}

/* A reads what B has sent, to its end. */
static inline void
read_all_streams(void)
{
	bool done = false;

	for (int round = 0; round < 3000 && !done; round++) {
		done = true;
		for (uint32_t i = 0; i < MANY; i++) {
			streams[i].got = recv_stream(streams[i].a, i, streams[i].got);
			done = done && streams[i].got == streams[i].sent;
		}
		sim_run(10000);
	}
	CU_ASSERT(done);
}

#define RATE_BYTES 20000 /* that somebody sends in each millisecond */

/* What arrives in 300 ms of one who sends that from `from` to `to`; `n` is its stream. */
static inline uint64_t
flow(struct sock *from, struct sock *to, uint32_t n, uint64_t *sent, uint64_t *got)
{
	uint64_t before = *got, end = sim_now_us + 300000;
	size_t due = 0;

	while (sim_now_us < end) {
		uint64_t had = *sent;

		due = due + RATE_BYTES > sizeof(buf) ? sizeof(buf) : due + RATE_BYTES;
		*sent = send_stream(from, n, *sent, due);
		due -= *sent - had;
		sim_run(500);
		*got = recv_stream(to, n, *got);
		sim_run(500);
		*got = recv_stream(to, n, *got);
	}
	return *got - before;
}

#endif
