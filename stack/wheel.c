/* SPDX-License-Identifier: BSD-3-Clause */
/* Timer wheel, see wheel.h. */
#include "stack/wheel.h"

#include <stddef.h>
#include <string.h>

void
wheel_init(struct wheel *w, uint32_t now_ms)
{
	memset(w, 0, sizeof(*w));
	w->now_ms = now_ms;
}

void
wheel_cancel(struct wheel *w, struct wheel_entry *e)
{
	if (e->prev == NULL)
		return;
	*e->prev = e->next;
	if (e->next != NULL)
		e->next->prev = e->prev;
	e->prev = NULL;
	w->armed--;
}

void
wheel_arm(struct wheel *w, struct wheel_entry *e, uint32_t deadline_ms)
{
	uint32_t at = deadline_ms;
	struct wheel_entry **slot;

	wheel_cancel(w, e);
	/* The slot of now_ms has been visited: the past goes into the next one. */
	if ((int32_t)(at - w->now_ms) <= 0)
		at = w->now_ms + 1;
	slot = &w->slots[at % WHEEL_SLOTS];
	e->deadline_ms = deadline_ms;
	e->next = *slot;
	if (e->next != NULL)
		e->next->prev = &e->next;
	e->prev = slot;
	*slot = e;
	w->armed++;
}

/*
 * The slot is moved to a private list first: fn may arm entries into this very slot (one turn
 * ahead) and cancel entries that are still to be visited, both without confusing the loop.
 */
static void
advance_slot(struct wheel *w, uint32_t slot, uint32_t now_ms,
	void (*fn)(void *arg, struct wheel_entry *e), void *arg)
{
	struct wheel_entry *todo = w->slots[slot];
	struct wheel_entry *e;

	w->slots[slot] = NULL;
	if (todo != NULL)
		todo->prev = &todo;
	while ((e = todo) != NULL) {
		todo = e->next;
		if (todo != NULL)
			todo->prev = &todo;
		e->prev = NULL;
		w->armed--;
		if ((int32_t)(e->deadline_ms - now_ms) <= 0)
			fn(arg, e);
		else
			wheel_arm(w, e, e->deadline_ms);
	}
}

void
wheel_advance(struct wheel *w, uint32_t now_ms, void (*fn)(void *arg, struct wheel_entry *e),
	void *arg)
{
	uint32_t steps = now_ms - w->now_ms;
	uint32_t first = w->now_ms + 1;

	if ((int32_t)steps <= 0)
		return;
	w->now_ms = now_ms;
	if (steps > WHEEL_SLOTS) {
		first = now_ms - WHEEL_SLOTS + 1;
		steps = WHEEL_SLOTS;
	}
	for (uint32_t i = 0; i < steps && w->armed > 0; i++)
		advance_slot(w, (first + i) % WHEEL_SLOTS, now_ms, fn, arg);
}

#define LOOK_MAX 64 /* entries of later turns to look at: they must not make going to sleep slow */

uint32_t
wheel_next_ms(const struct wheel *w, uint32_t now_ms)
{
	uint32_t at, looked = 0;

	if (w->armed == 0)
		return UINT32_MAX;
	for (at = w->now_ms + 1; at != w->now_ms + WHEEL_SLOTS; at++) {
		const struct wheel_entry *e = w->slots[at % WHEEL_SLOTS];

		for (; e != NULL && looked < LOOK_MAX; e = e->next, looked++)
			if ((int32_t)(e->deadline_ms - at) <= 0)
				break;
		if (e != NULL)
			break;
	}
	return (int32_t)(at - now_ms) > 0 ? at - now_ms : 0;
}
