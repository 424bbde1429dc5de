/* SPDX-License-Identifier: BSD-3-Clause */
/* See tcp_cc.h. Names of the variables are those of RFC 9438. */
#include "stack/tcp_cc.h"

#include <math.h>

#define CUBIC_BETA 0.7
#define CUBIC_C 0.4
#define CUBIC_ALPHA (3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA))

/*
 * RFC 9406 4.3, HyStart++: an RTT above min_rtt by an eighth of it, within bounds, makes slow start
 * conservative; so many in a row end it. One sample per round trip here, where the RFC takes the
 * least of eight; one that was late by chance costs some growth and is forgotten with the next.
 */
#define LATE_MIN_US 4000
#define LATE_MAX_US 16000
#define LATE_MIN_SEGMENTS 16
#define LATE_ROUNDS 5    /* CSS_ROUNDS */
#define LATE_GROWTH 4    /* CSS_GROWTH_DIVISOR */

#define CWND_MAX (1u << 30)

static inline uint32_t
max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline uint32_t
min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void
tcp_cc_init(struct tcp_cc *cc, uint32_t mss)
{
	cc->cwnd = TCP_CC_INITIAL_SEGMENTS * mss;
	cc->ssthresh = TCP_CC_NO_THRESHOLD;
	cc->late_rounds = 0;
}

/* Section 4.2 and figure 2: the plateau is reached after K seconds. */
static void
epoch_begin(struct tcp_cubic *c, double cwnd)
{
	if (c->w_max > cwnd) {
		c->k_s = cbrt((c->w_max - cwnd) / CUBIC_C);
	} else {
		c->k_s = 0;
		c->w_max = cwnd;
	}
	c->w_est = cwnd;
	if (c->w_prior == 0)
		c->w_prior = cwnd;
	c->t_s = 0;
	c->credit = 0;
}

static double
w_cubic(const struct tcp_cubic *c, double t_s)
{
	double d = t_s - c->k_s;

	return CUBIC_C * d * d * d + c->w_max;
}

static void
grow_cubic(struct tcp_cc *cc, struct tcp_cubic *c, uint32_t acked, uint32_t mss, uint32_t srtt_us,
	uint64_t now_us)
{
	double cwnd = (double)cc->cwnd / mss, segments = (double)acked / mss, add, target;

	if (c->last_us == 0) {
		epoch_begin(c, cwnd);
	} else {
		/* A gap longer than two round trips was the program's (section 4.2, the note on t). */
		uint64_t gap = now_us - c->last_us, most = 2ull * srtt_us + 1000;

		c->t_s += (gap < most ? gap : most) / 1e6;
	}
	c->last_us = now_us;
	/* 4.3: what Reno would have, with the window at the last loss as the turn to Reno's own alpha */
	c->w_est += (c->w_est < c->w_prior ? CUBIC_ALPHA : 1.0) * segments / cwnd;
	if (w_cubic(c, c->t_s) < c->w_est) {
		add = c->w_est > cwnd ? c->w_est - cwnd : 0;
	} else {
		target = w_cubic(c, c->t_s + srtt_us / 1e6); /* 4.4, 4.5 */
		if (target > 1.5 * cwnd)
			target = 1.5 * cwnd;
		add = target > cwnd ? (target - cwnd) / cwnd * segments : 0;
	}
	c->credit += add * mss;
	if (c->credit >= 1) {
		cc->cwnd = min_u32(cc->cwnd + (uint32_t)c->credit, CWND_MAX);
		c->credit -= (uint32_t)c->credit;
	}
}

void
tcp_cc_grow(struct tcp_cc *cc, struct tcp_cubic *c, uint32_t acked, uint32_t mss, uint32_t srtt_us,
	uint64_t now_us)
{
	if (tcp_cc_in_slow_start(cc) && cc->late_rounds > 0)
		acked = (acked + LATE_GROWTH - 1) / LATE_GROWTH;
	if (tcp_cc_in_slow_start(cc))
		cc->cwnd = min_u32(min_u32(cc->cwnd + acked, cc->ssthresh), CWND_MAX);
	else
		grow_cubic(cc, c, acked, mss, srtt_us, now_us);
}

void
tcp_cc_loss(struct tcp_cc *cc, struct tcp_cubic *c, uint32_t mss)
{
	double cwnd = (double)cc->cwnd / mss;

	c->w_prior = cwnd;
	/* 4.7: below the last maximum somebody else has come; leave him more room. */
	c->w_max = cwnd < c->w_max ? cwnd * (1 + CUBIC_BETA) / 2 : cwnd;
	c->last_us = 0;
	cc->ssthresh = max_u32((uint32_t)(cc->cwnd * CUBIC_BETA), 2 * mss);
	cc->late_rounds = 0;
}

void
tcp_cc_rtt(struct tcp_cc *cc, uint32_t rtt_us, uint32_t mss)
{
	uint32_t late;

	if (rtt_us == 0)
		rtt_us = 1;
	if (cc->min_rtt_us == 0 || rtt_us < cc->min_rtt_us)
		cc->min_rtt_us = rtt_us;
	if (!tcp_cc_in_slow_start(cc) || cc->cwnd < LATE_MIN_SEGMENTS * mss)
		return;
	late = min_u32(max_u32(cc->min_rtt_us / 8, LATE_MIN_US), LATE_MAX_US);
	if (rtt_us < cc->min_rtt_us + late) {
		cc->late_rounds = 0;
	} else if (++cc->late_rounds == LATE_ROUNDS) {
		cc->ssthresh = cc->cwnd;
		cc->late_rounds = 0;
	}
}

/* RFC 5681 4.1 asks for the initial window after one RTO; halving, as Linux, is gentler (RFC 2861). */
void
tcp_cc_idle(struct tcp_cc *cc, uint32_t idle_ms, uint32_t rto_ms, uint32_t mss)
{
	uint32_t floor = min_u32(TCP_CC_INITIAL_SEGMENTS * mss, cc->cwnd), cwnd = cc->cwnd;

	if (idle_ms < rto_ms)
		return;
	if (cc->ssthresh != TCP_CC_NO_THRESHOLD)
		cc->ssthresh = max_u32(cc->ssthresh, cwnd / 4 * 3);
	while (idle_ms >= rto_ms && cwnd > floor) {
		idle_ms -= rto_ms;
		cwnd /= 2;
	}
	cc->cwnd = max_u32(cwnd, floor);
}

uint32_t
tcp_prr_window(struct tcp_prr *p, uint32_t delivered, uint32_t pipe, uint32_t ssthresh,
	uint32_t mss, bool progress)
{
	int64_t send, limit;

	p->delivered += delivered;
	if (pipe > ssthresh && p->flight > 0) {
		send = ((int64_t)p->delivered * ssthresh + p->flight - 1) / p->flight - p->out;
	} else {
		limit = (int64_t)p->delivered - p->out;
		if (progress)
			limit = (limit > delivered ? limit : delivered) + mss;
		send = (int64_t)ssthresh - pipe;
		if (send > limit)
			send = limit;
	}
	if (p->out == 0 && send < mss)
		send = mss; /* the first retransmission always goes */
	return pipe + (send > 0 ? (uint32_t)send : 0);
}
