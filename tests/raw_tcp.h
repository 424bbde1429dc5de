/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A peer that is not a stack: segments made by hand go to side B of the simulated wire, and what B
 * answers to an address that nobody has is kept. For suites of sim.c.
 */
#ifndef TESTS_RAW_TCP_H
#define TESTS_RAW_TCP_H

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim.h"

enum { RAW_FIN = 1, RAW_SYN = 2, RAW_RST = 4, RAW_PSH = 8, RAW_ACK = 16 };

struct raw_tcp {
	uint32_t addr;        /* of the peer, host byte order; 0: side A's */
	uint16_t sport, dport; /* host byte order */
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t wnd;
	const uint8_t *opt;
	uint8_t opt_len; /* multiple of 4 */
	const void *data;
	uint16_t len;
};

static inline void
raw_put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v & 0xff;
}

static inline void
raw_put32(uint8_t *p, uint32_t v)
{
	raw_put16(p, v >> 16);
	raw_put16(p + 2, v & 0xffff);
}

static inline uint16_t
raw_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
raw_get32(const uint8_t *p)
{
	return (uint32_t)raw_get16(p) << 16 | raw_get16(p + 2);
}

static inline void
raw_send(const struct raw_tcp *t)
{
	uint8_t p[2048] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6};
	uint8_t *h = p + 20;
	uint16_t all = 40 + t->opt_len + t->len;

	raw_put16(p + 2, all);
	raw_put32(p + 12, t->addr != 0 ? t->addr : ntohl(sim_addr(SIM_A, 0).sin_addr.s_addr));
	raw_put32(p + 16, ntohl(sim_addr(SIM_B, 0).sin_addr.s_addr));
	raw_put16(h, t->sport);
	raw_put16(h + 2, t->dport);
	raw_put32(h + 4, t->seq);
	raw_put32(h + 8, t->ack);
	h[12] = (20 + t->opt_len) / 4 << 4;
	h[13] = t->flags;
	raw_put16(h + 14, t->wnd);
	if (t->opt_len > 0)
		memcpy(h + 20, t->opt, t->opt_len);
	if (t->len > 0)
		memcpy(h + 20 + t->opt_len, t->data, t->len);
	sim_inject(SIM_B, p, all);
}

/* A segment that B has sent to a raw peer. */
struct raw_seen {
	uint32_t addr;
	uint16_t sport, dport, wnd;
	uint32_t seq, ack, len;
	uint8_t flags, opt_len, opt[40];
};

#define RAW_SEEN_MAX 4096

static struct raw_seen raw_seen[RAW_SEEN_MAX];
static unsigned int raw_n; /* all that came; the last RAW_SEEN_MAX are kept */

static inline const struct raw_seen *
raw_last(void)
{
	static const struct raw_seen none;

	return raw_n == 0 ? &none : &raw_seen[(raw_n - 1) % RAW_SEEN_MAX];
}

/* sim_wire.tap: what is for side A is left to it. */
static inline bool
raw_tap(int from, const uint8_t *ip, uint32_t len)
{
	struct raw_seen *s = &raw_seen[raw_n % RAW_SEEN_MAX];
	const uint8_t *h = ip + (ip[0] & 15) * 4;

	if (from != SIM_B || ip[9] != 6 ||
		raw_get32(ip + 16) == ntohl(sim_addr(SIM_A, 0).sin_addr.s_addr))
		return false;
	memset(s, 0, sizeof(*s));
	s->addr = raw_get32(ip + 16);
	s->sport = raw_get16(h);
	s->dport = raw_get16(h + 2);
	s->seq = raw_get32(h + 4);
	s->ack = raw_get32(h + 8);
	s->flags = h[13];
	s->wnd = raw_get16(h + 14);
	s->opt_len = (h[12] >> 4) * 4 - 20;
	memcpy(s->opt, h + 20, s->opt_len);
	s->len = len - (uint32_t)(h - ip) - 20 - s->opt_len;
	raw_n++;
	return true;
}

#endif
