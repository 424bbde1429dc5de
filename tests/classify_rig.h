/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker for the suites of classify, and what they expect of a packet, which is freed. */
#ifndef TESTS_CLASSIFY_RIG_H
#define TESTS_CLASSIFY_RIG_H

#include "tests/cunit_main.h"
#include "tests/eal.h"
#include "tests/frames.h"

#include "nodes/classify.h"
#include "nodes/worker.h"

static struct rte_mempool *pool;
static struct worker worker;

static inline void
setup(void)
{
	pool = eal_test_pool(255, 0, 2048);
	memset(&worker, 0, sizeof(worker));
	worker.n_workers = 1;
	worker.addr = FRAME_OURS;
	worker.mask = FRAME_MASK;
	worker.mac = frame_our_mac;
	worker.kernel_fd = -1;
}

static inline void
teardown(void)
{
	eal_test_pool_done(pool);
}

static inline void
expect(struct rte_mbuf *m, enum classify_edge edge)
{
	struct classify_result r = classify_packet(&worker, m);

	CU_ASSERT_EQUAL(r.edge, edge);
	CU_ASSERT_STRING_EQUAL(classify_symbol(r.error), "");
	rte_pktmbuf_free(m);
}

static inline void
expect_drop(struct rte_mbuf *m, const char *symbol)
{
	struct classify_result r = classify_packet(&worker, m);

	CU_ASSERT_EQUAL(r.edge, CLASSIFY_DROP);
	CU_ASSERT_STRING_EQUAL(classify_symbol(r.error), symbol);
	if (strcmp(classify_symbol(r.error), symbol) != 0)
		printf("got \"%s\", not \"%s\"\n", classify_symbol(r.error), symbol);
	rte_pktmbuf_free(m);
}

#endif
