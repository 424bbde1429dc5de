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

struct mem {
	/* written by the holder when they change, read by every thread that sends or receives */
	_Atomic uint32_t share __attribute__((aligned(CACHE_LINE))); /* of a connection, each way */
	_Atomic bool pressure; /* else share is MEM_NO_LIMIT */
	_Atomic bool tight;    /* the pool has only its reserve left: keep no packet */

	/* holder */
	uint64_t used __attribute__((aligned(CACHE_LINE))); /* received, to be sent, out of order */
	uint64_t ooo;       /* of those: segments that came before their turn */
	uint64_t low, pressure_at, high; /* marks of `used`; 0: not known yet */
	uint64_t ooo_max, ooo_mark;
	uint64_t heap_max;  /* of lwIP's segments, which `used` does not count */
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

/* May `s` keep one more received packet of `bytes`? Holder; to be asked under pressure only. */
bool mem_may_receive(const struct stack *st, const struct sock *s, uint32_t bytes);

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
	uint32_t held = mem_rx_held(s) + mem_tx_held(s);

	m->used += (int32_t)(held - s->mem_seen);
	s->mem_seen = held;
}

/* `s` is about to be freed with all it holds. Holder. */
static inline void
mem_forget(struct mem *m, struct sock *s)
{
	m->used -= s->mem_seen;
	s->mem_seen = 0;
}

#endif
