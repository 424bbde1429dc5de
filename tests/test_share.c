/* SPDX-License-Identifier: BSD-3-Clause */
/* An address that several processes share: what they see of our sockets. */
#include "tests/share_rig.h"

#include <sys/epoll.h>

static void
connection_is_shown_from_its_syn_to_the_end_of_time_wait(void)
{
	struct sockaddr_in peer = sim_addr(SIM_B, PORT), name;
	struct sock *a, *b, *l = open_at(SIM_B, SOCK_TCP, PORT, 0);

	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	sock_open(sim_group(SIM_A), SOCK_TCP, &a);
	CU_ASSERT_EQUAL(sock_connect(a, &peer), -EINPROGRESS);
	sock_name(a, &name);
	CU_ASSERT(sees(peer.sin_addr.s_addr, peer.sin_port, name.sin_port, false));
	CU_ASSERT_EQUAL(shown[0].table, sim_stack(SIM_A)->index);
	sim_run(1000);
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
	sock_close(a);
	sim_run(1000);
	sock_close(b);
	sim_run(1000);
	CU_ASSERT(sees(peer.sin_addr.s_addr, peer.sin_port, name.sin_port, false));
	sock_close(l);
	sim_run(61000000);
	CU_ASSERT_EQUAL(n_shown, 0);
	CU_ASSERT_EQUAL(n_claims, 0);
}

static void
incoming_connection_is_shown_before_it_is_accepted(void)
{
	struct sockaddr_in peer = sim_addr(SIM_A, PORT), name;
	struct sock *b, *l = open_at(SIM_A, SOCK_TCP, PORT, 0);

	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	sock_open(sim_group(SIM_B), SOCK_TCP, &b);
	sock_connect(b, &peer);
	sock_name(b, &name);
	sim_run(1000);
	CU_ASSERT(sees(name.sin_addr.s_addr, name.sin_port, peer.sin_port, false));
	sock_close(l);
	sim_run(1000);
	CU_ASSERT_EQUAL(n_shown, 0);
	sock_close(b);
}

static void
port_is_shown_while_anybody_listens_there(void)
{
	struct sock *l = open_at(SIM_A, SOCK_TCP, PORT, SF_REUSEPORT);
	struct sock *l2 = open_at(SIM_A, SOCK_TCP, PORT, SF_REUSEPORT);

	CU_ASSERT_EQUAL(n_shown, 0);
	CU_ASSERT_EQUAL(n_claims, 0);
	sock_set_identity(l, 77);
	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	CU_ASSERT_EQUAL_FATAL(n_shown, 1);
	CU_ASSERT(sees(0, 0, htons(PORT), false));
	CU_ASSERT_EQUAL(shown[0].table, 0);
	CU_ASSERT(shown[0].s.reuseport);
	CU_ASSERT_EQUAL(shown[0].s.identity, 77);
	CU_ASSERT(claimed.reuseport && claimed.identity == 77 && claimed.lport == htons(PORT));
	CU_ASSERT_EQUAL(sock_listen(l2, 8), 0);
	CU_ASSERT_EQUAL(n_shown, 1);
	sock_close(l);
	CU_ASSERT_EQUAL(n_shown, 1);
	CU_ASSERT_EQUAL(shown[0].s.identity, 0);
	sock_close(l2);
	CU_ASSERT_EQUAL(n_shown, 0);
}

static void
udp_port_is_shown_while_a_socket_has_it(void)
{
	struct sock *u = open_at(SIM_A, SOCK_UDP, 53, SF_REUSEPORT);
	struct sock *u2 = open_at(SIM_A, SOCK_UDP, 53, SF_REUSEPORT);

	CU_ASSERT_EQUAL(n_shown, 1);
	CU_ASSERT(sees(0, 0, htons(53), true));
	CU_ASSERT(claimed.is_udp);
	sock_close(u);
	sim_run(1000);
	CU_ASSERT_EQUAL(n_shown, 1);
	sock_close(u2);
	sim_run(1000);
	CU_ASSERT_EQUAL(n_shown, 0);
}

static void
port_of_another_process_is_in_use(void)
{
	struct sockaddr_in at = sim_addr(SIM_A, 53);
	struct sock *l = open_at(SIM_A, SOCK_TCP, PORT, 0), *u;

	claim_answer = -EADDRINUSE;
	CU_ASSERT_EQUAL(sock_listen(l, 8), -EADDRINUSE);
	CU_ASSERT_FALSE(sock_is_listening(l));
	sock_open(sim_group(SIM_A), SOCK_UDP, &u);
	CU_ASSERT_EQUAL(sock_bind(u, &at), -EADDRINUSE);
	CU_ASSERT_EQUAL(n_shown, 0);
	claim_answer = 0;
	/* Both can try again, and the port is free for others of this process. */
	CU_ASSERT_EQUAL(sock_bind(u, &at), 0);
	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	CU_ASSERT_EQUAL(n_shown, 2);
	sock_close(u);
	sock_close(l);
	sim_run(1000);
}

/* A worker of a server that makes one SO_REUSEPORT socket for each has inherited them all. */
static void
of_inherited_sockets_those_in_use_get_what_comes(void)
{
	enum { N = 40 };
	struct sockaddr_in at = sim_addr(SIM_A, PORT), name;
	struct sock *l[3], *u[3], *b[N], *c;
	char byte = 1;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct ready_watch *w;
	struct ready_set *set;
	int came = 0;

	CU_ASSERT_EQUAL_FATAL(ready_create(sim_group(SIM_A), &set), 0);
	for (int i = 0; i < 3; i++) {
		l[i] = open_at(SIM_A, SOCK_TCP, PORT, SF_REUSEPORT);
		CU_ASSERT_EQUAL(sock_listen(l[i], 64), 0);
		u[i] = open_at(SIM_A, SOCK_UDP, PORT, SF_REUSEPORT);
	}
	CU_ASSERT_EQUAL(ready_add(set, u[1], EPOLLIN, 0, &w), 0);
	CU_ASSERT_EQUAL(sock_accept(l[1], &c, NULL), -EAGAIN);
	for (int i = 0; i < N; i++) {
		sock_open(sim_group(SIM_B), SOCK_TCP, &b[i]);
		sock_connect(b[i], &at);
	}
	sim_run(10000);
	while (sock_accept(l[1], &c, NULL) == 0) {
		sock_close(c);
		came++;
	}
	CU_ASSERT_EQUAL(came, N);
	c = open_at(SIM_B, SOCK_UDP, 0, 0);
	CU_ASSERT_EQUAL(sock_send(c, &iov, 1, 0, &at), 1);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_recv(u[1], &iov, 1, 0, &name, NULL), 1);
	ready_del(w);
	ready_destroy(set);
	sock_close(c);
	for (int i = 0; i < N; i++)
		sock_close(b[i]);
	for (int i = 0; i < 3; i++) {
		sock_close(l[i]);
		sock_close(u[i]);
	}
	sim_run(1000);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(connection_is_shown_from_its_syn_to_the_end_of_time_wait),
	CUNIT_TEST(incoming_connection_is_shown_before_it_is_accepted),
	CUNIT_TEST(port_is_shown_while_anybody_listens_there),
	CUNIT_TEST(udp_port_is_shown_while_a_socket_has_it),
	CUNIT_TEST(port_of_another_process_is_in_use),
	CUNIT_TEST(of_inherited_sockets_those_in_use_get_what_comes),
};
CUNIT_MAIN("share", tests, setup, teardown)
