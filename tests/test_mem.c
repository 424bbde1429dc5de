/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What peers can take of a stack's packet memory, on the simulator. B is under attack; that every
 * byte charged is given back, sim_teardown() checks after each test. What it does to others is in test_mem_rate.c,
 * segments before their turn are in test_mem_ooo.c.
 */
#include "stack/edge.h"
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <rte_mbuf.h>

#include "tests/mem_rig.h"

/* --- small segments -------------------------------------------------------------------------------- */

static void
small_unread_segments_share_packets(void)
{
	enum { N = 6000 };
	uint64_t sent = 0, got;
	struct sock *a, *b;
	unsigned int before;

	start();
	join(&a, &b);
	nodelay(a);
	before = sim_packets_free(SIM_B);
	for (int i = 0; i < N; i++) {
		sent = send_stream(a, 1, sent, 1);
		sim_run(100);
	}
	sim_run(100000);
	CU_ASSERT_EQUAL(sent, N);
	CU_ASSERT_EQUAL(sock_inq(b), N);
	CU_ASSERT(before - sim_packets_free(SIM_B) <= 2 + N / 1000);
	got = recv_stream(b, 1, 0);
	CU_ASSERT_EQUAL(got, N);
	CU_ASSERT_EQUAL(before, sim_packets_free(SIM_B));
	sock_close(a);
	sock_close(b);
	sock_close(listener);
}

/* The program reads a byte now and then: what it has begun to read is joined to as well. */
static void
a_slow_reader_of_small_segments_gets_them_in_order(void)
{
	struct sock *a, *b;
	uint64_t sent = 0, got = 0;

	start();
	join(&a, &b);
	nodelay(a);
	for (uint32_t i = 0; i < 3000; i++) {
		sent = send_stream(a, 2, sent, 1 + i * 37 % 600);
		sim_run(100);
		if (i % 3 == 0) {
			struct iovec iov = {buf, 1 + i % 700};
			ssize_t n = sock_recv(b, &iov, 1, 0, NULL, NULL);

			for (ssize_t k = 0; k < n; k++)
				CU_ASSERT_EQUAL(buf[k], pattern(2, got + (uint64_t)k));
			got += n > 0 ? (uint64_t)n : 0;
		}
	}
	sim_run(300000);
	CU_ASSERT_EQUAL(recv_stream(b, 2, got), sent);
	sock_close(a);
	sock_close(b);
	sock_close(listener);
}

/* --- many that do not read --------------------------------------------------------------------------- */

static void
unread_data_leaves_memory_for_others(void)
{
	const struct mem *m = mem_of(SIM_B);
	unsigned int least = SIM_PACKETS;
	struct sock *a, *b;
	bool done = false;

	start();
	join(&a, &b);
	nodelay(a);
	nodelay(b);
	open_streams();
	for (int round = 0; round < 150; round++) {
		send_all_streams();
		sim_run(4000);
		check_edges();
		if (round % 10 == 0)
			ping(a, b, 60000);
		if (sim_packets_free(SIM_B) < least)
			least = sim_packets_free(SIM_B);
	}
	CU_ASSERT(m->n_pressure > 0);
	CU_ASSERT(m->n_rx_drops > 0);
	CU_ASSERT(mem_used(m) <= m->high + m->high / 10);
	CU_ASSERT(least >= m->reserve);
	/* Nothing of what was dropped is lost. */
	for (int round = 0; round < 3000 && !done; round++) {
		done = true;
		for (uint32_t i = 0; i < MANY; i++) {
			streams[i].got = recv_stream(streams[i].b, i, streams[i].got);
			done = done && streams[i].got == streams[i].sent;
		}
		sim_run(10000);
		check_edges();
	}
	CU_ASSERT(done);
	CU_ASSERT_FALSE(mem_pressure(m));
	sock_close(a);
	sock_close(b);
	close_streams();
}

/* Data for peers that do not read: their programs are told to wait, others are not. */
static void
unacknowledged_data_leaves_memory_for_others(void)
{
	const struct mem *m = mem_of(SIM_B);
	unsigned int least = SIM_PACKETS;
	struct sock *a, *b;

	start();
	join(&a, &b);
	nodelay(a);
	nodelay(b);
	open_streams();
	for (int round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < MANY; i++)
			streams[i].sent = send_stream(streams[i].b, i, streams[i].sent, 100000);
		sim_run(4000);
		if (round % 10 == 0)
			ping(a, b, 60000);
		if (sim_packets_free(SIM_B) < least)
			least = sim_packets_free(SIM_B);
	}
	CU_ASSERT(m->n_pressure > 0);
	CU_ASSERT(least >= m->reserve);
	read_all_streams();
	sock_close(a);
	sock_close(b);
	close_streams();
}

/* --- the first packet of a connection ------------------------------------------------------------------- */

#define CROWD 1500
#define SMALL_POOL 1500 /* packets that the budget is made of */

static struct rte_mbuf *away[SIM_PACKETS];
static struct sock *crowd[CROWD][2];

/* Leave B a pool of SMALL_POOL packets, and let it find its marks anew. */
static unsigned int
shrink_pool(void)
{
	unsigned int n = 0;

	while (sim_packets_free(SIM_B) > SMALL_POOL) {
		away[n] = rte_pktmbuf_alloc(sim_stack(SIM_B)->wiring.pool);
		CU_ASSERT_PTR_NOT_NULL_FATAL(away[n]);
		n++;
	}
	mem_of(SIM_B)->high = 0;
	return n;
}

static void
restore_pool(unsigned int n)
{
	rte_pktmbuf_free_bulk(away, n);
	mem_of(SIM_B)->high = 0;
}

/* The program leaves one segment of each unread, more than the pool has packets: those who read still
 * get all, and so do new ones. */
static void
a_segment_of_everybody_does_not_take_the_pool(void)
{
	struct mem *m = mem_of(SIM_B);
	uint64_t sent = 0, got = 0;
	struct sock *a, *b, *c, *d;
	unsigned int n = shrink_pool();

	start();
	join(&a, &b);
	nodelay(a);
	nodelay(b);
	ping(a, b, 60000);
	for (uint32_t i = 0; i < CROWD; i++) {
		join(&crowd[i][0], &crowd[i][1]);
		CU_ASSERT_EQUAL(send_stream(crowd[i][0], i, 0, 1400), 1400);
		sim_run(1000);
		if (i % 10 == 0)
			ping(a, b, 10000);
	}
	CU_ASSERT(m->n_pressure > 0);
	CU_ASSERT(m->copied > 0);
	CU_ASSERT(m->copied <= m->copied_max);
	CU_ASSERT(sim_packets_free(SIM_B) >= m->reserve);
	join(&c, &d);
	nodelay(c);
	nodelay(d);
	ping(c, d, 10000);
	flow(a, b, 7, &sent, &got);
	CU_ASSERT(got >= 300 * RATE_BYTES / 2);
	for (uint32_t i = 0; i < CROWD; i++) {
		CU_ASSERT_EQUAL(recv_stream(crowd[i][1], i, 0), 1400);
		sock_close(crowd[i][0]);
		sock_close(crowd[i][1]);
		sim_run(200);
	}
	CU_ASSERT_EQUAL(m->copied, 0);
	sock_close(a);
	sock_close(b);
	sock_close(c);
	sock_close(d);
	sock_close(listener);
	sim_run(100000);
	restore_pool(n);
}

/* Large sends, all within a millisecond, so that nobody has been told to wait: they take more than their part,
 * but buffers of their own. Others still get a first packet of the pool. */
static void
large_sends_at_once_leave_first_packets_to_others(void)
{
	const struct mem *m = mem_of(SIM_B);
	char c[4] = "png";
	struct iovec iov = {c, sizeof(c)};
	unsigned int n = shrink_pool();
	struct sock *a, *b;
	int room = 200000;

	start();
	join(&a, &b);
	nodelay(b);
	open_streams();
	sim_wire.delay_us = 100000;
	CU_ASSERT_FATAL(stack_trylock(sim_stack(SIM_B))); /* its thread is elsewhere */
	for (uint32_t i = 0; i < MANY; i++) {
		sock_setopt(streams[i].b, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
		streams[i].sent = send_stream(streams[i].b, i, 0, 100000);
	}
	stack_unlock(sim_stack(SIM_B));
	sim_run(50000);
	CU_ASSERT(mem_pressure(m));
	CU_ASSERT(m->tx.used >= m->tx_first_max);
	CU_ASSERT(sim_packets_free(SIM_B) > 2 * m->reserve);
	CU_ASSERT_EQUAL(sock_send(b, &iov, 1, 0, NULL), sizeof(c));
	sim_wire.delay_us = 20;
	read_all_streams();
	CU_ASSERT_EQUAL(sock_recv(a, &iov, 1, 0, NULL, NULL), sizeof(c));
	sock_close(a);
	sock_close(b);
	close_streams();
	sim_run(100000);
	restore_pool(n);
}

static void
what_nobody_has_accepted_is_bounded_by_listener(void)
{
	const struct mem *m = mem_of(SIM_B);
	uint64_t sent[MANY] = {0}, held = 0;
	struct sock *a[MANY], *b;

	start();
	for (int i = 0; i < MANY; i++)
		join(&a[i], NULL);
	for (int round = 0; round < 100; round++) {
		for (uint32_t i = 0; i < MANY; i++)
			sent[i] = send_stream(a[i], i, sent[i], 100000);
		sim_run(4000);
	}
	for (const struct sock *s = sim_stack(SIM_B)->all; s != NULL; s = s->all_next)
		held += s->kind == SOCK_TCP ? mem_rx_held(s) : 0;
	CU_ASSERT(m->n_pressure > 0);
	CU_ASSERT(held <= m->high);
	for (uint32_t i = 0; i < MANY; i++) {
		CU_ASSERT_EQUAL(sock_accept(listener, &b, NULL), 0);
		sock_close(b); /* unread data: reset */
		sock_close(a[i]);
	}
	sock_close(listener);
}

/* --- datagrams ------------------------------------------------------------------------------------------- */

static void
unread_datagrams_are_bounded_by_memory(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT + 1);
	struct iovec iov = {buf, 1};
	unsigned int before, taken, n = 0;
	struct sock *a, *b;

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), SOCK_UDP, &a), 0);
	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_UDP, &b), 0);
	CU_ASSERT_EQUAL_FATAL(sock_bind(b, &at), 0);
	sim_run(1000);
	before = sim_packets_free(SIM_B);
	for (int i = 0; i < 8000; i++) {
		CU_ASSERT_EQUAL(sock_send(a, &iov, 1, 0, &at), 1);
		if (i % 50 == 0)
			sim_run(100);
	}
	sim_run(1000);
	taken = before - sim_packets_free(SIM_B);
	CU_ASSERT(mem_of(SIM_B)->n_rx_drops > 0);
	CU_ASSERT(taken >= 1000 && taken <= 2000);
	while (sock_recv(b, &iov, 1, 0, NULL, NULL) == 1)
		n++;
	CU_ASSERT_EQUAL(n, taken);
	sock_close(a);
	sock_close(b);
}

/* B sends to two peers as fast as it can for some time; the most that its segments have taken. */
static uint64_t
two_streams_for(struct stream *c, int rounds)
{
	uint64_t most = 0, now;

	while (rounds-- > 0) {
		for (uint32_t i = 0; i < 2; i++)
			c[i].sent = send_stream(c[i].b, i, c[i].sent, 100000);
		sim_run(5000);
		now = *sim_stack(SIM_B)->lw->heap_units * 32;
		most = now > most ? now : most;
		for (uint32_t i = 0; i < 2; i++)
			c[i].got = recv_stream(c[i].a, i, c[i].got);
	}
	return most;
}

/* A peer with small segments cannot make lwIP's heap grow beyond its part; everybody gets on. */
static void
segments_have_a_limit_for_all_connections(void)
{
	struct mem *m = mem_of(SIM_B);
	struct stream c[2] = {0};
	uint64_t max, before;

	start();
	for (int i = 0; i < 2; i++) {
		join(&c[i].a, &c[i].b);
		c[i].b->pcb->mss = 48;
		nodelay(c[i].b);
	}
	sim_wire.delay_us = 500;
	max = m->heap_max;
	CU_ASSERT(two_streams_for(c, 200) > 100000);
	m->heap_max = 10000;
	two_streams_for(c, 20); /* what is in flight already */
	before = c[0].got + c[1].got;
	CU_ASSERT(two_streams_for(c, 100) < 40000);
	CU_ASSERT(c[0].got + c[1].got > before + 20000);
	m->heap_max = max;
	for (int round = 0; round < 4000 && (c[0].got < c[0].sent || c[1].got < c[1].sent); round++) {
		sim_run(5000);
		for (uint32_t i = 0; i < 2; i++)
			c[i].got = recv_stream(c[i].a, i, c[i].got);
	}
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(c[i].got, c[i].sent);
		sock_close(c[i].a);
		sock_close(c[i].b);
	}
	sock_close(listener);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(segments_have_a_limit_for_all_connections),
	CUNIT_TEST(small_unread_segments_share_packets),
	CUNIT_TEST(a_slow_reader_of_small_segments_gets_them_in_order),
	CUNIT_TEST(unread_data_leaves_memory_for_others),
	CUNIT_TEST(unacknowledged_data_leaves_memory_for_others),
	CUNIT_TEST(a_segment_of_everybody_does_not_take_the_pool),
	CUNIT_TEST(large_sends_at_once_leave_first_packets_to_others),
	CUNIT_TEST(what_nobody_has_accepted_is_bounded_by_listener),
	CUNIT_TEST(unread_datagrams_are_bounded_by_memory),
};

CUNIT_MAIN("mem", tests, sim_setup, sim_teardown)
