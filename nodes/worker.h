/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every node of one core shares: the `user` pointer of its graph. Written by instance before
 * the first walk; afterwards only by the holder of this core's stack lock, except where noted.
 */
#ifndef NODES_WORKER_H
#define NODES_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_spinlock.h>

struct arp_table;
struct graph;
struct reass;
struct stack;

#define WORKERS_MAX 64
#define WORKER_NO_PORT UINT16_MAX

struct worker {
	/* hot, read only after start */
	struct stack *stack;
	uint16_t index, n_workers;
	uint16_t port;             /* ethdev of the wire */
	uint16_t rxq, txq;         /* this core's queues; rxq WORKER_NO_PORT: the port has fewer */
	uint16_t burst;            /* nic_read_num: packets per receive call */
	uint16_t mtu;              /* bytes of IP packet */
	uint32_t addr, mask, gateway; /* network byte order; gateway 0: none */
	struct rte_ether_addr mac;
	uint64_t tx_offloads;      /* RTE_ETH_TX_OFFLOAD_* enabled on the port */
	rte_spinlock_t *tx_lock;   /* not NULL where several cores share txq */
	struct rte_mempool *pool;  /* headers and control packets */

	/* tables of single nodes, made by their init() */
	struct arp_table *arp;
	struct reass *reass;

	/* between cores: rings of mbufs to other workers' `handoff` source node */
	struct rte_ring *handoff;          /* ours; multi producer, single consumer */
	struct worker *peers[WORKERS_MAX]; /* all workers, by index */

	/* exception path (kni_switch) */
	uint16_t kernel_port; /* tap ethdev, or WORKER_NO_PORT */

	struct graph *graph;
};

#endif
