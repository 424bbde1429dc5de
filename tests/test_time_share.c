/* SPDX-License-Identifier: BSD-3-Clause */
/* The control thread's time, user by user. */
#include "dispatcher/time_share.h"

#include "tests/cunit_main.h"

#define MS_NS 1000000ull
#define S_US 1000000ull

static void
user_who_takes_much_has_to_wait(void)
{
	CU_ASSERT_FALSE(share_is_spent(1, S_US));
	share_charge(1, 100 * MS_NS, S_US);
	CU_ASSERT_FALSE(share_is_spent(1, S_US));
	share_charge(1, MS_NS, S_US);
	CU_ASSERT_TRUE(share_is_spent(1, S_US));
}

static void
others_do_not_wait_for_it(void)
{
	share_charge(2, 900 * MS_NS, 2 * S_US);
	CU_ASSERT_TRUE(share_is_spent(2, 2 * S_US));
	CU_ASSERT_FALSE(share_is_spent(3, 2 * S_US));
}

static void
a_twentieth_of_the_time_is_everybodys(void)
{
	share_charge(4, 150 * MS_NS, 3 * S_US);
	CU_ASSERT_TRUE(share_is_spent(4, 3 * S_US + S_US / 2)); /* 25 ms are gone */
	CU_ASSERT_FALSE(share_is_spent(4, 4 * S_US + 1000));
}

static void
more_users_than_places_forget_those_who_took_least(void)
{
	share_charge(5, 500 * MS_NS, 5 * S_US);
	for (uid_t uid = 1000; uid < 1200; uid++)
		share_charge(uid, MS_NS, 5 * S_US);
	CU_ASSERT_TRUE(share_is_spent(5, 5 * S_US));
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(user_who_takes_much_has_to_wait),
	CUNIT_TEST(others_do_not_wait_for_it),
	CUNIT_TEST(a_twentieth_of_the_time_is_everybodys),
	CUNIT_TEST(more_users_than_places_forget_those_who_took_least),
};

CUNIT_MAIN("time_share", tests, NULL, NULL)
