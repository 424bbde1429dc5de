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
	for (int i = 0; i < END_KINDS; i++)
		CU_ASSERT_EQUAL(sim_stack(SIM_B)->ends[i].n, 0);
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

/* --- more of them than a stack may have ------------------------------------------------------------- */

#define MANY 24
#define LIMIT 10 /* of each kind, by make_many() */

static struct sock *as[MANY], *bs[MANY];
static uint32_t conn_max;

static void
make_many(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);

	for (int i = 0; i < MANY; i++) {
		CU_ASSERT_EQUAL(sock_open(sim_group(SIM_A), SOCK_TCP, &as[i]), 0);
		sock_connect(as[i], &at);
		sim_run(1000);
		CU_ASSERT_EQUAL_FATAL(sock_accept(l, &bs[i], NULL), 0);
	}
	conn_max = sim_group(SIM_B)->params.conn_max;
	sim_group(SIM_B)->params.conn_max = 4 * LIMIT;
}

static void
close_many(void)
{
	for (int i = 0; i < MANY; i++)
		sock_close(as[i]);
	sim_run(1000);
	sim_group(SIM_B)->params.conn_max = conn_max;
	sock_close(a);
	sock_close(b);
}

static unsigned int
count_on_b(const char *state)
{
	static struct stack_conn_info i[4 * MANY];
	unsigned int n = stack_conns(sim_stack(SIM_B), i, 4 * MANY), count = 0;

	for (unsigned int k = 0; k < n && k < 4 * MANY; k++)
		count += i[k].peer.sin_port != 0 && strcmp(i[k].state, state) == 0;
	return count;
}

#define SMALL 1000

static size_t
put_small(struct sock *s)
{
	static char block[SMALL];
	struct iovec iov = {.iov_base = block, .iov_len = sizeof(block)};
	ssize_t n = sock_send(s, &iov, 1, 0, NULL);

	return n > 0 ? (size_t)n : 0;
}

/* Everything `s` gets, the last result of take() included. */
static ssize_t
take_all(struct sock *s, size_t *got)
{
	ssize_t n;

	*got = 0;
	for (int i = 0; i < 100; i++) {
		while ((n = take(s, BIG)) > 0)
			*got += (size_t)n;
		if (n != -EAGAIN)
			break;
		sim_run(10000);
	}
	return n;
}

/* A reset behind the FIN is EPIPE. */
static unsigned int
count_resets(int from, int to)
{
	unsigned int n = 0;
	int err;

	for (int i = from; i < to; i++) {
		err = sock_take_error(as[i]);
		n += err == ECONNRESET || err == EPIPE;
	}
	return n;
}

static void
closed_at_once_beyond_the_limit_they_are_reset(void)
{
	uint64_t before = sim_stack(SIM_B)->abort_on_memory;

	make_many();
	for (int i = 0; i < MANY; i++)
		sock_close(bs[i]);
	sim_run(1000);
	CU_ASSERT_EQUAL(count_on_b("FIN_WAIT_2"), LIMIT);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->abort_on_memory - before, MANY - LIMIT);
	CU_ASSERT_EQUAL(count_resets(0, MANY), MANY - LIMIT);
	close_many();
	CU_ASSERT_EQUAL(count_on_b("FIN_WAIT_2"), 0);
}

/* Many peers keep their FINs to themselves. */
static void
fin_wait_2_takes_no_place_of_those_with_data(void)
{
	uint64_t before = sim_stack(SIM_B)->abort_on_memory;
	size_t got;

	make_many();
	for (int i = 0; i < MANY - 1; i++) {
		sock_close(bs[i]);
		sim_run(1000);
	}
	CU_ASSERT_EQUAL(put_small(bs[MANY - 1]), SMALL);
	sock_close(bs[MANY - 1]);
	CU_ASSERT_EQUAL(take_all(as[MANY - 1], &got), 0);
	CU_ASSERT_EQUAL(got, SMALL);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->abort_on_memory, before);
	close_many();
}

static void
the_oldest_fin_wait_2_leaves_without_a_word(void)
{
	uint64_t before = sim_stack(SIM_B)->time_wait_overflow;

	make_many();
	for (int i = 0; i < MANY; i++) {
		sock_close(bs[i]);
		sim_run(3000);
		CU_ASSERT_TRUE(count_on_b("FIN_WAIT_2") <= LIMIT);
	}
	CU_ASSERT_EQUAL(count_on_b("FIN_WAIT_2"), LIMIT);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->time_wait_overflow - before, MANY - LIMIT);
	CU_ASSERT_EQUAL(count_resets(0, MANY), 0);
	for (int i = MANY - LIMIT; i < MANY; i++)
		sock_close(as[i]); /* those that are still known */
	sim_run(1000);
	CU_ASSERT_EQUAL(count_on_b("TIME_WAIT"), LIMIT);
	for (int i = MANY - LIMIT; i < MANY; i++)
		sock_open(sim_group(SIM_A), SOCK_TCP, &as[i]);
	close_many();
}

static void
the_oldest_fin_wait_2_gives_way_to_a_new_connection(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	struct sock *new_a, *new_b;

	make_many();
	sim_group(SIM_B)->params.conn_max = sim_stack(SIM_B)->n_conns;
	for (int i = 0; i < 3; i++)
		sock_close(bs[i]);
	sim_run(1000);
	for (unsigned int left = 3; left-- > 0;) {
		CU_ASSERT_EQUAL(sock_open(sim_group(SIM_A), SOCK_TCP, &new_a), 0);
		sock_connect(new_a, &at);
		sim_run(1000);
		CU_ASSERT_EQUAL_FATAL(sock_accept(l, &new_b, NULL), 0);
		CU_ASSERT_EQUAL(count_on_b("FIN_WAIT_2"), left);
		sock_close(as[left]);
		as[left] = new_a;
		bs[left] = new_b;
	}
	for (int i = 0; i < MANY; i++)
		sock_close(bs[i]);
	close_many();
}

static bool is_mute[65536]; /* by A's port, network order: nothing that it sends arrives */

static bool
is_lost(int from, const uint8_t *ip, uint32_t len)
{
	uint16_t port;

	(void)len;
	memcpy(&port, ip + 4 * (ip[0] & 15), sizeof(port));
	return from == SIM_A && is_mute[port];
}

static void
mute(struct sock *s, bool on)
{
	struct sockaddr_in name;

	sock_name(s, &name);
	is_mute[name.sin_port] = on;
	sim_wire.tap = is_lost;
}

/* Close bs[from .. to), whose peers acknowledge nothing. */
static void
close_mute(int from, int to)
{
	for (int i = from; i < to; i++) {
		mute(as[i], true);
		CU_ASSERT_EQUAL(put_small(bs[i]), SMALL);
		sock_close(bs[i]);
		sim_run(10000);
	}
}

static void
end_many(int from, int to)
{
	for (int i = 0; i < MANY; i++)
		mute(as[i], false);
	for (int i = from; i < to; i++)
		sock_close(bs[i]);
	pass(2);
	close_many();
}

/* Peers that acknowledge nothing more hold the places only until somebody has data. */
static void
the_one_that_stands_still_longest_gives_way(void)
{
	uint64_t before = sim_stack(SIM_B)->abort_on_memory;
	size_t got;

	make_many();
	close_mute(0, LIMIT);
	pass(2);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->abort_on_memory, before);
	for (int i = LIMIT; i < LIMIT + 3; i++) {
		CU_ASSERT_EQUAL(put_small(bs[i]), SMALL);
		sock_close(bs[i]);
		CU_ASSERT_EQUAL(take_all(as[i], &got), 0);
		CU_ASSERT_EQUAL(got, SMALL);
		CU_ASSERT_EQUAL(sim_stack(SIM_B)->abort_on_memory - before, 1);
	}
	CU_ASSERT_EQUAL(count_resets(0, MANY), 1);
	for (int i = 1; i < LIMIT; i++) {
		CU_ASSERT_EQUAL(take_all(as[i], &got), 0);
		CU_ASSERT_EQUAL(got, SMALL);
	}
	end_many(LIMIT + 3, MANY);
}

static void
who_moves_keeps_the_place(void)
{
	uint64_t before = sim_stack(SIM_B)->abort_on_memory;
	size_t all, got;

	make_many();
	all = fill(bs[0]);
	sock_close(bs[0]);
	close_mute(1, LIMIT);
	pass(2);
	CU_ASSERT_TRUE((got = (size_t)take(as[0], BIG)) > 0); /* its window opens */
	sim_run(1000);
	close_mute(LIMIT, LIMIT + LIMIT - 1);
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->abort_on_memory - before, LIMIT - 1);
	CU_ASSERT_EQUAL(count_resets(0, MANY), LIMIT - 1);
	close_mute(MANY - 1, MANY); /* now all others have moved or are new */
	CU_ASSERT_EQUAL(sim_stack(SIM_B)->abort_on_memory - before, LIMIT);
	CU_ASSERT_EQUAL(sock_take_error(as[MANY - 1]), ECONNRESET);
	all -= got;
	CU_ASSERT_EQUAL(take_all(as[0], &got), 0);
	CU_ASSERT_EQUAL(got, all);
	end_many(LIMIT + LIMIT - 1, MANY - 1);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(fin_wait_2_ends_after_a_minute),
	CUNIT_TEST(a_shutdown_before_the_close_changes_nothing),
	CUNIT_TEST(a_closed_window_is_not_waited_for_for_ever),
	CUNIT_TEST(a_slow_reader_gets_everything),
	CUNIT_TEST(a_peer_that_is_gone_costs_eight_tries),
	CUNIT_TEST(a_fin_that_nobody_acknowledges_too),
	CUNIT_TEST(closed_at_once_beyond_the_limit_they_are_reset),
	CUNIT_TEST(fin_wait_2_takes_no_place_of_those_with_data),
	CUNIT_TEST(the_oldest_fin_wait_2_leaves_without_a_word),
	CUNIT_TEST(the_oldest_fin_wait_2_gives_way_to_a_new_connection),
	CUNIT_TEST(the_one_that_stands_still_longest_gives_way),
	CUNIT_TEST(who_moves_keeps_the_place),
};

CUNIT_MAIN("tcp_orphan", tests, setup, teardown)
