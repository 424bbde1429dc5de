/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Composition root of ltran: from settings to a running dispatcher, and back.
 *
 * Order of start: DPDK, packets, the NIC, workers with their graphs, an empty map, registration,
 * control socket; then ltran gives up its rights (confine.h). What needs them later is the helper's
 * (helper.h). ltran_free() undoes all of it in reverse, also half-done.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "dispatcher/bell.h"
#include "dispatcher/confine.h"
#include "dispatcher/dispatcher.h"
#include "dispatcher/kernel_path.h"
#include "dispatcher/log.h"
#include "dispatcher/turn_pool.h"
#include "dispatcher/wire.h"
#include "dispatcher/measure.h"
#include "graph/graph.h"
#include "nodes/bond.h"
#include "nodes/eal.h"
#include "nodes/kernel.h"
#include "nodes/nodes.h"
#include "nodes/pool_ops.h"
#include "nodes/port.h"
#include "nodes/port_wake.h"

#define MEMORY_MB 256 /* ordinary pages, where nothing says how much */
#define MB (1024 * 1024)
#define OTHER_MB 128  /* of rings, graphs and DPDK itself, beside the packets */
#define PACKETS_MIN 4096
#define CACHE 512
#define RX_BURST 256

/* Packets that the settings ask for, and in words where that stands. */
static uint32_t
packets_wanted(const struct ltran *lt, char *key, size_t len)
{
	const struct ltran_conf *c = lt->conf;

	snprintf(key, len, "rx_mbuf_pool_size = %" PRIu32 " + tx_mbuf_pool_size = %" PRIu32,
		c->rx_mbuf_pool_size, c->tx_mbuf_pool_size);
	return c->rx_mbuf_pool_size + c->tx_mbuf_pool_size;
}

static int
start_eal(struct ltran *lt, char *err, size_t err_len)
{
	const uint32_t bytes = rte_mempool_calc_obj_size(
		sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE, 0, NULL);
	char key[96];
	const uint64_t n = packets_wanted(lt, key, sizeof(key));
	struct eal_params p = {
		.name = "ltran",
		.key = "forward_kit_args",
		.args = (const char *const *)lt->conf->eal_args,
		.n_args = lt->conf->n_eal_args,
		.default_mb = MEMORY_MB,
		.size_key = key,
		.size_n = n,
		.size_mb = (unsigned int)(eal_pool_bytes(n, bytes, false) / MB + OTHER_MB),
		.size_pages_mb = (unsigned int)(eal_pool_bytes(n, bytes, true) / MB + OTHER_MB),
		.cpu = -1,
		.loses_rights = true,
	};

	return eal_start(&lt->eal, &p, err, err_len);
}

/* What the drivers of all ports ask for. */
static uint32_t
buffer_bytes(const struct ltran *lt)
{
	uint32_t most = 0;

	for (unsigned int i = 0; i < lt->n_ports; i++)
		most = RTE_MAX(most, port_buffer_bytes(lt->ports[i]));
	return most;
}

/* As many of the packets asked for as there is memory for. Last in, first out: see instance_pool.c. */
static int
create_pool(struct ltran *lt, char *err, size_t err_len)
{
	char key[96];
	const uint32_t wanted = packets_wanted(lt, key, sizeof(key));
	uint32_t n = wanted;
	uint32_t room = RTE_MAX(buffer_bytes(lt) + RTE_PKTMBUF_HEADROOM,
		(uint32_t)RTE_MBUF_DEFAULT_BUF_SIZE);

	do {
		n = RTE_MAX(n, (uint32_t)PACKETS_MIN);
		lt->pool = rte_pktmbuf_pool_create_by_ops("ltran_packets", n, CACHE, 0,
			room, SOCKET_ID_ANY, POOL_OPS);
		if (lt->pool != NULL) {
			if (n < wanted)
				log_error("%s: made %" PRIu32 " packets, DPDK's memory%s holds no more",
					key, n, lt->eal.size_is_users ?
						" (-m or --socket-mem in forward_kit_args)" : "");
			return 0;
		}
		n -= n / 4;
	} while (n > PACKETS_MIN);
	snprintf(err, err_len, "no memory for %u packets: give DPDK more in forward_kit_args",
		PACKETS_MIN);
	return -ENOMEM;
}

/* The CPUs that dispatch: those of -l but the first, which is for control, where there are more. Not
 * pinned where the user names none. */
static void
choose_cpus(struct ltran *lt, int *cpus)
{
	unsigned int lcore;

	lt->n_workers = 0;
	if (!lt->eal.has_cores) {
		cpus[lt->n_workers++] = -1;
		return;
	}
	RTE_LCORE_FOREACH_WORKER(lcore)
		if (lt->n_workers < WORKERS_MAX)
			cpus[lt->n_workers++] = rte_lcore_to_cpu_id(lcore);
	if (lt->n_workers == 0)
		cpus[lt->n_workers++] = rte_lcore_to_cpu_id(rte_get_main_lcore());
}

static int
create_workers(struct ltran *lt, const struct port_info *info, const int *cpus)
{
	for (unsigned int i = 0; i < lt->n_workers; i++) {
		struct dispatch_worker *dw = aligned_alloc(RTE_CACHE_LINE_SIZE,
			RTE_ALIGN(sizeof(*dw), RTE_CACHE_LINE_SIZE));

		if (dw == NULL)
			return -ENOMEM;
		memset(dw, 0, sizeof(*dw));
		lt->workers[i] = dw;
		dw->lt = lt;
		dw->cpu = cpus[i];
		dw->wake_fd = -1;
		dw->w = (struct worker){
			.index = i, .n_workers = lt->n_workers, .port = lt->ports[0],
			.bond = lt->bond,
			.rxq = i < info->n_rxq ? i : WORKER_NO_PORT, .txq = i % info->n_txq,
			.burst = RX_BURST, .mtu = lt->mtu, .mac = lt->mac,
			.tx_offloads = info->tx_offloads, .pool = lt->pool, .kernel_fd = -1,
			.lcore = LCORE_ID_ANY,
		};
		dw->turn_pool = turn_pool_create(lt->pool, i);
		if (dw->turn_pool == NULL)
			return -ENOMEM;
		if (lt->n_workers > info->n_txq)
			dw->w.tx_lock = &lt->tx_lock[dw->w.txq];
		if (lt->conf->low_power_mode)
			port_wake_prepare(&dw->w, info->has_rx_interrupts);
	}
	return 0;
}

/* The nodes of the library, in ltran's order. */
static int
shape_graph(struct ltran *lt, uint64_t tx_offloads)
{
	int ret = wire_place(lt);

	if (ret == 0)
		ret = graph_reroute(NODE_IP4_REASS, NODE_CLASSIFY, NODE_DISPATCH_IN);
	if (ret == 0)
		ret = graph_reroute(NODE_KERNEL_RX, NODE_TX, NODE_DISPATCH_OUT);
	if (ret == 0 && (tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0)
		ret = graph_reroute(NODE_DISPATCH_OUT, NODE_GSO, NODE_TX);
	if (ret == 0 && lt->conf->n_rates == 0)
		ret = graph_reroute(NODE_GUARD, NODE_POLICE, NODE_DISPATCH_OUT);
	return ret;
}

static int
create_shared(struct ltran *lt)
{
	struct map *map;

	lt->rcu = rte_zmalloc(NULL, rte_rcu_qsbr_get_memsize(lt->n_workers), RTE_CACHE_LINE_SIZE);
	if (lt->rcu == NULL || rte_rcu_qsbr_init(lt->rcu, lt->n_workers) != 0)
		return -ENOMEM;
	lt->control = rte_ring_create("ltran_control", CONTROL_RING, SOCKET_ID_ANY,
		RING_F_SC_DEQ);
	lt->heard = rte_ring_create("ltran_heard", CONTROL_RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	lt->control_pool = rte_pktmbuf_pool_create("ltran_control", 2 * CONTROL_RING - 1, 0, 0,
		CONTROL_ROOM + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	map = map_create(lt->conf, NULL, 0, NULL, 0);
	atomic_store(&lt->map, map);
	return lt->control != NULL && lt->heard != NULL && lt->control_pool != NULL && map != NULL ?
		0 : -ENOMEM;
}

int
ltran_start(struct ltran *lt, const struct ltran_conf *conf, char *err, size_t err_len)
{
	struct port_info info = {0};
	int cpus[WORKERS_MAX], ret;

	memset(lt, 0, sizeof(*lt));
	lt->conf = conf;
	lt->kernel_fd = -1;
	ret = start_eal(lt, err, err_len);
	if (ret == 0)
		ret = wire_choose(lt, err, err_len);
	if (ret == 0)
		ret = create_pool(lt, err, err_len);
	if (ret < 0)
		return ret;
	choose_cpus(lt, cpus);
	ret = wire_open(lt, &info, err, err_len);
	if (ret < 0)
		return ret;
	snprintf(err, err_len, "no memory");
	ret = create_workers(lt, &info, cpus);
	if (ret == 0)
		ret = create_shared(lt);
	if (ret == 0)
		ret = bells_start(lt);
	if (ret == 0)
		ret = shape_graph(lt, info.tx_offloads);
	if (ret == 0)
		ret = kernel_path_open(lt, err, err_len);
	if (ret == 0)
		ret = workers_start(lt, err, err_len);
	if (ret == 0 && lt->bond != NULL)
		ret = bond_start(lt->bond);
	if (ret == 0)
		ret = registry_start(lt, err, err_len);
	if (ret == 0)
		ret = ltran_ctl_start(lt, err, err_len);
	if (ret == 0)
		ret = confine_process(err, err_len);
	return ret;
}

void
ltran_free(struct ltran *lt)
{
	if (lt->ctl != NULL)
		ltran_ctl_stop(lt);
	if (lt->registry != NULL)
		registry_stop(lt);
	workers_stop(lt);
	measure_free(lt);
	if (lt->kernel_fd >= 0)
		kernel_port_close(lt->kernel_fd);
	wire_close(lt);
	policer_free_all(lt);
	map_free((struct map *)atomic_load(&lt->map));
	for (unsigned int i = 0; i < lt->n_workers; i++) {
		if (lt->workers[i] != NULL)
			turn_pool_free(lt->workers[i]->turn_pool);
		free(lt->workers[i]);
	}
	bells_stop(lt);
	rte_ring_free(lt->control);
	rte_ring_free(lt->heard);
	rte_free(lt->rcu);
	rte_mempool_free(lt->control_pool);
	rte_mempool_free(lt->pool);
	eal_stop(&lt->eal);
}
