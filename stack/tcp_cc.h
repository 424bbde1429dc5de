/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Congestion control: slow start with a delay-based exit, CUBIC (RFC 9438), proportional rate
 * reduction (RFC 9937), the window after idle time. Pure: no lwIP, no clock, no I/O.
 *
 * Windows are bytes, times microseconds unless named otherwise. struct tcp_cc is in every
 * connection; struct tcp_cubic only where a loss or the end of slow start has asked for it.
 */
#ifndef STACK_TCP_CC_H
#define STACK_TCP_CC_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_CC_INITIAL_SEGMENTS 10 /* RFC 6928 */
#define TCP_CC_NO_THRESHOLD UINT32_MAX

struct tcp_cc {
	uint32_t cwnd, ssthresh;
	uint32_t min_rtt_us; /* of the whole connection; 0: none yet */
	uint8_t late_rounds; /* round trips in a row whose sample showed a growing queue */
};

/* All zero: no loss so far. Windows here are segments, as in the RFC's formulas. */
struct tcp_cubic {
	uint64_t last_us; /* the last ACK that could grow the window; 0: no epoch */
	double t_s;       /* time of the epoch, without the time the program sent too little */
	double k_s, w_max, w_est, w_prior;
	double credit;    /* fraction of a byte still to be added */
};

struct tcp_prr {
	uint32_t flight; /* RecoverFS */
	uint32_t delivered, out;
};

void tcp_cc_init(struct tcp_cc *cc, uint32_t mss);

/* `acked` bytes have arrived and the window was in use. Below ssthresh `c` is not looked at. */
void tcp_cc_grow(struct tcp_cc *cc, struct tcp_cubic *c, uint32_t acked, uint32_t mss,
	uint32_t srtt_us, uint64_t now_us);

/* A loss: the new ssthresh is set, cwnd is left to what recovers (tcp_prr, or 1 MSS). */
void tcp_cc_loss(struct tcp_cc *cc, struct tcp_cubic *c, uint32_t mss);

/* One round-trip sample; ends slow start when a queue builds up (after RFC 9406). */
void tcp_cc_rtt(struct tcp_cc *cc, uint32_t rtt_us, uint32_t mss);

/* Nothing was in flight for idle_ms: the window is halved for every RTO of that. */
void tcp_cc_idle(struct tcp_cc *cc, uint32_t idle_ms, uint32_t rto_ms, uint32_t mss);

/* The window during recovery after `delivered` more bytes have arrived; `pipe` are in flight.
 * `progress`: the ACK advanced and reported no new loss. */
uint32_t tcp_prr_window(struct tcp_prr *p, uint32_t delivered, uint32_t pipe, uint32_t ssthresh,
	uint32_t mss, bool progress);

static inline bool
tcp_cc_in_slow_start(const struct tcp_cc *cc)
{
	return cc->cwnd < cc->ssthresh;
}

/*
 * Does the program use the window? `flight`: bytes that were outstanding before the ACK. In slow
 * start half of it is enough, as the window has doubled since they were sent (RFC 7661 4.1).
 */
static inline bool
tcp_cc_is_limited(const struct tcp_cc *cc, uint32_t flight, uint32_t mss)
{
	if (tcp_cc_in_slow_start(cc))
		return cc->cwnd < 2 * flight;
	return cc->cwnd < flight + 2 * mss;
}

#endif
