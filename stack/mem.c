/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much packet memory the peers of a stack can take, and what happens then.
 *
 * What is counted. Every packet that a socket keeps (received and not read, queued for sending and
 * not acknowledged, received before its turn) is charged with its buffer and headers, whatever its
 * payload. A socket has two pairs of counters, one writer for each half, like its other queues: the
 * holder counts what comes in and the program what it has read; the program what it queues and the
 * holder what is acknowledged. `used` is the sum over all sockets as far as the holder has learnt of
 * it: mem_settle() brings it up to date whenever the socket is served anyway, so no thread needs an
 * atomic addition. What was read from sockets that are not served is learnt when pressure begins, by
 * a walk over all of them; and under pressure every reader asks to be served.
 *
 * The pool is shared by the stacks of the process, and not by them alone: the port's rings, packets
 * on their way out, fragments and the threads' caches have some. A stack's budget is its part of
 * what the pool has when the stack first runs, after the rings were filled:
 *
 *   pressure  1/2 of it (ending at low, 3/8): a connection may hold, each way, 1/SHARE of what is
 *             left below high. The more take, the less each may have, and some is always left for
 *             those who have nothing (Choudhury, Hahne: Dynamic Queue Length Thresholds). Windows
 *             open no further than that, senders are told to wait earlier.
 *   high      5/8: a connection that holds nothing may still have one packet; nobody else gets any.
 *   ooo       3/4: high and the eighth that early segments may have. Beyond it they go first, those
 *             of the connection that began to hold them longest ago. (Senders who are held to their
 *             share come a little above high, and must not take loss recovery from everybody.)
 *   reserve   1/8 of the pool: what is left then serves ACKs, handshakes and the port's rings alone.
 *
 * Received data that finds no room is dropped although it is within the window (RFC 9293 3.8.6.2.1:
 * its right edge never moves left); its ACK counts all the same. Connections that the program has
 * not accepted share a quarter of the budget among those of their listener. Early segments together
 * have an eighth; who has more than the fair part of it gives way to others.
 *
 * lwIP describes what it has been given to send: 250 bytes for each segment, from a heap of its own
 * (heap.c). A peer that announces an MSS of 48 bytes and acknowledges nothing more makes that five
 * times the data. So a quarter of the budget is the limit of it, over all connections of the stack;
 * beyond, a connection is given one segment at a time, when nothing of it is in flight, and the rest
 * waits in its send queue, whose limits the program sees (EAGAIN).
 */
#include "stack/mem.h"

#include "stack/impl.h"
#include "stack/tcp_ooo.h"

#define SHARE 8
#define SETTLE_BEGIN_MS 100 /* walks over all sockets come no closer than this, */
#define SETTLE_AGAIN_MS 1000 /* and while pressure lasts, no closer than this */

static void
set_marks(struct stack *st)
{
	struct mem *m = &st->mem;
	uint64_t packets = edge_packets_free(st);
	uint64_t budget = packets * edge_packet_bytes(st) / st->group->n;

	m->low = budget * 3 / 8;
	m->pressure_at = budget / 2;
	m->high = budget * 5 / 8;
	m->ooo_max = budget / 8;
	m->ooo_mark = m->high + m->ooo_max;
	m->heap_max = budget / 4;
	m->reserve = packets / 8;
	atomic_store_explicit(&m->share, MEM_NO_LIMIT, memory_order_relaxed);
}

void
mem_settle_all(struct stack *st)
{
	st->mem.settled_ms = st->now_ms;
	for (struct sock *s = st->all; s != NULL; s = s->all_next)
		mem_settle(&st->mem, s);
}

static uint32_t
share(const struct mem *m)
{
	uint64_t left = m->used < m->high ? (m->high - m->used) / SHARE : 0;

	return left < MEM_NO_LIMIT ? (uint32_t)left : MEM_NO_LIMIT - 1;
}

static void
begin_pressure(struct stack *st)
{
	struct mem *m = &st->mem;

	/* Set before the walk: who reads behind it sees it, and asks to be served. */
	atomic_store_explicit(&m->pressure, true, memory_order_seq_cst);
	m->n_pressure++;
	if (st->now_ms - m->settled_ms >= SETTLE_BEGIN_MS)
		mem_settle_all(st);
}

static void
end_pressure(struct mem *m)
{
	atomic_store_explicit(&m->pressure, false, memory_order_relaxed);
	atomic_store_explicit(&m->share, MEM_NO_LIMIT, memory_order_relaxed);
}

void
mem_update(struct stack *st)
{
	struct mem *m = &st->mem;
	bool tight;

	if (m->high == 0)
		set_marks(st);
	m->looked_ms = st->now_ms;
	m->heap_stop = tcp_heap_units(st, m->heap_max);
	tight = edge_packets_free(st) < m->reserve;
	if (tight != mem_tight(m))
		atomic_store_explicit(&m->tight, tight, memory_order_relaxed);
	if (!mem_pressure(m)) {
		if (m->used < m->pressure_at && !tight)
			return;
		begin_pressure(st);
	} else if (st->now_ms - m->settled_ms >= SETTLE_AGAIN_MS) {
		mem_settle_all(st);
	}
	while (m->ooo_first != NULL && (tight || m->used > m->ooo_mark))
		tcp_rx_ooo_evict(st, m->ooo_first);
	if (m->used < m->low && !tight)
		end_pressure(m);
	else
		atomic_store_explicit(&m->share, share(m), memory_order_relaxed);
}

bool
mem_may_receive(const struct stack *st, const struct sock *s, uint32_t bytes)
{
	const struct mem *m = &st->mem;
	uint32_t held = mem_rx_held(s);
	uint64_t limit = share(m); /* as it is now, in the middle of a vector */

	if (mem_tight(m))
		return false;
	if (held == 0)
		return true;
	if (s->listener != NULL && !atomic_load_explicit(&((struct sock *)s)->accepted,
			memory_order_relaxed)) {
		uint64_t waiting = atomic_load_explicit(&s->listener->acc_n, memory_order_relaxed);

		if (limit > m->high / 4 / (waiting + 1))
			limit = m->high / 4 / (waiting + 1);
	}
	return (uint64_t)held + bytes <= limit;
}

/* --- segments before their turn ------------------------------------------------------------------ */

bool
mem_ooo_make_room(struct stack *st, struct sock *s, uint32_t bytes)
{
	struct mem *m = &st->mem;
	uint32_t own = s->ooo != NULL ? s->ooo->mem : 0;
	uint64_t fair = m->ooo_max / (m->n_ooo + (own == 0));

	if (mem_tight(m) || m->used > m->ooo_mark)
		return false;
	if (own > 0 && mem_pressure(m) && own + bytes > share(m))
		return false;
	while (m->ooo + bytes > m->ooo_max) {
		if (m->ooo_first == NULL || m->ooo_first == s || own + bytes > fair)
			return false;
		tcp_rx_ooo_evict(st, m->ooo_first);
	}
	return true;
}

void
mem_ooo_added(struct stack *st, struct sock *s, uint32_t bytes)
{
	struct mem *m = &st->mem;
	struct tcp_ooo *o = s->ooo;

	m->used += bytes;
	m->ooo += bytes;
	if (o->mem == 0) {
		o->older = m->ooo_last;
		o->newer = NULL;
		if (m->ooo_last != NULL)
			m->ooo_last->ooo->newer = s;
		else
			m->ooo_first = s;
		m->ooo_last = s;
		m->n_ooo++;
	}
	o->mem += bytes;
}

void
mem_ooo_removed(struct stack *st, struct sock *s, uint32_t bytes)
{
	struct mem *m = &st->mem;
	struct tcp_ooo *o = s->ooo;

	m->used -= bytes;
	m->ooo -= bytes;
	o->mem -= bytes;
	if (o->mem > 0)
		return;
	if (o->older != NULL)
		o->older->ooo->newer = o->newer;
	else
		m->ooo_first = o->newer;
	if (o->newer != NULL)
		o->newer->ooo->older = o->older;
	else
		m->ooo_last = o->older;
	m->n_ooo--;
}
