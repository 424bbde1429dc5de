/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers: one thread and one graph per core that dispatches.
 *
 * The map is read once per walk. After each walk the worker tells librte_rcu that it holds nothing
 * any more, and from then on the control thread may free that map and the members that are not in the
 * next one. So dw->map is NULL outside a walk: whoever needs a map there (sleep.c) reads it anew with
 * worker_map() and forgets it before the next walk or sleep. A sleeping worker is offline for
 * librte_rcu and holds nothing at all.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "dispatcher/dispatcher.h"
#include "dispatcher/sleep.h"
#include "nodes/bond.h"
#include "nodes/nodes.h"

#define YIELD_US 2  /* low_power_mode: idle for so long, others may have the core between two walks ... */
#define SPIN_US 200 /* ... and for so long: sleep */

static void
pin(const struct dispatch_worker *dw)
{
	cpu_set_t set;

	if (dw->cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(dw->cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static bool
walk(struct dispatch_worker *dw)
{
	uint64_t moved = dw->moved;

	dw->map = worker_map(dw);
	graph_walk(dw->w.graph);
	dw->map = NULL; /* it may be freed from here on */
	rte_rcu_qsbr_quiescent(dw->lt->rcu, dw->w.index);
	dw->walks++;
	dw->idle_walks += dw->moved == moved;
	return dw->moved != moved;
}

/* low_power_mode, nothing to do for `idle` TSC ticks: let programs that share the core run; then sleep.
 * True: it has slept. */
static bool
rest(struct dispatch_worker *dw, uint64_t idle)
{
	uint64_t us = rte_get_tsc_hz() / 1000000;

	if (idle > SPIN_US * us && sleep_arm(dw)) {
		if (!walk(dw))
			sleep_wait(dw);
		sleep_disarm(dw);
		return true;
	}
	if (idle > YIELD_US * us)
		sched_yield();
	return false;
}

static void
run(struct dispatch_worker *dw)
{
	uint64_t busy = rte_rdtsc(), now;

	while (!atomic_load_explicit(&dw->lt->stop, memory_order_relaxed)) {
		bool moved = walk(dw);

		if (!dw->lt->conf->low_power_mode)
			continue;
		now = rte_rdtsc();
		if (moved || rest(dw, now - busy))
			busy = now;
	}
}

static void *
worker_main(void *arg)
{
	struct dispatch_worker *dw = arg;

	dw->tid = gettid();
	pin(dw);
	rte_thread_register(); /* for the pool's cache; works without, slower */
	rte_rcu_qsbr_thread_register(dw->lt->rcu, dw->w.index);
	rte_rcu_qsbr_thread_online(dw->lt->rcu, dw->w.index);
	run(dw);
	rte_rcu_qsbr_thread_offline(dw->lt->rcu, dw->w.index);
	rte_rcu_qsbr_thread_unregister(dw->lt->rcu, dw->w.index);
	if (rte_lcore_id() != LCORE_ID_ANY)
		rte_thread_unregister();
	return NULL;
}

/* Source nodes cost every walk a call: only those with something to bring. */
static int
create_graph(struct ltran *lt, struct dispatch_worker *dw, char *err, size_t err_len)
{
	const char *sources[7];
	unsigned int n = 0;
	char name[32];

	if (dw->w.rxq != WORKER_NO_PORT)
		sources[n++] = NODE_RX;
	sources[n++] = NODE_INSTANCE_RX;
	sources[n++] = NODE_REASS_TIMER;
	sources[n++] = NODE_HOLD_TIMER;
	if (dw->w.index == 0)
		sources[n++] = NODE_CONTROL_RX;
	if (dw->w.index == 0 && lt->bond != NULL)
		sources[n++] = NODE_BOND_TIMER;
	if (dw->w.index == 0 && lt->kernel_fd >= 0)
		sources[n++] = NODE_KERNEL_RX;
	snprintf(name, sizeof(name), "core%u", dw->w.index);
	dw->w.graph = graph_create(name, sources, n, dw);
	if (dw->w.graph != NULL)
		return 0;
	snprintf(err, err_len, "graph of core %u: %s", dw->w.index, rte_strerror(rte_errno));
	return -rte_errno;
}

int
workers_start(struct ltran *lt, char *err, size_t err_len)
{
	int ret = 0;

	for (unsigned int i = 0; i < lt->n_workers && ret == 0; i++) {
		struct dispatch_worker *dw = lt->workers[i];

		ret = create_graph(lt, dw, err, err_len);
	}
	for (unsigned int i = 0; i < lt->n_workers && ret == 0; i++) {
		struct dispatch_worker *dw = lt->workers[i];

		dw->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		ret = dw->wake_fd < 0 ? -errno : -pthread_create(&dw->thread, NULL, worker_main, dw);
		dw->has_thread = ret == 0;
		if (ret < 0)
			snprintf(err, err_len, "thread of core %u: %s", i, strerror(-ret));
	}
	return ret;
}

void
workers_kick(struct ltran *lt)
{
	for (unsigned int i = 0; i < lt->n_workers; i++)
		if (lt->workers[i] != NULL)
			sleep_end(lt->workers[i]);
}

void
workers_stop(struct ltran *lt)
{
	atomic_store(&lt->stop, true);
	workers_kick(lt);
	for (unsigned int i = 0; i < lt->n_workers; i++) {
		struct dispatch_worker *dw = lt->workers[i];

		if (dw == NULL)
			continue;
		if (dw->has_thread)
			pthread_join(dw->thread, NULL);
		dw->has_thread = false;
		graph_destroy(dw->w.graph);
		dw->w.graph = NULL;
		hold_free(&dw->hold);
		if (dw->wake_fd >= 0)
			close(dw->wake_fd);
		dw->wake_fd = -1;
	}
}

void
workers_synchronize(struct ltran *lt)
{
	/* In two steps, which are inline functions: the thread sanitizer sees what orders us. */
	rte_rcu_qsbr_check(lt->rcu, rte_rcu_qsbr_start(lt->rcu), true);
}
