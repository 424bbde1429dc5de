/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timer wheel, 1 ms per slot. Arming, moving and cancelling cost O(1); a tick costs the entries in
 * its slot. Deadlines further away than one turn stay in their slot and are looked at once a turn
 * (4 s). Times are 32-bit milliseconds that may wrap. One owner, no lock.
 */
#ifndef STACK_WHEEL_H
#define STACK_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_SLOTS 4096

struct wheel_entry {
	struct wheel_entry *next, **prev; /* prev NULL: not armed */
	uint32_t deadline_ms;
};

struct wheel {
	struct wheel_entry *slots[WHEEL_SLOTS];
	uint32_t now_ms; /* slots up to here have been looked at */
	uint32_t armed;
};

void wheel_init(struct wheel *w, uint32_t now_ms);
/* (Re-)arm `e`; a deadline in the past fires at the next wheel_advance(). */
void wheel_arm(struct wheel *w, struct wheel_entry *e, uint32_t deadline_ms);
void wheel_cancel(struct wheel *w, struct wheel_entry *e);
/* Call fn for every entry due at now_ms; entries are disarmed before. fn may arm and cancel any. */
void wheel_advance(struct wheel *w, uint32_t now_ms, void (*fn)(void *arg, struct wheel_entry *e),
	void *arg);

/* Milliseconds from `now_ms` until something may be due: 0 if it is already, at most one turn, or
 * UINT32_MAX: nothing is armed. Never too late; where a slot is crowded perhaps too early. */
uint32_t wheel_next_ms(const struct wheel *w, uint32_t now_ms);

static inline bool
wheel_armed(const struct wheel_entry *e)
{
	return e->prev != 0;
}

#endif
