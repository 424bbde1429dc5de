/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Composition root: from settings to a running data path, and back.
 *
 * Order of start, each step standing on the ones before: ltran (use_ltran), claims to kernel devices,
 * EAL, pools, port, stacks, workers with their graphs, control socket, threads. instance_stop() undoes it in reverse; a start that fails
 * half-way calls it too, so every *_stop() copes with a part that never began. During both all
 * signals are blocked in the calling thread: what DPDK, the stacks and the control server create
 * inherits that, and no handler of the program ever runs on our threads.
 */
#include "nodes/instance.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_ring.h>

#include "graph/graph.h"
#include "nodes/bond.h"
#include "nodes/instance_claim.h"
#include "nodes/instance_private.h"
#include "nodes/kernel.h"
#include "nodes/nodes.h"
#include "nodes/tx.h"

#define HANDOFF_RING 4096
#define DRAIN_TRIES 100
#define DRAIN_WAIT_US 1000
#define KERNEL_NAMES 16 /* kni0 .. kni15: so many instances may have one */

_Static_assert(CONF_CPUS_MAX <= WORKERS_MAX, "every CPU can have a worker");

/*
 * A DPDK core number for each worker: a thread registers, leaves its number behind and ends, so
 * DPDK gives the number to nobody else. Where none is left the worker goes without packet caches.
 */
static void *
reserve_lcore(void *arg)
{
	struct worker *w = arg;

	w->lcore = rte_thread_register() == 0 ? rte_lcore_id() : LCORE_ID_ANY;
	return NULL;
}

static void
give_lcore(struct worker *w)
{
	pthread_t t;

	w->lcore = LCORE_ID_ANY;
	if (pthread_create(&t, NULL, reserve_lcore, w) == 0)
		pthread_join(t, NULL);
}

/*
 * Walk one core's graph. Called by whichever thread holds the stack's lock; while it does, it takes
 * on the worker's DPDK core number, so that the packet pools' caches follow the lock and not the
 * thread.
 */
static void
walk_worker(void *arg)
{
	struct worker *w = arg;
	unsigned int lcore = RTE_PER_LCORE(_lcore_id);

	RTE_PER_LCORE(_lcore_id) = w->lcore;
	graph_walk(w->graph);
	RTE_PER_LCORE(_lcore_id) = lcore;
}

static void
fill_stack_params(const struct instance *in, struct stack_params *p)
{
	const struct conf *c = in->conf;

	*p = (struct stack_params){
		.n_stacks = in->n_workers,
		.mode = c->stack_thread_mode == CONF_MODE_RUN_TO_WAKEUP ?
			STACK_RUN_TO_WAKEUP : STACK_RUN_TO_COMPLETION,
		.cpus = c->num_cpus.n > 0 ? c->num_cpus.cpu : NULL,
		.wakeup_cpus = c->num_wakeup.cpu,
		.n_wakeup = c->num_wakeup.n,
		.addr = c->host_addr,
		.mask = c->mask_addr,
		.gateway = c->gateway_addr,
		.mtu = in->mtu,
		.listen_shadow = c->listen_shadow,
		.low_power = c->low_power_mode,
		.udp_enable = c->udp_enable,
		.send_connect_number = c->send_connect_number,
		.read_connect_number = c->read_connect_number,
		.rpc_number = c->rpc_number,
		.conn_max = c->tcp_conn_count,
	};
}

static struct worker *
create_worker(struct instance *in, unsigned int index)
{
	const struct conf *c = in->conf;
	struct worker *w = aligned_alloc(RTE_CACHE_LINE_SIZE,
		RTE_ALIGN(sizeof(*w), RTE_CACHE_LINE_SIZE));
	unsigned int n_sharing;
	char name[32];

	if (w == NULL)
		return NULL;
	memset(w, 0, sizeof(*w));
	w->stack = stack_group_get(in->stacks, index);
	w->index = index;
	w->n_workers = in->n_workers;
	w->port = in->port;
	w->bond = in->bond;
	/* The ports of a bond have MAC addresses of their own: what comes back of them is nobody else's. */
	w->said_duplicate = in->conf->n_bond_slaves > 1;
	w->rxq = index < in->n_rxq ? index : WORKER_NO_PORT;
	w->txq = index % in->n_txq;
	n_sharing = (in->n_workers - 1 - w->txq) / in->n_txq + 1;
	w->tx_lock = n_sharing > 1 ? &in->tx_lock[w->txq] : NULL;
	w->burst = c->nic_read_num;
	w->mtu = in->mtu;
	w->addr = c->host_addr;
	w->mask = c->mask_addr;
	w->gateway = c->gateway_addr;
	w->mac = in->mac;
	w->tx_offloads = in->tx_offloads;
	w->pool = in->pool;
	w->kernel_fd = -1;
	instance_sleep_prepare(in, w);
	if (in->n_workers > 1) {
		snprintf(name, sizeof(name), "gazelle_handoff%u", index);
		w->handoff = rte_ring_create(name, HANDOFF_RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
		if (w->handoff == NULL) {
			free(w);
			return NULL;
		}
	}
	return w;
}

/* The tap of the exception path; every core writes to it. */
static int
open_kernel_path(struct instance *in, char *err, size_t err_len)
{
	char name[16];
	unsigned int i;
	int ret = -EBUSY;

	for (i = 0; i < KERNEL_NAMES && ret == -EBUSY; i++) {
		snprintf(name, sizeof(name), "kni%u", i);
		ret = kernel_port_open(in->workers[0], name, &in->kernel_fd);
	}
	if (ret < 0)
		snprintf(err, err_len, "kni_switch: tap device %s: %s", name, strerror(-ret));
	for (i = 0; i < in->n_workers; i++)
		in->workers[i]->kernel_fd = in->kernel_fd;
	return ret;
}

/* Source nodes cost every walk a call: only those with something to bring. */
static int
create_graph(struct instance *in, struct worker *w, char *err, size_t err_len)
{
	const char *sources[6] = { NODE_RX, NODE_SOCKET_TX, NODE_IP4_TIMER };
	unsigned int n = 3;
	char name[32];

	if (in->n_workers > 1)
		sources[n++] = NODE_HANDOFF_RX;
	if (in->kernel_fd >= 0)
		sources[n++] = NODE_KERNEL_RX;
	if (w->bond != NULL && w->index == 0)
		sources[n++] = NODE_BOND_TIMER;
	snprintf(name, sizeof(name), "core%u", w->index);
	w->graph = graph_create(name, sources, n, w);
	if (w->graph != NULL)
		return 0;
	snprintf(err, err_len, "graph of core %u: %s", w->index, rte_strerror(rte_errno));
	return -rte_errno;
}

static int
start_workers(struct instance *in, char *err, size_t err_len)
{
	struct stack_wiring wiring = {
		.walk = walk_worker,
		.pool = in->pool,
		.bulk = in->bulk,
		.tso_max = &in->tso_max,
		.arm = instance_sleep_arm,
		.disarm = instance_sleep_disarm,
		.sharing = instance_ltran_sharing(in),
	};
	unsigned int i;
	int ret = 0;

	for (i = 0; i < in->n_workers; i++) {
		in->workers[i] = create_worker(in, i);
		if (in->workers[i] == NULL) {
			snprintf(err, err_len, "no memory for worker %u", i);
			return -ENOMEM;
		}
		give_lcore(in->workers[i]);
	}
	if (in->conf->kni_switch)
		ret = open_kernel_path(in, err, err_len);
	for (i = 0; i < in->n_workers && ret == 0; i++) {
		memcpy(in->workers[i]->peers, in->workers, sizeof(in->workers));
		ret = create_graph(in, in->workers[i], err, err_len);
	}
	for (i = 0; i < in->n_workers && ret == 0; i++) {
		wiring.walk_arg = in->workers[i];
		stack_wire(in->workers[i]->stack, &wiring);
	}
	return ret;
}

/* The last packets are resets: without them peers keep connections that nobody serves. The wire
 * itself may hold some until its peer has looked. */
static void
drain_worker(struct worker *w)
{
	int tries;

	for (tries = 0; tries < DRAIN_TRIES && w->tx_backlog.n > 0; tries++) {
		tx_send_waiting(w);
		rte_delay_us_sleep(DRAIN_WAIT_US);
	}
	rte_delay_us_sleep(DRAIN_WAIT_US);
}

static void
stop_workers(struct instance *in)
{
	unsigned int i;
	uint16_t k;

	for (i = 0; i < in->n_workers; i++) {
		struct worker *w = in->workers[i];
		void *m;

		if (w == NULL)
			continue;
		if (in->port_ready)
			drain_worker(w);
		graph_destroy(w->graph);
		while (w->handoff != NULL && rte_ring_sc_dequeue(w->handoff, &m) == 0)
			rte_pktmbuf_free(m);
		rte_ring_free(w->handoff);
		for (k = 0; k < w->tx_backlog.n; k++)
			rte_pktmbuf_free(w->tx_backlog.pkts[k]);
		free(w);
		in->workers[i] = NULL;
	}
	if (in->kernel_fd >= 0)
		kernel_port_close(in->kernel_fd);
	in->kernel_fd = -1;
}

static int
start_stacks(struct instance *in, char *err, size_t err_len)
{
	struct stack_params p;
	int ret;

	fill_stack_params(in, &p);
	ret = stack_group_create(&p, &in->stacks);
	if (ret < 0)
		snprintf(err, err_len, "%u stacks: %s", in->n_workers, strerror(-ret));
	return ret;
}

static int
start_threads(struct instance *in, char *err, size_t err_len)
{
	int ret = instance_ctl_start(in);

	if (ret < 0) {
		snprintf(err, err_len, "control socket: %s", strerror(-ret));
		return ret;
	}
	if (in->opened != NULL)
		in->opened(in->opened_arg, in->stacks);
	ret = stack_group_start(in->stacks);
	if (ret < 0)
		snprintf(err, err_len, "stack threads: %s", strerror(-ret));
	if (ret == 0 && in->bond != NULL)
		ret = bond_start(in->bond);
	return ret;
}

/* Before DPDK touches a device that another program has. Behind ltran there is none. */
static int
claim_devices(struct instance *in, char *err, size_t err_len)
{
	const struct claim_params p = {
		.args = (const char *const *)in->conf->dpdk_args,
		.n_args = in->conf->n_dpdk_args,
		.addr = in->conf->host_addr,
		.signals = &in->signals,
		.wait_ms = CLAIM_WAIT_MS,
	};

	return in->ltran != NULL ? 0 : claims_take(&p, &in->claims, err, err_len);
}

static int (*const steps[])(struct instance *in, char *err, size_t err_len) = {
	instance_ltran_start, claim_devices, instance_eal_start, instance_pool_start,
	instance_port_start, start_stacks, start_workers, start_threads,
};

static void
block_signals(sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
}

/* A virtual wire whose peer has gone answers with SIGPIPE; the program must not hear of that. */
static void
restore_signals(const sigset_t *old)
{
	const struct timespec now = { 0 };
	sigset_t pipe_signal;

	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	if (!sigismember(old, SIGPIPE))
		sigtimedwait(&pipe_signal, NULL, &now);
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

int
instance_start(const struct conf *c, void (*opened)(void *arg, struct stack_group *stacks),
	void *arg, struct instance **out, char *err, size_t err_len)
{
	struct instance *in = calloc(1, sizeof(*in));
	size_t i;
	int ret = 0;

	if (in == NULL) {
		snprintf(err, err_len, "no memory");
		return -ENOMEM;
	}
	in->conf = c;
	in->opened = opened;
	in->opened_arg = arg;
	in->kernel_fd = -1;
	in->n_workers = c->num_cpus.n > 0 ? c->num_cpus.n : RTE_MAX(c->stack_num, 1u);
	block_signals(&in->signals);
	for (i = 0; i < RTE_DIM(steps) && ret == 0; i++)
		ret = steps[i](in, err, err_len);
	restore_signals(&in->signals);
	if (ret < 0) {
		instance_stop(in);
		return ret;
	}
	*out = in;
	return 0;
}

void
instance_before_fork(struct instance *in)
{
	claims_note_fork();
	if (in != NULL)
		instance_ltran_before_fork(in);
}

void
instance_after_fork(struct instance *in, bool is_child)
{
	if (in == NULL)
		return;
	instance_ltran_after_fork(in, is_child);
	if (is_child)
		claims_leave_to_parent(in->claims);
}

struct stack_group *
instance_stacks(struct instance *in)
{
	return in->stacks;
}

void
instance_stop(struct instance *in)
{
	sigset_t old;

	if (in == NULL)
		return;
	block_signals(&old);
	instance_ctl_stop(in);
	bond_stop(in->bond);
	if (in->stacks != NULL)
		stack_group_stop(in->stacks);
	stop_workers(in);
	instance_port_stop(in);
	instance_pool_stop(in);
	instance_eal_stop(in);
	claims_release(in->claims);
	instance_ltran_stop(in);
	restore_signals(&old);
	free(in);
}
