/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ltran: one NIC, many programs. What its files share.
 *
 *	in    rx ─► (bond) ─► dispatch-in ─┬► instance-tx      (a ring of an instance)
 *	                                   ├► ip4-reass ─► dispatch-in   (fragments for a shared address)
 *	                                   ├► reset ─► dispatch-out      (an instance that has gone)
 *	                                   ├► hold ─► again, by hold-timer (a SYN before somebody listens)
 *	                                   ├► kernel-tx
 *	                                   └► drop
 *	out   instance-rx ─► guard ─► police ─► dispatch-out ─┬► instance-tx  (on this host)
 *	                                                      └► (gso) ─► (bond) ─► tx
 *	      kernel-rx, control-rx (what the control thread sends) ─► dispatch-out
 *
 * Threads. The control thread (registry.c) alone changes instances and addresses; DPDK's vhost thread
 * tells when a ring comes and goes (ring.c); workers (worker.c), one per core, walk the graphs. Workers
 * read `struct map` through one pointer; the control thread makes a new one for every change,
 * publishes it and frees the old one when every worker has passed a walk (librte_rcu). Nothing on
 * the packet path takes a lock, but for rings that several workers fill.
 */
#ifndef DISPATCHER_DISPATCHER_H
#define DISPATCHER_DISPATCHER_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_spinlock.h>

#include "conf/ltran_conf.h"
#include "dispatcher/hold.h"
#include "nodes/eal.h"
#include "nodes/ltran_abi.h"
#include "nodes/token_bucket.h"
#include "nodes/worker.h"

struct bond;
struct ctl_server;
struct measure;
struct policer;
struct registry;

#define NODE_INSTANCE_RX "instance-rx"
#define NODE_GUARD "guard"
#define NODE_POLICE "police"
#define NODE_DISPATCH_IN "dispatch-in"
#define NODE_DISPATCH_OUT "dispatch-out"
#define NODE_INSTANCE_TX "instance-tx"
#define NODE_RESET "reset"
#define NODE_CONTROL_RX "control-rx"
#define NODE_REASS_TIMER "reass-timer"
#define NODE_HOLD "hold"
#define NODE_HOLD_TIMER "hold-timer"

#define MEMBERS_MAX 1024    /* instances; librte_vhost has 1024 devices */
#define SLEEP_FDS (MEMBERS_MAX + 3) /* kicks, NIC, tap, end of sleep */
#define MEMBER_NONE UINT16_MAX
#define LTRAN_PORTS_MAX 8
#define BELL_FALSE_MAX 256  /* kicks of an instance without a packet; then it is not listened to */
#define CONTROL_RING 4096   /* packets between the control thread and worker 0 */
#define CONTROL_ROOM 64     /* bytes of the largest frame the control thread makes */

/* Why packets of or for one instance were dropped; also what `ltran show -i` prints. */
enum member_drop {
	MEMBER_RING_FULL,   /* it does not read its ring */
	MEMBER_NO_RING,     /* registered, but not connected (yet) */
	MEMBER_SPOOFED_MAC,
	MEMBER_SPOOFED_IP,
	MEMBER_SPOOFED_ARP,
	MEMBER_BAD_FRAME,   /* too short, or neither IPv4 nor ARP */
	MEMBER_RATE,        /* above rate_limit, or too many frames for everybody */
	MEMBER_DROPS
};

struct member_stats {
	uint64_t rx_pkts, rx_bytes; /* to the instance */
	uint64_t tx_pkts, tx_bytes; /* from the instance, let through */
	uint64_t drops[MEMBER_DROPS];
} __rte_cache_aligned;

/* One registered instance as workers see it. Made and freed by the control thread. */
struct member {
	/* workers read; `vid` is written by DPDK's vhost thread */
	_Atomic int vid;      /* vhost device, -1: no ring now */
	uint16_t index;       /* slot in map.members: the same as long as it lives */
	uint16_t n_queues;
	uint16_t worker;      /* polls its rings */
	uint32_t addr;        /* network order */
	_Atomic bool broken;  /* its ring or memory is corrupt: never touched again ... */
	_Atomic bool sends_giants; /* ... because of packets that no IP packet can be */
	const struct ltran_slot *tables; /* n_queues tables, read only mapping; NULL: none */
	uint32_t n_slots;
	const uint64_t *left;            /* ltran_left.h; in the head of its table; NULL: no table */
	struct policer *policer;         /* rate_limit of this address, shared by its instances; NULL: none */
	rte_spinlock_t tx_lock[LTRAN_QUEUES_MAX]; /* several workers fill a ring */
	struct member_stats *stats;      /* one per worker, written by it */
	uint32_t debt;                   /* buffers, see instance_rx.c; its worker */
	uint16_t next_queue;             /* instance-rx goes on there; its worker */
	struct token_bucket spread;      /* frames for everybody, see dispatch_node.c; its worker */

	/* doorbells (bell.h) */
	const uint32_t *asleep;          /* of its stacks, in the head of its table; NULL: no table */
	uint32_t called[LTRAN_QUEUES_MAX]; /* value of asleep[] that it has been called for */
	int call_fd[LTRAN_QUEUES_MAX];   /* the first n_queues; -1: none */
	int kick_fd;
	unsigned int n_false_kicks;      /* in a row, without a packet; its worker */

	/* control thread */
	uint32_t mask, gateway;
	pid_t pid;
	uid_t uid;
	uint64_t exe_dev, exe_ino; /* the program; instances of one address must be the same */
	uint64_t since_us;
	uint64_t blocks[LTRAN_BLOCK_WORDS];
	int fd;               /* registration; -1: it is being cleaned up */
	char program[16];
	char path[LTRAN_PATH_MAX];
	int bell_fds[LTRAN_FDS_MAX]; /* the instance's ends of its doorbells, until it has got them */
	int n_bell_fds;
	void *table_map;      /* mapping behind `tables`, with its size */
	size_t table_bytes;
	int table_fd;
};

/* An address with its instances, or, when they have all gone, without. */
struct map_addr {
	uint32_t addr;   /* network order */
	uint16_t n;      /* 0: its instances have died, `reset` answers for them */
	uint16_t first;  /* members of the address: map.order[first .. first + n) */
};

/* A listener that other processes have, too, and whose instance has gone: until then somebody may listen. */
#define MAP_AWAITED_MAX 256
struct map_awaited {
	uint32_t addr;     /* network order */
	uint16_t port;     /* network order */
	uint64_t until_ms; /* of CLOCK_MONOTONIC */
};

/* All that steering needs. Never changed once published. */
struct map {
	uint32_t subnet, host_mask; /* host order; host_mask = 2^dispatch_subnet_length - 1 */
	uint16_t n_members, n_addrs; /* slots in `members`, entries in `addrs` */
	struct member **members;  /* by member.index; NULL: free slot */
	struct member **order;    /* those that are there, by address, then in order of registration */
	struct map_addr *addrs;   /* [0] is nobody */
	uint16_t n_awaited;
	struct map_awaited awaited[MAP_AWAITED_MAX];
	uint16_t by_host[];       /* index into addrs by host part; host_mask + 1 of them */
};

enum seen_kind { SEEN_TCP, SEEN_UDP, SEEN_ICMP, SEEN_ARP, SEEN_OTHER, SEEN_KINDS };

/* One core. `w` is first: the nodes of nodes/ see a struct worker. */
struct dispatch_worker {
	struct worker w;
	struct ltran *lt;
	const struct map *map; /* of the walk that runs now; NULL between two walks */
	uint16_t next_member;  /* instance-rx goes on there */
	struct rte_mempool *turn_pool; /* turn_pool.h */
	struct hold hold;      /* hold.h */
	uint64_t moved;        /* packets that passed dispatch-in or -out */
	uint64_t walks, idle_walks, sleeps;
	uint64_t seen[SEEN_KINDS]; /* packets the NIC brought, for `ltran show` */
	struct pollfd fds[SLEEP_FDS]; /* of this sleep, see sleep.c */
	unsigned int n_fds, n_kicks; /* the first n_kicks are instances' */
	uint16_t kick_of[MEMBERS_MAX]; /* index of the instance */
	int n_ready;           /* what poll() has said */
	int wake_fd;           /* eventfd that ends its sleep */
	_Atomic bool asleep;
	int cpu;               /* pinned to, or -1 */
	_Atomic pid_t tid;     /* of its thread, for people */
	struct measure *measure; /* measure.h; NULL: never asked for */
	pthread_t thread;
	bool has_thread;
};

struct ltran {
	const struct ltran_conf *conf;
	struct eal eal;
	struct rte_ether_addr mac;  /* the NIC's, the bond's; every instance's */
	uint16_t mtu;
	uint16_t ports[LTRAN_PORTS_MAX], n_ports; /* ethdevs of bond_ports */
	int primary;                /* index of the one that has bond_macs, or -1 */
	bool has_port;
	rte_spinlock_t tx_lock[WORKERS_MAX]; /* one per queue, for workers that share it */
	struct bond *bond;          /* NULL: a single port */
	struct rte_mempool *pool;
	unsigned int n_workers;
	struct dispatch_worker *workers[WORKERS_MAX];
	struct rte_rcu_qsbr *rcu;   /* thread i: worker i */
	_Atomic(const struct map *) map;
	struct rte_mempool *control_pool; /* for `control`: its frames are few and small */
	struct rte_ring *control;   /* frames for worker 0 to send: control thread is the producer */
	struct rte_ring *heard;     /* ARP replies for the control thread: workers are the producers */
	_Atomic bool hearing;       /* it waits for some: copies of all replies, whoever they are for */
	int kernel_fd;              /* tap, or -1 */
	struct ltran_awake *awake;  /* which workers sleep: a page that instances read; workers */
	int awake_fd;
	_Atomic bool stop;
	struct registry *registry;
	struct policer *policers;   /* list, police.c; control thread */
	struct ctl_server *ctl;

	/* measure.h: not 0 while somebody measures */
	_Atomic uint32_t measure_round;
	_Atomic uint64_t measure_until_tsc;
	uint64_t measure_since_tsc; /* control socket's thread */
	uint32_t measure_last;
};

static inline struct dispatch_worker *
node_dispatch_worker(struct worker *w)
{
	return (struct dispatch_worker *)w;
}

/*
 * The map of now. For a worker that is online for librte_rcu, which may use it (and the members in it)
 * until its next quiescent report or until it goes offline. Keep it in a local variable.
 */
static inline const struct map *
worker_map(const struct dispatch_worker *dw)
{
	return atomic_load_explicit(&dw->lt->map, memory_order_acquire);
}

/* The address entry of `addr` (network order); entry 0, nobody's, when there is none. */
static inline const struct map_addr *
map_find(const struct map *m, uint32_t addr)
{
	uint32_t host = rte_be_to_cpu_32(addr);

	if ((host & ~m->host_mask) != m->subnet)
		return &m->addrs[0];
	return &m->addrs[m->by_host[host & m->host_mask]];
}

/*
 * Where a packet comes from: `port` is the NIC's, MEMBER_PORT | index of a member in map.members, or
 * RTE_MBUF_PORT_INVALID (tap, control thread). Where it goes: hash.usr, towards instance-tx, is
 * index << 16 | queue. Both are valid within the walk that set them.
 */
#define MEMBER_PORT 0x8000u

static inline struct member *
packet_member(const struct dispatch_worker *dw, const struct rte_mbuf *m)
{
	return dw->map->members[m->port & ~MEMBER_PORT];
}

#define MEMBER_DEBT_MAX (1u << 20) /* some ms of walks */

/* `n` buffers more that its packets have taken (instance_rx.c). By its worker. */
static inline void
member_charge(struct member *mb, uint32_t n)
{
	mb->debt = RTE_MIN(mb->debt + n, MEMBER_DEBT_MAX);
}

static inline bool
packet_is_from_member(const struct rte_mbuf *m)
{
	return (m->port & MEMBER_PORT) != 0 && m->port != RTE_MBUF_PORT_INVALID;
}

/* --- ltran.c: composition root; main thread ---------------------------------------------------- */

/* Start everything; 0, or -errno with a line in `err`. ltran_free() in both cases. */
int ltran_start(struct ltran *lt, const struct ltran_conf *conf, char *err, size_t err_len);
void ltran_free(struct ltran *lt);

/* --- worker.c ---------------------------------------------------------------------------------- */

int workers_start(struct ltran *lt, char *err, size_t err_len);
void workers_stop(struct ltran *lt);
/* Wake every sleeping worker: the map has changed, or `control` has frames. Any thread. */
void workers_kick(struct ltran *lt);
/* Returns when every worker has finished the walk it was in: what it may have read before is free. */
void workers_synchronize(struct ltran *lt);

/* --- map.c: control thread --------------------------------------------------------------------- */

/* A map of `n` members in order of registration, each with its index set; `gone` are addresses
 * without instances (network order). NULL: no memory. */
struct map *map_create(const struct ltran_conf *conf, struct member **members, unsigned int n,
	const uint32_t *gone, unsigned int n_gone);
/* Before it is published: ports that somebody may listen on soon, at most MAP_AWAITED_MAX. */
void map_await(struct map *m, const struct map_awaited *awaited, unsigned int n);
void map_free(struct map *m);
/* Publish, wait for the workers, free the one before. */
void map_publish(struct ltran *lt, struct map *m);

/* --- registry.c: control thread ---------------------------------------------------------------- */

/* Opens the registration socket and starts the control thread. */
int registry_start(struct ltran *lt, char *err, size_t err_len);
void registry_stop(struct ltran *lt);
/* For the control socket: calls `each` for every member while none can come or go. Any thread. */
void registry_each(struct ltran *lt, void (*each)(void *arg, const struct member *m), void *arg);

/* --- ring.c: vhost devices; control thread, but for the callbacks -------------------------------- */

int ring_open(struct ltran *lt, struct member *m, char *err, size_t err_len);
/* Returns when no worker and no DPDK thread uses the ring any more. */
void ring_close(struct ltran *lt, struct member *m);

/* --- police.c ---------------------------------------------------------------------------------- */

/* The policer of `addr` by rate_limit, shared by all who ask for that address; NULL: no limit. */
struct policer *policer_get(struct ltran *lt, uint32_t addr);
/* A frame of ltran's own in the name of the policer's address: may it pass? NULL: yes. Any thread. */
bool policer_pass(struct policer *p, uint32_t bytes);
void policer_free_all(struct ltran *lt);

/* --- ltran_ctl.c ------------------------------------------------------------------------------- */

int ltran_ctl_start(struct ltran *lt, char *err, size_t err_len);
void ltran_ctl_stop(struct ltran *lt);

#endif
