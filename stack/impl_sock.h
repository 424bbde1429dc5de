/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of stack/: packets and sockets. Part of impl.h, which says what the words "holder", "app"
 * and "any" mean. lwIP-free and DPDK-free.
 */
#ifndef STACK_IMPL_SOCK_H
#define STACK_IMPL_SOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/sock.h"
#include "stack/tcp_cc.h"
#include "stack/wheel.h"

#define CACHE_LINE 64

struct ready_set;
struct stack;
struct stack_group;
struct tcp_loss;
struct tcp_ooo;
struct tcp_pcb;
struct tcp_request;
struct tcp_seg;
struct udp_pcb;

/* --- small helpers ----------------------------------------------------------------------------- */

static inline void
cpu_pause(void)
{
	__builtin_ia32_pause();
}

struct spin {
	atomic_flag held;
};

static inline void
spin_lock(struct spin *l)
{
	while (atomic_flag_test_and_set_explicit(&l->held, memory_order_acquire))
		cpu_pause();
}

static inline bool
spin_trylock(struct spin *l)
{
	return !atomic_flag_test_and_set_explicit(&l->held, memory_order_acquire);
}

static inline void
spin_unlock(struct spin *l)
{
	atomic_flag_clear_explicit(&l->held, memory_order_release);
}

/* --- packets ------------------------------------------------------------------------------------ */

/*
 * Private area of every mbuf. On the way in it is lwIP's pbuf and then a link of a receive queue;
 * on the way out a piece of a send queue. `end` is a stream offset, so that acknowledged pieces
 * are found by comparing.
 */
struct pkt {
	uint64_t pbuf[5]; /* struct pbuf_custom (edge.c asserts the size) */
	struct pkt *next;
	uint8_t *data;
	uint32_t len;  /* bytes at data */
	uint32_t off;  /* in: read by the program; out: given to lwIP */
	uint64_t end;  /* out: stream offset behind the last byte */
	uint32_t addr; /* datagrams: peer, network byte order */
	uint16_t port; /* network byte order */
	uint16_t more; /* datagrams: further pieces of the same datagram follow */
	/* in, before its turn: real memory of the segment; out: bytes counted against SO_SNDBUF */
	uint32_t charge;
	uint32_t dgram_len; /* first piece of a datagram: its whole length */
};

/* The lists of packets between a program and its stack: pushed newest first, taken all at once. */
static inline void
pkts_push(_Atomic(struct pkt *) *list, struct pkt *newest, struct pkt *oldest)
{
	struct pkt *old = atomic_load_explicit(list, memory_order_relaxed);

	do {
		oldest->next = old;
	} while (!atomic_compare_exchange_weak_explicit(list, &old, newest, memory_order_release,
		memory_order_relaxed));
}

/* Everything on the list, oldest first; *last is its end. */
static inline struct pkt *
pkts_take(_Atomic(struct pkt *) *list, struct pkt **last)
{
	struct pkt *p = NULL, *first = NULL;

	if (atomic_load_explicit(list, memory_order_relaxed) != NULL)
		p = atomic_exchange_explicit(list, NULL, memory_order_acquire);
	*last = p;
	while (p != NULL) {
		struct pkt *next = p->next;

		p->next = first;
		first = p;
		p = next;
	}
	return first;
}

/* --- sockets ------------------------------------------------------------------------------------- */

enum sock_flag { /* struct sock.flags */
	SF_BOUND = 1 << 0,
	SF_LISTEN = 1 << 1,
	SF_CONNECTING = 1 << 2,
	SF_CONNECTED = 1 << 3, /* TCP established at some time; UDP: has a peer */
	SF_EOF = 1 << 4,       /* nothing more comes: the peer's FIN, or the end of all */
	SF_SHUT_RD = 1 << 5,
	SF_SHUT_WR = 1 << 6,
	SF_DEAD = 1 << 7,    /* no pcb any more: reset, timed out, or finished both ways */
	SF_TX_FULL = 1 << 8, /* a send found no room: tell when there is */
	SF_NODELAY = 1 << 9,
	SF_CORK = 1 << 10,
	SF_REUSEPORT = 1 << 11,
	SF_REUSEADDR = 1 << 12,
	SF_KEEPALIVE = 1 << 13,
	SF_USED = 1 << 14, /* not connected: the program has asked it for connections or datagrams */
	SF_FIN = 1 << 15,  /* the peer's FIN came: whoever reads gets the end, not an error */
	SF_TRIED = 1 << 16, /* connect() has begun at some time: it may be on lists of its stack */
	SF_OVER = 1 << 17,  /* both ends have closed, TIME-WAIT: not connected any more */
	SF_CLAIMED = 1 << 18, /* a thread is inside bind(), listen() or connect(), see sock_claim() */
};

enum sock_dirty { /* reasons for the holder to serve a socket, struct sock.dirty */
	SD_RX = 1 << 0,    /* the program has read enough to tell the peer */
	SD_TX = 1 << 1,    /* data in tx_in, or corked data let go */
	SD_SHUT = 1 << 2,  /* shutdown(SHUT_WR) */
	SD_CLOSE = 1 << 3, /* last one; the program does not know the socket any more */
	SD_OPT = 1 << 4,   /* socket options changed */
	SD_MEM = 1 << 5,   /* a send found no packet: tell later */
};

enum sock_end { /* struct sock.end: which of the stack's queues it is in, see tcp_orphan.c */
	END_NONE,
	END_ORPHAN,
	END_FIN_WAIT_2,
	END_TIME_WAIT,
	END_KINDS,
};

/* A socket's place in one stack's port table. */
struct port_link {
	struct sock *sock;
	struct stack *stack;
	struct port_link *next;
	/* holder; of listeners, see tcp_syn.c */
	struct tcp_request *requests;
	uint32_t cookie_ms; /* the last SYN cookie */
	bool cookies;       /* there has been one lately */
	bool listening;
};

/* A set's interest in a socket, see ready.c. One cache line of what an event touches, then the rest. */
struct ready_watch {
	struct ready_set *set;
	struct sock *sock;
	uint64_t data;                              /* under set->lock */
	struct ready_watch *in_next;                /* list `in` */
	struct ready_watch *fifo_next, **fifo_prev; /* under set->lock; prev NULL: not there */
	_Atomic(struct ready_watch *) sock_next;    /* under sock->watch_lock */
	_Atomic uint32_t events; /* as given; 0: disabled by EPOLLONESHOT */
	_Atomic bool queued;
	_Atomic(struct ready_watch *) *sock_prev;
	struct ready_watch *set_next, **set_prev; /* under set->lock: all of the set */
};

/* One word: they are read as they were at one moment. */
struct sock_names {
	uint32_t raddr;
	uint16_t rport, lport;
} __attribute__((aligned(8)));

/*
 * By cache lines, in the order in which a request touches them; sock_prefetch() fetches the first
 * SOCK_HOT_LINES. A connection that has been idle has none of them in a cache.
 */
struct sock {
	/* identity and lookup: constant once the socket has a stack */
	struct sock *hash_next;
	union {
		struct {
			uint32_t raddr;        /* network byte order */
			uint16_t rport, lport; /* network byte order */
		};
		_Atomic struct sock_names names; /* the same, for who may meet a connect() of datagrams */
	};
	struct stack *stack;
	struct stack_group *group;
	struct tcp_pcb *pcb; /* holder */
	struct sock *dirty_next;
	uint8_t kind; /* enum sock_kind */
	bool watch_is_taken; /* watch_lock */
	/* any */
	struct spin watch_lock;
	_Atomic int err; /* SO_ERROR */
	_Atomic uint32_t flags;
	_Atomic uint32_t dirty;

	/* receive: pushed by the holder, popped by the program under rx_lock */
	_Atomic(struct pkt *) rx_in __attribute__((aligned(CACHE_LINE))); /* newest first */
	_Atomic uint64_t rx_bytes_in;  /* holder; bytes (TCP) or bytes of datagrams (UDP) */
	_Atomic uint64_t rx_bytes_out; /* app */
	struct pkt *rx_head, *rx_tail; /* app, oldest first */
	_Atomic(struct ready_watch *) watches;
	_Atomic uint64_t n_reads;    /* app: calls that brought something */
	_Atomic uint32_t rx_mem_in;  /* holder; real memory of packets, see mem.c */
	_Atomic uint32_t rx_mem_out; /* app */

	/* send: pushed by the program under tx_lock, drained by the holder */
	struct spin tx_lock __attribute__((aligned(CACHE_LINE)));
	struct spin rx_lock;              /* of the receive queue */
	_Atomic bool sndbuf_fixed;        /* app: set by SO_SNDBUF, not tuned */
	_Atomic uint32_t sndbuf;          /* bytes; app */
	_Atomic uint64_t n_writes;        /* app: calls that took something */
	_Atomic(struct pkt *) tx_in;      /* newest first */
	_Atomic uint64_t tx_bytes_in;     /* app */
	_Atomic uint64_t tx_bytes_acked;  /* holder */
	_Atomic uint32_t tx_charge_in;    /* app */
	_Atomic uint32_t tx_charge_acked; /* holder */
	_Atomic uint32_t tx_mem_in;       /* app; real memory of packets, see mem.c */
	_Atomic uint32_t tx_mem_out;      /* holder */
	uint32_t tx_mem_seen;             /* holder: what the stack counts of it */
	uint32_t tx_pushed;               /* app: low bits of tx_bytes_in at the last push */

	/* holder: connection */
	struct pkt *tx_head __attribute__((aligned(CACHE_LINE)));
	struct pkt *tx_tail; /* oldest not yet acknowledged .. newest */
	struct pkt *tx_feed; /* first piece not wholly given to lwIP */
	struct pkt *tx_out;  /* where the last attached payload was found */
	struct tcp_seg *unacked_tail; /* see tcp_tail.c */
	uint32_t unacked_end;         /* sequence number behind it */
	uint32_t small_end;           /* sequence number behind the last segment below the MSS */
	uint64_t tx_fed;              /* stream offset given to lwIP */
	uint64_t rx_recved;           /* told by tcp_recved(); may begin below 0: tcp_rx_begin() */

	/* holder: time and recovery (ms; us where named) */
	uint64_t rtt_start_us __attribute__((aligned(CACHE_LINE)));
	uint32_t rto_start_ms, ack_deadline_ms;
	uint32_t srtt_us, rttvar_us, rto_ms;
	uint32_t rtt_seq, rtt_una; /* behind what is timed; lastack when it was sent */
	uint32_t sent_ms;          /* new data went out last */
	_Atomic uint32_t sndbuf_tuned; /* see tcp_autotune.h */
	uint32_t timer; /* in the stack's wheel; 0: none */
	bool rtt_active, ack_armed, persist_armed;
	uint8_t probes;          /* since the last progress, see tcp_timer.c */
	uint8_t reorder_steps;   /* of the reordering window; 0: the path keeps the order */
	uint8_t reorder_persist; /* recoveries until that is believed again */
	bool pending;
	bool closed;     /* the program has closed it */
	bool fin_wanted; /* close or shutdown as soon as everything was fed */
	bool zombie;     /* freed at the end of the current entry */
	bool iw_pending; /* set the initial window after lwIP has */
	bool mem_wait;   /* SD_MEM: notify from the timer */
	bool in_table;
	uint8_t end;     /* enum sock_end */
	uint8_t fail_errno; /* what errf should report instead of its own reason */

	/* the first watch; its hot part is what an event touches */
	struct ready_watch watch __attribute__((aligned(CACHE_LINE)));
	/* holder */
	struct tcp_cc cc;
	struct tcp_ooo *ooo;   /* segments that came before their turn; NULL: none */
	struct tcp_loss *loss; /* see tcp_loss.c; NULL: no loss in what is in flight */
	uint32_t rx_mem_seen;  /* what the stack counts of rx_mem_in - rx_mem_out */
	uint32_t persist_start_ms;
	struct sock *pending_next; /* end-of-vector work list */
	uint32_t retransmits;
	uint32_t challenge_ms;      /* the last challenge ACK */
	uint16_t challenge_wait_ms; /* from then on none; 0: there was none */
	uint32_t end_ms, end_una; /* last progress; lastack then, see tcp_orphan.c */
	/* mem.c's, kept under pressure: a place in each stream, when it was noted, and until when the
	 * socket counts as one whose data goes on at once; a time of 0 is none */
	uint32_t rx_mark, rx_mark_ms, rx_good_ms;
	uint32_t tx_mark, tx_mark_ms;
	_Atomic uint32_t tx_good_ms;
	uint32_t laddr;            /* constant, as the peer's above */
	_Atomic int fd;

	/* listener */
	_Atomic uint32_t refs;        /* listeners: owner + connections that point here */
	struct sock *listener;        /* that the connection came to; kept until it is closed */
	_Atomic bool accepted;        /* app: and taken from */
	struct port_link *links;      /* bound: one per stack, in the stacks' port tables */
	_Atomic(struct sock *) acc_in; /* established, newest first; link: acc_next */
	struct sock *acc_next;
	struct sock *acc_head, *acc_tail; /* app under rx_lock */
	_Atomic uint32_t acc_n;           /* established and waiting */
	_Atomic uint32_t embryonic_n;     /* requests, on all stacks */
	uint32_t backlog;
	_Atomic uint64_t accept_us; /* app: when it last asked for one; 0: never */

	/* UDP */
	_Atomic uint32_t rx_pkts_in;  /* holder; datagrams */
	_Atomic uint32_t rx_pkts_out; /* app */
	struct udp_pcb *udp;          /* holder */

	uint32_t identity; /* constant once bound; see sock_set_identity() */
	bool inherited;    /* constant once it listens; see sock_set_inherited() */

	/* options, app; the holder copies them into the pcb at SD_OPT */
	_Atomic uint32_t rcvbuf; /* bytes */
	_Atomic uint32_t keep_idle_s, keep_intvl_s, keep_cnt;
	_Atomic uint32_t user_timeout_ms;
	uint32_t rcvtimeo_ms, sndtimeo_ms;
	_Atomic int linger_s; /* -1: off */
	_Atomic uint8_t tos, ttl;
	bool broadcast;
	_Atomic bool cork_opt; /* TCP_CORK is set; SF_CORK also follows MSG_MORE */

	/* holder: all sockets of the stack; the queue of `end` */
	struct sock *all_next, **all_prev;
	struct sock *end_next, **end_prev;
} __attribute__((aligned(CACHE_LINE)));

#define SOCK_HOT_LINES 7
#define PCB_HOT_LINES 5

static inline void
sock_prefetch(const struct sock *s)
{
	for (int i = 0; i < SOCK_HOT_LINES; i++)
		__builtin_prefetch((const char *)s + i * CACHE_LINE, 1);
}

/* The pcb lies behind a header that begins a cache line, see heap.c. */
static inline void
sock_prefetch_pcb(const struct sock *s)
{
	const char *pcb = (const char *)s->pcb;

	if (pcb == NULL)
		return;
	for (int i = 0; i < PCB_HOT_LINES; i++)
		__builtin_prefetch(pcb + i * CACHE_LINE, 1);
}

static inline uint32_t
sock_flags(const struct sock *s)
{
	return atomic_load_explicit(&((struct sock *)s)->flags, memory_order_acquire);
}

static inline void
sock_flag_set(struct sock *s, uint32_t f)
{
	atomic_fetch_or_explicit(&s->flags, f, memory_order_acq_rel);
}

/* Bytes of a stream that wait. The holder queues them before it counts them: who reads at that moment has
 * read more than has come, for a while, and that is nothing, too. */
static inline int64_t
sock_unread(const struct sock *s)
{
	struct sock *m = (struct sock *)s;

	return (int64_t)(atomic_load_explicit(&m->rx_bytes_in, memory_order_acquire) -
			 atomic_load_explicit(&m->rx_bytes_out, memory_order_relaxed));
}

/* The program waits for what comes here. */
static inline void
sock_note_use(struct sock *s)
{
	if ((sock_flags(s) & (SF_CONNECTED | SF_CONNECTING | SF_USED)) == 0)
		sock_flag_set(s, SF_USED);
}

static inline void
sock_flag_clear(struct sock *s, uint32_t f)
{
	atomic_fetch_and_explicit(&s->flags, ~f, memory_order_acq_rel);
}

/* Bytes the send queue may hold: what the program has said, or what the path is worth. */
static inline uint32_t
sock_sndbuf(const struct sock *s)
{
	if (s->sndbuf_fixed)
		return s->sndbuf;
	return atomic_load_explicit(&((struct sock *)s)->sndbuf_tuned, memory_order_relaxed);
}

#endif
