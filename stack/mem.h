/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The budget of packet memory of one stack, see mem.c. Part of impl.h. All sizes are bytes of real
 * memory: one byte of payload in a buffer of 2 KB counts the buffer and its headers.
 */
#ifndef STACK_MEM_H
#define STACK_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "stack/impl_sock.h"

#define MEM_NO_LIMIT UINT32_MAX

/* Who may take how much, see mem.c. */
enum mem_class {
	MEM_OTHERS,   /* has held something for a while */
	MEM_NEWCOMER, /* holds nothing, or has for a moment only, and nothing is known of it */
	MEM_FLOWING,  /* what it held so far has always gone on at once */
	MEM_CLASSES,
};

/* One direction: what sockets hold, and the marks of it. */
struct mem_side {
	uint64_t used;
	uint64_t low, pressure_at;
	uint64_t high;  /* of MEM_OTHERS; 0: not known yet */
	uint64_t extra; /* each class above has so much more */
};

struct mem {
	/* written by the holder when they change, read by every thread that sends or receives */
	_Atomic bool pressure __attribute__((aligned(CACHE_LINE)));
	_Atomic bool tight; /* the pool has only its reserve left: keep no packet */
	_Atomic bool tx_first; /* a connection of MEM_NEWCOMER that holds nothing may have a packet */
	_Atomic uint32_t now_ms; /* under pressure */
	_Atomic uint32_t tx_share[MEM_CLASSES]; /* of a connection; without pressure MEM_NO_LIMIT */
	/* any; what is not in packets, see mem_may_copy() */
	_Atomic uint64_t copied;

	/* holder */
	struct mem_side rx __attribute__((aligned(CACHE_LINE))); /* received, not read */
	struct mem_side tx; /* to be sent, not acknowledged */
	uint64_t ooo;       /* segments that came before their turn */
	uint64_t ooo_max;
	uint64_t high;      /* of all that is held, but for what came before its turn */
	uint64_t tx_first_max, copied_max;
	uint64_t heap_max;  /* of lwIP's segments, which none of these counts */
	uint64_t heap_stop; /* the same and its pcbs, in units of lwip_image.heap_units */
	uint32_t reserve;   /* packets */
	uint32_t n_ooo;     /* connections with early segments, and */
	struct sock *ooo_first, *ooo_last; /* they, in the order in which they got the first one */
	uint32_t looked_ms, settled_ms;
	uint64_t n_pressure;  /* times that pressure began */
	uint64_t n_rx_drops;  /* in-window segments, and datagrams, without room */
	uint64_t n_ooo_drops; /* early segments refused or thrown away */
};

/* Look at the marks and the pool: every millisecond, and under pressure whenever it may matter. Holder. */
void mem_update(struct stack *st);

/* Learn what all programs have read. Holder. */
void mem_settle_all(struct stack *st);

/* What `s` may hold of received data, as it is now. Holder; to be asked under pressure only. */
uint32_t mem_rx_limit(struct stack *st, struct sock *s);

/* May `s` keep one more received packet of `bytes`? Holder; to be asked under pressure only. */
bool mem_may_receive(struct stack *st, struct sock *s, uint32_t bytes);

/* If not: may it keep a copy of `bytes` that is no packet of the pool? Holder. */
bool mem_may_copy(const struct stack *st, const struct sock *s, uint32_t bytes);

/* What `s` may hold of data to be sent; at least `held` + 1 where it may have one more packet. Any
 * thread. Without pressure MEM_NO_LIMIT. */
uint32_t mem_tx_limit(const struct sock *s, uint32_t held);

/* What `s` had queued was acknowledged up to `acked`. Holder; under pressure only. */
void mem_tx_acked(struct stack *st, struct sock *s, uint64_t acked);

/* May `s` keep an early segment of `bytes`? Throws away older ones where that is fair. Holder. */
bool mem_ooo_make_room(struct stack *st, struct sock *s, uint32_t bytes);
void mem_ooo_added(struct stack *st, struct sock *s, uint32_t bytes);
void mem_ooo_removed(struct stack *st, struct sock *s, uint32_t bytes);

static inline bool
mem_pressure(const struct mem *m)
{
	return atomic_load_explicit(&((struct mem *)m)->pressure, memory_order_relaxed);
}

static inline bool
mem_tight(const struct mem *m)
{
	return atomic_load_explicit(&((struct mem *)m)->tight, memory_order_relaxed);
}

/* All that the stack knows to be held. Holder. */
static inline uint64_t
mem_used(const struct mem *m)
{
	return m->rx.used + m->tx.used + m->ooo;
}

static inline uint32_t
mem_rx_held(const struct sock *s)
{
	struct sock *m = (struct sock *)s;

	return atomic_load_explicit(&m->rx_mem_in, memory_order_relaxed) -
	       atomic_load_explicit(&m->rx_mem_out, memory_order_relaxed);
}

static inline uint32_t
mem_tx_held(const struct sock *s)
{
	struct sock *m = (struct sock *)s;

	return atomic_load_explicit(&m->tx_mem_in, memory_order_relaxed) -
	       atomic_load_explicit(&m->tx_mem_out, memory_order_relaxed);
}

/* One half of a pair of counters, by its only writer. */
static inline void
mem_count(_Atomic uint32_t *half, uint32_t bytes)
{
	atomic_store_explicit(half, atomic_load_explicit(half, memory_order_relaxed) + bytes,
		memory_order_release);
}

/* Bring the stack's sum up to date with what `s` holds now. Holder. */
static inline void
mem_settle(struct mem *m, struct sock *s)
{
	uint32_t rx = mem_rx_held(s), tx = mem_tx_held(s);

	m->rx.used += (int32_t)(rx - s->rx_mem_seen);
	m->tx.used += (int32_t)(tx - s->tx_mem_seen);
	s->rx_mem_seen = rx;
	s->tx_mem_seen = tx;
}

/* `s` is about to be freed with all it holds. Holder. */
static inline void
mem_forget(struct mem *m, struct sock *s)
{
	m->rx.used -= s->rx_mem_seen;
	m->tx.used -= s->tx_mem_seen;
	s->rx_mem_seen = s->tx_mem_seen = 0;
}

#endif
