/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of stack/: the structs behind the opaque handles. lwIP-free and DPDK-free, so every file
 * of the folder can include it.
 *
 * Ownership words used below:
 *   holder   written only by the thread that holds the stack's lock
 *   app      written by application threads, under the lock named
 *   any      atomic, written by both
 */
#ifndef STACK_IMPL_H
#define STACK_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "stack/edge.h"
#include "stack/impl_sock.h"
#include "stack/mem.h"
#include "stack/ready.h"
#include "stack/sock.h"
#include "stack/stack.h"
#include "stack/tcp_syn_queue.h"
#include "stack/wheel.h"

#define CACHE_LINE 64
#define SNDBUF_FIRST (256 * 1024) /* what tuning begins with, and its least */

struct lwip_image;
struct netif;
struct rte_mbuf;
struct tcp_loss;
struct tcp_ooo;
struct tcp_pcb;
struct tcp_seg;
struct udp_pcb;

/* --- stacks --------------------------------------------------------------------------------------- */

enum op_state { OP_POSTED, OP_AWAITED, OP_DONE }; /* AWAITED: the poster sleeps until it is done */

struct stack_op {
	struct stack_op *next;
	void (*fn)(struct stack *st, void *arg);
	void *arg;
	_Atomic uint32_t state;
};

/* WANTED: held, and a thread that goes to sleep is to be kicked when it is free. */
enum stack_lock { LOCK_FREE, LOCK_HELD, LOCK_WANTED };

struct sleeper;
struct pbuf;

struct sock_queue {
	struct sock *first, **last; /* link: sock.end_next; where the next one is hung in */
	uint32_t n;
};

/* What becomes of the datagrams of one socket; not in variables of a function that lwip_guard() may leave. */
struct udp_sending {
	struct pbuf *head; /* of the one that lwIP has */
	uint32_t charge, mem;
	uint64_t bytes;
};

#define STACK_TXQ 16384 /* packets between lwIP and socket-tx; power of two */
#define STACK_WAKES 256

/* A port that others listen on, or will soon; until_us 0: none. */
struct left_port {
	uint64_t until_us;
	uint16_t port;
};

struct stack {
	/* lock */
	_Atomic uint32_t lock __attribute__((aligned(CACHE_LINE))); /* enum stack_lock */
	_Atomic(struct stack_op *) ops;   /* posted, newest first */
	_Atomic(struct sock *) dirty;     /* sockets to serve, newest first */
	_Atomic uint64_t last_run_tsc;

	/* holder */
	struct stack_group *group __attribute__((aligned(CACHE_LINE)));
	_Atomic pthread_t holder;      /* 0: nobody */
	unsigned int index;
	const struct lwip_image *lw;
	struct netif *netif;
	struct stack_wiring wiring;
	struct sleeper *sleeper;       /* constant; NULL without low_power_mode */
	struct sock *cur;              /* socket lwIP is working for */
	struct udp_sending udp_sending;
	struct sock *dirty_fifo, *dirty_fifo_tail; /* taken from `dirty`, oldest first */
	struct stack_op *op_fifo, *op_fifo_tail;
	struct sock *pending;          /* to feed at the end of the vector */
	struct sock *zombies;
	struct sock *all;
	struct sock_queue ends[END_KINDS]; /* see tcp_orphan.c */
	bool ending; /* the process closes everything */
	uint64_t now_us;
	uint32_t now_ms;
	uint8_t ext_id;
	struct rte_mbuf **txq; /* ring of STACK_TXQ */
	uint32_t txq_head, txq_tail;
	uint32_t txq_max;              /* 0: not known yet */
	struct sock **buckets;         /* connections by 4-tuple */
	uint32_t bucket_mask, n_conns;
	struct sock **old_buckets;     /* while the table grows: from `moved` on still in use */
	uint32_t old_mask, moved;
	struct port_link **tcp_ports;  /* 65536: listeners and bound sockets by local port */
	struct port_link **udp_ports;  /* 65536 */
	uint32_t *port_refs;           /* 65536: connections per local port, for choosing one */
	struct tcp_syn_queue syn;      /* connections that are not there yet */
	struct wheel wheel;
	struct ready_set *wakes[STACK_WAKES];
	unsigned int n_wakes;
	bool worked; /* this run moved packets or events */
	struct stack_op link_up; /* any; see link.c */
	struct stack_counters counters;
	struct left_port left[STACK_LEFT_MAX]; /* see share_leave() */
	uint64_t tx_full_drops, rst_out, listen_drops, engine_resets;
	uint64_t abort_on_memory, abort_on_timeout, time_wait_overflow;
	struct mem mem;
	uint64_t challenges; /* challenge ACKs, all connections */
	void *room; /* where the holder runs whose own stack is too small, see common/narrow.h; or NULL */
};

#define STACK_PORT_COUNTERS 256

struct stack_group {
	struct stack_params params;
	unsigned int n;
	unsigned int first_image; /* lwip_images[first_image .. + n) are ours */
	struct stack *stacks;
	_Atomic bool running;
	pthread_t threads[2 * 64 + 1];
	unsigned int n_threads;
	_Atomic uint64_t idle_tsc;      /* any: see stack_group_idle_us() */
	_Atomic unsigned int next_home; /* round robin for sockets without a stack yet */
	uint64_t tsc_hz;
	uint64_t tsc_start;
	uint64_t us_per_tsc_32; /* microseconds per TSC tick, times 2^32 */
	uint64_t unattended_tsc; /* TSC ticks after which a sender runs the stack itself */
	/* any; local ports that we choose, see table.c */
	_Atomic uint32_t port_hint; /* binds to port 0 so far */
	_Atomic uint32_t port_counters[STACK_PORT_COUNTERS];
	struct waker *wakers; /* num_wakeup threads, or NULL */
	struct sleeper **sleepers; /* low_power_mode, see sleep.c; else NULL */
	unsigned int n_sleepers;
	uint64_t lock_spin_tsc; /* TSC ticks of waiting for the lock before a thread sleeps */
	uint64_t spin_tsc; /* of idling */
	uint64_t crowded_tsc; /* so long it does not spin where others compute on its core */
	unsigned int *cpus, *wakeup_cpus; /* copies of params' arrays */
};

/* At the begin of a run and before a vector is received. Holder. */
static inline void
mem_check(struct stack *st)
{
	const struct mem *m = &st->mem;

	if (m->rx.used >= m->rx.pressure_at || m->tx.used >= m->tx.pressure_at ||
	    m->looked_ms != st->now_ms || mem_pressure(m))
		mem_update(st);
}

/* Does the send queue hold less than what it may, of which num/den count? Any thread. */
static inline bool
sock_tx_has_room(const struct sock *s, uint32_t num, uint32_t den)
{
	struct sock *m = (struct sock *)s;
	uint64_t most = (uint64_t)sock_sndbuf(s) * den;
	uint32_t charge = atomic_load_explicit(&m->tx_charge_in, memory_order_relaxed) -
			atomic_load_explicit(&m->tx_charge_acked, memory_order_acquire);
	uint64_t bytes = atomic_load_explicit(&m->tx_bytes_in, memory_order_relaxed) -
			 atomic_load_explicit(&m->tx_bytes_acked, memory_order_relaxed);
	uint32_t held;

	if ((uint64_t)charge * num >= most || bytes * num >= most)
		return false;
	if (s->stack == NULL || !mem_pressure(&s->stack->mem))
		return true;
	held = mem_tx_held(s);
	return (uint64_t)held * num < (uint64_t)mem_tx_limit(s, held) * den;
}

/* --- stack.c: lock, operations, one run ------------------------------------------------------------ */

/* Take the lock if it is free. */
bool stack_trylock(struct stack *st);
/* The same, but a holder who runs on another core is waited for; where one keeps it, he kicks the
 * stack's sleeper when he lets go. */
bool stack_lock_or_want(struct stack *st);
/* Let go, and execute what has been posted meanwhile. */
void stack_unlock(struct stack *st);
/* Run once: operations, walk, wake-ups. Holder only. True if something moved. */
bool stack_run_locked(struct stack *st);
/* Take the lock if free and run; true if something moved. */
bool stack_try_run(struct stack *st);
/* Execute fn as the holder and wait for it: at once where the lock is free, else posted. */
void stack_call(struct stack *st, void (*fn)(struct stack *st, void *arg), void *arg);
/* Have `op` executed by the holder, soon. It must live until it is done. */
void stack_post(struct stack *st, struct stack_op *op);
void stack_link_init(struct stack *st); /* link.c */
/* Ask the holder to serve `s`; any thread. */
void stack_mark_dirty(struct sock *s, uint32_t reason);
/* Serve the sockets that are dirty, as many as one loop may. Holder. */
void stack_serve_dirty(struct stack *st);
/* Refresh now_us, now_ms and lwIP's clock. Holder. */
void stack_clock(struct stack *st);
struct stack *stack_home(struct stack_group *g);
uint64_t stack_tsc_us(const struct stack_group *g);

static inline uint64_t
stack_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* In a call that does not need it: run the stack where nobody has for a while. */
static inline void
stack_run_if_unattended(struct stack *st)
{
	const struct stack_group *g = st->group;

	if (g->params.mode == STACK_RUN_TO_COMPLETION &&
	    stack_tsc() - atomic_load_explicit(&st->last_run_tsc, memory_order_relaxed) >
		    g->unattended_tsc)
		stack_try_run(st);
}

/* --- lwip_guard.c ------------------------------------------------------------------------------------ */

/* Run fn, which may enter lwIP. False: an assertion of lwIP has cut it off, and the connection that lwIP
 * was working for is gone. Holder. */
bool lwip_guard(struct stack *st, void (*fn)(struct stack *st, void *arg), void *arg);
extern bool lwip_assert_aborts; /* tests: end the process instead */

/* --- table.c: connections, ports -------------------------------------------------------------------- */

int table_init(struct stack *st);
void table_fini(struct stack *st);
uint32_t table_hash(const struct stack *st, uint32_t raddr, uint16_t rport, uint16_t lport);
/* The chain that a connection of this hash is in, or would be. */
static inline struct sock **
table_bucket(const struct stack *st, uint32_t hash)
{
	if (__builtin_expect(st->old_buckets != NULL, 0) && (hash & st->old_mask) >= st->moved)
		return &st->old_buckets[hash & st->old_mask];
	return &st->buckets[hash & st->bucket_mask];
}

struct sock *table_find(const struct stack *st, uint32_t hash, uint32_t raddr, uint16_t rport,
	uint16_t lport);
void table_insert(struct stack *st, struct sock *s);
void table_remove(struct stack *st, struct sock *s);
/* Listener for a SYN to `lport`; SO_REUSEPORT listeners share by hash. */
struct sock *table_listener(const struct stack *st, uint16_t lport, uint32_t hash);
struct sock *table_udp(const struct stack *st, uint16_t lport, uint32_t raddr, uint16_t rport);
/* Claim s->lport on this stack: 0 or -EADDRINUSE. A TCP port is claimed on every stack. */
int table_bind(struct stack *st, struct sock *s);
void table_unbind(struct stack *st, struct sock *s);
/* Where the search for a local port towards raddr:rport begins: the result + *counter. */
uint32_t table_port_begin(struct stack *st, uint32_t raddr, uint16_t rport, _Atomic uint32_t **counter);
uint16_t table_free_port(struct stack *st, const struct sock *s); /* or 0 */
/* A local port, of those that are ours, for a connection to raddr:rport whose packets come back to this stack, or 0. */
uint16_t table_ephemeral(struct stack *st, uint32_t raddr, uint16_t rport);

/* --- share.c: sockets that others must know of (struct stack_sharing) --------------------------------- */

/* The next two: only where there is sharing. */
void share_connection(struct stack *st, const struct sock *s, bool is_there);
void share_handshake(struct stack *st, const struct tcp_handshake *h, bool is_there);
/* May `s` listen on its port, or have it (UDP)? 0 or -EADDRINUSE; may wait, takes no lock. */
int share_claim(const struct sock *s);
/* Something about the sockets on this port has changed: show them, or hide the port. Holder. */
void share_port(struct stack *st, const struct sock *s);
/* The listener `s` is closed: if it lives on elsewhere, SYNs to its port that are on their way to us go
 * without an answer, so that their next try comes to somebody else. Holder. */
void share_leave(struct stack *st, const struct sock *s);
/* Is a SYN to this port such a one? Holder. */
bool share_has_left(const struct stack *st, uint16_t lport);

#define TCP_RTO_MIN_MS 200
#define TCP_RTO_MAX_MS 120000
#define TCP_RTO_FIRST_MS 1000 /* RFC 6298 2.1 */

/* --- tcp.c, tcp_timer.c: connections; holder ---------------------------------------------------------- */

void tcp_sock_listen(struct stack *st, struct sock *s);
int tcp_sock_connect(struct stack *st, struct sock *s);
void tcp_ends_init(struct stack *st);
void tcp_fin_wait_2_limit(struct stack *st); /* every millisecond */
void tcp_sock_serve(struct stack *st, struct sock *s, uint32_t reasons);
void tcp_sock_abort(struct stack *st, struct sock *s, int err);
/* Throw away the early segments of `s`; their sender has them still (RFC 2018 8). */
void tcp_rx_ooo_evict(struct stack *st, struct sock *s);
/* Is anything unacknowledged, or (with_fin) a peer's FIN still to come, on closed connections? */
bool tcp_unsettled(const struct stack *st, bool with_fin);
/* `bytes` and the memory of all pcbs, as lwip_image.heap_units counts. */
uint64_t tcp_heap_units(const struct stack *st, uint64_t bytes);
/* The process ends: reset what is unsettled, forget the rest. */
void tcp_sock_end(struct stack *st, struct sock *s);
/* Serve the sockets that the vector has left something to do; cut off, it goes on with the next. */
void tcp_feed_pending(struct stack *st, void *unused);
void tcp_sock_output(struct stack *st, struct sock *s); /* feed, then output */
void tcp_enter(struct stack *st, struct sock *s);
void tcp_leave(struct stack *st, struct sock *s);
void tcp_timer_arm(struct stack *st, struct sock *s);
void tcp_timer_fire(struct stack *st, struct sock *s);
/* What waits for a timeout is sent now, and timeouts are as short as at first; there is a pcb. */
void tcp_timer_restart(struct stack *st, struct sock *s);
void tcp_rx_segment(struct stack *st, struct pkt *p, const void *ip, uint32_t hash, uint64_t *counts);
void tcp_fill_info(struct stack *st, struct sock *s, struct stack_conn_info *i);
void tcp_listener_close(struct stack *st, struct sock *s);

/* --- udp.c; holder -------------------------------------------------------------------------------------- */

int udp_sock_open(struct stack *st, struct sock *s);
void udp_sock_serve(struct stack *st, struct sock *s, uint32_t reasons);
/* An assertion of lwIP has cut off the work for `s`: what was to be sent is lost. */
void udp_sock_cut(struct stack *st, struct sock *s);
bool udp_rx_datagram(struct stack *st, struct sock *s, struct pkt *p, const void *ip);

/* --- sock.c ------------------------------------------------------------------------------------------------ */

struct sock *sock_alloc(struct stack_group *g, enum sock_kind kind);
void sock_free(struct sock *s); /* nothing refers to it any more */
/* Put freed sockets behind the current entry; holder. */
void sock_retire(struct stack *st, struct sock *s);
void sock_reap(struct stack *st);
/* Publish `bytes` more, as one datagram or part of the stream: a run of packets with `mem` bytes of
 * memory, linked newest to oldest; NULL: they have been joined to others. */
void sock_push_rx(struct sock *s, struct pkt *newest, struct pkt *oldest, uint32_t bytes,
	uint32_t mem);
#define SOCK_JOIN_MAX 1024 /* larger pieces stay in their own packets */
/* Add a small piece of the stream to the newest packet that waits, if there is one with room. */
bool sock_join_rx(struct sock *s, const void *data, uint32_t len);
bool sock_can_join_rx(struct sock *s, uint32_t len);
void sock_set_error(struct sock *s, int err, uint32_t flags);
void sock_free_pkts(struct sock *s);
bool sock_writable(const struct sock *s);
/* Tell every watcher that `bits` may have become true; holder, or the program itself. */
void sock_notify(struct sock *s, uint32_t bits);
void sock_all_add(struct stack *st, struct sock *s);
void sock_all_remove(struct sock *s); /* may be repeated */
void sock_fill_addr(struct sockaddr_in *a, uint32_t addr, uint16_t port);
void sock_claim(struct sock *s);          /* waits for the thread that is inside */
void sock_unclaim(struct sock *s);
/* No other thread of the program is in it: what was asked of the holder is done, and it is on no list. */
void sock_settle(struct sock *s);
int sock_bind_implicitly(struct sock *s); /* any address and port, if it has none */
int sock_bind_claimed(struct sock *s);    /* the same, inside sock_claim() */
/* sock_listen.c. It keeps its port, and may listen again; who waits in accept() sees that it does not. */
int sock_listener_stop(struct sock *l);
void sock_listener_close(struct sock *l);
void sock_listener_put(struct sock *l); /* the program's reference to a socket that may have listened */
/* Add what the program has done with `s` to the counters. */
void sock_count(const struct sock *s, struct stack_counters *c);

/* --- edge.c: the meeting of mbuf and pbuf -------------------------------------------------------------------- */

/* data, len = room, *mem = what edge_mem() says; NULL: no memory */
struct pkt *edge_alloc(struct stack *st, uint32_t want, uint32_t *mem);
uint32_t edge_free(struct pkt *p);      /* any thread; returns what edge_mem() said */
uint32_t edge_mem(const struct pkt *p); /* bytes of real memory */
uint32_t edge_chain_mem(const struct pkt *p); /* of all packets of the pbuf chain that begins here */
/* What a copy of edge_copy_out() counts as: it is none of the pool's packets. */
#define EDGE_COPY_CHARGE 1
#define EDGE_COPY_MAX 2048 /* of payload */
/* The TCP segment `p`, a pbuf of one piece behind the IP header at *ip, in a block of its own size that
 * is no packet of the pool; *ip moves along. The packet is the caller's. NULL: no memory. Holder. */
struct pkt *edge_copy_out(struct stack *st, const struct pkt *p, const void **ip);
uint32_t edge_room(const struct pkt *p); /* unused bytes behind its data */
uint32_t edge_packets_free(const struct stack *st); /* in the pool, those in threads' caches left out */
uint32_t edge_packet_bytes(const struct stack *st); /* real memory of one */
uint64_t edge_bulk_used(const struct stack *st); /* bytes of the buffers for large sends in use, by all stacks */
void edge_thread_enter(void); /* give this thread a packet cache of its own */
void edge_limit_caches(const struct stack *st); /* once, when the pool is known */
uint64_t edge_tsc_hz(void);
int edge_attach(struct stack *st); /* lwIP image, netif */
void edge_detach(struct stack *st);

#define EDGE_BARE_NO_SCALE 0xff

/* A TCP segment without data that is not lwIP's. Addresses and ports in network byte order. */
struct edge_bare {
	uint32_t raddr;
	uint16_t rport, lport;
	uint32_t seq, ack;
	uint16_t wnd; /* as it is written */
	uint8_t flags, ttl, tos;
	uint16_t mss;  /* 0: no options at all */
	uint8_t scale; /* EDGE_BARE_NO_SCALE: none */
	bool sack;
	bool stranger; /* the peer may be an invention: only while the queue to the port is half empty */
};

void edge_send_bare(struct stack *st, const struct edge_bare *b); /* lost where there is no room */

/* --- ready.c ---------------------------------------------------------------------------------------------------- */

void ready_push(struct stack *st, struct ready_watch *w);
void ready_flush_wakes(struct stack *st);
void ready_wake(struct ready_set *set);

/* --- sleep.c ------------------------------------------------------------------------------------------------------ */

int sleep_init(struct stack_group *g);
void sleep_fini(struct stack_group *g);
/* Run-to-completion: become the one who attends to the wires. False: somebody does. */
bool sleep_take(struct sleeper *sl);
enum sleep_verdict {
	SLEEP_QUIET,     /* sleep on sleep_fd() */
	SLEEP_WORKED,    /* there was work: it is over */
	SLEEP_WIRE_BUSY, /* it cannot be armed just now: it is over */
};
/* Whoever attends: arm the wires and look for work a last time. The sleep may last *until_us at most
 * (UINT64_MAX: no limit). */
enum sleep_verdict sleep_begin(struct sleeper *sl, uint64_t *until_us);
void sleep_end(struct sleeper *sl);
int sleep_fd(const struct sleeper *sl);
bool sleep_is_on(const struct sleeper *sl); /* somebody attends, asleep or about to be */
/* Wake whoever attends, if anybody sleeps. What was published before the call is seen by him. */
void sleep_kick(struct sleeper *sl);

/* --- thread.c ---------------------------------------------------------------------------------------------------- */

int thread_start_all(struct stack_group *g);
void thread_stop_all(struct stack_group *g);
void thread_hand_over(struct stack_group *g, unsigned int stack, struct ready_set *set);
void thread_forget(struct stack_group *g, struct ready_set *set);
/* True: somebody computes on this core; a yield has cost a time slice of his. See ready.c. */
bool thread_pause_idle(struct stack_group *g, unsigned int idle_runs);

#endif
