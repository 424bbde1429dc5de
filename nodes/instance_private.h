/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct instance: everything that runs in this process, for the files that build it and for its
 * control commands. Read only between instance_start() and instance_stop(), except inside workers.
 */
#ifndef NODES_INSTANCE_PRIVATE_H
#define NODES_INSTANCE_PRIVATE_H

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "nodes/eal.h"
#include "nodes/worker.h"
#include "stack/stack.h"

struct bond;
struct claims;
struct ctl_server;
struct instance_ltran;

#define INSTANCE_EXTRA_ARGS_MAX 4
#define INSTANCE_LTRAN_PORT "net_virtio_user_ltran" /* name of the port that is a ring to ltran */

struct instance {
	const struct conf *conf; /* the caller's; outlives the instance */
	sigset_t signals; /* mask of the thread that starts the instance, before all were blocked */

	/* instance_ltran.c */
	struct instance_ltran *ltran; /* NULL: a port of our own */
	char *ltran_vdev;             /* EAL argument, owned; or NULL */
	uint16_t mtu;                 /* bytes of IP packet: ours, or ltran's if that is smaller */

	struct claims *claims; /* to kernel devices; NULL: none. instance_claim.h */

	/* instance_eal.c */
	const char *extra_args[INSTANCE_EXTRA_ARGS_MAX]; /* behind dpdk_args; not owned */
	unsigned int n_extra_args;
	struct eal eal;

	/* instance_port.c */
	uint16_t port;
	bool port_ready;
	char port_name[32];     /* of a virtual wire, for messages */
	bool said_down;         /* its peer has gone; DPDK's interrupt thread */
	uint16_t n_rxq, n_txq;
	uint64_t tx_offloads;
	struct bond *bond;    /* of several ports (bond_mode); NULL: `port` alone */
	_Atomic uint16_t tso_max; /* see struct stack_wiring; instance_tso.c */
	bool has_rx_interrupts;
	struct rte_ether_addr mac;
	rte_spinlock_t tx_lock[WORKERS_MAX]; /* one per queue, for cores that share it */
	int kernel_fd;                       /* tap of the exception path, or -1 */

	/* instance_pool.c */
	struct rte_mempool *pool; /* packets of 2 KB */
	struct rte_mempool *bulk; /* large sends, 16 KB */

	/* instance.c */
	unsigned int n_workers;
	struct worker *workers[WORKERS_MAX]; /* each with its stack and graph */
	struct stack_group *stacks;
	void (*opened)(void *arg, struct stack_group *stacks); /* see instance_start() */
	void *opened_arg;
	struct ctl_server *ctl; /* owned by instance_ctl.c */
};

/* Each: 0, or -errno with one line for people in `err`; undone by its pair, also half-done. */
int instance_ltran_start(struct instance *in, char *err, size_t err_len);
void instance_ltran_stop(struct instance *in);
void instance_ltran_before_fork(struct instance *in);
void instance_ltran_after_fork(struct instance *in, bool is_child);
/* How `w` and ltran wake each other. */
void instance_ltran_bells(const struct instance *in, struct worker *w);
const struct stack_sharing *instance_ltran_sharing(const struct instance *in); /* NULL: no ltran */
int instance_eal_start(struct instance *in, char *err, size_t err_len);
void instance_eal_stop(struct instance *in);
/* Packets that the settings ask for, and the setting in words ("KEY = VALUE"); 0: none does. */
uint64_t instance_pool_wanted(const struct conf *c, char *key, size_t len);
/* Memory that pools of `n` packets take, on ordinary pages or hugepages, with all that DPDK needs. */
unsigned int instance_pool_mb(const struct instance *in, uint64_t n, bool ordinary);
int instance_pool_start(struct instance *in, char *err, size_t err_len);
void instance_pool_stop(struct instance *in);
int instance_port_start(struct instance *in, char *err, size_t err_len);
void instance_port_stop(struct instance *in);
void instance_tso_start(struct instance *in); /* the port has started */
void instance_tso_stop(struct instance *in);

/* instance_sleep.c: what a sleeping stack is woken by (low_power_mode); see struct stack_wiring. */
void instance_sleep_prepare(const struct instance *in, struct worker *w);
int instance_sleep_arm(void *worker, int *fds, uint64_t *until_us);
void instance_sleep_disarm(void *worker);

/* instance_ctl.c: the control socket and its commands. 0 or -errno. */
int instance_ctl_start(struct instance *in);
void instance_ctl_stop(struct instance *in);

#endif
