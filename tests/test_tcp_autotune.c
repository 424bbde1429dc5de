/* SPDX-License-Identifier: BSD-3-Clause */
/* The size of a send buffer nobody has set. */
#include "tests/cunit_main.h"

#include "stack/tcp_autotune.h"

#define LEAST 262144u
#define MOST 1048576u

static uint32_t
tune(uint32_t now, uint32_t acked, uint32_t rtt_us, uint32_t min_us)
{
	return tcp_autotune(now, acked, rtt_us, min_us, LEAST, MOST);
}

static void
long_path_gets_four_times_what_a_round_trip_carries(void)
{
	CU_ASSERT_EQUAL(tune(LEAST, 100000, 10000, 10000), 400000);
	CU_ASSERT_EQUAL(tune(LEAST, LEAST, 10000, 10000), MOST);
}

static void
delay_that_is_our_own_queue_does_not_count(void)
{
	CU_ASSERT_EQUAL(tune(LEAST, LEAST, 100, 10), LEAST);
	CU_ASSERT_EQUAL(tune(LEAST, 1000000, 100, 10), 400000);
}

static void
shrinks_by_an_eighth_and_never_below_the_least(void)
{
	CU_ASSERT_EQUAL(tune(MOST, 1000, 10000, 10000), MOST - MOST / 8);
	CU_ASSERT_EQUAL(tune(LEAST, 0, 10000, 10000), LEAST);
}

static void
nothing_measured_changes_little(void)
{
	CU_ASSERT_EQUAL(tune(LEAST, 50000, 0, 1), LEAST);
}

static void
limit_of_the_program_is_kept(void)
{
	CU_ASSERT_EQUAL(tcp_autotune(LEAST, 4000000, 100, 100, LEAST, 500000), 500000);
	CU_ASSERT_EQUAL(tcp_autotune(MOST, UINT32_MAX, 1, UINT32_MAX, LEAST, MOST), MOST);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(long_path_gets_four_times_what_a_round_trip_carries),
	CUNIT_TEST(delay_that_is_our_own_queue_does_not_count),
	CUNIT_TEST(shrinks_by_an_eighth_and_never_below_the_least),
	CUNIT_TEST(nothing_measured_changes_little),
	CUNIT_TEST(limit_of_the_program_is_kept),
};
CUNIT_MAIN("tcp_autotune", tests, NULL, NULL)
