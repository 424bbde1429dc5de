/* SPDX-License-Identifier: BSD-3-Clause */
/* Going to sleep in low_power_mode: who attends to the wires, what forbids it, what ends it. */
#include "tests/cunit_main.h"
#include "tests/eal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "stack/edge.h"
#include "stack/ready.h"
#include "stack/sock.h"
#include "stack/stack.h"

static struct rte_mempool *pool, *bulk;
static struct stack_group *group;
static struct stack *stack;
static struct ready_set *set, *other;
static struct ready_sleep s, s2;
static int wire[2] = {-1, -1}; /* a pipe: what is written to it "has arrived" */
static int arm_result;
static uint64_t wire_due_us;
static unsigned int n_armed, n_disarmed;

#define SPIN_US 50       /* as in stack.c */
#define RUNS_MAX 1000000 /* each takes time, so far fewer are needed */
#define POLLS 300        /* take longer than SPIN_US */

static uint64_t slice_us; /* how long others have the core after a yield */
static unsigned int n_yields;

/* In place of libc's. */
int
sched_yield(void)
{
	uint64_t start = rte_rdtsc();

	n_yields++;
	while (rte_rdtsc() - start < rte_get_tsc_hz() / 1000000 * slice_us)
		;
	return 0;
}

/* The stack's time stands still; how long a thread spins is measured with the TSC. */
static uint64_t
clock_us(void)
{
	return 1000000;
}

static _Atomic bool keeps_lock, has_lock; /* whoever runs the stack next */

static void
walk(void *arg)
{
	struct rte_mbuf *m;

	while (atomic_load(&keeps_lock))
		atomic_store(&has_lock, true);
	atomic_store(&has_lock, false);
	while (stack_tx(arg, &m, 1) == 1)
		rte_pktmbuf_free(m);
}

static int
arm(void *arg, int *fds, uint64_t *until_us)
{
	CU_ASSERT_PTR_EQUAL(arg, stack);
	n_armed++;
	fds[0] = wire[0];
	if (wire_due_us < *until_us)
		*until_us = wire_due_us;
	return arm_result;
}

static void
disarm(void *arg)
{
	n_disarmed++;
}

static void
setup(void)
{
	struct stack_params p = {.n_stacks = 1,
		.mode = STACK_RUN_TO_COMPLETION,
		.addr = inet_addr("198.18.0.1"),
		.mask = htonl(0xffffff00),
		.mtu = 1500,
		.low_power = true,
		.udp_enable = true,
		.conn_max = 10,
		.clock_us = clock_us};
	struct stack_wiring w = {.walk = walk, .arm = arm, .disarm = disarm};

	if (pool == NULL) {
		pool = rte_pktmbuf_pool_create("sleep", 511, 0, stack_priv_size(),
			RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
		bulk = rte_pktmbuf_pool_create("sleep-bulk", 63, 0, stack_priv_size(),
			16384 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
		CU_ASSERT_PTR_NOT_NULL_FATAL(bulk);
		CU_ASSERT_EQUAL_FATAL(pipe(wire), 0);
	}
	if (group == NULL) { /* stacks are not given back, so one serves all tests */
		CU_ASSERT_EQUAL_FATAL(stack_group_create(&p, &group), 0);
		stack = stack_group_get(group, 0);
		w.pool = pool;
		w.bulk = bulk;
		w.walk_arg = stack;
		stack_wire(stack, &w);
	}
	n_armed = n_disarmed = n_yields = slice_us = 0;
	arm_result = 1;
	wire_due_us = UINT64_MAX;
	CU_ASSERT_EQUAL_FATAL(ready_create(group, &set), 0);
	CU_ASSERT_EQUAL_FATAL(ready_create(group, &other), 0);
}

static void
teardown(void)
{
	ready_destroy(set);
	ready_destroy(other);
}

static bool
is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* True: the thread has spun as long as it should, and wants to sleep now. */
static bool
spins_for_a_while(void)
{
	uint64_t start = rte_rdtsc();

	CU_ASSERT_TRUE(ready_spins(set));
	for (int runs = 0; ready_spins(set) && runs < RUNS_MAX; runs++)
		ready_run(set);
	return !ready_spins(set) && rte_rdtsc() - start >= rte_get_tsc_hz() / 1000000 * SPIN_US;
}

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

/* It has been collected, and is queued still. */
static struct ready_watch *
watch_that_was_true(struct sock **sock)
{
	struct ready_watch *w;
	struct ready_event ev;

	sock_open(group, SOCK_UDP, sock);
	CU_ASSERT_EQUAL_FATAL(ready_add(set, *sock, EPOLLOUT, 0, &w), 0);
	CU_ASSERT_EQUAL(ready_collect(set, &ev, 1), 1);
	ready_mod(w, EPOLLIN, 0);
	return w;
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
	CUNIT_TEST(idle_thread_spins_for_a_while_and_then_sleeps),
	CUNIT_TEST(watch_that_is_out_of_date_keeps_nobody_awake),
	CUNIT_TEST(packet_wakes_only_while_the_wire_is_armed),
	CUNIT_TEST(kick_wakes_once),
	CUNIT_TEST(second_sleeper_does_not_attend),
	CUNIT_TEST(sleep_is_short_where_no_descriptor_is_left),
	CUNIT_TEST(wire_with_a_backlog_forbids_sleep),
	CUNIT_TEST(sleep_ends_when_the_wire_or_a_timer_is_due),
	CUNIT_TEST(work_handed_over_before_the_last_look_is_done_first),
	CUNIT_TEST(sleeper_does_not_wait_for_the_lock_and_is_kicked_when_it_is_free),
	CUNIT_TEST(caller_sleeps_until_the_holder_has_done_its_work),
	CUNIT_TEST(polling_thread_sleeps_on_a_crowded_core_only),
	/* the last: it lasts 200 ms */
	CUNIT_TEST(thread_on_a_crowded_core_sleeps_without_spinning),
	CUNIT_TEST(work_does_not_make_a_crowded_core_a_quiet_one),
};
EAL_TEST_MAIN("sleep", tests, setup, teardown)
