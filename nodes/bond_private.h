/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared by the bond's files: bond.c (life, counters), bond_monitor.c (links, the thread),
 * bond_rx.c and bond_tx.c (workers), bond_timer.c (worker 0), bond_alb.c (mode 6).
 *
 * Who writes what: the monitor thread `links` and the slaves that are not present; worker 0 `lacp`
 * and `masks`; each worker its own struct bond_worker. Workers touch ports that `links` calls present,
 * and are `busy` from before they read it until they have done: a port that is absent while nobody is
 * busy may be closed.
 */
#ifndef NODES_BOND_PRIVATE_H
#define NODES_BOND_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_ring.h>
#include <rte_spinlock.h>

#include "nodes/bond.h"
#include "nodes/bond_alb.h"
#include "nodes/lacp.h"
#include "nodes/worker.h"

#define BOND_NO_SLAVE 0xff
#define BOND_PDU_RING 64
#define BOND_BIT(slave) ((uint8_t)(1u << (slave)))

/* The word `links`, unpacked. */
struct bond_links {
	uint8_t present; /* bits: may be touched */
	uint8_t up;      /* bits: present, with a link, and to be used */
	uint8_t active;  /* modes 1 and 6: slave, or BOND_NO_SLAVE */
	uint32_t version;
};

/* What a worker needs for one vector. */
struct bond_view {
	enum bond_mode mode;
	uint8_t present, active;
	uint8_t rx; /* bits: unicast packets may come from */
	uint8_t rx_group; /* bits: and others from */
	uint8_t tx; /* bits: packets may go to */
};

struct bond_slave {
	uint16_t port;
	struct rte_ether_addr mac; /* the port's own */
	unsigned int if_index;     /* of a kernel device, else 0 */
	bool is_kernel;            /* its link is the kernel device's carrier */
	char name[RTE_DEV_NAME_MAX_LEN];
	char if_name[16];
	char *devargs;             /* to open it anew; owned, or NULL */
	bool is_open, has_sockets;
	_Atomic bool removed;      /* DPDK says so */
	_Atomic bool no_carrier;   /* the kernel has said so */
	bool has_link;             /* monitor */
	enum { BOND_SAID_UP, BOND_SAID_DOWN, BOND_SAID_GONE } said;
	int wake_fds[WORKERS_MAX]; /* its sockets in the workers' epoll sets; -1: none. Monitor */
	uint64_t up_since_ms;
	_Atomic uint16_t key;      /* LACP: by speed */
	_Atomic bool full_duplex;
	_Atomic uint64_t link_failures, returns;
};

struct bond_worker {
	_Atomic bool busy;
	int rx_fd;             /* epoll set: the sockets of its queue, or -1 */
	uint8_t next_rx;       /* slave to be polled first */
	uint64_t rx[BOND_SLAVES_MAX], tx[BOND_SLAVES_MAX];
	uint64_t rx_drops[BOND_SLAVES_MAX], tx_drops[BOND_SLAVES_MAX];
	uint64_t stalled_tsc[BOND_SLAVES_MAX]; /* takes nothing since then; 0: it keeps up */
} __rte_cache_aligned;

/* What worker 0 has to tell the network after a switch. */
struct bond_announce {
	unsigned int times; /* rounds to come */
	unsigned int from;  /* address to go on with in this round */
	uint64_t at_tsc;    /* next round */
};

struct bond {
	const struct bond_ops *ops; /* first */
	struct bond_params p;
	struct rte_ether_addr mac;
	uint16_t n_rxq;

	_Atomic uint64_t links; /* struct bond_links */
	_Atomic uint32_t masks; /* mode 4: collecting | distributing << 8 */
	uint8_t slave_of[RTE_MAX_ETHPORTS];
	struct bond_slave slaves[BOND_SLAVES_MAX];
	struct bond_worker workers[WORKERS_MAX];
	struct rte_ring *pdus;  /* slow protocol frames, from all workers to worker 0 */
	_Atomic uint64_t switches;

	/* worker 0 */
	uint64_t due_tsc;
	uint32_t timer_version; /* of `links`, as bond-timer has seen it */
	uint8_t timer_up, timer_active;
	struct lacp lacp;
	rte_spinlock_t shown_lock;
	struct lacp_port shown[LACP_PORTS_MAX]; /* copies for statistics */
	struct bond_announce announce;
	uint64_t teach_at_tsc;  /* mode 6: switches are told the addresses of all ports */
	unsigned int teach_ms;  /* and again after so long */
	struct bond_alb alb;

	/* monitor */
	pthread_t thread, asker;
	bool has_thread, has_asker;
	uint64_t tell_again_ms; /* p.lost; 0: not */
	_Atomic bool stops;
	int stop_fd; /* eventfd: `stops` is set, at once */
	int link_fd; /* netlink: links have changed; or -1 */
	int ask_fd;  /* socket for questions about devices */
};

static inline struct bond_links
bond_unpack(uint64_t word)
{
	return (struct bond_links){
		.present = word & 0xff,
		.up = word >> 8 & 0xff,
		.active = word >> 16 & 0xff,
		.version = word >> 32,
	};
}

static inline uint64_t
bond_pack(const struct bond_links *l)
{
	return l->present | (uint64_t)l->up << 8 | (uint64_t)l->active << 16 |
		(uint64_t)l->version << 32;
}

static inline struct bond_links
bond_links(const struct bond *b)
{
	return bond_unpack(atomic_load(&b->links));
}

static inline struct bond_view
bond_view(const struct bond *b, const struct bond_links *l)
{
	uint32_t masks = atomic_load_explicit(&b->masks, memory_order_relaxed);
	uint8_t active = l->active == BOND_NO_SLAVE ? 0 : BOND_BIT(l->active);
	struct bond_view v = {.mode = b->p.mode, .present = l->present, .active = l->active};

	switch (b->p.mode) {
	case BOND_ACTIVE_BACKUP:
		v.rx = v.rx_group = v.tx = active;
		break;
	case BOND_8023AD:
		v.rx = v.rx_group = masks & 0xff;
		v.tx = masks >> 8 & l->up;
		break;
	case BOND_ALB:
		v.rx = l->present;
		v.rx_group = active;
		v.tx = l->up;
		break;
	}
	return v;
}

/* What follows, until bond_leave(), may use the ports that bond_links() then calls present. */
static inline struct bond_worker *
bond_enter(struct bond *b, const struct worker *w)
{
	struct bond_worker *mine = &b->workers[w->index];

	/* Sequentially consistent, as `links`: either we see that a port is absent, or the monitor sees
	 * that we are busy. */
	atomic_store(&mine->busy, true);
	return mine;
}

static inline void
bond_leave(struct bond_worker *mine)
{
	atomic_store_explicit(&mine->busy, false, memory_order_release);
}

/* A counter of one writer, read by others. */
static inline void
bond_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint64_t
bond_tsc_ms(uint64_t hz, uint64_t tsc)
{
	return tsc / (hz / 1000);
}

/* The MAC address slave `i` sends with while `active` is the active one. */
static inline const struct rte_ether_addr *
bond_slave_mac(const struct bond *b, uint8_t active, unsigned int i)
{
	if (b->p.mode != BOND_ALB || i == active)
		return &b->mac;
	/* The one whose address the active one has taken has got the active one's. */
	if (active != BOND_NO_SLAVE && rte_is_same_ether_addr(&b->slaves[i].mac, &b->mac))
		return &b->slaves[active].mac;
	return &b->slaves[i].mac;
}

/* --- bond.c ------------------------------------------------------------------------------------ */

/* Open a slave's port; 0 or -errno. In the thread that starts, or the monitor. */
int bond_open_slave(struct bond *b, unsigned int i, struct port_info *got, char *err, size_t len);
/* Its sockets wake sleeping workers, or do so no more. */
void bond_wake_slave(struct bond *b, unsigned int i, bool on);
/* A socket whose device goes down is readable until somebody asks why: ask, or workers never sleep. */
void bond_calm_slave(struct bond *b, unsigned int i);

/* --- bond_monitor.c ---------------------------------------------------------------------------- */

int bond_monitor_open(struct bond *b, char *err, size_t len);
void bond_monitor_close(struct bond *b);
/* Look at all links now. The thread does, and bond_create() once before. */
void bond_monitor_look(struct bond *b);

/* Which slave is to be active? `up`: bits; `current` may be BOND_NO_SLAVE; `settled`: the primary
 * has been up long enough to be returned to. */
uint8_t bond_choose_active(uint8_t up, uint8_t current, int primary, bool settled);

/* --- bond_rx.c, bond_tx.c ---------------------------------------------------------------------- */

uint16_t bond_rx_burst(struct worker *w, struct rte_mbuf **pkts, uint16_t n);
extern const struct bond_ops bond_all_ops;

/* The slave of a packet, with `mask` the bits to choose from (not 0). */
uint8_t bond_hash_slave(uint8_t mask, uint32_t hash);
uint32_t bond_flow_hash(const struct rte_mbuf *m);

#endif
