/* SPDX-License-Identifier: BSD-3-Clause */
/* Going to sleep in low_power_mode: who attends to the wires, what forbids it, what ends it. */
#include "tests/sleep_rig.h"

static struct ready_sleep s2;

static void
idle_thread_spins_for_a_while_and_then_sleeps(void)
{
	CU_ASSERT_TRUE(spins_for_a_while());
	CU_ASSERT_TRUE(ready_sleep_begin(set, &s));
	CU_ASSERT_EQUAL(s.us, UINT64_MAX); /* no timer */
	CU_ASSERT_EQUAL(n_armed, 1);
	ready_sleep_end(set, &s);
	CU_ASSERT_EQUAL(n_disarmed, 1);
	CU_ASSERT_TRUE(ready_spins(set)); /* what has woken it is looked for */
}

/* As in a blocking call or poll(), which look at the socket and do not collect: what the set says may
 * have been read long ago, by this thread or another one. */
static void
watch_that_is_out_of_date_keeps_nobody_awake(void)
{
	struct ready_event ev;
	struct sock *sock;
	struct ready_watch *w = watch_that_was_true(&sock);

	CU_ASSERT_TRUE(ready_has_some(set));
	CU_ASSERT_TRUE(spins_for_a_while());
	CU_ASSERT_FALSE(ready_sleep_begin(set, &s)); /* it may be true again */
	CU_ASSERT_EQUAL(ready_collect(set, &ev, 1), 0);
	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(set, &s));
	ready_sleep_end(set, &s);
	ready_del(w);
	sock_close(sock);
}

static void
packet_wakes_only_while_the_wire_is_armed(void)
{
	char c = 0;

	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(set, &s));
	CU_ASSERT_FALSE(is_readable(s.fd));
	CU_ASSERT_EQUAL(write(wire[1], &c, 1), 1);
	CU_ASSERT_TRUE(is_readable(s.fd));
	ready_sleep_end(set, &s);
	CU_ASSERT_FALSE(is_readable(s.fd)); /* nobody watches it */
	CU_ASSERT_EQUAL(read(wire[0], &c, 1), 1);
}

static void
kick_wakes_once(void)
{
	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(set, &s));
	stack_kick(stack);
	stack_kick(stack);
	CU_ASSERT_TRUE(is_readable(s.fd));
	ready_sleep_end(set, &s);
	stack_kick(stack); /* awake: nothing to be done */
	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(set, &s));
	CU_ASSERT_FALSE(is_readable(s.fd));
	ready_sleep_end(set, &s);
}

static void
second_sleeper_does_not_attend(void)
{
	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(set, &s));
	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(other, &s2));
	CU_ASSERT_TRUE(s.attends);
	CU_ASSERT_FALSE(s2.attends);
	CU_ASSERT_EQUAL(s2.fd, -1);
	ready_sleep_end(other, &s2);
	CU_ASSERT_EQUAL(n_disarmed, 0); /* the first one still sleeps */
	ready_sleep_end(set, &s);
	CU_ASSERT_EQUAL(n_disarmed, 1);
}

/* Without a descriptor nothing can wake a sleeper, so it looks again soon; later it may get one. */
static void
sleep_is_short_where_no_descriptor_is_left(void)
{
	struct ready_set *poor, *poorer;
	struct rlimit was, none;

	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){0, was.rlim_max};
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &none), 0);
	CU_ASSERT_EQUAL_FATAL(ready_create(group, &poor), 0);
	CU_ASSERT_EQUAL_FATAL(ready_create(group, &poorer), 0);
	CU_ASSERT_EQUAL(ready_fd(poor), -1);
	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(poor, &s));
	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(poorer, &s2));
	CU_ASSERT_TRUE(s.attends && !s2.attends);
	CU_ASSERT_TRUE(s.us <= 1000 && s2.us <= 1000);
	ready_sleep_end(poorer, &s2);
	ready_sleep_end(poor, &s);
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &was), 0);
	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(poor, &s));
	CU_ASSERT_TRUE(ready_fd(poor) >= 0);
	CU_ASSERT_EQUAL(s.us, UINT64_MAX);
	ready_sleep_end(poor, &s);
	ready_destroy(poorer);
	ready_destroy(poor);
}

static void
wire_with_a_backlog_forbids_sleep(void)
{
	arm_result = -EBUSY;
	CU_ASSERT_FALSE(ready_sleep_begin(set, &s));
	CU_ASSERT_EQUAL(n_disarmed, n_armed);
	arm_result = 1;
	CU_ASSERT_TRUE(ready_sleep_begin(set, &s)); /* nobody was left attending */
	CU_ASSERT_TRUE(s.attends);
	ready_sleep_end(set, &s);
}

static void
sleep_ends_when_the_wire_or_a_timer_is_due(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(7),
		.sin_addr.s_addr = inet_addr("198.18.0.2")};
	struct sock *sock;

	wire_due_us = 123;
	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(set, &s));
	CU_ASSERT_EQUAL(s.us, 123);
	ready_sleep_end(set, &s);
	wire_due_us = UINT64_MAX;
	sock_open(group, SOCK_TCP, &sock);
	CU_ASSERT_EQUAL(sock_connect(sock, &to), -EINPROGRESS);
	while (!ready_sleep_begin(set, &s)) /* the SYN leaves */
		;
	CU_ASSERT_EQUAL(s.us, 1000000); /* and again after a second */
	ready_sleep_end(set, &s);
	sock_close(sock);
}

static void
work_handed_over_before_the_last_look_is_done_first(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(7),
		.sin_addr.s_addr = inet_addr("198.18.0.2")};
	struct sock *sock;

	sock_open(group, SOCK_TCP, &sock);
	CU_ASSERT_EQUAL(sock_connect(sock, &to), -EINPROGRESS);
	while (!ready_sleep_begin(set, &s))
		;
	ready_sleep_end(set, &s);
	n_armed = n_disarmed = 0;
	sock_close(sock);
	CU_ASSERT_FALSE(ready_sleep_begin(set, &s));
	CU_ASSERT_EQUAL(n_disarmed, n_armed);
	CU_ASSERT_TRUE(ready_spins(set));
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(idle_thread_spins_for_a_while_and_then_sleeps),
	CUNIT_TEST(watch_that_is_out_of_date_keeps_nobody_awake),
	CUNIT_TEST(packet_wakes_only_while_the_wire_is_armed),
	CUNIT_TEST(kick_wakes_once),
	CUNIT_TEST(second_sleeper_does_not_attend),
	CUNIT_TEST(sleep_is_short_where_no_descriptor_is_left),
	CUNIT_TEST(wire_with_a_backlog_forbids_sleep),
	CUNIT_TEST(sleep_ends_when_the_wire_or_a_timer_is_due),
	CUNIT_TEST(work_handed_over_before_the_last_look_is_done_first),
};
EAL_TEST_MAIN("sleep", tests, setup, teardown)
