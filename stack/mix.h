/* SPDX-License-Identifier: BSD-3-Clause */
/* A mixer of 64 bits, for hashes that need no key. */
#ifndef STACK_MIX_H
#define STACK_MIX_H

#include <stdint.h>

static inline uint64_t
mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	return x;
}

#endif
