/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of ports whose listeners other processes have, too. */
#include "nodes/ltran_left.h"
#include "tests/cunit_main.h"

#include <string.h>

#define NOW UINT64_C(0x123456789)
#define PORT 0x5000

static uint64_t left[LTRAN_LEFT_MAX];

static void
setup(void)
{
	memset(left, 0, sizeof(left));
}

static void
port_is_awaited_from_its_end_on_for_a_time(void)
{
	CU_ASSERT_FALSE(ltran_left_is_awaited(left, PORT, NOW));
	ltran_left_listens(left, PORT);
	CU_ASSERT_FALSE(ltran_left_is_awaited(left, PORT, NOW));
	ltran_left_ends(left, PORT, NOW);
	CU_ASSERT_TRUE(ltran_left_is_awaited(left, PORT, NOW));
	CU_ASSERT_TRUE(ltran_left_is_awaited(left, PORT, NOW + LTRAN_LEFT_MS - 1));
	CU_ASSERT_FALSE(ltran_left_is_awaited(left, PORT, NOW + LTRAN_LEFT_MS));
	CU_ASSERT_FALSE(ltran_left_is_awaited(left, PORT + 1, NOW));
	CU_ASSERT_EQUAL(ltran_left_rest_ms(left[0], NOW + 500), LTRAN_LEFT_MS - 500);
	ltran_left_listens(left, PORT);
	CU_ASSERT_FALSE(ltran_left_is_awaited(left, PORT, NOW));
	CU_ASSERT_EQUAL(left[1], 0); /* it had an entry */
}

static void
time_goes_on_where_its_low_half_begins_anew(void)
{
	ltran_left_ends(left, PORT, UINT64_C(0x1fffffff0));
	CU_ASSERT_TRUE(ltran_left_is_awaited(left, PORT, UINT64_C(0x200000010)));
	CU_ASSERT_FALSE(ltran_left_is_awaited(left, PORT, UINT64_C(0x200000010) + LTRAN_LEFT_MS));
}

static void
end_for_all_is_not_awaited(void)
{
	ltran_left_listens(left, PORT);
	ltran_left_forget(left, PORT);
	CU_ASSERT_EQUAL(left[0], 0);
	ltran_left_ends(left, PORT, NOW);
	ltran_left_forget(left, PORT + 1);
	CU_ASSERT_TRUE(ltran_left_is_awaited(left, PORT, NOW));
	ltran_left_forget(left, PORT);
	CU_ASSERT_FALSE(ltran_left_is_awaited(left, PORT, NOW));
}

static void
full_list_loses_the_oldest_end_and_no_listener(void)
{
	for (int i = 1; i < LTRAN_LEFT_MAX; i++)
		ltran_left_listens(left, (uint16_t)i);
	ltran_left_ends(left, 1000, NOW);
	ltran_left_ends(left, 3, NOW - 10);
	ltran_left_listens(left, 2000);
	CU_ASSERT_FALSE(ltran_left_is_awaited(left, 3, NOW));
	CU_ASSERT_TRUE(ltran_left_is_awaited(left, 1000, NOW));
	ltran_left_listens(left, 3000);
	CU_ASSERT_FALSE(ltran_left_is_awaited(left, 1000, NOW));
	ltran_left_ends(left, 4000, NOW); /* no room: it is refused at once */
	CU_ASSERT_FALSE(ltran_left_is_awaited(left, 4000, NOW));
	ltran_left_forget(left, 4000);
	for (int i = 0; i < LTRAN_LEFT_MAX; i++)
		CU_ASSERT_TRUE((left[i] & LTRAN_LEFT_LISTENS) != 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(port_is_awaited_from_its_end_on_for_a_time),
	CUNIT_TEST(time_goes_on_where_its_low_half_begins_anew),
	CUNIT_TEST(end_for_all_is_not_awaited),
	CUNIT_TEST(full_list_loses_the_oldest_end_and_no_listener),
};
CUNIT_MAIN("ltran_left", tests, setup, NULL)
