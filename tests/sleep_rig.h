/* SPDX-License-Identifier: BSD-3-Clause */
/* One stack with low_power_mode, a wire that is a pipe, and a clock that stands still. */
#ifndef TESTS_SLEEP_RIG_H
#define TESTS_SLEEP_RIG_H

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
static struct ready_sleep s;
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

static inline void
walk(void *arg)
{
	struct rte_mbuf *m;

	while (atomic_load(&keeps_lock))
		atomic_store(&has_lock, true);
	atomic_store(&has_lock, false);
	while (stack_tx(arg, &m, 1) == 1)
		rte_pktmbuf_free(m);
}

static inline int
arm(void *arg, int *fds, uint64_t *until_us)
{
	CU_ASSERT_PTR_EQUAL(arg, stack);
	n_armed++;
	fds[0] = wire[0];
	if (wire_due_us < *until_us)
		*until_us = wire_due_us;
	return arm_result;
}

static inline void
disarm(void *arg)
{
	n_disarmed++;
}

static inline void
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

static inline void
teardown(void)
{
	ready_destroy(set);
	ready_destroy(other);
}

static inline bool
is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* True: the thread has spun as long as it should, and wants to sleep now. */
static inline bool
spins_for_a_while(void)
{
	uint64_t start = rte_rdtsc();

	CU_ASSERT_TRUE(ready_spins(set));
	for (int runs = 0; ready_spins(set) && runs < RUNS_MAX; runs++)
		ready_run(set);
	return !ready_spins(set) && rte_rdtsc() - start >= rte_get_tsc_hz() / 1000000 * SPIN_US;
}

/* It has been collected, and is queued still. */
static inline struct ready_watch *
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

#endif
