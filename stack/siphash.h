/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SipHash (Aumasson, Bernstein 2012) of a message of whole 64-bit words, and the keys of this
 * process. Who does not know the key can neither predict the result nor find two messages with the
 * same one, however many results he sees.
 */
#ifndef STACK_SIPHASH_H
#define STACK_SIPHASH_H

#include <stdint.h>

#define SIPHASH_ROUND(v0, v1, v2, v3)                                                              \
	do {                                                                                       \
		v0 += v1, v1 = v1 << 13 | v1 >> 51, v1 ^= v0, v0 = v0 << 32 | v0 >> 32;            \
		v2 += v3, v3 = v3 << 16 | v3 >> 48, v3 ^= v2;                                      \
		v0 += v3, v3 = v3 << 21 | v3 >> 43, v3 ^= v0;                                      \
		v2 += v1, v1 = v1 << 17 | v1 >> 47, v1 ^= v2, v2 = v2 << 32 | v2 >> 32;            \
	} while (0)

/* SipHash-c-d of n words, as if they lay in memory little-endian. */
static inline uint64_t __attribute__((always_inline))
siphash_words(const uint64_t key[2], const uint64_t *m, unsigned int n, unsigned int c,
	unsigned int d)
{
	uint64_t v0 = key[0] ^ 0x736f6d6570736575ull, v1 = key[1] ^ 0x646f72616e646f6dull;
	uint64_t v2 = key[0] ^ 0x6c7967656e657261ull, v3 = key[1] ^ 0x7465646279746573ull;

	for (unsigned int i = 0; i <= n; i++) {
		uint64_t word = i < n ? m[i] : (uint64_t)n * 8 << 56;

		v3 ^= word;
		for (unsigned int r = 0; r < c; r++)
			SIPHASH_ROUND(v0, v1, v2, v3);
		v0 ^= word;
	}
	v2 ^= 0xff;
	for (unsigned int r = 0; r < d; r++)
		SIPHASH_ROUND(v0, v1, v2, v3);
	return v0 ^ v1 ^ v2 ^ v3;
}

/* SipHash-2-4: where a result is shown to others. */
static inline uint64_t
siphash_2(const uint64_t key[2], uint64_t m0, uint64_t m1)
{
	const uint64_t m[2] = {m0, m1};

	return siphash_words(key, m, 2, 2, 4);
}

struct stack_secrets {
	uint64_t isn[2], ports[2], cookie[2], table[2];
};

extern struct stack_secrets stack_secrets; /* constant after the first stack_secrets_init() */
int stack_secrets_init(void);              /* from getrandom(); 0 or -errno; may be repeated */

#endif
