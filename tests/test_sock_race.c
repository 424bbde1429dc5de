/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * States of a socket that last for a few nanoseconds, while another thread looks: each is made here step by
 * step, and the call of the other thread comes in between.
 */
#include "stack/impl.h"
#include "stack/lwip_image.h"
#include "tests/cunit_main.h"
#include "tests/sim.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>

#define PORT 7000

static struct sock *
open_on_a(enum sock_kind kind)
{
	struct sock *s = NULL;

	CU_ASSERT_EQUAL_FATAL(sock_open(sim_group(SIM_A), kind, &s), 0);
	return s;
}

static struct sock *
listen_on_a(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct sock *l = open_on_a(SOCK_TCP);

	CU_ASSERT_EQUAL(sock_bind(l, &at), 0);
	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	return l;
}

static int
connect_to_b(struct sock *s)
{
	struct sockaddr_in to = sim_addr(SIM_B, PORT);

	return sock_connect(s, &to);
}

static bool
somebody_is_marked(void)
{
	struct stack *st = sim_stack(SIM_A);

	return atomic_load(&st->dirty) != NULL || st->dirty_fifo != NULL;
}

/* --- what has no connection any more, or not yet ------------------------------------------------ */

static void
refused_socket_does_not_listen_before_it_is_told(void)
{
	struct sock *s = open_on_a(SOCK_TCP);

	CU_ASSERT_EQUAL(connect_to_b(s), -EINPROGRESS);
	sim_run(10000);
	CU_ASSERT_EQUAL(sock_listen(s, 1), -EINVAL); /* it is on its stack's list */
	CU_ASSERT_EQUAL(sock_connect_result(s), -ECONNREFUSED);
	CU_ASSERT_EQUAL(sock_listen(s, 1), 0);
	sock_close(s);
}

static void
uncorked_listener_can_be_closed(void)
{
	struct sock *l = listen_on_a();
	int off = 0;

	CU_ASSERT_EQUAL(sock_setopt(l, IPPROTO_TCP, TCP_CORK, &off, sizeof(off)), 0);
	sock_close(l);
	CU_ASSERT_FALSE(somebody_is_marked());
}

/* By a thread that has seen it connecting, and was interrupted then. */
static void
late_mark_does_not_outlive_a_listener(void)
{
	struct sock *l = listen_on_a();

	stack_mark_dirty(l, SD_OPT);
	sock_close(l);
	CU_ASSERT_FALSE(somebody_is_marked());
	l = listen_on_a();
	CU_ASSERT_EQUAL(sock_shutdown(l, SHUT_RD), 0);
	CU_ASSERT_EQUAL(sock_shutdown(l, SHUT_RD), -ENOTCONN);
	stack_mark_dirty(l, SD_TX);
	sock_close(l);
	CU_ASSERT_FALSE(somebody_is_marked());
}

/* It has been refused, has listened, has stopped: what it has accepted still refers to it. */
static void
accepted_connection_outlives_its_listener_of_many_lives(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct sockaddr_in to = sim_addr(SIM_A, PORT);
	struct sock *l = open_on_a(SOCK_TCP), *c, *s = NULL;

	CU_ASSERT_EQUAL(connect_to_b(l), -EINPROGRESS);
	sim_run(10000);
	CU_ASSERT_EQUAL(sock_connect_result(l), -ECONNREFUSED);
	CU_ASSERT_EQUAL(sock_bind(l, &at), 0);
	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	sock_open(sim_group(SIM_B), SOCK_TCP, &c);
	CU_ASSERT_EQUAL(sock_connect(c, &to), -EINPROGRESS);
	sim_run(10000);
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, &s, NULL), 0);
	CU_ASSERT_EQUAL(sock_shutdown(l, SHUT_RD), 0);
	sock_close(l);
	sim_run(1000);
	CU_ASSERT_PTR_EQUAL(s->listener, l);
	CU_ASSERT_EQUAL(atomic_load(&l->refs), 1); /* the address sanitizer knows better */
	sock_close(c);
	sock_close(s);
}

/* --- connect() ---------------------------------------------------------------------------------- */

static struct sock *connecting;

/* In the middle of connect(): the connection gets its place in the table. */
static void
set_options(void *arg, unsigned int table, const struct stack_shown *shown)
{
	int on = 1, ttl = 9;

	CU_ASSERT_EQUAL(sock_setopt(connecting, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)), 0);
	CU_ASSERT_EQUAL(sock_setopt(connecting, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), 0);
}

static void
ignore(void *arg, unsigned int table, const struct stack_shown *shown)
{
}

static int
no_claim(void *arg, const struct stack_shown *shown)
{
	return 0;
}

static bool
no_more(void *arg)
{
	return false;
}

static void
option_that_is_set_while_connect_begins_counts(void)
{
	static const _Atomic uint64_t all_ports[2] = {UINT64_MAX, UINT64_MAX};
	const struct stack_sharing sharing = {.show = set_options, .hide = ignore, .claim = no_claim,
		.more_ports = no_more, .ports = all_ports};
	struct stack *st = sim_stack(SIM_A);

	connecting = open_on_a(SOCK_TCP);
	st->wiring.sharing = &sharing;
	CU_ASSERT_EQUAL(connect_to_b(connecting), -EINPROGRESS);
	st->wiring.sharing = NULL;
	sock_settle(connecting);
	CU_ASSERT_TRUE_FATAL(connecting->pcb != NULL);
	CU_ASSERT_TRUE(ip_get_option(connecting->pcb, SOF_KEEPALIVE));
	CU_ASSERT_EQUAL(connecting->pcb->ttl, 9);
	sock_close(connecting);
}

/* The holder says why first, and then that it is over. */
static void
refusal_is_an_event_when_connect_is_over(void)
{
	struct sock *s = open_on_a(SOCK_TCP);

	CU_ASSERT_EQUAL(connect_to_b(s), -EINPROGRESS);
	atomic_store(&s->err, ECONNREFUSED);
	CU_ASSERT_EQUAL(sock_events(s), 0);
	atomic_store(&s->err, 0);
	sim_run(10000);
	CU_ASSERT_TRUE(sock_events(s) & EPOLLERR);
	sock_close(s);
}

/* --- reading ------------------------------------------------------------------------------------ */

/* The holder queues data, and counts it then; who reads in between is ahead of the count. */
static void
data_that_is_read_before_it_is_counted_is_not_there_twice(void)
{
	struct sock *a, *b, *l;
	char c;
	struct iovec iov = {&c, 1};

	sim_connect(PORT, &a, &b, &l);
	atomic_fetch_add(&b->rx_bytes_out, 100);
	CU_ASSERT_EQUAL(sock_inq(b), 0);
	CU_ASSERT_FALSE(sock_events(b) & EPOLLIN);
	CU_ASSERT_EQUAL(sock_recv(b, &iov, 1, 0, NULL, NULL), -EAGAIN);
	atomic_fetch_sub(&b->rx_bytes_out, 100);
	sock_close(a);
	sock_close(b);
	sock_close(l);
	b = open_on_a(SOCK_UDP);
	atomic_fetch_add(&b->rx_pkts_out, 1);
	CU_ASSERT_FALSE(sock_events(b) & EPOLLIN);
	sock_close(b);
}

/* --- datagrams ---------------------------------------------------------------------------------- */

enum { CONNECTS = 100000, LOOKS = 100 }; /* at least */

static struct sock *datagrams;
static _Atomic bool stop;
static _Atomic unsigned int n_looks;
static unsigned int n_mixed;

static void *
look_at_peer(void *arg)
{
	while (!atomic_load(&stop)) {
		struct sockaddr_in peer;

		if (sock_peer(datagrams, &peer) != 0)
			continue;
		atomic_fetch_add(&n_looks, 1);
		n_mixed += peer.sin_addr.s_addr != peer.sin_port * 0x10001u;
	}
	return NULL;
}

static void
peer_of_datagrams_is_one_or_the_other(void)
{
	struct sockaddr_in none = {.sin_family = AF_UNSPEC}, peers[2];
	cpu_set_t all, before;
	pthread_t thread;

	for (unsigned int i = 0; i < 2; i++)
		peers[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = (in_port_t)(i + 1),
			.sin_addr.s_addr = (i + 1) * 0x10001u};
	sched_getaffinity(0, sizeof(before), &before);
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all); /* the environment has pinned us */
	datagrams = open_on_a(SOCK_UDP);
	atomic_store(&stop, false);
	atomic_store(&n_looks, 0);
	n_mixed = 0;
	pthread_create(&thread, NULL, look_at_peer, NULL);
	for (unsigned int i = 0; i < CONNECTS || atomic_load(&n_looks) < LOOKS; i++) {
		CU_ASSERT_EQUAL(sock_connect(datagrams, &peers[i % 2]), 0);
		if (i % 16 == 0)
			CU_ASSERT_EQUAL(sock_connect(datagrams, &none), 0);
		if (i >= CONNECTS)
			sched_yield();
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(n_mixed, 0);
	sock_close(datagrams);
	sched_setaffinity(0, sizeof(before), &before);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(refused_socket_does_not_listen_before_it_is_told),
	CUNIT_TEST(uncorked_listener_can_be_closed),
	CUNIT_TEST(late_mark_does_not_outlive_a_listener),
	CUNIT_TEST(accepted_connection_outlives_its_listener_of_many_lives),
	CUNIT_TEST(option_that_is_set_while_connect_begins_counts),
	CUNIT_TEST(refusal_is_an_event_when_connect_is_over),
	CUNIT_TEST(data_that_is_read_before_it_is_counted_is_not_there_twice),
	CUNIT_TEST(peer_of_datagrams_is_one_or_the_other),
};
CUNIT_MAIN("sock_race", tests, sim_setup, sim_teardown)
