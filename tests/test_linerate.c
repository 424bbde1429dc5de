/* SPDX-License-Identifier: BSD-3-Clause */
/* What linerate's figures rest on: pacing, sequence numbers, search, percentiles. */
#include "tests/cunit_main.h"

#include <math.h>
#include <stdlib.h>

#include "perf/hist.h"
#include "perf/linerate_calc.h"

static bool
is_near(double a, double b, double relative)
{
	return fabs(a - b) <= relative * fabs(b);
}

/* --- pacer -------------------------------------------------------------------------------------- */

static void
packets_are_due_at_the_rate(void)
{
	struct pacer p = { .start = 1000, .per_cycle = .1, .depth = 64 };
	uint64_t all = 0;

	CU_ASSERT_EQUAL(pacer_due(&p, 1000, 32), 0);
	CU_ASSERT_EQUAL(pacer_due(&p, 1009, 32), 0);
	CU_ASSERT_EQUAL(pacer_due(&p, 1010, 32), 1);
	CU_ASSERT_EQUAL(pacer_due(&p, 1010, 32), 0);
	CU_ASSERT_EQUAL(pacer_due(&p, 1055, 32), 4);
	for (uint64_t now = 1055; now < 1001000; now += 7)
		all += pacer_due(&p, now, 32);
	CU_ASSERT(is_near((double)all + 5, 100000, .0001));
	CU_ASSERT_EQUAL(p.lapsed, 0);
}

/* A rate that is no round number does not drift over a long trial. */
static void
fractions_of_packets_add_up(void)
{
	double per_cycle = 14.88e6 / 2.3e9;
	struct pacer p = { .start = UINT64_C(1) << 60, .per_cycle = per_cycle, .depth = 64 };
	uint64_t all = 0, now;

	for (now = 0; now < 2300000000; now += 997)
		all += pacer_due(&p, p.start + now, 32);
	CU_ASSERT(llabs((long long)all - 14880000) <= 8);
}

static void
a_burst_is_bounded_and_the_rest_follows(void)
{
	struct pacer p = { .per_cycle = 1, .depth = 64 };

	CU_ASSERT_EQUAL(pacer_due(&p, 50, 32), 32);
	CU_ASSERT_EQUAL(pacer_due(&p, 50, 32), 18);
	CU_ASSERT_EQUAL(p.lapsed, 0);
}

static void
credit_of_a_long_absence_lapses(void)
{
	struct pacer p = { .per_cycle = 1, .depth = 64 };

	CU_ASSERT_EQUAL(pacer_due(&p, 1000, 100), 64);
	CU_ASSERT_EQUAL(p.lapsed, 936);
	CU_ASSERT_EQUAL(pacer_due(&p, 1001, 100), 1);
}

static void
without_a_rate_every_burst_is_full(void)
{
	struct pacer p = { .depth = 64 };

	CU_ASSERT_EQUAL(pacer_due(&p, 0, 32), 32);
	CU_ASSERT_EQUAL(pacer_due(&p, 0, 32), 32);
}

/* --- flow --------------------------------------------------------------------------------------- */

static struct flow f;

static void
setup(void)
{
	f = (struct flow){ 0 };
}

static void
what_does_not_come_back_is_lost(void)
{
	f.sent = 1000;
	for (uint32_t seq = 0; seq < 1000; seq++)
		if (seq % 10 != 3)
			CU_ASSERT(flow_receive(&f, seq));
	CU_ASSERT_EQUAL(f.received, 900);
	CU_ASSERT_EQUAL(f.reordered, 0);
	CU_ASSERT(is_near(flow_loss(&f), .1, 1e-9));
}

static void
late_packets_are_not_lost_but_reordered(void)
{
	static const uint32_t order[] = { 0, 2, 1, 5, 3, 4, 6 };

	f.sent = 7;
	for (size_t i = 0; i < 7; i++)
		CU_ASSERT(flow_receive(&f, order[i]));
	CU_ASSERT_EQUAL(f.reordered, 3);
	CU_ASSERT_EQUAL(flow_loss(&f), 0);
}

/* A packet that comes twice must not make up for one that does not come. */
static void
duplicates_hide_no_loss(void)
{
	f.sent = 4;
	CU_ASSERT(flow_receive(&f, 0));
	CU_ASSERT_FALSE(flow_receive(&f, 0));
	CU_ASSERT(flow_receive(&f, 2));
	CU_ASSERT(flow_receive(&f, 1));
	CU_ASSERT_FALSE(flow_receive(&f, 1));
	CU_ASSERT_EQUAL(f.duplicates, 2);
	CU_ASSERT_EQUAL(f.received, 3);
	CU_ASSERT(is_near(flow_loss(&f), .25, 1e-9));
}

/* Slots of the window are used again, after small steps and after a leap. */
static void
the_window_moves_on(void)
{
	for (uint32_t seq = 0; seq < 3 * FLOW_WINDOW; seq += 5)
		CU_ASSERT(flow_receive(&f, seq));
	CU_ASSERT(flow_receive(&f, 10 * FLOW_WINDOW));
	CU_ASSERT(flow_receive(&f, 10 * FLOW_WINDOW - 5));
	CU_ASSERT_EQUAL(f.duplicates, 0);
	CU_ASSERT_FALSE(flow_receive(&f, 10 * FLOW_WINDOW));
}

static void
nothing_sent_is_no_loss(void)
{
	CU_ASSERT_EQUAL(flow_loss(&f), 0);
}

/* --- slices ------------------------------------------------------------------------------------- */

/* Ten slices of 100 cycles from 1000 on, ten packets each, `lost` of them lost in slice `where`. */
static struct slices
ten_slices(uint32_t where, uint32_t lost)
{
	static struct slice at[10];
	struct slices s = { .start = 1000, .length = 100, .n = 10, .at = at };

	for (uint64_t t = 1000; t < 2000; t += 10) {
		if (t % 100 == 0)
			*slices_at(&s, t) = (struct slice){ 0 };
		slices_at(&s, t)->sent++;
		slices_at(&s, t)->received++;
	}
	at[where].received -= lost;
	return s;
}

static void
losses_of_quiet_times_count(void)
{
	struct slices s = ten_slices(5, 4);

	CU_ASSERT(is_near(slices_loss(&s), .04, 1e-9));
	CU_ASSERT_EQUAL(slices_disturbed(&s), 0);
	slices_disturb(&s, 1050, 1060); /* slices 0 and 1 */
	CU_ASSERT(is_near(slices_loss(&s), 4. / 80, 1e-9));
	CU_ASSERT(is_near(slices_disturbed(&s), .2, 1e-9));
}

static void
losses_while_an_end_was_away_do_not_count(void)
{
	struct slices s = ten_slices(5, 4);

	slices_disturb(&s, 1450, 1460); /* slices 3 to 5: the backlog is worked off afterwards */
	CU_ASSERT_EQUAL(slices_loss(&s), 0);
	s = ten_slices(2, 4);
	slices_disturb(&s, 1320, 1790);
	CU_ASSERT_EQUAL(slices_loss(&s), 0);
	CU_ASSERT(is_near(slices_disturbed(&s), .7, 1e-9));
	s = ten_slices(1, 4);
	slices_disturb(&s, 1320, 1790);
	CU_ASSERT(is_near(slices_loss(&s), 4. / 30, 1e-9));
}

static void
times_outside_belong_to_the_ends(void)
{
	struct slices s = ten_slices(9, 1);

	CU_ASSERT_PTR_EQUAL(slices_at(&s, 5), &s.at[0]);
	CU_ASSERT_PTR_EQUAL(slices_at(&s, 99999), &s.at[9]);
	slices_disturb(&s, 0, 99999);
	CU_ASSERT_EQUAL(slices_disturbed(&s), 1);
	CU_ASSERT_EQUAL(slices_loss(&s), 0);
}

/* --- search ------------------------------------------------------------------------------------- */

/* The result for a path that passes everything up to `limit`; `tries` counts. */
static double
found(double first, double limit, unsigned int *tries)
{
	struct search s = { .first = first, .precision = .01 };
	double rate;

	for (*tries = 0; (rate = search_next(&s)) > 0 && *tries < 100; (*tries)++)
		search_note(&s, rate, rate <= limit);
	return s.passed;
}

static void
search_finds_the_limit(void)
{
	static const double limits[] = { 1, 3.3, 5, 7.77, 9.99 };
	unsigned int tries;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		double r = found(10, limits[i], &tries);

		CU_ASSERT(r <= limits[i]);
		CU_ASSERT(r >= limits[i] * .985);
		CU_ASSERT(tries <= 12);
	}
}

static void
search_ends_at_once_where_everything_passes(void)
{
	unsigned int tries;

	CU_ASSERT_EQUAL(found(10, 20, &tries), 10);
	CU_ASSERT_EQUAL(tries, 1);
}

static void
search_ends_where_nothing_passes(void)
{
	unsigned int tries;

	CU_ASSERT_EQUAL(found(10, 0, &tries), 0);
	CU_ASSERT(tries < 20);
}

/* --- percentiles -------------------------------------------------------------------------------- */

static void
percentiles_are_those_of_the_sorted_times(void)
{
	static struct hist h;

	for (uint64_t i = 1; i <= 100000; i++)
		hist_add(&h, i * 7);
	CU_ASSERT_EQUAL(h.n, 100000);
	CU_ASSERT(is_near(hist_percentile_us(&h, .5), 350, .016));
	CU_ASSERT(is_near(hist_percentile_us(&h, .99), 693, .016));
	CU_ASSERT_EQUAL(hist_percentile_us(&h, 1), 700);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(packets_are_due_at_the_rate),
	CUNIT_TEST(fractions_of_packets_add_up),
	CUNIT_TEST(a_burst_is_bounded_and_the_rest_follows),
	CUNIT_TEST(credit_of_a_long_absence_lapses),
	CUNIT_TEST(without_a_rate_every_burst_is_full),
	CUNIT_TEST(what_does_not_come_back_is_lost),
	CUNIT_TEST(late_packets_are_not_lost_but_reordered),
	CUNIT_TEST(duplicates_hide_no_loss),
	CUNIT_TEST(the_window_moves_on),
	CUNIT_TEST(nothing_sent_is_no_loss),
	CUNIT_TEST(losses_of_quiet_times_count),
	CUNIT_TEST(losses_while_an_end_was_away_do_not_count),
	CUNIT_TEST(times_outside_belong_to_the_ends),
	CUNIT_TEST(search_finds_the_limit),
	CUNIT_TEST(search_ends_at_once_where_everything_passes),
	CUNIT_TEST(search_ends_where_nothing_passes),
	CUNIT_TEST(percentiles_are_those_of_the_sorted_times),
};
CUNIT_MAIN("linerate", tests, setup, NULL)
