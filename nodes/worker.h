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

#include "nodes/token_bucket.h"

struct arp_table;
struct bond;
struct graph;
struct loss;
struct ltran_bells;
struct reass;
struct stack;

#define WORKERS_MAX 64
#define WORKER_NO_PORT UINT16_MAX
#define WORKER_TX_BACKLOG 512

/* Packets the port did not take yet; socket-tx gives them to `tx` again, see tx.c. */
struct tx_backlog {
	uint16_t n;
	uint64_t since_tsc; /* port takes nothing since then; 0: it keeps up */
	struct rte_mbuf *pkts[WORKER_TX_BACKLOG];
};

struct worker {
	/* hot, read only after start */
	struct stack *stack;
	uint16_t index, n_workers;
	uint16_t port;             /* ethdev of the wire; of a bond, its first */
	uint16_t rxq, txq;         /* this core's queues; rxq WORKER_NO_PORT: the port has fewer */
	uint16_t burst;            /* nic_read_num: packets per receive call */
	uint16_t rx_next;          /* of the next one; at most `burst`, see rx.c */
	uint16_t mtu;              /* bytes of IP packet */
	uint32_t addr, mask, gateway; /* network byte order; gateway 0: none */
	struct rte_ether_addr mac;
	uint64_t tx_offloads;      /* RTE_ETH_TX_OFFLOAD_* enabled on the port */
	struct bond *bond;         /* ports used as one (bond.h); NULL: `port` alone */
	rte_spinlock_t *tx_lock;   /* not NULL where several cores share txq */
	struct rte_mempool *pool;  /* headers and control packets */
	int kernel_fd;             /* exception path (kni_switch): tap device, or -1 */
	int rx_fd;                 /* readable when the port has packets: the driver's socket, or -1 */
	bool has_rx_interrupt;     /* the driver makes one readable on request */
	bool counts_interrupts;    /* it is an eventfd; else the queue itself */
	const struct ltran_bells *bells; /* of a ring to ltran (ltran_bells.h); NULL: another port */
	uint32_t *asleep;          /* with `bells`: says to ltran that this core sleeps */

	/* tables of single nodes, made by their init() */
	struct arp_table *arp;
	struct reass *reass;
	uint16_t ip_id; /* last identification given by ip4-frag; see there */
	uint64_t kernel_poll_tsc; /* kernel-rx asks the tap device again */
	struct token_bucket icmp_errors; /* sent: icmp_error.c */
	struct token_bucket icmp_echoes; /* answered: icmp_to_lwip.c */
	struct token_bucket arp_copies;  /* to other cores and the kernel: arp_input.c */
	bool said_duplicate;             /* another station has our address: arp_input.c */
	struct tx_backlog tx_backlog;

	/* of a lossy path (loss.h): where received packets go, whence those to be sent come */
	struct loss *loss_rx, *loss_tx;

	/* between cores: rings of mbufs to other workers' `handoff-rx` source node */
	struct rte_ring *handoff;          /* ours; multi producer, single consumer */
	struct worker *peers[WORKERS_MAX]; /* all workers, by index */

	unsigned int lcore; /* DPDK core number worn during a walk; LCORE_ID_ANY: none */
	struct graph *graph;
};

#endif
