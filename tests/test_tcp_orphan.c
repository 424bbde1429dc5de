/* SPDX-License-Identifier: BSD-3-Clause */
/* What the program has closed goes away, whatever the peer does. */
#include "stack/impl.h"
#include "tests/cunit_main.h"
#include "tests/raw_tcp.h"
#include "tests/sim.h"

#include <errno.h>

#define PORT 6379
#define BIG (512 * 1024)

static struct sock *a, *b, *l;

static void
setup(void)
{
	sim_setup();
	sim_connect(PORT, &a, &b, &l);
}

static void
teardown(void)
{
	sock_close(l);
	sim_teardown();
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->n_orphans, 0);
}

/* Long times without walking through every millisecond; both sides act once a second. */
static void
pass(unsigned int seconds)
{
	for (unsigned int i = 0; i < seconds; i++) {
		sim_run(5000);
		sim_now_us += 995000;
	}
}

static const char *
state_on_b(void)
{
	struct stack_conn_info i[4];
	unsigned int n = stack_conns(sim_stack(SIM_B), i, 4);

	for (unsigned int k = 0; k < n && k < 4; k++) {
		if (i[k].peer.sin_port != 0)
			return i[k].state;
	}
	return "gone";
}

static size_t
put_big(struct sock *s)
{
	static char block[BIG];
	struct iovec iov = {.iov_base = block, .iov_len = sizeof(block)};
	ssize_t n = sock_send(s, &iov, 1, 0, NULL);

	return n > 0 ? (size_t)n : 0;
}

/* More than the peer's window takes. */
static size_t
fill(struct sock *s)
{
	size_t all = 0;

	for (int i = 0; i < 50; i++) {
		all += put_big(s);
		sim_run(20000);
	}
	CU_ASSERT_TRUE(all > 2 * BIG);
	return all;
}

static ssize_t
take(struct sock *s, size_t max)
{
	static char sink[BIG];
	struct iovec iov = {.iov_base = sink, .iov_len = max};

	return sock_recv(s, &iov, 1, 0, NULL, NULL);
}

static void
fin_wait_2_ends_after_a_minute(void)
{
	sock_close(b);
	pass(2);
	CU_ASSERT_STRING_EQUAL(state_on_b(), "FIN_WAIT_2");
	pass(55);
	CU_ASSERT_STRING_EQUAL(state_on_b(), "FIN_WAIT_2");
	pass(10);
	CU_ASSERT_STRING_EQUAL(state_on_b(), "gone");
	sock_close(a);
}

static void
a_shutdown_before_the_close_changes_nothing(void)
{
	CU_ASSERT_EQUAL(sock_shutdown(b, SHUT_WR), 0);
	pass(100); /* while the program has it, it may stay */
	CU_ASSERT_STRING_EQUAL(state_on_b(), "FIN_WAIT_2");
	sock_close(b);
	pass(55);
	CU_ASSERT_STRING_EQUAL(state_on_b(), "FIN_WAIT_2");
	pass(10);
	CU_ASSERT_STRING_EQUAL(state_on_b(), "gone");
	sock_close(a);
}

static void
a_closed_window_is_not_waited_for_for_ever(void)
{
	uint64_t before = sim_stack(SIM_B)->abort_on_timeout;
	ssize_t n;

	fill(b);
	sock_close(b);
	pass(100);
	CU_ASSERT_STRING_NOT_EQUAL(state_on_b(), "gone");
	pass(40);
	CU_ASSERT_STRING_EQUAL(state_on_b(), "gone");
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->abort_on_timeout, before + 1);
	while ((n = take(a, BIG)) > 0)
		;
	CU_ASSERT_EQUAL(n, -ECONNRESET);
	sock_close(a);
}

static void
a_slow_reader_gets_everything(void)
{
	size_t got = 0, all = fill(b);
	ssize_t n = 0;

	sock_close(b);
	for (int i = 0; i < 100 && (n = take(a, BIG / 2)) != 0; i++) {
		CU_ASSERT_TRUE(n > 0 || n == -EAGAIN);
		got += n > 0 ? n : 0;
		pass(10); /* the last window within FIN_WAIT_2 */
	}
	CU_ASSERT_EQUAL(n, 0);
	CU_ASSERT_EQUAL(got, all);
	sock_close(a);
}

static void
a_peer_that_is_gone_costs_eight_tries(void)
{
	CU_ASSERT_TRUE(put_big(b) > 0);
	sim_wire.cut = 1;
	sock_close(b);
	pass(20);
	CU_ASSERT_STRING_NOT_EQUAL(state_on_b(), "gone");
	pass(105);
	CU_ASSERT_STRING_EQUAL(state_on_b(), "gone");
	sim_wire.cut = 0;
	sock_close(a);
}

static void
a_fin_that_nobody_acknowledges_too(void)
{
	sock_close(a); /* A has finished */
	pass(1);
	CU_ASSERT_STRING_EQUAL(state_on_b(), "CLOSE_WAIT");
	sim_wire.cut = 1;
	sock_close(b);
	pass(5);
	CU_ASSERT_STRING_EQUAL(state_on_b(), "LAST_ACK");
	pass(120);
	CU_ASSERT_STRING_EQUAL(state_on_b(), "gone");
}

#define MANY 24

static void
beyond_the_limit_they_are_reset(void)
{
	uint32_t max = sim_group(SIM_B)->params.conn_max;
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	struct sock *as[MANY], *bs[MANY];
	unsigned int n_reset = 0;

	for (int i = 0; i < MANY; i++) {
		sock_open(sim_group(SIM_A), SOCK_TCP, &as[i]);
		sock_connect(as[i], &at);
		sim_run(1000);
		CU_ASSERT_EQUAL_FATAL(sock_accept(l, &bs[i], NULL), 0);
	}
	sim_group(SIM_B)->params.conn_max = 40;
	for (int i = 0; i < MANY; i++)
		sock_close(bs[i]);
	sim_run(1000);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->n_orphans, 10);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->abort_on_memory, MANY - 10);
	for (int i = 0; i < MANY; i++)
		n_reset += sock_take_error(as[i]) == ECONNRESET;
	CU_ASSERT_EQUAL(n_reset, MANY - 10);
	for (int i = 0; i < MANY; i++)
		sock_close(as[i]);
	sim_run(1000);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->n_orphans, 0); /* TIME_WAIT is none */
	sim_group(SIM_B)->params.conn_max = max;
	sock_close(a);
	sock_close(b);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(fin_wait_2_ends_after_a_minute),
	CUNIT_TEST(a_shutdown_before_the_close_changes_nothing),
	CUNIT_TEST(a_closed_window_is_not_waited_for_for_ever),
	CUNIT_TEST(a_slow_reader_gets_everything),
	CUNIT_TEST(a_peer_that_is_gone_costs_eight_tries),
	CUNIT_TEST(a_fin_that_nobody_acknowledges_too),
	CUNIT_TEST(beyond_the_limit_they_are_reset),
};

CUNIT_MAIN("tcp_orphan", tests, setup, teardown)
