/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SYN cookies (RFC 4987 3.6): an initial sequence number that says what a listener must know of a SYN
 * it has not kept. It holds, over a keyed hash of the connection and the peer's sequence number, the
 * time in units of 64 s and which MSS of a table the peer has room for. It is accepted in its own
 * period and the next one. The key that proves it changes with the period. Blind guessing meets 16 of
 * 2^32 values. Pure; addresses and ports in any one byte order.
 */
#ifndef STACK_SYN_COOKIE_H
#define STACK_SYN_COOKIE_H

#include <stdint.h>

#define SYN_COOKIE_PERIOD_MS 64000
#define SYN_COOKIE_PERIODS 2 /* in which it is accepted */

struct syn_cookie_flow {
	uint32_t raddr, laddr;
	uint16_t rport, lport;
	uint32_t irs; /* sequence number of the peer's SYN */
};

uint32_t syn_cookie_make(const uint64_t key[2], const struct syn_cookie_flow *f, uint32_t period,
	uint16_t mss);
/* The MSS (not more than the peer's) that is in a cookie, 0: it is none of ours, or too old. */
uint16_t syn_cookie_check(const uint64_t key[2], const struct syn_cookie_flow *f, uint32_t period,
	uint32_t cookie);

#endif
