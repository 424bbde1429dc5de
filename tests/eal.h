/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A DPDK environment for unit tests: no hugepages, no devices, no files, one core. Used like
 * CUNIT_MAIN(), whose arguments EAL_TEST_MAIN() takes.
 */
#ifndef TESTS_EAL_H
#define TESTS_EAL_H

#include <errno.h>
#include <stdio.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include "tests/cunit_main.h"

#ifndef EAL_TEST_VDEV
#define EAL_TEST_VDEV "--no-pci" /* or one "--vdev=..." */
#endif

static inline int
eal_test_start(void)
{
	static char *argv[] = { "test", "--no-huge", "-m", "128", "--no-pci", "--no-shconf",
		"--no-telemetry", "-l", "0", "--log-level", "error", "--iova-mode", "va",
		EAL_TEST_VDEV };

	return rte_eal_init(sizeof(argv) / sizeof(argv[0]), argv) < 0 ? -rte_errno : 0;
}

/* A pool whose emptiness is checked at the end: what a test leaks, it hears of. */
static inline struct rte_mempool *
eal_test_pool(unsigned int n, uint16_t priv, uint16_t room)
{
	struct rte_mempool *p = rte_pktmbuf_pool_create("test", n, 0, priv,
		room + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	return p;
}

static inline void
eal_test_pool_done(struct rte_mempool *p)
{
	CU_ASSERT_EQUAL(rte_mempool_in_use_count(p), 0);
	rte_mempool_free(p);
}

#define EAL_TEST_MAIN(suite, tests, setup, teardown)                                               \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		if (eal_test_start() < 0)                                                          \
			return 2;                                                                  \
		int ret = cunit_run((suite), (tests), sizeof(tests) / sizeof((tests)[0]), (setup), \
			(teardown), argc > 1 ? argv[1] : "");                                      \
		rte_eal_cleanup();                                                                 \
		return ret;                                                                        \
	}

#endif
