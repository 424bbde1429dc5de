/* SPDX-License-Identifier: BSD-3-Clause */
/* Ready sets: epoll's level, edge and one-shot rules over sockets of the simulated wire. */
#include "stack/impl.h"
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#define PORT 11211

static struct sock *a, *b, *l;
static struct ready_set *set;
static struct ready_watch *w;
static struct ready_event ev[8];

static void
setup(void)
{
	sim_setup();
	sim_connect(PORT, &a, &b, &l);
	CU_ASSERT_EQUAL_FATAL(ready_create(sim_group(SIM_B), &set), 0);
	w = NULL;
}

static void
teardown(void)
{
	if (w != NULL)
		ready_del(w);
	ready_destroy(set);
	sock_close(a);
	sock_close(b);
	sock_close(l);
	sim_teardown();
}

static void
send_to_b(const char *text)
{
	struct iovec iov = {.iov_base = (void *)text, .iov_len = strlen(text)};

	CU_ASSERT_EQUAL(sock_send(a, &iov, 1, 0, NULL), (ssize_t)iov.iov_len);
	sim_run(50000); /* longer than a delayed ACK: Nagle's next byte has gone as well */
}

static ssize_t
read_b(size_t len)
{
	char buf[64];
	struct iovec iov = {.iov_base = buf, .iov_len = len};

	return sock_recv(b, &iov, 1, 0, NULL, NULL);
}

static void
level_reports_until_the_data_is_read(void)
{
	ready_add(set, b, EPOLLIN, 42, &w);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 0);
	send_to_b("xyz");
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
		CU_ASSERT_EQUAL(ev[0].data, 42);
		CU_ASSERT_EQUAL(ev[0].events, EPOLLIN);
	}
	read_b(2);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	read_b(1);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 0);
}

static void
edge_reports_once_per_arrival(void)
{
	ready_add(set, b, EPOLLIN | EPOLLET, 1, &w);
	send_to_b("x");
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 0);
	send_to_b("y"); /* more data is a new edge although nothing was read */
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 0);
	read_b(2);
}

static void
a_look_takes_nothing(void)
{
	CU_ASSERT_FALSE(ready_look(set));
	ready_add(set, b, EPOLLIN | EPOLLET, 1, &w);
	CU_ASSERT_FALSE(ready_look(set));
	send_to_b("x");
	CU_ASSERT_TRUE(ready_look(set));
	CU_ASSERT_TRUE(ready_look(set));
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	CU_ASSERT_FALSE(ready_look(set)); /* an edge is reported once */
	send_to_b("y");
	read_b(2);
	CU_ASSERT_TRUE(ready_has_some(set)); /* perhaps */
	CU_ASSERT_FALSE(ready_look(set));
	CU_ASSERT_FALSE(ready_has_some(set));
	send_to_b("z");
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	read_b(1);
}

static void
oneshot_is_silent_until_modified(void)
{
	ready_add(set, b, EPOLLIN | EPOLLONESHOT, 1, &w);
	send_to_b("x");
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	send_to_b("y");
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 0);
	ready_mod(w, EPOLLIN | EPOLLONESHOT, 2);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	CU_ASSERT_EQUAL(ev[0].data, 2);
	read_b(2);
}

static void
one_socket_in_two_sets(void)
{
	struct ready_set *other;
	struct ready_watch *w2;

	ready_create(sim_group(SIM_B), &other);
	ready_add(set, b, EPOLLIN, 1, &w);
	ready_add(other, b, EPOLLIN | EPOLLOUT, 2, &w2);
	CU_ASSERT_EQUAL(ready_collect(other, ev, 8), 1);
	CU_ASSERT_EQUAL(ev[0].events, EPOLLOUT);
	send_to_b("x");
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	CU_ASSERT_EQUAL(ready_collect(other, ev, 8), 1);
	CU_ASSERT_EQUAL(ev[0].events, EPOLLIN | EPOLLOUT);
	ready_del(w2);
	ready_destroy(other);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	read_b(1);
}

static void
hangup_and_error_need_not_be_asked_for(void)
{
	struct sock *quiet;
	struct sockaddr_in nobody = sim_addr(SIM_A, 9);

	sock_open(sim_group(SIM_B), SOCK_TCP, &quiet);
	ready_add(set, quiet, 0, 5, &w);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1); /* never connected: HUP */
	CU_ASSERT_EQUAL(ev[0].events, EPOLLHUP);
	sock_connect(quiet, &nobody);
	sim_run(1000);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	CU_ASSERT_EQUAL(ev[0].events, EPOLLERR | EPOLLHUP);
	ready_del(w);
	w = NULL;
	sock_close(quiet);
}

static void
writable_again_is_an_edge(void)
{
	static char block[65536];
	struct iovec iov = {.iov_base = block, .iov_len = sizeof(block)};

	ready_add(set, b, EPOLLOUT | EPOLLET, 1, &w);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	sim_wire.cut = 1;
	while (sock_send(b, &iov, 1, 0, NULL) > 0)
		;
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 0);
	sim_wire.cut = 0;
	for (int i = 0; i < 3000 && ready_collect(set, ev, 8) == 0; i++) {
		struct iovec in = {.iov_base = block, .iov_len = sizeof(block)};

		sim_run(1000);
		while (sock_recv(a, &in, 1, 0, NULL, NULL) > 0)
			;
	}
	CU_ASSERT_TRUE(sock_events(b) & EPOLLOUT);
	for (int i = 0; i < 3000; i++) { /* read the rest, so that closing is quiet */
		struct iovec in = {.iov_base = block, .iov_len = sizeof(block)};

		sim_run(1000);
		while (sock_recv(a, &in, 1, 0, NULL, NULL) > 0)
			;
	}
}

static void
more_ready_than_asked_for_come_later(void)
{
	struct sock *s[6], *c[6];
	struct ready_watch *ws[6];
	struct sockaddr_in at = sim_addr(SIM_B, PORT);
	unsigned int seen = 0;

	for (int i = 0; i < 6; i++) {
		sock_open(sim_group(SIM_A), SOCK_TCP, &c[i]);
		sock_connect(c[i], &at);
		sim_run(1000);
		CU_ASSERT_EQUAL_FATAL(sock_accept(l, &s[i], NULL), 0);
		ready_add(set, s[i], EPOLLOUT, i, &ws[i]);
	}
	for (int round = 0; round < 3; round++) {
		CU_ASSERT_EQUAL(ready_collect(set, ev, 2), 2);
		seen |= 1u << ev[0].data | 1u << ev[1].data;
	}
	CU_ASSERT_EQUAL(seen, 0x3f); /* nobody starves */
	for (int i = 0; i < 6; i++) {
		ready_del(ws[i]);
		sock_close(s[i]);
		sock_close(c[i]);
	}
}

static void
armed_set_wakes_its_sleeper(void)
{
	struct pollfd p = {.fd = ready_fd(set), .events = POLLIN};

	ready_add(set, b, EPOLLIN, 1, &w);
	CU_ASSERT_TRUE(ready_arm(set));
	CU_ASSERT_EQUAL(poll(&p, 1, 0), 0);
	send_to_b("x");
	CU_ASSERT_EQUAL(poll(&p, 1, 0), 1);
	ready_disarm(set);
	CU_ASSERT_EQUAL(poll(&p, 1, 0), 0);
	CU_ASSERT_FALSE(ready_arm(set)); /* ready already: no sleep */
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	read_b(1);
}

static int
readable(void)
{
	struct pollfd p = {.fd = ready_fd(set), .events = POLLIN};

	return poll(&p, 1, 0);
}

/* Two threads sleep. The first takes what has come, and does not come back. */
static void
what_comes_next_wakes_the_next_sleeper(void)
{
	struct ready_sleep first, second;

	ready_add(set, b, EPOLLIN | EPOLLET, 1, &w);
	CU_ASSERT_TRUE(ready_sleep_begin(set, &first));
	CU_ASSERT_TRUE(ready_sleep_begin(set, &second));
	send_to_b("x");
	CU_ASSERT_EQUAL(readable(), 1);
	ready_sleep_end(set, &first);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	CU_ASSERT_EQUAL(readable(), 0); /* nothing is left for the other one */
	send_to_b("y");
	CU_ASSERT_EQUAL(readable(), 1);
	ready_sleep_end(set, &second);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 8), 1);
	send_to_b("z"); /* nobody sleeps */
	CU_ASSERT_EQUAL(readable(), 0);
	read_b(3);
}

static void
what_is_left_in_the_set_wakes_the_next_sleeper(void)
{
	struct ready_sleep first, second;
	struct ready_watch *w2;

	ready_add(set, b, EPOLLIN | EPOLLET, 1, &w);
	ready_add(set, b, EPOLLIN | EPOLLET, 2, &w2);
	CU_ASSERT_TRUE(ready_sleep_begin(set, &first));
	CU_ASSERT_TRUE(ready_sleep_begin(set, &second));
	send_to_b("x");
	ready_sleep_end(set, &first);
	CU_ASSERT_EQUAL(readable(), 0);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 1), 1);
	CU_ASSERT_EQUAL(readable(), 1);
	ready_sleep_end(set, &second);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 1), 1);
	CU_ASSERT_EQUAL(readable(), 0);
	ready_del(w2);
	read_b(1);
}

/* The caller's own arming, and a thread that sleeps, do not end each other. */
static void
a_sleeper_is_woken_whatever_the_caller_arms(void)
{
	struct ready_sleep sleep;

	ready_add(set, b, EPOLLIN | EPOLLET, 1, &w);
	CU_ASSERT_TRUE(ready_sleep_begin(set, &sleep));
	CU_ASSERT_TRUE(ready_arm(set));
	ready_disarm(set);
	send_to_b("x");
	CU_ASSERT_EQUAL(readable(), 1);
	ready_sleep_end(set, &sleep);
	CU_ASSERT_EQUAL(ready_collect(set, ev, 1), 1);
	CU_ASSERT_TRUE(ready_arm(set));
	CU_ASSERT_TRUE(ready_sleep_begin(set, &sleep));
	ready_sleep_end(set, &sleep);
	send_to_b("y");
	CU_ASSERT_EQUAL(readable(), 1);
	ready_disarm(set);
	read_b(2);
}

static void
op_tell(struct stack *st, void *arg)
{
	sock_notify(b, EPOLLIN);
}

/* Nobody may run the stack for a while. */
static void
an_operation_wakes_at_once(void)
{
	struct ready_sleep sleep;

	ready_add(set, b, EPOLLIN, 1, &w);
	CU_ASSERT_TRUE(ready_sleep_begin(set, &sleep));
	stack_call(sim_stack(SIM_B), op_tell, NULL);
	CU_ASSERT_EQUAL(readable(), 1);
	ready_sleep_end(set, &sleep);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(level_reports_until_the_data_is_read),
	CUNIT_TEST(edge_reports_once_per_arrival),
	CUNIT_TEST(a_look_takes_nothing),
	CUNIT_TEST(oneshot_is_silent_until_modified),
	CUNIT_TEST(one_socket_in_two_sets),
	CUNIT_TEST(hangup_and_error_need_not_be_asked_for),
	CUNIT_TEST(writable_again_is_an_edge),
	CUNIT_TEST(more_ready_than_asked_for_come_later),
	CUNIT_TEST(armed_set_wakes_its_sleeper),
	CUNIT_TEST(what_comes_next_wakes_the_next_sleeper),
	CUNIT_TEST(what_is_left_in_the_set_wakes_the_next_sleeper),
	CUNIT_TEST(a_sleeper_is_woken_whatever_the_caller_arms),
	CUNIT_TEST(an_operation_wakes_at_once),
};
CUNIT_MAIN("ready", tests, setup, teardown)
