/* SPDX-License-Identifier: BSD-3-Clause */
/* A token bucket: how often something may happen. All zero is a full one. Holder of the core's stack
 * lock only. */
#ifndef NODES_TOKEN_BUCKET_H
#define NODES_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct token_bucket {
	uint32_t tokens;
	uint64_t refill_tsc; /* up to when tokens were added */
};

/* Take one token of a bucket that gets `per_s` of them a second and holds `burst`. `now` in TSC
 * cycles, `hz` of them a second. false: there is none. */
static inline bool
token_bucket_take(struct token_bucket *b, uint32_t per_s, uint32_t burst, uint64_t now, uint64_t hz)
{
	uint64_t per_token = hz / per_s, n = (now - b->refill_tsc) / per_token;

	if (n >= burst) {
		b->tokens = burst;
		b->refill_tsc = now;
	} else if (n > 0) {
		b->tokens = b->tokens + n < burst ? b->tokens + (uint32_t)n : burst;
		b->refill_tsc += n * per_token;
	}
	if (b->tokens == 0)
		return false;
	b->tokens--;
	return true;
}

#endif
