/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For builds with ThreadSanitizer only. A packet that one thread gives back to its pool belongs to the thread that
 * gets it next. The stack of free packets orders the two, but DPDK's library is not instrumented, so
 * ThreadSanitizer would take the last use by the one and the first by the other for a race. This stack says
 * so, packet by packet: a use after the packet was given back is still found.
 */
#include <errno.h>
#include <string.h>

#include <rte_mempool.h>
#include <sanitizer/tsan_interface.h>

#include "nodes/pool_ops.h"

#define STACK "lf_stack"
#define NAME "lf_stack_tsan"

const char pool_ops_tsan[] = NAME;

static const struct rte_mempool_ops *stack;

static int
stack_alloc(struct rte_mempool *mp)
{
	for (unsigned int i = 0; i < rte_mempool_ops_table.num_ops && stack == NULL; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, STACK) == 0)
			stack = &rte_mempool_ops_table.ops[i];
	return stack != NULL ? stack->alloc(mp) : -EINVAL;
}

static void
stack_free(struct rte_mempool *mp)
{
	stack->free(mp);
}

static int
give(struct rte_mempool *mp, void *const *objs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		__tsan_release(objs[i]);
	return stack->enqueue(mp, objs, n);
}

static int
get(struct rte_mempool *mp, void **objs, unsigned int n)
{
	int ret = stack->dequeue(mp, objs, n);

	for (unsigned int i = 0; ret == 0 && i < n; i++)
		__tsan_acquire(objs[i]);
	return ret;
}

static unsigned int
count(const struct rte_mempool *mp)
{
	return stack->get_count(mp);
}

static const struct rte_mempool_ops ops = {.name = NAME, .alloc = stack_alloc, .free = stack_free,
	.enqueue = give, .dequeue = get, .get_count = count};

RTE_MEMPOOL_REGISTER_OPS(ops)
