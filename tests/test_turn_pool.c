/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers of one turn: no more than that, and all of them the real pool's. */
#include "dispatcher/turn_pool.h"

#include "tests/cunit_main.h"
#include "tests/eal.h"

#include <rte_mbuf.h>

#define POOL_SIZE 2047

static struct rte_mempool *pool, *turn;

static void
setup(void)
{
	pool = eal_test_pool(POOL_SIZE, 0, 2048);
	turn = turn_pool_create(pool, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(turn);
}

static void
teardown(void)
{
	turn_pool_free(turn);
	eal_test_pool_done(pool);
}

static void
turn_ends_at_its_buffers(void)
{
	struct rte_mbuf *all[TURN_BUFFERS];

	for (int round = 0; round < 2; round++) {
		turn_pool_begin(turn);
		CU_ASSERT_EQUAL_FATAL(rte_pktmbuf_alloc_bulk(turn, all, TURN_BUFFERS - 1), 0);
		CU_ASSERT_FALSE(turn_pool_is_spent(turn));
		all[TURN_BUFFERS - 1] = rte_pktmbuf_alloc(turn);
		CU_ASSERT_PTR_NOT_NULL_FATAL(all[TURN_BUFFERS - 1]);
		CU_ASSERT_FALSE(turn_pool_is_spent(turn));
		CU_ASSERT_PTR_NULL(rte_pktmbuf_alloc(turn));
		CU_ASSERT_TRUE(turn_pool_is_spent(turn));
		CU_ASSERT_PTR_EQUAL(all[0]->pool, pool);
		CU_ASSERT_EQUAL(rte_pktmbuf_tailroom(all[0]), 2048);
		rte_pktmbuf_free_bulk(all, TURN_BUFFERS);
		CU_ASSERT_EQUAL(rte_mempool_avail_count(pool), POOL_SIZE);
	}
}

static void
empty_pool_is_nobodys_fault(void)
{
	struct rte_mbuf *all[POOL_SIZE];

	CU_ASSERT_EQUAL_FATAL(rte_pktmbuf_alloc_bulk(pool, all, POOL_SIZE), 0);
	turn_pool_begin(turn);
	CU_ASSERT_PTR_NULL(rte_pktmbuf_alloc(turn));
	CU_ASSERT_FALSE(turn_pool_is_spent(turn));
	rte_pktmbuf_free_bulk(all, POOL_SIZE);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(turn_ends_at_its_buffers),
	CUNIT_TEST(empty_pool_is_nobodys_fault),
};
EAL_TEST_MAIN("turn_pool", tests, setup, teardown)
