/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packet buffers for what librte_vhost takes out of an instance's ring in one turn.
 *
 * A descriptor may say that its packet has as many bytes as the instance has memory, and librte_vhost copies
 * until no buffer is left: tens of milliseconds in which nobody else has a turn, and no buffers for other
 * workers. So it gets a pool without buffers of its own, which takes them from the real one and stops at
 * TURN_BUFFERS: as many as a turn of the largest IP packets needs. librte_vhost loses the packet that
 * wants more, and the instance its port. Buffers name the real pool and return to it.
 */
#include "dispatcher/turn_pool.h"

#include <errno.h>
#include <stdio.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#define OPS_NAME "ltran_turn"

struct turn {
	struct rte_mempool *pool;
	unsigned int n_left;
	bool is_spent;
};

static struct turn *
turn_of(const struct rte_mempool *mp)
{
	return mp->pool_data;
}

static int
nothing_to_make(struct rte_mempool *mp)
{
	return 0;
}

static int
no_return(struct rte_mempool *mp, void *const *objs, unsigned int n)
{
	return -ENOBUFS; /* they are the real pool's */
}

static int
take(struct rte_mempool *mp, void **objs, unsigned int n)
{
	struct turn *t = turn_of(mp);

	if (n > t->n_left) {
		t->is_spent = true;
		return -ENOBUFS;
	}
	if (rte_mempool_get_bulk(t->pool, objs, n) < 0)
		return -ENOBUFS;
	t->n_left -= n;
	return 0;
}

static unsigned int
count(const struct rte_mempool *mp)
{
	return turn_of(mp)->n_left;
}

static const struct rte_mempool_ops ops = {
	.name = OPS_NAME,
	.alloc = nothing_to_make,
	.enqueue = no_return,
	.dequeue = take,
	.get_count = count,
};
RTE_MEMPOOL_REGISTER_OPS(ops);

/* Its state lies behind the private data that every pool of packets has. */
struct rte_mempool *
turn_pool_create(struct rte_mempool *pool, unsigned int worker)
{
	const unsigned int at = RTE_ALIGN(pool->private_data_size, RTE_CACHE_LINE_SIZE);
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *mp;
	struct turn *t;

	snprintf(name, sizeof(name), "ltran_turn%u", worker);
	mp = rte_mempool_create_empty(name, TURN_BUFFERS, pool->elt_size, 0, at + sizeof(*t),
		pool->socket_id, 0);
	if (mp == NULL || rte_mempool_set_ops_byname(mp, OPS_NAME, NULL) < 0) {
		rte_mempool_free(mp);
		return NULL;
	}
	rte_pktmbuf_pool_init(mp, rte_mempool_get_priv(pool));
	t = (struct turn *)((char *)rte_mempool_get_priv(mp) + at);
	*t = (struct turn){.pool = pool};
	mp->pool_data = t;
	return mp;
}

void
turn_pool_free(struct rte_mempool *mp)
{
	rte_mempool_free(mp);
}

void
turn_pool_begin(struct rte_mempool *mp)
{
	struct turn *t = turn_of(mp);

	t->n_left = TURN_BUFFERS;
	t->is_spent = false;
}

bool
turn_pool_is_spent(const struct rte_mempool *mp)
{
	return turn_of(mp)->is_spent;
}
