/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much packet memory the peers of a stack can take, and what happens then.
 *
 * What is counted. Every packet that a socket keeps (received and not read, queued for sending and
 * not acknowledged, received before its turn) is charged with its buffer and headers, whatever its
 * payload. A socket has two pairs of counters, one writer for each half, like its other queues:
 * the holder counts what comes in and the program what it has read; the program what it queues and
 * the holder what is acknowledged. `rx.used` and `tx.used` are the sums over all sockets as far as
 * the holder has learnt of it: mem_settle() brings them up to date whenever the socket is served
 * anyway, so no thread needs an atomic addition. What was read from sockets that are not served is
 * learnt when pressure begins, by a walk over all of them; and under pressure every reader asks to
 * be served.
 *
 * The pool is shared by the stacks of the process, and not by them alone: the port's rings,
 * packets on their way out, fragments and the threads' caches have some. A stack's budget is its
 * part of what the pool has when the stack first runs, after the rings were filled. Each use has
 * marks of its own, so that programs that do not read leave peers that do not their part, and the
 * other way round:
 *
 *   received      5/16 and two times 1/32
 *   to be sent    1/4  and two times 1/32
 *   out of order  1/8: beyond it the segments of the connection that began to hold some longest
 *                 ago go first.
 *   reserve       1/8 of the pool: what is left then serves ACKs, handshakes and the port's rings
 *                 alone.
 *
 * Pressure begins when one of the first two has 4/5 of its first mark, and ends when both are
 * below 3/5. Then a connection may hold, of each, 1/SHARE of what is left below the mark. The more
 * take, the less each may have, and some is always left for those who have nothing (Choudhury,
 * Hahne: Dynamic Queue Length Thresholds). Windows open no further than to half of what is left of
 * that beside what is unread, for a packet's memory is up to twice its payload; senders are told to
 * wait earlier.
 *
 * Who holds memory and who merely uses it. What a program reads at once, and what a peer
 * acknowledges at once, takes memory for a moment only, and must not wait for memory that others
 * hold for long. So under pressure it is observed of each connection how long its oldest data
 * waits: a place in the stream is noted, and when all before it is gone within GOOD_MS of that,
 * the connection is MEM_FLOWING for another GOOD_MS. Its mark is higher by both of the 1/32. One
 * that holds nothing and has no such history is MEM_NEWCOMER and has one of them; all others have
 * none. So those who hold something for long cannot get at the last 1/32 at all, and newcomers,
 * who may turn out to do so, not at the other. A connection that was flowing and stops keeps what
 * it has of it; the thresholds bound that as well.
 *
 * Below any mark there is the first packet of a connection that holds nothing, which is what
 * handshakes and short questions need. Received, it is copied out of the pool into a block of its
 * own size (mem_may_copy(), edge_copy_out()); these have half of the budget beside it, and no
 * block more than 1/COPY_SHARE of what is left of that, so that large ones end before small ones.
 * To be sent, it may be a small packet of the pool until such first packets have taken another
 * 1/16 of the budget (large sends in buffers of their own do not count); beyond, MEM_FLOWING alone may
 * have one.
 *
 * Received data that finds no room is dropped although it is within the window (RFC 9293
 * 3.8.6.2.1: its right edge never moves left); its ACK counts all the same. Connections that the
 * program has not accepted share a quarter of `high` among those of their listener. Early segments
 * together have an eighth; who has more than the fair part of it gives way to others.
 *
 * lwIP describes what it has been given to send: 250 bytes for each segment, from a heap of its
 * own (heap.c). A peer that announces an MSS of 48 bytes and acknowledges nothing more makes that
 * five times the data. So a quarter of the budget is the limit of it, over all connections of the
 * stack; beyond, a connection is given one segment at a time, when nothing of it is in flight, and
 * the rest waits in its send queue, whose limits the program sees (EAGAIN).
 */
#include "stack/mem.h"

#include "stack/impl.h"
#include "stack/tcp_ooo.h"

#define SHARE 8
#define COPY_SHARE 64
#define COPIES_MAX 2 /* of a connection that holds nothing else */
#define GOOD_MS 100
#define SETTLE_BEGIN_MS 100 /* walks over all sockets come no closer than this, */
#define SETTLE_AGAIN_MS 1000 /* and while pressure lasts, no closer than this */

static uint64_t
top(const struct mem_side *side, enum mem_class c)
{
	return side->high + side->extra * c;
}

static void
set_side(struct mem_side *side, uint64_t high, uint64_t extra)
{
	side->low = high * 3 / 5;
	side->pressure_at = high * 4 / 5;
	side->high = high;
	side->extra = extra;
}

/*
 * Large sends have buffers of their own, which are not of the budget. A program whose stack's thread is
 * elsewhere can queue many before it is told to wait; that must not keep the first packets of others
 * back, of which the pool has its part still. The stacks share those buffers, so the pool is asked, too.
 */
static bool
first_may_go(const struct stack *st)
{
	const struct mem *m = &st->mem;
	uint64_t bulk;

	if (m->tx.used < m->tx_first_max)
		return true;
	bulk = edge_bulk_used(st);
	return edge_packets_free(st) > 2 * (uint64_t)m->reserve &&
		(m->tx.used < bulk ? 0 : m->tx.used - bulk) < m->tx_first_max;
}

static void
set_tx_shares(struct stack *st, bool pressure)
{
	struct mem *m = &st->mem;

	for (enum mem_class c = 0; c < MEM_CLASSES; c++) {
		uint64_t most = top(&m->tx, c);
		uint64_t left = m->tx.used < most ? (most - m->tx.used) / SHARE : 0;

		if (!pressure)
			left = MEM_NO_LIMIT;
		else if (left >= MEM_NO_LIMIT)
			left = MEM_NO_LIMIT - 1;
		atomic_store_explicit(&m->tx_share[c], (uint32_t)left, memory_order_relaxed);
	}
	atomic_store_explicit(&m->tx_first, first_may_go(st), memory_order_relaxed);
}

static void
set_marks(struct stack *st)
{
	struct mem *m = &st->mem;
	uint64_t packets = edge_packets_free(st);
	uint64_t budget = packets * edge_packet_bytes(st) / st->group->n;

	set_side(&m->rx, budget * 5 / 16, budget / 32);
	set_side(&m->tx, budget / 4, budget / 32);
	m->high = top(&m->rx, MEM_FLOWING) + top(&m->tx, MEM_FLOWING);
	m->tx_first_max = top(&m->tx, MEM_FLOWING) + budget / 16;
	m->copied_max = budget / 2;
	m->ooo_max = budget / 8;
	m->heap_max = budget / 4;
	m->reserve = packets / 8;
	set_tx_shares(st, false);
}

void
mem_settle_all(struct stack *st)
{
	st->mem.settled_ms = st->now_ms;
	for (struct sock *s = st->all; s != NULL; s = s->all_next)
		mem_settle(&st->mem, s);
}

static void
begin_pressure(struct stack *st)
{
	struct mem *m = &st->mem;

	/* Set before the walk: who reads behind it sees it, and asks to be served. */
	atomic_store_explicit(&m->now_ms, st->now_ms, memory_order_relaxed);
	set_tx_shares(st, true);
	atomic_store_explicit(&m->pressure, true, memory_order_seq_cst);
	m->n_pressure++;
	if (st->now_ms - m->settled_ms >= SETTLE_BEGIN_MS)
		mem_settle_all(st);
}

static void
end_pressure(struct stack *st)
{
	struct mem *m = &st->mem;

	atomic_store_explicit(&m->pressure, false, memory_order_relaxed);
	set_tx_shares(st, false);
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
		if (m->rx.used < m->rx.pressure_at && m->tx.used < m->tx.pressure_at && !tight)
			return;
		begin_pressure(st);
	} else if (st->now_ms - m->settled_ms >= SETTLE_AGAIN_MS) {
		mem_settle_all(st);
	}
	while (m->ooo_first != NULL && (tight || mem_used(m) > m->high + m->ooo_max))
		tcp_rx_ooo_evict(st, m->ooo_first);
	if (m->rx.used < m->rx.low && m->tx.used < m->tx.low && !tight) {
		end_pressure(st);
		return;
	}
	atomic_store_explicit(&m->now_ms, st->now_ms, memory_order_relaxed);
	set_tx_shares(st, true);
}

/* --- received ------------------------------------------------------------------------------------- */

static bool
is_recent(uint32_t now_ms, uint32_t at_ms)
{
	return at_ms != 0 && now_ms - at_ms <= GOOD_MS;
}

/* How long does the data of `s` wait to be read? */
static enum mem_class
reader_class(const struct stack *st, struct sock *s)
{
	uint64_t in = atomic_load_explicit(&s->rx_bytes_in, memory_order_relaxed);
	uint64_t out = atomic_load_explicit(&s->rx_bytes_out, memory_order_relaxed);

	if ((int32_t)((uint32_t)out - s->rx_mark) >= 0) {
		if (in == out || is_recent(st->now_ms, s->rx_mark_ms))
			s->rx_good_ms = st->now_ms;
		s->rx_mark = (uint32_t)in;
		s->rx_mark_ms = st->now_ms;
	}
	if (!is_recent(st->now_ms, s->rx_good_ms))
		return MEM_OTHERS;
	return out > 0 ? MEM_FLOWING : MEM_NEWCOMER;
}

static bool
waits_for_accept(const struct sock *s)
{
	return s->listener != NULL &&
	       !atomic_load_explicit(&((struct sock *)s)->accepted, memory_order_relaxed);
}

uint32_t
mem_rx_limit(struct stack *st, struct sock *s)
{
	const struct mem *m = &st->mem;
	uint64_t most, limit;

	if (!mem_pressure(m))
		return MEM_NO_LIMIT;
	most = top(&m->rx, reader_class(st, s));
	limit = m->rx.used < most ? (most - m->rx.used) / SHARE : 0;
	if (waits_for_accept(s)) {
		uint64_t n = atomic_load_explicit(&s->listener->acc_n, memory_order_relaxed);

		if (limit > m->high / 4 / (n + 1))
			limit = m->high / 4 / (n + 1);
	}
	return limit < MEM_NO_LIMIT ? (uint32_t)limit : MEM_NO_LIMIT - 1;
}

bool
mem_may_receive(struct stack *st, struct sock *s, uint32_t bytes)
{
	uint32_t limit = mem_rx_limit(st, s); /* as it is now, in the middle of a vector */

	return !mem_tight(&st->mem) && (uint64_t)mem_rx_held(s) + bytes <= limit;
}

bool
mem_may_copy(const struct stack *st, const struct sock *s, uint32_t bytes)
{
	const struct mem *m = &st->mem;
	uint64_t copied = atomic_load_explicit(&((struct stack *)st)->mem.copied,
		memory_order_relaxed);

	return mem_rx_held(s) < COPIES_MAX * EDGE_COPY_CHARGE && copied < m->copied_max &&
	       bytes <= (m->copied_max - copied) / COPY_SHARE;
}

/* --- to be sent ------------------------------------------------------------------------------------ */

void
mem_tx_acked(struct stack *st, struct sock *s, uint64_t acked)
{
	uint64_t in = atomic_load_explicit(&s->tx_bytes_in, memory_order_relaxed);
	uint32_t rtt_ms = s->srtt_us / 1000; /* on a long path the ACK cannot come sooner */
	uint32_t good_ms = GOOD_MS + (rtt_ms < 4 * GOOD_MS ? 2 * rtt_ms : 8 * GOOD_MS);
	uint32_t waited_ms = st->now_ms - s->tx_mark_ms;

	if ((int32_t)((uint32_t)acked - s->tx_mark) < 0)
		return;
	if (acked == in && waited_ms > st->now_ms - s->sent_ms)
		waited_ms = st->now_ms - s->sent_ms; /* that was all, and before it there was nothing */
	if (waited_ms <= good_ms)
		atomic_store_explicit(&s->tx_good_ms, st->now_ms + good_ms, memory_order_relaxed);
	s->tx_mark = (uint32_t)in;
	s->tx_mark_ms = st->now_ms;
}

uint32_t
mem_tx_limit(const struct sock *s, uint32_t held)
{
	struct mem *m = &s->stack->mem;
	uint32_t until = atomic_load_explicit(&((struct sock *)s)->tx_good_ms, memory_order_relaxed);
	uint32_t now_ms = atomic_load_explicit(&m->now_ms, memory_order_relaxed), limit;
	enum mem_class c = held == 0 ? MEM_NEWCOMER : MEM_OTHERS;

	if (until != 0 && (int32_t)(until - now_ms) >= 0)
		c = MEM_FLOWING;
	limit = atomic_load_explicit(&m->tx_share[c], memory_order_relaxed);
	if (limit <= held && held == 0 &&
	    (c == MEM_FLOWING || s->kind == SOCK_UDP || /* goes on at once */
		    atomic_load_explicit(&m->tx_first, memory_order_relaxed)))
		return 1;
	return limit;
}

/* --- segments before their turn ------------------------------------------------------------------ */

bool
mem_ooo_make_room(struct stack *st, struct sock *s, uint32_t bytes)
{
	struct mem *m = &st->mem;
	uint32_t own = s->ooo != NULL ? s->ooo->mem : 0;
	uint64_t fair = m->ooo_max / (m->n_ooo + (own == 0));

	if (mem_tight(m) || mem_used(m) > m->high + m->ooo_max)
		return false;
	/* When the gap is filled they are received, and nobody asks then. */
	if (own > 0 && mem_pressure(m) &&
	    (uint64_t)mem_rx_held(s) + own + bytes > mem_rx_limit(st, s))
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
