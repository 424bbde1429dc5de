/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for more events than one: when it is tried, kept up and given up. */
#include "stack/gather.h"
#include "tests/cunit_main.h"

#include <string.h>

static struct gather g;

static void
setup(void)
{
	memset(&g, 0, sizeof(g));
}

/* Waits until the next try, that one included. */
static unsigned int
waits_until_try(void)
{
	unsigned int n = 1;

	while (!gather_wanted(&g) && n < 100000) {
		gather_result(&g, 1); /* means nothing: it was not gathered */
		n++;
	}
	return n;
}

static void
single_events_are_hardly_ever_held(void)
{
	unsigned int last = 0;

	CU_ASSERT_EQUAL(waits_until_try(), GATHER_TRY_FIRST);
	for (int i = 0; i < 10; i++) {
		gather_result(&g, GATHER_PAYS - 1);
		last = waits_until_try();
	}
	CU_ASSERT_EQUAL(last, GATHER_TRY_LAST);
}

static void
crowds_are_held_in_long_rows(void)
{
	waits_until_try();
	for (int row = 0; row < 10; row++) {
		for (int i = 1; i < GATHER_ROW; i++) {
			gather_result(&g, GATHER_PAYS);
			CU_ASSERT_TRUE(gather_wanted(&g));
		}
		gather_result(&g, GATHER_PAYS);
		CU_ASSERT_EQUAL(waits_until_try(), GATHER_CHECK);
	}
}

static void
crowds_that_come_by_themselves_are_not_held(void)
{
	for (int i = 0; i < 10000; i++) {
		CU_ASSERT_FALSE(gather_wanted(&g));
		gather_result(&g, i % 10 == 0 ? GATHER_PAYS : 1);
	}
}

static void
crowds_that_come_without_being_held_are_noticed(void)
{
	waits_until_try();
	for (int i = 1; i < GATHER_ROW; i++) {
		gather_result(&g, GATHER_PAYS);
		gather_wanted(&g);
	}
	gather_result(&g, GATHER_PAYS);
	CU_ASSERT_FALSE(gather_wanted(&g));
	gather_result(&g, GATHER_PAYS);
	CU_ASSERT_EQUAL(waits_until_try(), GATHER_TRY_FIRST);
}

static void
crowd_that_has_gone_is_noticed_at_once_and_found_again_soon(void)
{
	waits_until_try();
	gather_result(&g, 10);
	CU_ASSERT_TRUE(gather_wanted(&g));
	gather_result(&g, 1);
	CU_ASSERT_EQUAL(waits_until_try(), 2 * GATHER_TRY_FIRST);
	gather_result(&g, 10);
	CU_ASSERT_TRUE(gather_wanted(&g));
}

static void
try_without_a_result_has_failed(void)
{
	waits_until_try();
	CU_ASSERT_EQUAL(waits_until_try(), 2 * GATHER_TRY_FIRST);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(single_events_are_hardly_ever_held),
	CUNIT_TEST(crowds_are_held_in_long_rows),
	CUNIT_TEST(crowds_that_come_by_themselves_are_not_held),
	CUNIT_TEST(crowds_that_come_without_being_held_are_noticed),
	CUNIT_TEST(crowd_that_has_gone_is_noticed_at_once_and_found_again_soon),
	CUNIT_TEST(try_without_a_result_has_failed),
};
CUNIT_MAIN("gather", tests, setup, NULL)
