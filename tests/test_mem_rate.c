/* SPDX-License-Identifier: BSD-3-Clause */
/* Those who read at once keep their rate, on the simulator, while others take the stack's packet memory. */
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <stdio.h>

#include "tests/mem_rig.h"

/* Streams from A to B and from B to A go on in the same way, also those that begin only now. */
static void
check_flows(void (*hold)(void))
{
	uint64_t sent[4] = {0}, got[4] = {0}, before[2], now;
	struct sock *a[2], *b[2];

	sim_wire.delay_us = 200;
	start();
	join(&a[0], &b[0]);
	before[0] = flow(a[0], b[0], 100, &sent[0], &got[0]);
	before[1] = flow(b[0], a[0], 101, &sent[1], &got[1]);
	open_streams();
	hold();
	CU_ASSERT(mem_pressure(mem_of(SIM_B)));
	join(&a[1], &b[1]);
	for (int i = 0; i < 4; i++) {
		now = i % 2 == 0 ? flow(a[i / 2], b[i / 2], 100 + i, &sent[i], &got[i]) :
				   flow(b[i / 2], a[i / 2], 100 + i, &sent[i], &got[i]);
		if (now < before[i % 2] * 9 / 10)
			printf("flow %d: %lu bytes, %lu before\n", i, now, before[i % 2]);
		CU_ASSERT(now >= before[i % 2] * 9 / 10);
	}
	for (int i = 0; i < 2; i++) {
		sock_close(a[i]);
		sock_close(b[i]);
	}
	close_streams();
}

static void
programs_do_not_read(void)
{
	for (int round = 0; round < 150; round++) {
		send_all_streams();
		sim_run(4000);
	}
	CU_ASSERT(mem_of(SIM_B)->n_rx_drops > 0);
}

static void
unread_data_leaves_others_their_rate(void)
{
	check_flows(programs_do_not_read);
}

static void
peers_do_not_read(void)
{
	for (int round = 0; round < 150; round++) {
		for (uint32_t i = 0; i < MANY; i++)
			streams[i].sent = send_stream(streams[i].b, i, streams[i].sent, 100000);
		sim_run(4000);
	}
}

static void
unacknowledged_data_leaves_others_their_rate(void)
{
	check_flows(peers_do_not_read);
}

static void
nobody_reads(void)
{
	for (int round = 0; round < 150; round++) {
		send_all_streams();
		for (uint32_t i = 0; i < MANY; i++)
			send_stream(streams[i].b, i, 0, 100000);
		sim_run(4000);
	}
}

static void
data_unread_on_both_sides_leaves_others_their_rate(void)
{
	check_flows(nobody_reads);
}

/* A peer sends what its window lets it, the program reads every 4 ms; from the round `from` on nothing
 * of what is sent may be dropped. */
static void
check_window(struct sock *a, struct sock *b, uint32_t n, uint64_t *sent, uint64_t *got, int from)
{
	struct mem *m = mem_of(SIM_B);
	uint64_t drops = m->n_rx_drops;

	for (int round = 0; round < 200; round++) {
		uint64_t before = *got;

		if (round == from)
			drops = m->n_rx_drops;
		for (int i = 0; i < 10; i++) {
			*sent = send_stream(a, n, *sent, sizeof(buf));
			sim_run(400);
		}
		*got = recv_stream(b, n, *got);
		CU_ASSERT(round < from || *got - before >= 10000);
	}
	CU_ASSERT_EQUAL(m->n_rx_drops, drops);
	sock_close(a);
	sock_close(b);
}

/* A connection that B begins. */
static void
join_from_b(struct sock **a, struct sock **b)
{
	struct sockaddr_in at = sim_addr(SIM_A, PORT);
	struct sock *l;

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), SOCK_TCP, &l), 0);
	CU_ASSERT_EQUAL_FATAL(sock_bind(l, &at), 0);
	CU_ASSERT_EQUAL_FATAL(sock_listen(l, 1), 0);
	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_B), SOCK_TCP, b), 0);
	CU_ASSERT_EQUAL_FATAL(sock_connect(*b, &at), -EINPROGRESS);
	sim_run(1000);
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, a, NULL), 0);
	sock_close(l);
}

/* Under pressure the window tells no more than there is room for beside what waits to be read, also of
 * a connection whose window was wide before, and of new ones. */
static void
the_window_leaves_room_for_what_is_unread(void)
{
	uint64_t sent = 0, got = 0;
	struct sock *a, *b;

	sim_wire.delay_us = 20;
	start();
	join(&a, &b);
	flow(a, b, 100, &sent, &got);
	open_streams();
	peers_do_not_read();
	CU_ASSERT(mem_pressure(mem_of(SIM_B)));
	/* What was on its way as the pressure began is sent again. */
	check_window(a, b, 100, &sent, &got, 50);
	join(&a, &b);
	sent = got = 0;
	check_window(a, b, 101, &sent, &got, 0);
	join_from_b(&a, &b);
	sent = got = 0;
	check_window(a, b, 102, &sent, &got, 0);
	close_streams();
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(unread_data_leaves_others_their_rate),
	CUNIT_TEST(unacknowledged_data_leaves_others_their_rate),
	CUNIT_TEST(data_unread_on_both_sides_leaves_others_their_rate),
	CUNIT_TEST(the_window_leaves_room_for_what_is_unread),
};

CUNIT_MAIN("mem_rate", tests, sim_setup, sim_teardown)
