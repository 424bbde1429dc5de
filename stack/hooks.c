/* SPDX-License-Identifier: BSD-3-Clause */
/* What every lwIP image calls outside itself: initial sequence numbers, randomness. Assertions are
 * in lwip_guard.c. */
#include <stdint.h>
#include <sys/random.h>
#include <time.h>

#include "lwipopts.h"

#include "arch/cc.h"
#include "stack/siphash.h"

/* RFC 6528: a 4 us clock plus a keyed hash of the connection. */
uint32_t
stack_hook_isn(const struct ip4_addr *local_ip, uint16_t local_port,
	const struct ip4_addr *remote_ip, uint16_t remote_port)
{
	uint32_t l = *(const uint32_t *)local_ip, r = *(const uint32_t *)remote_ip;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint32_t)siphash_2(stack_secrets.isn, ((uint64_t)l << 32) | r,
		       ((uint32_t)local_port << 16) | remote_port) +
	       (uint32_t)(ts.tv_sec * 250000 + ts.tv_nsec / 4000);
}

uint32_t
stack_hook_random(void)
{
	uint32_t r;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)siphash_2(stack_secrets.isn, (uint64_t)clock(), 0);
	return r;
}
