/* SPDX-License-Identifier: BSD-3-Clause */
/* SYN cookies, and the hash under them. */
#include "stack/siphash.h"
#include "stack/syn_cookie.h"
#include "tests/cunit_main.h"

/* From the reference implementation's vectors_sip64: key 00..0f, message 00 01 02 ... */
static void
siphash_is_siphash(void)
{
	const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	const uint64_t m[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

	CU_ASSERT_EQUAL(siphash_words(key, m, 0, 2, 4), 0x726fdb47dd0e0e31);
	CU_ASSERT_EQUAL(siphash_words(key, m, 1, 2, 4), 0x93f5f5799a932462);
	CU_ASSERT_EQUAL(siphash_2(key, m[0], m[1]), 0x3f2acc7f57c29bdb);
}

static void
a_cookie_is_accepted_for_two_periods_and_its_own_flow(void)
{
	const uint64_t key[2] = {1, 2}, other[2] = {1, 3};
	const struct syn_cookie_flow f = {0x01020304, 0x05060708, 1000, 80, 12345};

	for (uint32_t period = 250; period < 260; period++) { /* over the end of its eight bits */
		uint32_t c = syn_cookie_make(key, &f, period, 1460);
		struct syn_cookie_flow g = f;

		CU_ASSERT_EQUAL(syn_cookie_check(key, &f, period, c), 1460);
		CU_ASSERT_EQUAL(syn_cookie_check(key, &f, period + 1, c), 1460);
		CU_ASSERT_EQUAL(syn_cookie_check(key, &f, period + 2, c), 0);
		CU_ASSERT_EQUAL(syn_cookie_check(key, &f, period - 1, c), 0);
		CU_ASSERT_EQUAL(syn_cookie_check(other, &f, period, c), 0);
		g.rport++;
		CU_ASSERT_EQUAL(syn_cookie_check(key, &g, period, c), 0);
		g = f;
		g.irs++;
		CU_ASSERT_EQUAL(syn_cookie_check(key, &g, period, c), 0);
	}
}

static void
a_cookie_holds_an_mss_not_above_the_peers(void)
{
	static const uint16_t said[][2] = {{48, 48}, {535, 48}, {536, 536}, {1300, 1220}, {1452, 1452},
		{1459, 1452}, {1460, 1460}, {65535, 8960}, {1, 48}};
	const uint64_t key[2] = {1, 2};
	const struct syn_cookie_flow f = {1, 2, 3, 4, 5};

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		CU_ASSERT_EQUAL(syn_cookie_check(key, &f, 9,
			syn_cookie_make(key, &f, 9, said[i][0])), said[i][1]);
}

/* 16 of 2^32 values are good; 2^22 guesses meet one with a chance of 1.5 %. */
static void
guessing_a_cookie_is_hopeless(void)
{
	const uint64_t key[2] = {0x1234567890abcdef, 0xfedcba0987654321};
	const struct syn_cookie_flow f = {1, 2, 3, 4, 5};
	uint32_t c = syn_cookie_make(key, &f, 9, 1460), good = 0;

	for (uint32_t i = 1; i < 1u << 22; i++)
		good += syn_cookie_check(key, &f, 9, c + i * 1021) != 0;
	CU_ASSERT_TRUE(good <= 1);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(siphash_is_siphash),
	CUNIT_TEST(a_cookie_is_accepted_for_two_periods_and_its_own_flow),
	CUNIT_TEST(a_cookie_holds_an_mss_not_above_the_peers),
	CUNIT_TEST(guessing_a_cookie_is_hopeless),
};
CUNIT_MAIN("syn_cookie", tests, NULL, NULL)
