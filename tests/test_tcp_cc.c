/* SPDX-License-Identifier: BSD-3-Clause */
/* The congestion window: CUBIC against the formulas of RFC 9438, PRR, slow start, idle time. */
#include "stack/tcp_cc.h"
#include "tests/cunit_main.h"

#include <math.h>

#define MSS 1000u
#define RTT_US 100000u

/* One round trip of acknowledgements of a full window, spread over it; the clock moves. */
static void
round_trip(struct tcp_cc *cc, struct tcp_cubic *c, uint64_t *now_us)
{
	uint32_t acks = cc->cwnd / MSS;

	for (uint32_t i = 0; i < acks; i++) {
		*now_us += RTT_US / acks;
		tcp_cc_grow(cc, c, MSS, MSS, RTT_US, *now_us);
	}
}

/* A window so large that Reno is slower: the curve itself, for 20 s. */
static void
window_follows_the_cubic_curve(void)
{
	struct tcp_cc cc = {.cwnd = 2000 * MSS, .ssthresh = TCP_CC_NO_THRESHOLD};
	struct tcp_cubic c = {0};
	uint64_t now = 5000000, start = now;
	double k = cbrt(2000 * 0.3 / 0.4);

	tcp_cc_loss(&cc, &c, MSS);
	CU_ASSERT_EQUAL(cc.ssthresh, 1400 * MSS);
	cc.cwnd = cc.ssthresh;
	while (now < start + 20000000) {
		double t, want;

		round_trip(&cc, &c, &now);
		t = (now - start) / 1e6;
		want = 0.4 * pow(t - k, 3) + 2000;
		/* it aims one round trip ahead and gets there within one */
		CU_ASSERT_TRUE(fabs(cc.cwnd / (double)MSS - want) < 0.02 * want);
		if (fabs(cc.cwnd / (double)MSS - want) >= 0.02 * want)
			printf("t %.2f want %.1f have %.1f\n", t, want, cc.cwnd / (double)MSS);
	}
	CU_ASSERT_TRUE(cc.cwnd > 2100 * MSS); /* beyond the plateau: convex again */
}

/* 4.3: alpha = 3 (1 - 0.7) / (1 + 0.7) = 0.529 segments per round trip, then one. */
static void
small_windows_grow_like_reno(void)
{
	struct tcp_cc cc = {.cwnd = 20 * MSS, .ssthresh = TCP_CC_NO_THRESHOLD};
	struct tcp_cubic c = {0};
	uint64_t now = 1;
	uint32_t after_10;

	tcp_cc_loss(&cc, &c, MSS);
	cc.cwnd = cc.ssthresh;
	CU_ASSERT_EQUAL(cc.cwnd, 14 * MSS);
	for (int i = 0; i < 10; i++)
		round_trip(&cc, &c, &now);
	CU_ASSERT_TRUE(cc.cwnd > 18800 && cc.cwnd < 19500); /* 14 + 10 * 0.529 = 19.3 */
	after_10 = cc.cwnd;
	for (int i = 0; i < 2; i++)
		round_trip(&cc, &c, &now);
	CU_ASSERT_TRUE(cc.cwnd > after_10 + 500 && cc.cwnd < after_10 + 1700);
}

static void
second_loss_below_the_maximum_makes_room(void)
{
	struct tcp_cc cc = {.cwnd = 1000 * MSS};
	struct tcp_cubic c = {0};

	tcp_cc_loss(&cc, &c, MSS);
	CU_ASSERT_DOUBLE_EQUAL(c.w_max, 1000, 1e-9);
	cc.cwnd = 800 * MSS;
	tcp_cc_loss(&cc, &c, MSS);
	CU_ASSERT_DOUBLE_EQUAL(c.w_max, 800 * 0.85, 1e-9); /* 4.7, fast convergence */
	CU_ASSERT_EQUAL(cc.ssthresh, 560 * MSS);
	cc.cwnd = 2 * MSS;
	tcp_cc_loss(&cc, &c, MSS);
	CU_ASSERT_EQUAL(cc.ssthresh, 2 * MSS);
}

static void
time_without_data_is_not_counted(void)
{
	struct tcp_cc cc = {.cwnd = 1400 * MSS, .ssthresh = 1400 * MSS};
	struct tcp_cubic c = {.w_max = 2000, .w_prior = 2000};
	uint64_t now = 1000000;

	round_trip(&cc, &c, &now);
	now += 60000000;
	tcp_cc_grow(&cc, &c, MSS, MSS, RTT_US, now);
	CU_ASSERT_TRUE(c.t_s < 0.5);
	CU_ASSERT_TRUE(cc.cwnd < 1500 * MSS);
}

static void
slow_start_doubles_and_stops_at_the_threshold(void)
{
	struct tcp_cc cc;

	tcp_cc_init(&cc, MSS);
	CU_ASSERT_EQUAL(cc.cwnd, 10 * MSS);
	tcp_cc_grow(&cc, NULL, 10 * MSS, MSS, RTT_US, 1);
	CU_ASSERT_EQUAL(cc.cwnd, 20 * MSS);
	cc.ssthresh = 25 * MSS;
	tcp_cc_grow(&cc, NULL, 20 * MSS, MSS, RTT_US, 1);
	CU_ASSERT_EQUAL(cc.cwnd, 25 * MSS);
	CU_ASSERT_FALSE(tcp_cc_in_slow_start(&cc));
}

/* RFC 9406: min(max(4 ms, rtt/8), 16 ms) late; five rounds of it end slow start. */
static void
growing_queue_ends_slow_start(void)
{
	struct tcp_cc cc = {0};

	tcp_cc_init(&cc, MSS);
	cc.cwnd = 100 * MSS;
	tcp_cc_rtt(&cc, 40000, MSS);
	tcp_cc_rtt(&cc, 44999, MSS);
	CU_ASSERT_EQUAL(cc.late_rounds, 0);
	tcp_cc_rtt(&cc, 45000, MSS);
	CU_ASSERT_EQUAL(cc.late_rounds, 1);
	tcp_cc_grow(&cc, NULL, 100 * MSS, MSS, RTT_US, 1);
	CU_ASSERT_EQUAL(cc.cwnd, 125 * MSS);
	tcp_cc_rtt(&cc, 41000, MSS);
	CU_ASSERT_EQUAL(cc.late_rounds, 0);
	for (int i = 0; i < 5; i++) {
		CU_ASSERT_TRUE(tcp_cc_in_slow_start(&cc));
		tcp_cc_rtt(&cc, 50000, MSS);
	}
	CU_ASSERT_FALSE(tcp_cc_in_slow_start(&cc));
	CU_ASSERT_EQUAL(cc.min_rtt_us, 40000);
}

static void
small_window_ignores_late_samples(void)
{
	struct tcp_cc cc = {0};

	tcp_cc_init(&cc, MSS);
	tcp_cc_rtt(&cc, 100, MSS);
	for (int i = 0; i < 20; i++)
		tcp_cc_rtt(&cc, 40000, MSS); /* delayed ACKs */
	CU_ASSERT_TRUE(tcp_cc_in_slow_start(&cc));
}

/* RFC 9937: with every segment delivered the window shrinks in proportion, and ends at ssthresh. */
static void
rate_reduction_is_proportional(void)
{
	struct tcp_prr p = {.flight = 100 * MSS};
	uint32_t pipe = 99 * MSS, out = 0, window;

	for (int i = 0; i < 99; i++) {
		pipe -= MSS;
		window = tcp_prr_window(&p, MSS, pipe, 70 * MSS, MSS, true);
		while (pipe + MSS <= window) {
			pipe += MSS;
			p.out += MSS;
			out++;
		}
	}
	CU_ASSERT_TRUE(out >= 68 && out <= 71);
	CU_ASSERT_TRUE(pipe >= 67 * MSS && pipe <= 70 * MSS);
}

static void
rate_reduction_below_the_threshold_is_slow_start(void)
{
	struct tcp_prr p = {.flight = 100 * MSS, .delivered = 5 * MSS, .out = 5 * MSS};

	CU_ASSERT_EQUAL(tcp_prr_window(&p, 2 * MSS, 10 * MSS, 70 * MSS, MSS, true), 13 * MSS);
	p.out = 8 * MSS;
	CU_ASSERT_EQUAL(tcp_prr_window(&p, 2 * MSS, 10 * MSS, 70 * MSS, MSS, false), 11 * MSS);
}

static void
first_retransmission_always_goes(void)
{
	struct tcp_prr p = {.flight = 100 * MSS};

	CU_ASSERT_EQUAL(tcp_prr_window(&p, 0, 99 * MSS, 70 * MSS, MSS, false), 100 * MSS);
}

static void
idle_time_halves_per_timeout(void)
{
	struct tcp_cc cc = {.cwnd = 160 * MSS, .ssthresh = 80 * MSS};

	tcp_cc_idle(&cc, 199, 200, MSS);
	CU_ASSERT_EQUAL(cc.cwnd, 160 * MSS);
	tcp_cc_idle(&cc, 400, 200, MSS);
	CU_ASSERT_EQUAL(cc.cwnd, 40 * MSS);
	CU_ASSERT_EQUAL(cc.ssthresh, 120 * MSS); /* what was in use is found again quickly */
	tcp_cc_idle(&cc, 1u << 31, 200, MSS);
	CU_ASSERT_EQUAL(cc.cwnd, 10 * MSS);
	cc.cwnd = 3 * MSS;
	tcp_cc_idle(&cc, 100000, 200, MSS);
	CU_ASSERT_EQUAL(cc.cwnd, 3 * MSS);
}

static void
unused_window_does_not_grow(void)
{
	struct tcp_cc cc = {.cwnd = 20 * MSS, .ssthresh = TCP_CC_NO_THRESHOLD};

	CU_ASSERT_FALSE(tcp_cc_is_limited(&cc, 10 * MSS, MSS));
	CU_ASSERT_TRUE(tcp_cc_is_limited(&cc, 10 * MSS + 1, MSS));
	cc.ssthresh = 10 * MSS;
	CU_ASSERT_FALSE(tcp_cc_is_limited(&cc, 18 * MSS, MSS));
	CU_ASSERT_TRUE(tcp_cc_is_limited(&cc, 19 * MSS, MSS));
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(window_follows_the_cubic_curve),
	CUNIT_TEST(small_windows_grow_like_reno),
	CUNIT_TEST(second_loss_below_the_maximum_makes_room),
	CUNIT_TEST(time_without_data_is_not_counted),
	CUNIT_TEST(slow_start_doubles_and_stops_at_the_threshold),
	CUNIT_TEST(growing_queue_ends_slow_start),
	CUNIT_TEST(small_window_ignores_late_samples),
	CUNIT_TEST(rate_reduction_is_proportional),
	CUNIT_TEST(rate_reduction_below_the_threshold_is_slow_start),
	CUNIT_TEST(first_retransmission_always_goes),
	CUNIT_TEST(idle_time_halves_per_timeout),
	CUNIT_TEST(unused_window_does_not_grow),
};
CUNIT_MAIN("tcp_cc", tests, NULL, NULL)
