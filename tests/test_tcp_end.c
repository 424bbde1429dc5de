/* SPDX-License-Identifier: BSD-3-Clause */
/* What calls say of a connection that has ended, or never came: as on Linux. gone_probe has every order. */
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>

enum { PORT = 7000 };

static ssize_t
put(struct sock *s, const char *text)
{
	struct iovec iov = {(void *)text, strlen(text)};

	return sock_send(s, &iov, 1, 0, NULL);
}

static ssize_t
get(struct sock *s)
{
	char buf[16];
	struct iovec iov = {buf, sizeof(buf)};

	return sock_recv(s, &iov, 1, 0, NULL, NULL);
}

static bool
has_peer(struct sock *s)
{
	struct sockaddr_in peer;

	return sock_peer(s, &peer) == 0;
}

/* B is closed, A has read the end, writes and is reset for it. */
static void
a_reset_after_the_peers_end_is_epipe_for_writers_and_the_end_for_readers(void)
{
	struct sock *a, *b, *l;

	sim_connect(PORT, &a, &b, &l);
	sock_close(b);
	sim_run(1000);
	CU_ASSERT_EQUAL(get(a), 0);
	CU_ASSERT_EQUAL(put(a, "x"), 1);
	sim_run(1000);
	CU_ASSERT(sock_events(a) & EPOLLERR);
	CU_ASSERT_EQUAL(get(a), 0);
	CU_ASSERT_EQUAL(put(a, "x"), -EPIPE);
	CU_ASSERT_EQUAL(sock_take_error(a), 0);
	CU_ASSERT_EQUAL(put(a, "x"), -EPIPE);
	CU_ASSERT_EQUAL(get(a), 0);
	CU_ASSERT_FALSE(has_peer(a));
	sock_close(a);
	sock_close(l);
}

static void
the_error_of_such_a_reset_is_epipe(void)
{
	struct sock *a, *b, *l;

	sim_connect(PORT, &a, &b, &l);
	sock_close(b);
	sim_run(1000);
	CU_ASSERT_EQUAL(put(a, "x"), 1);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_take_error(a), EPIPE);
	CU_ASSERT_EQUAL(sock_take_error(a), 0);
	CU_ASSERT_EQUAL(put(a, "x"), -EPIPE);
	sock_close(a);
	sock_close(l);
}

/* Without a FIN before it. */
static void
a_reset_is_said_once(void)
{
	struct sock *a, *b, *l;

	sim_connect(PORT, &a, &b, &l);
	put(a, "unread");
	sim_run(1000);
	sock_close(b);
	sim_run(1000);
	CU_ASSERT_EQUAL(put(a, "x"), -ECONNRESET);
	CU_ASSERT_EQUAL(put(a, "x"), -EPIPE);
	CU_ASSERT_EQUAL(get(a), 0);
	sock_close(a);
	sock_close(l);
}

static void
who_closed_first_has_no_peer_while_it_waits(void)
{
	struct sock *a, *b, *l;

	sim_connect(PORT, &a, &b, &l);
	CU_ASSERT_EQUAL(sock_shutdown(a, SHUT_WR), 0);
	sim_run(1000);
	CU_ASSERT(has_peer(a));
	CU_ASSERT_EQUAL(sock_shutdown(a, SHUT_WR), 0);
	sock_close(b);
	sim_run(1000);
	CU_ASSERT_FALSE(has_peer(a));
	CU_ASSERT_EQUAL(sock_shutdown(a, SHUT_WR), -ENOTCONN);
	CU_ASSERT_EQUAL(get(a), 0);
	sock_close(a);
	sock_close(l);
}

static void
a_connect_that_has_failed_may_be_repeated(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	struct sock *a, *b, *l;

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), SOCK_TCP, &a), 0);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(sock_connect(a, &at), -EINPROGRESS);
		sim_run(1000);
		CU_ASSERT_EQUAL(i == 0 ? sock_connect_result(a) : sock_connect(a, &at), -ECONNREFUSED);
		CU_ASSERT_EQUAL(sock_events(a), EPOLLOUT | EPOLLWRNORM | EPOLLHUP);
		CU_ASSERT_EQUAL(get(a), -ENOTCONN);
		CU_ASSERT_EQUAL(sock_take_error(a), 0);
	}
	sock_open(sim_group(SIM_B), SOCK_TCP, &l);
	sock_bind(l, &at);
	sock_listen(l, 8);
	CU_ASSERT_EQUAL(sock_connect(a, &at), -EINPROGRESS);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_connect_result(a), 0);
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
	CU_ASSERT_EQUAL(put(a, "data"), 4);
	sim_run(1000);
	CU_ASSERT_EQUAL(get(b), 4);
	sock_close(a);
	sock_close(b);
	sock_close(l);
}

/* With the port that it was bound to; and one that is closed after the failure leaves nothing. */
static void
a_bound_socket_keeps_its_port_for_the_next_connect(void)
{
	struct sockaddr_in at = sim_addr(SIM_B, PORT), own = sim_addr(SIM_A, 4000), name;
	struct sock *a;

	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), SOCK_TCP, &a), 0);
		CU_ASSERT_EQUAL(sock_bind(a, &own), 0);
		for (int n = 0; n < 2; n++) {
			CU_ASSERT_EQUAL(sock_connect(a, &at), -EINPROGRESS);
			sim_run(1000);
			CU_ASSERT_EQUAL(sock_connect_result(a), -ECONNREFUSED);
			sock_name(a, &name);
			CU_ASSERT_EQUAL(name.sin_port, own.sin_port);
		}
		sock_close(a);
		sim_run(1000);
	}
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(a_reset_after_the_peers_end_is_epipe_for_writers_and_the_end_for_readers),
	CUNIT_TEST(the_error_of_such_a_reset_is_epipe),
	CUNIT_TEST(a_reset_is_said_once),
	CUNIT_TEST(who_closed_first_has_no_peer_while_it_waits),
	CUNIT_TEST(a_connect_that_has_failed_may_be_repeated),
	CUNIT_TEST(a_bound_socket_keeps_its_port_for_the_next_connect),
};
CUNIT_MAIN("tcp_end", tests, sim_setup, sim_teardown)
