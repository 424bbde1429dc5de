/* SPDX-License-Identifier: BSD-3-Clause */
/* What every lwIP image calls outside itself: initial sequence numbers, randomness. Assertions are
 * in lwip_guard.c. */
#include <stdint.h>
#include <sys/random.h>
#include <time.h>

#include "lwipopts.h"

#include "arch/cc.h"

static uint64_t isn_key[2];

__attribute__((constructor)) static void
hooks_init(void)
{
	if (getrandom(isn_key, sizeof(isn_key), GRND_NONBLOCK) != sizeof(isn_key))
		isn_key[0] = (uint64_t)time(NULL);
}

static inline uint64_t
rotl(uint64_t x, int b)
{
	return (x << b) | (x >> (64 - b));
}

/* SipHash-2-4 of two words (Aumasson, Bernstein 2012). */
static uint64_t
siphash(uint64_t m0, uint64_t m1)
{
	uint64_t v0 = isn_key[0] ^ 0x736f6d6570736575ull, v1 = isn_key[1] ^ 0x646f72616e646f6dull;
	uint64_t v2 = isn_key[0] ^ 0x6c7967656e657261ull, v3 = isn_key[1] ^ 0x7465646279746573ull;
	const uint64_t words[3] = {m0, m1, (uint64_t)16 << 56};

	for (int i = 0; i < 3 + 2; i++) {
		int rounds = 2;

		if (i < 3)
			v3 ^= words[i];
		else if (i == 3)
			v2 ^= 0xff;
		for (int r = 0; r < rounds; r++) {
			v0 += v1, v1 = rotl(v1, 13) ^ v0, v0 = rotl(v0, 32);
			v2 += v3, v3 = rotl(v3, 16) ^ v2;
			v0 += v3, v3 = rotl(v3, 21) ^ v0;
			v2 += v1, v1 = rotl(v1, 17) ^ v2, v2 = rotl(v2, 32);
		}
		if (i < 3)
			v0 ^= words[i];
	}
	return v0 ^ v1 ^ v2 ^ v3;
}

/* RFC 6528: a 4 us clock plus a keyed hash of the connection. */
uint32_t
stack_hook_isn(const struct ip4_addr *local_ip, uint16_t local_port,
	const struct ip4_addr *remote_ip, uint16_t remote_port)
{
	uint32_t l = *(const uint32_t *)local_ip, r = *(const uint32_t *)remote_ip;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint32_t)siphash(((uint64_t)l << 32) | r,
		       ((uint32_t)local_port << 16) | remote_port) +
	       (uint32_t)(ts.tv_sec * 250000 + ts.tv_nsec / 4000);
}

uint32_t
stack_hook_random(void)
{
	uint32_t r;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)siphash((uint64_t)clock(), 0);
	return r;
}
