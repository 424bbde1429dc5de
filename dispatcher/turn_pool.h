/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers for one turn of an instance; see turn_pool.c. One worker. */
#ifndef DISPATCHER_TURN_POOL_H
#define DISPATCHER_TURN_POOL_H

#include <stdbool.h>

struct rte_mempool;

/* 32 packets of 64 KB, in buffers of 2 KB, and one more for each. */
#define TURN_BUFFERS (32u * 33)

/* NULL: no memory. */
struct rte_mempool *turn_pool_create(struct rte_mempool *pool, unsigned int worker);
void turn_pool_free(struct rte_mempool *mp);

/* A turn begins: TURN_BUFFERS may be taken. */
void turn_pool_begin(struct rte_mempool *mp);
/* More were asked for since then. */
bool turn_pool_is_spent(const struct rte_mempool *mp);

#endif
