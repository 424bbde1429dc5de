/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a thread has found when it ran the stacks, since the last time it found something. Per thread, no
 * lock. A watch that was queued before is nothing found: its socket may long be read empty, perhaps by
 * another thread, and blocking calls and poll(), which look at the sockets, collect only before they sleep.
 *
 * With low_power_mode a thread spins for a while before it sleeps, and yields meanwhile. Where others
 * compute on its core a yield costs it their time slices, milliseconds; who sleeps has the core as soon as
 * a packet wakes him. So once that is seen it sleeps without spinning for a time. Without low_power_mode
 * it spins for ever and no wire can be armed; on such a core it still spins for a while, because an answer
 * may be a few microseconds away, but does not yield, and then sleeps for NAP_US, or until one of its own
 * sockets has something.
 */
#ifndef STACK_IDLE_H
#define STACK_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/impl.h"

struct idle {
	unsigned int runs;
	uint64_t tsc;         /* spent in vain */
	uint64_t crowded_tsc; /* until then it does not spin; 0: it does */
};

static inline void
idle_end(struct idle *i)
{
	i->runs = 0;
	i->tsc = 0;
}

static inline bool
idle_is_crowded(struct idle *i)
{
	if (__builtin_expect(i->crowded_tsc == 0, 1))
		return false;
	if (stack_tsc() < i->crowded_tsc)
		return true;
	i->crowded_tsc = 0;
	return false;
}

#endif
