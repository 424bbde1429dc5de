/* SPDX-License-Identifier: BSD-3-Clause */
/* A listener that is closed here, and that other processes of the address may have still. */
#include "tests/share_rig.h"

/* It had the listener from another process, which may have it still. */
static void
end_of_an_inherited_listener_refuses_nobody_for_a_time(void)
{
	struct sock *a, *l = open_at(SIM_A, SOCK_TCP, PORT, 0);
	int result;

	sock_set_inherited(l);
	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	CU_ASSERT_TRUE(n_shown == 1 && shown[0].s.lives_on);
	sock_close(l);
	CU_ASSERT_EQUAL(n_shown, 0);
	CU_ASSERT_TRUE(hidden.lives_on && hidden.lport == htons(PORT));
	a = connect_to(SIM_B, sim_addr(SIM_A, 0).sin_addr.s_addr, PORT, &result);
	sim_run(900000);
	CU_ASSERT_EQUAL(sock_take_error(a), 0); /* somebody else may listen by its next try */
	sock_close(a);
	sim_run(STACK_LEFT_US);
	a = connect_to(SIM_B, sim_addr(SIM_A, 0).sin_addr.s_addr, PORT, &result);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_take_error(a), ECONNREFUSED);
	sock_close(a);
	sim_run(1000);
}

/* As many as ltran is told of (LTRAN_LEFT_MAX). */
static void
end_of_many_inherited_listeners_refuses_nobody(void)
{
	struct sock *l[32], *a[32];
	int result;

	for (unsigned int i = 0; i < 32; i++) {
		l[i] = open_at(SIM_A, SOCK_TCP, PORT + i, 0);
		sock_set_inherited(l[i]);
		CU_ASSERT_EQUAL(sock_listen(l[i], 8), 0);
	}
	for (unsigned int i = 0; i < 32; i++)
		sock_close(l[i]);
	for (unsigned int i = 0; i < 32; i++)
		a[i] = connect_to(SIM_B, sim_addr(SIM_A, 0).sin_addr.s_addr, PORT + i, &result);
	sim_run(100000);
	for (unsigned int i = 0; i < 32; i++) {
		CU_ASSERT_EQUAL(sock_take_error(a[i]), 0);
		sock_close(a[i]);
	}
	sim_run(STACK_LEFT_US);
}

/* An old worker has the TIME_WAIT, others listen: a SYN of this 4-tuple comes to the old one. */
static void
syn_that_ends_a_time_wait_is_not_refused_where_others_may_listen(void)
{
	struct sockaddr_in peer = sim_addr(SIM_A, PORT);
	struct sock *a = open_at(SIM_B, SOCK_TCP, 40000, 0), *b, *l = open_at(SIM_A, SOCK_TCP, PORT, 0);

	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	CU_ASSERT_EQUAL(sock_connect(a, &peer), -EINPROGRESS);
	sim_run(1000);
	CU_ASSERT_EQUAL_FATAL(sock_accept(l, &b, NULL), 0);
	sock_close(b);
	sim_run(1000);
	sock_close(a);
	sock_close(l);
	sim_run(STACK_LEFT_US + 1000000);
	CU_ASSERT(sees(sim_addr(SIM_B, 0).sin_addr.s_addr, htons(40000), htons(PORT), false));
	a = open_at(SIM_B, SOCK_TCP, 40000, 0);
	CU_ASSERT_EQUAL(sock_connect(a, &peer), -EINPROGRESS);
	sim_run(100000);
	CU_ASSERT_EQUAL(sock_take_error(a), 0);
	/* Its next try would come to others: nobody shows the connection any more. */
	CU_ASSERT_EQUAL(n_shown, 0);
	sim_run(2000000);
	CU_ASSERT_EQUAL(sock_take_error(a), ECONNREFUSED);
	sock_close(a);
	sim_run(1000);
}

static void
end_of_a_listener_refuses_where_nobody_else_has_it(void)
{
	struct sock *a, *l = open_at(SIM_A, SOCK_TCP, PORT, 0), *shut = open_at(SIM_A, SOCK_TCP, PORT + 1, 0);
	int result;

	CU_ASSERT_EQUAL(sock_listen(l, 8), 0);
	CU_ASSERT_FALSE(shown[0].s.lives_on);
	sock_close(l);
	CU_ASSERT_FALSE(hidden.lives_on);
	a = connect_to(SIM_B, sim_addr(SIM_A, 0).sin_addr.s_addr, PORT, &result);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_take_error(a), ECONNREFUSED);
	sock_close(a);
	/* shutdown() ends it for all who have it. */
	sock_set_inherited(shut);
	CU_ASSERT_EQUAL(sock_listen(shut, 8), 0);
	CU_ASSERT_EQUAL(sock_shutdown(shut, SHUT_RDWR), 0);
	CU_ASSERT_FALSE(hidden.lives_on);
	a = connect_to(SIM_B, sim_addr(SIM_A, 0).sin_addr.s_addr, PORT + 1, &result);
	sim_run(1000);
	CU_ASSERT_EQUAL(sock_take_error(a), ECONNREFUSED);
	sock_close(a);
	sock_close(shut);
	sim_run(1000);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(end_of_an_inherited_listener_refuses_nobody_for_a_time),
	CUNIT_TEST(end_of_many_inherited_listeners_refuses_nobody),
	CUNIT_TEST(syn_that_ends_a_time_wait_is_not_refused_where_others_may_listen),
	CUNIT_TEST(end_of_a_listener_refuses_where_nobody_else_has_it),
};
CUNIT_MAIN("share_leave", tests, setup, teardown)
