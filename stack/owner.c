/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering: which stack of an instance owns a packet. Alone in its file: ltran, which has no stack,
 * must come to the same result.
 */
#include "stack/edge.h"
#include "stack/mix.h"

/* Not keyed: a port's RSS must not matter, and every core and process computes the same. */
unsigned int
stack_owner_tcp(uint32_t saddr, uint16_t sport, uint32_t daddr, uint16_t dport,
	unsigned int n_stacks)
{
	uint64_t x;

	if (n_stacks == 1)
		return 0;
	x = ((uint64_t)saddr << 32) ^ daddr ^ ((uint64_t)sport << 48) ^ ((uint64_t)dport << 16);
	return (uint32_t)mix(x) % n_stacks;
}

unsigned int
stack_owner_udp(uint16_t dport, unsigned int n_stacks)
{
	return n_stacks == 1 ? 0 : __builtin_bswap16(dport) % n_stacks;
}
