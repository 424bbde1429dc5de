/* SPDX-License-Identifier: BSD-3-Clause */
/* SYN cookies: bits 24 up count periods, those below are the table's index; both are hidden by hashes. */
#include "stack/syn_cookie.h"
#include "stack/siphash.h"

#define MASK 0xffffffu

/* What peers really say: the floor, the default, tunnels, PPPoE, Ethernet, jumbo frames. */
static const uint16_t sizes[8] = {48, 536, 1220, 1360, 1440, 1452, 1460, 8960};

#define SIZES_N (sizeof(sizes) / sizeof(sizes[0]))

static uint32_t
hidden_flow(const uint64_t key[2], const struct syn_cookie_flow *f)
{
	return (uint32_t)siphash_2(key, (uint64_t)f->raddr << 32 | f->laddr,
		(uint32_t)f->rport << 16 | f->lport);
}

static uint32_t
proof(const uint64_t key[2], const struct syn_cookie_flow *f, uint32_t period)
{
	const uint64_t own[2] = {siphash_2(key, period, 0), siphash_2(key, period, 1)};

	return (uint32_t)siphash_2(own, (uint64_t)f->raddr << 32 | f->laddr,
		(uint64_t)f->irs << 32 | (uint32_t)f->rport << 16 | f->lport);
}

uint32_t
syn_cookie_make(const uint64_t key[2], const struct syn_cookie_flow *f, uint32_t period,
	uint16_t mss)
{
	uint32_t i = SIZES_N - 1;

	while (i > 0 && sizes[i] > mss)
		i--;
	return hidden_flow(key, f) + f->irs + (period << 24) + ((proof(key, f, period) + i) & MASK);
}

uint16_t
syn_cookie_check(const uint64_t key[2], const struct syn_cookie_flow *f, uint32_t period,
	uint32_t cookie)
{
	uint32_t x = cookie - hidden_flow(key, f) - f->irs;
	uint32_t age = (period - (x >> 24)) & 0xff, i;

	if (age >= SYN_COOKIE_PERIODS)
		return 0;
	i = (x - proof(key, f, period - age)) & MASK;
	return i < SIZES_N ? sizes[i] : 0;
}
