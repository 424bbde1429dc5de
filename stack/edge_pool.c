/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets for the send queues, the threads that take them, and the clock: DPDK without lwIP. */
#include "stack/edge_mbuf.h"
#include "stack/impl.h"

#include <rte_cycles.h>
#include <rte_lcore.h>

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

static void
thread_gone(void *arg)
{
	rte_thread_unregister();
}

static void
thread_key_make(void)
{
	pthread_key_create(&thread_key, thread_gone);
}

/*
 * DPDK's packet pools keep a cache per registered thread; without one every allocation is an atomic
 * operation on the shared ring. When all ids are taken the thread simply goes without.
 */
void
edge_thread_enter(void)
{
	if (thread_known)
		return;
	thread_known = true;
	if (rte_lcore_id() != LCORE_ID_ANY)
		return;
	pthread_once(&thread_once, thread_key_make);
	if (rte_thread_register() == 0)
		pthread_setspecific(thread_key, &thread_key);
}

/* --- packets of the send queues -------------------------------------------------------------------- */

struct pkt *
edge_alloc(struct stack *st, uint32_t want)
{
	struct rte_mempool *pool = st->wiring.pool;
	struct rte_mbuf *m = NULL;
	struct pkt *p;

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
	return p;
}

void
edge_free(struct pkt *p)
{
	rte_pktmbuf_free_seg(pkt_mbuf(p));
}
