/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets for the send queues, the threads that take them, and the clock: DPDK without lwIP. */
#include "common/narrow.h"
#include "stack/edge_mbuf.h"
#include "stack/impl.h"

#include <limits.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#define BLOCK_MIN 256 /* bytes of room, so that small segments behind it can join */
#define CACHES_SHARE 8 /* of the pool may lie in the caches of the program's threads */

/* Of a packet's memory, what is not its buffer. */
#define PACKET_OVERHEAD (sizeof(struct rte_mbuf) + sizeof(struct pkt))

uint16_t
stack_priv_size(void)
{
	return RTE_ALIGN_CEIL(sizeof(struct pkt), RTE_MBUF_PRIV_ALIGN);
}

uint64_t
edge_tsc_hz(void)
{
	return rte_get_tsc_hz();
}

/* --- threads of the program ---------------------------------------------------------------------- */

static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static __thread bool thread_known;
static _Atomic int caches_left = INT_MAX; /* threads that may still have one */

static void
thread_gone(void *arg)
{
	rte_thread_unregister();
	atomic_fetch_add(&caches_left, 1);
}

static void
thread_key_make(void)
{
	pthread_key_create(&thread_key, thread_gone);
}

static void
thread_register(void *arg)
{
	pthread_once(&thread_once, thread_key_make);
	if (atomic_fetch_sub(&caches_left, 1) > 0 && rte_thread_register() == 0)
		pthread_setspecific(thread_key, &thread_key);
	else
		atomic_fetch_add(&caches_left, 1);
}

/*
 * DPDK's packet pools keep a cache per registered thread; without one every allocation is an atomic
 * operation on the shared ring. When all ids are taken, or the caches could hold too much of the
 * pool (edge_limit_caches()), the thread simply goes without.
 */
void
edge_thread_enter(void)
{
	void *room;

	if (thread_known)
		return;
	thread_known = true;
	if (rte_lcore_id() != LCORE_ID_ANY)
		return;
	if (!narrow_is_here()) {
		thread_register(NULL);
		return;
	}
	room = narrow_room_make(); /* rte_thread_register() has arrays of 4 KB; without room it is left out */
	if (room != NULL)
		narrow_call(room, thread_register, NULL);
	narrow_room_free(room);
}

void
edge_limit_caches(const struct stack *st)
{
	const struct rte_mempool *pool = st->wiring.pool;
	uint32_t most = pool->cache_size + pool->cache_size / 2; /* of one thread, see rte_mempool.h */

	if (most > 0)
		atomic_store(&caches_left, (int)RTE_MAX(pool->size / CACHES_SHARE / most, 1u));
}

/* --- packets of the send queues -------------------------------------------------------------------- */

struct pkt *
edge_alloc(struct stack *st, uint32_t want, uint32_t *mem)
{
	struct rte_mempool *pool = st->wiring.pool;
	struct rte_mbuf *m = NULL;
	struct pkt *p;

	if (mem_tight(&st->mem))
		return NULL;
	if (want + RTE_PKTMBUF_HEADROOM > rte_pktmbuf_data_room_size(pool) &&
	    st->wiring.bulk != NULL)
		m = rte_pktmbuf_alloc(st->wiring.bulk);
	if (m == NULL)
		m = rte_pktmbuf_alloc(pool);
	if (m == NULL)
		return NULL;
	p = mbuf_pkt(m);
	p->next = NULL;
	p->data = rte_pktmbuf_mtod(m, uint8_t *);
	p->len = rte_pktmbuf_tailroom(m);
	p->off = 0;
	p->more = 0;
	p->addr = 0;
	p->port = 0;
	*mem = m->buf_len + PACKET_OVERHEAD;
	return p;
}

/* A block that is no packet of the pool has a buffer of length 0 that begins where its memory ends, so
 * that edge_room() is right for both. */
static inline bool
is_block(const struct rte_mbuf *m)
{
	return __builtin_expect(m->buf_len == 0, 0);
}

struct pkt *
edge_block(struct stack *st, uint32_t bytes)
{
	uint32_t room = bytes > BLOCK_MIN ? bytes : BLOCK_MIN;
	uint32_t size = (uint32_t)PACKET_OVERHEAD + room;
	struct rte_mbuf *m = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(size));
	struct pkt *p;

	if (m == NULL)
		return NULL;
	memset(m, 0, PACKET_OVERHEAD);
	p = (struct pkt *)(m + 1);
	p->data = (uint8_t *)(p + 1);
	p->charge = size;
	p->end = (uintptr_t)&st->mem.copied;
	m->buf_addr = p->data + room;
	atomic_fetch_add_explicit(&st->mem.copied, size, memory_order_relaxed);
	return p;
}

/* `end` and `charge` are of no use for what has been received in its turn: here they are the counter
 * and what it counts. */
static __attribute__((noinline)) void
block_free(struct pkt *p)
{
	_Atomic uint64_t *copied = (_Atomic uint64_t *)(uintptr_t)p->end;

	atomic_fetch_sub_explicit(copied, p->charge, memory_order_relaxed);
	free(pkt_mbuf(p));
}

uint32_t
edge_mem(const struct pkt *p)
{
	const struct rte_mbuf *m = pkt_mbuf((struct pkt *)p);

	return is_block(m) ? EDGE_COPY_CHARGE : m->buf_len + PACKET_OVERHEAD;
}

uint32_t
edge_free(struct pkt *p)
{
	uint32_t bytes = edge_mem(p);

	if (is_block(pkt_mbuf(p)))
		block_free(p);
	else
		rte_pktmbuf_free_seg(pkt_mbuf(p));
	return bytes;
}

uint32_t
edge_room(const struct pkt *p)
{
	const struct rte_mbuf *m = pkt_mbuf((struct pkt *)p);

	return (uint32_t)((uint8_t *)m->buf_addr + m->buf_len - (p->data + p->len));
}

uint32_t
edge_packets_free(const struct stack *st)
{
	struct rte_mempool *pool = st->wiring.pool;

	return rte_mempool_get_ops(pool->ops_index)->get_count(pool);
}

uint64_t
edge_bulk_used(const struct stack *st)
{
	struct rte_mempool *pool = st->wiring.bulk;

	return pool == NULL ? 0 : (uint64_t)(pool->size - rte_mempool_get_ops(pool->ops_index)->get_count(pool)) *
		(rte_pktmbuf_data_room_size(pool) + PACKET_OVERHEAD);
}

uint32_t
edge_packet_bytes(const struct stack *st)
{
	return rte_pktmbuf_data_room_size(st->wiring.pool) + PACKET_OVERHEAD;
}
