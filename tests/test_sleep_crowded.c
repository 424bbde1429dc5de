/* SPDX-License-Identifier: BSD-3-Clause */
/* Sleep where others compute on the same cores: one that spins, one that keeps the lock, one that polls. */
#include "tests/sleep_rig.h"

/* Somebody else computes on this core. A sleeper is woken by a packet, a yield ends with a time slice. */
static void
thread_on_a_crowded_core_sleeps_without_spinning(void)
{
	struct ready_event ev;
	struct sock *sock;
	struct ready_watch *w = watch_that_was_true(&sock); /* so that it wants to spin */

	CU_ASSERT_EQUAL(ready_collect(set, &ev, 1), 0);
	slice_us = 2000;
	for (int runs = 0; runs < RUNS_MAX && n_yields == 0; runs++)
		ready_run(set);
	CU_ASSERT_EQUAL(n_yields, 1);
	for (int i = 0; i < 10; i++) {
		CU_ASSERT_FALSE(ready_spins(set));
		CU_ASSERT_TRUE_FATAL(ready_sleep_begin(set, &s));
		ready_sleep_end(set, &s);
		ready_mod(w, EPOLLOUT, 0); /* something for the program */
		CU_ASSERT_EQUAL(ready_collect(set, &ev, 1), 1);
		ready_mod(w, EPOLLIN, 0);
		CU_ASSERT_EQUAL(ready_collect(set, &ev, 1), 0);
		ready_run(set);
	}
	CU_ASSERT_EQUAL(n_yields, 1);
	ready_del(w);
	sock_close(sock);
}

/* The same, and there is work each time it goes to sleep: that is no reason to spin and yield again. */
static void
work_does_not_make_a_crowded_core_a_quiet_one(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(7),
		.sin_addr.s_addr = inet_addr("198.18.0.2")};
	struct sock *sock;

	CU_ASSERT_FALSE(ready_spins(set)); /* the test before this one has seen to that */
	sock_open(group, SOCK_TCP, &sock);
	CU_ASSERT_EQUAL(sock_connect(sock, &to), -EINPROGRESS);
	CU_ASSERT_FALSE(ready_sleep_begin(set, &s));
	CU_ASSERT_EQUAL(n_armed, 0); /* the wire is not armed in vain */
	CU_ASSERT_FALSE(ready_spins(set));
	sock_close(sock);
	while (!ready_sleep_begin(set, &s))
		CU_ASSERT_FALSE(ready_spins(set));
	ready_sleep_end(set, &s);
	arm_result = -EBUSY; /* but who is to empty the wire may need the core */
	CU_ASSERT_FALSE(ready_sleep_begin(set, &s));
	CU_ASSERT_TRUE(ready_spins(set));
	CU_ASSERT_EQUAL(n_yields, 0);
}

/* --- beside a thread that keeps the lock, because it is not given a core -------------------------------- */

static void *
keep_lock(void *unused)
{
	ready_run(other);
	return unused;
}

static pthread_t
start_holder(void)
{
	pthread_t holder;

	atomic_store(&keeps_lock, true);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&holder, NULL, keep_lock, NULL), 0);
	while (!atomic_load(&has_lock))
		;
	return holder;
}

static void
end_holder(pthread_t holder)
{
	atomic_store(&keeps_lock, false);
	pthread_join(holder, NULL);
}

static void
sleeper_does_not_wait_for_the_lock_and_is_kicked_when_it_is_free(void)
{
	pthread_t holder = start_holder();

	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(set, &s));
	CU_ASSERT_TRUE(s.attends);
	CU_ASSERT_EQUAL(n_armed, 0);
	CU_ASSERT_FALSE(is_readable(s.fd));
	end_holder(holder);
	CU_ASSERT_TRUE(is_readable(s.fd));
	ready_sleep_end(set, &s);
	CU_ASSERT_EQUAL(n_disarmed, 0);
	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(set, &s));
	CU_ASSERT_EQUAL(n_armed, 1);
	CU_ASSERT_FALSE(is_readable(s.fd)); /* once */
	ready_sleep_end(set, &s);
	CU_ASSERT_EQUAL(n_yields, 0);
}

static _Atomic pid_t poster_tid;

static void *
post(void *sock)
{
	struct sockaddr_in any = {.sin_family = AF_INET};

	atomic_store(&poster_tid, gettid());
	CU_ASSERT_EQUAL(sock_bind(sock, &any), 0);
	return NULL;
}

static bool
is_asleep(pid_t tid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(f);
	return state == 'S';
}

static void
caller_sleeps_until_the_holder_has_done_its_work(void)
{
	pthread_t holder = start_holder(), poster;
	struct sock *sock;

	atomic_store(&poster_tid, 0);
	sock_open(group, SOCK_TCP, &sock);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&poster, NULL, post, sock), 0);
	while (atomic_load(&poster_tid) == 0 || !is_asleep(atomic_load(&poster_tid)))
		;
	end_holder(holder);
	pthread_join(poster, NULL);
	sock_close(sock);
	CU_ASSERT_EQUAL(n_yields, 0);
}

/* --- without low_power_mode ---------------------------------------------------------------------------- */

static struct stack_group *
polling_group(void)
{
	static struct stack_group *g;
	struct stack_params p = {.n_stacks = 1,
		.mode = STACK_RUN_TO_COMPLETION,
		.addr = inet_addr("198.18.0.1"),
		.mask = htonl(0xffffff00),
		.mtu = 1500,
		.conn_max = 10,
		.clock_us = clock_us};
	struct stack_wiring w = {.walk = walk, .pool = pool, .bulk = bulk};

	if (g == NULL) {
		CU_ASSERT_EQUAL_FATAL(stack_group_create(&p, &g), 0);
		w.walk_arg = stack_group_get(g, 0);
		stack_wire(stack_group_get(g, 0), &w);
	}
	return g;
}

/* Returns how often the thread has run the stack before it wants to sleep. */
static int
runs_before_sleep(struct ready_set *polling, int most)
{
	int runs = 0;

	for (; ready_spins(polling) && runs < most; runs++)
		ready_run(polling);
	return runs;
}

static void *
poll_on_a_crowded_core(void *unused)
{
	struct ready_event ev;
	struct ready_set *polling;
	struct ready_watch *w;
	struct sock *sock;

	CU_ASSERT_EQUAL_FATAL(ready_create(polling_group(), &polling), 0);
	CU_ASSERT_EQUAL_FATAL(sock_open(polling_group(), SOCK_TCP, &sock), 0);
	/* A core of its own, unless the test itself has lost it during a yield. */
	for (int tries = 0; tries < 20 && runs_before_sleep(polling, POLLS) < POLLS; tries++)
		while (!ready_spins(polling))
			ready_run(polling);
	CU_ASSERT_EQUAL(runs_before_sleep(polling, POLLS), POLLS);
	CU_ASSERT_TRUE(n_yields > 0);
	slice_us = 2000;
	n_yields = 0;
	ready_run(polling);
	CU_ASSERT_EQUAL(n_yields, 1);
	CU_ASSERT_FALSE(ready_spins(polling));
	CU_ASSERT_TRUE_FATAL(ready_sleep_begin(polling, &s));
	CU_ASSERT_TRUE(s.us <= 1000 && !s.attends && s.fd == -1);
	ready_sleep_end(polling, &s);
	/* After something has come it looks for the next for a while, without yields. */
	CU_ASSERT_EQUAL_FATAL(ready_add(polling, sock, EPOLLIN, 0, &w), 0);
	CU_ASSERT_EQUAL(ready_collect(polling, &ev, 1), 1);
	ready_del(w);
	CU_ASSERT_TRUE(runs_before_sleep(polling, RUNS_MAX) > 0);
	CU_ASSERT_FALSE(ready_spins(polling));
	CU_ASSERT_EQUAL(n_yields, 1);
	sock_close(sock);
	ready_destroy(polling);
	return unused;
}

/* In a thread of its own, which knows nothing of the core yet. */
static void
polling_thread_sleeps_on_a_crowded_core_only(void)
{
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, poll_on_a_crowded_core, NULL), 0);
	pthread_join(thread, NULL);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(sleeper_does_not_wait_for_the_lock_and_is_kicked_when_it_is_free),
	CUNIT_TEST(caller_sleeps_until_the_holder_has_done_its_work),
	CUNIT_TEST(polling_thread_sleeps_on_a_crowded_core_only),
	CUNIT_TEST(thread_on_a_crowded_core_sleeps_without_spinning),
	CUNIT_TEST(work_does_not_make_a_crowded_core_a_quiet_one),
};
EAL_TEST_MAIN("sleep_crowded", tests, setup, teardown)
