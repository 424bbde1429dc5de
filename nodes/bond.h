/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bond: several ports under one MAC address, of an instance or of ltran.
 *
 *	in    rx (all ports in turn) ─► bond-rx ─► classify, or what bond_place() was given
 *	out   ... ─► tx (chooses the port)
 *	clock bond-timer ─► tx (LACP, gratuitous ARP); source node of worker 0
 *
 * A monitor thread looks at the ports' links every `miimon_ms` and when the kernel says that one
 * has changed. What workers need of that is one atomic word (bond_private.h).
 *
 * Modes, numbered as Linux does:
 *   1 active-backup  one port carries everything; what comes in at the others is dropped
 *   4 802.3ad        LACP (lacp.h); flows are spread by addresses and ports over one aggregate
 *   6 balance-alb    flows are spread too; each port has a MAC address of its own, and ARP tells
 *                    every peer one of them, so that what they send is spread as well
 *
 * Why not DPDK's net_bonding (22.11.11): it asks drivers for the link, and af_packet's answer is
 * always "up", so that it never leaves a dead link. In mode 1 it does not read the
 * passive port: what has gathered there is delivered, old and a second time, after a switch.
 *
 * A kernel device below a port must be silent: what the kernel itself sends with its address (IPv6 router
 * solicitations) makes switches look for the bond at the wrong port.
 *
 * A device that vanishes (hot unplug, or the kernel's device under af_packet) is a port without link:
 * nobody touches it any more. When a kernel device of that name is there again, the port is opened
 * anew. A bond of one port is legal and does just that.
 */
#ifndef NODES_BOND_H
#define NODES_BOND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ether.h>

#include "nodes/port.h"
#include "nodes/worker.h"

#define NODE_BOND_RX "bond-rx"
#define NODE_BOND_TIMER "bond-timer"

#define BOND_SLAVES_MAX 8

struct bond;
struct rte_mbuf;

enum bond_mode {
	BOND_ACTIVE_BACKUP = 1,
	BOND_8023AD = 4,
	BOND_ALB = 6,
};

struct bond_params {
	enum bond_mode mode;
	uint32_t miimon_ms;
	unsigned int n_slaves;
	uint16_t ports[BOND_SLAVES_MAX];
	int primary; /* mode 1: index in ports[] of the one to prefer while it has a link; -1: none */
	bool has_mac;
	struct rte_ether_addr mac; /* of the bond; without has_mac: of the primary, or ports[0] */
	struct port_params port;   /* of each port */
	unsigned int n_workers;

	/* Our addresses, network byte order, from number `from` on, at most `max`; returns how many.
	 * To be announced; called by worker 0 within a walk. */
	unsigned int (*addresses)(void *arg, unsigned int from, uint32_t *out, unsigned int max);
	/* Worker 0 shall walk, if it sleeps. Called by the monitor thread. */
	void (*wake)(void *arg);
	/* The links in use are others, and what was under way may be lost. Called at once and a little
	 * later, when switches know, by the monitor thread. NULL: nobody wants to know. */
	void (*lost)(void *arg);
	void *arg;
};

/*
 * Open the ports. *got says what all of them can: queues, offloads; `mac` is the bond's.
 * 0, or -errno with a line in `err`. Workers use the bond through worker->bond, set before their
 * graph is made; worker->port is ports[0], worker->mac the bond's.
 */
int bond_create(const struct bond_params *p, struct bond **bond, struct port_info *got, char *err,
	size_t err_len);
/* Before the first graph_create(): rx ─► bond-rx ─► `next` (NODE_CLASSIFY). 0 or -errno. */
int bond_place(const char *next);
/* Start the monitor thread; graphs are there, workers may walk. 0 or -errno. */
int bond_start(struct bond *b);
/* End the thread. Then workers end, then bond_free() closes the ports. NULL is allowed. */
void bond_stop(struct bond *b);
void bond_free(struct bond *b);

/* When bond-timer has something to do: TSC time, UINT64_MAX: never. Worker 0. */
uint64_t bond_due(const struct bond *b);
/* For sleeping workers: readable when a port has packets for the worker's queue; -1: look yourself. */
int bond_rx_fd(const struct worker *w);

/* --- for rx and tx; workers -------------------------------------------------------------------- */

/* The first member of struct bond: rx and tx are linked without bonds, too. */
struct bond_ops {
	uint16_t (*receive)(struct worker *w, struct rte_mbuf **pkts, uint16_t n);
	uint16_t (*send)(struct worker *w, struct rte_mbuf **pkts, uint16_t n);
	uint16_t (*sort)(struct worker *w, struct rte_mbuf **pkts, uint16_t n);
	bool (*can_send)(const struct worker *w);
};

static inline const struct bond_ops *
bond_ops(const struct worker *w)
{
	return *(const struct bond_ops *const *)w->bond;
}

/* As rte_eth_rx_burst(), from all ports. */
static inline uint16_t
bond_receive(struct worker *w, struct rte_mbuf **pkts, uint16_t n)
{
	return bond_ops(w)->receive(w, pkts, n);
}

/* As rte_eth_tx_burst(), but what is not taken stands at the end of pkts[], in its order. */
static inline uint16_t
bond_send(struct worker *w, struct rte_mbuf **pkts, uint16_t n)
{
	return bond_ops(w)->send(w, pkts, n);
}

/* Without any link: move packets that no port can send to the end of a vector. Returns how many come
 * before them. */
static inline uint16_t
bond_sort(struct worker *w, struct rte_mbuf **pkts, uint16_t n)
{
	return bond_ops(w)->sort(w, pkts, n);
}

/* Is there a port for packets? */
static inline bool
bond_can_send(const struct worker *w)
{
	return bond_ops(w)->can_send(w);
}

/* --- for gazellectl; any thread ---------------------------------------------------------------- */

struct bond_slave_stats {
	uint16_t port;
	struct rte_ether_addr mac; /* it sends with */
	char name[32];             /* of the DPDK device */
	bool link, present;
	bool active;               /* carries packets: mode 1 the one, mode 4 distributing */
	uint64_t rx_pkts, tx_pkts;
	uint64_t rx_drops;         /* passive link, not for this port */
	uint64_t tx_drops;         /* given up with the link */
	uint64_t link_failures;
	uint64_t returns;          /* times the device came back */
	/* mode 4 */
	uint8_t actor_state, partner_state; /* LACP_STATE_* (lacp.h) */
	uint16_t partner_key;
	struct rte_ether_addr partner;
	int aggregate; /* number of the first port of its aggregate; -1: none */
};

struct bond_stats {
	enum bond_mode mode;
	uint32_t miimon_ms;
	unsigned int n_slaves;
	int active;        /* mode 1, 6: index; -1: none */
	uint64_t switches; /* of the active port, or of the aggregate */
};

void bond_get_stats(const struct bond *b, struct bond_stats *out);
void bond_get_slave_stats(struct bond *b, unsigned int slave, struct bond_slave_stats *out);

#endif
