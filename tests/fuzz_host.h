/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An instance for fuzzers of whole frames: its graph (classify to tcp-to-lwip, socket-tx to arp-resolve)
 * and its lwIP, in virtual time, without a port: frames arrive by a call, and leave by one. One thread.
 */
#ifndef TESTS_FUZZ_HOST_H
#define TESTS_FUZZ_HOST_H

#include <stdint.h>

#include <rte_mbuf.h>

#include "nodes/worker.h"
#include "stack/ready.h"
#include "stack/stack.h"

#define FUZZ_HOST_FRAMES 1024
#define FUZZ_HOST_MTU 1500
#define FUZZ_HOST_STEP_US 100 /* between two walks */

struct fuzz_host {
	struct worker w; /* first: nodes know it */
	struct stack_group *group;
	struct ready_set *ready;
	struct rte_mbuf *in[FUZZ_HOST_FRAMES]; /* frames on the way here, oldest first */
	unsigned int n_in;
	/* A frame has left: a plain copy in one segment, without flags, which is the callee's. */
	void (*sent)(struct fuzz_host *from, struct rte_mbuf *m);
};

extern uint64_t fuzz_now_us;          /* time of all hosts */
extern struct rte_mempool *fuzz_pool; /* of frames; NULL before fuzz_hosts_start() */

/* DPDK and pools; once. Failures end the process, as everywhere in fuzzers. */
void fuzz_hosts_start(void);
/* `addr` in network byte order; the MAC address is 02:00:00:00:00:`mac`. */
void fuzz_host_make(struct fuzz_host *h, const char *name, uint32_t addr, uint8_t mac);
/* Takes `m`, which may be NULL; one that finds the wire full is lost. */
void fuzz_host_arrive(struct fuzz_host *h, struct rte_mbuf *m);
/* Walks all of `n` hosts for `us` of virtual time. */
void fuzz_hosts_run(struct fuzz_host *const *hosts, unsigned int n, uint64_t us);
/* Sockets and connections of the host, as far as its stack knows them. */
unsigned int fuzz_host_conns(struct fuzz_host *h);
/* Packets taken from the pools. */
unsigned int fuzz_packets(void);

#endif
