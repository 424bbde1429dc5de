/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timer wheel, see wheel.h.
 *
 * A slot is a list of batches of ids. An entry is never taken out before its time: cancelling and
 * moving to later only change the timer, and the entry is looked at when its slot comes, where it
 * fires, goes on to where it belongs now, or is dropped. Moving to earlier queues a second entry;
 * the first one then no longer matches at_ms. So a connection that arms its timer at every packet
 * has one entry, most of the time.
 *
 * Deadlines further away than one turn are queued at its end and looked at again there.
 */
#include "stack/wheel.h"

#include "stack/chunk.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 61
#define AT_MASK ((1u << 30) - 1)
#define LOOK_MAX 64 /* entries to look at for wheel_next_ms(): it must not make going to sleep slow */
#define AHEAD 4

struct wheel_batch {
	struct wheel_batch *next;
	uint32_t n;
	uint32_t ids[BATCH_MAX];
};

_Static_assert(sizeof(struct wheel_timer) * WHEEL_PAGE == CHUNK_BYTES, "a page is a chunk");

static struct slab batches = SLAB(sizeof(struct wheel_batch));
static struct slab pages = SLAB(CHUNK_BYTES);

void
wheel_init(struct wheel *w, uint32_t now_ms)
{
	memset(w, 0, sizeof(*w));
	w->now_ms = now_ms;
	w->n_ids = 1;
}

void
wheel_fini(struct wheel *w)
{
	for (uint32_t i = 0; i < WHEEL_SLOTS; i++) {
		while (w->slots[i] != NULL) {
			struct wheel_batch *b = w->slots[i];

			w->slots[i] = b->next;
			slab_give(&batches, b);
		}
	}
	for (uint32_t i = 0; i < WHEEL_PAGES && w->pages[i] != NULL; i++) {
		slab_give(&pages, w->pages[i]);
		w->pages[i] = NULL;
	}
}

uint32_t
wheel_add(struct wheel *w, void *owner)
{
	uint32_t id = w->free_id, page;

	if (id != 0) {
		w->free_id = wheel_timer(w, id)->deadline_ms;
	} else {
		page = w->n_ids / WHEEL_PAGE;
		if (page == WHEEL_PAGES)
			return 0;
		if (w->pages[page] == NULL) {
			w->pages[page] = slab_take(&pages);
			if (w->pages[page] == NULL)
				return 0;
			memset(w->pages[page], 0, CHUNK_BYTES);
		}
		id = w->n_ids++;
	}
	wheel_timer(w, id)->owner = owner;
	return id;
}

void
wheel_drop(struct wheel *w, uint32_t id)
{
	struct wheel_timer *t;

	if (id == 0)
		return;
	wheel_cancel(w, id);
	t = wheel_timer(w, id);
	t->owner = NULL;
	t->deadline_ms = w->free_id;
	w->free_id = id;
}

static void
queue(struct wheel *w, uint32_t id, uint32_t at)
{
	struct wheel_batch **slot = &w->slots[at % WHEEL_SLOTS], *b = *slot;
	struct wheel_timer *t = wheel_timer(w, id);

	if (b == NULL || b->n == BATCH_MAX) {
		b = slab_take(&batches);
		if (b == NULL)
			abort(); /* a connection without its clock would never end */
		b->n = 0;
		b->next = *slot;
		*slot = b;
	}
	b->ids[b->n++] = id;
	t->at_ms = at & AT_MASK;
	t->queued = 1;
}

/* at_ms as 32 bits again: it is at most one turn away from `near`. */
static inline int32_t
at_minus(const struct wheel_timer *t, uint32_t near)
{
	return (int32_t)((t->at_ms - near) << 2) >> 2;
}

void
wheel_arm(struct wheel *w, uint32_t id, uint32_t deadline_ms)
{
	struct wheel_timer *t = wheel_timer(w, id);
	uint32_t at = deadline_ms;

	w->armed += !t->armed;
	t->armed = 1;
	t->deadline_ms = deadline_ms;
	/* The slot of now_ms has been visited: the past goes into the next one. */
	if ((int32_t)(at - w->now_ms) <= 0)
		at = w->now_ms + 1;
	else if (at - w->now_ms >= WHEEL_SLOTS)
		at = w->now_ms + WHEEL_SLOTS - 1;
	if (!t->queued || at_minus(t, at) > 0)
		queue(w, id, at);
}

void
wheel_cancel(struct wheel *w, uint32_t id)
{
	struct wheel_timer *t = wheel_timer(w, id);

	w->armed -= t->armed;
	t->armed = 0;
}

/* The ids of the batch that are due at now_ms stay in it; the others go where they belong. */
static void
sift(struct wheel *w, struct wheel_batch *b, uint32_t slot_ms, uint32_t now_ms,
	const struct wheel_calls *calls)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct wheel_timer *t = wheel_timer(w, b->ids[i]);

		if (!t->queued || t->at_ms % WHEEL_SLOTS != slot_ms % WHEEL_SLOTS)
			continue; /* its entry is another one */
		if (t->at_ms != (slot_ms & AT_MASK)) { /* this slot, one turn later */
			queue(w, b->ids[i], slot_ms + (uint32_t)at_minus(t, slot_ms));
			continue;
		}
		t->queued = 0;
		if (!t->armed)
			continue;
		if ((int32_t)(t->deadline_ms - now_ms) > 0) {
			wheel_arm(w, b->ids[i], t->deadline_ms);
			continue;
		}
		if (calls->soon != NULL)
			calls->soon(t->owner);
		b->ids[n++] = b->ids[i];
	}
	b->n = n;
}

static void
fire(struct wheel *w, struct wheel_batch *b, uint32_t now_ms, const struct wheel_calls *calls,
	void *arg)
{
	for (uint32_t i = 0; i < b->n + AHEAD; i++) {
		struct wheel_timer *t;

		if (i < b->n && calls->next != NULL) {
			t = wheel_timer(w, b->ids[i]);
			if (t->armed)
				calls->next(t->owner);
		}
		if (i < AHEAD)
			continue;
		t = wheel_timer(w, b->ids[i - AHEAD]);
		/* An earlier one may have cancelled it, or moved it. */
		if (!t->armed || (int32_t)(t->deadline_ms - now_ms) > 0)
			continue;
		wheel_cancel(w, b->ids[i - AHEAD]);
		calls->fire(arg, t->owner);
	}
}

/* The slot is emptied first: fire() may queue into this very slot, one turn ahead. */
static void
advance_slot(struct wheel *w, uint32_t slot_ms, uint32_t now_ms, const struct wheel_calls *calls,
	void *arg)
{
	struct wheel_batch *b = w->slots[slot_ms % WHEEL_SLOTS];

	w->slots[slot_ms % WHEEL_SLOTS] = NULL;
	while (b != NULL) {
		struct wheel_batch *next = b->next;

		sift(w, b, slot_ms, now_ms, calls);
		fire(w, b, now_ms, calls, arg);
		slab_give(&batches, b);
		b = next;
	}
}

void
wheel_advance(struct wheel *w, uint32_t now_ms, const struct wheel_calls *calls, void *arg)
{
	uint32_t first = w->now_ms + 1, steps = now_ms - w->now_ms;

	if ((int32_t)steps <= 0)
		return;
	w->now_ms = now_ms;
	/* After a long pause: every slot once. What lies in it was queued for its last visit. */
	if (steps > WHEEL_SLOTS)
		steps = WHEEL_SLOTS;
	for (uint32_t i = 0; i < steps; i++)
		advance_slot(w, first + i, now_ms, calls, arg);
}

uint32_t
wheel_next_ms(const struct wheel *w, uint32_t now_ms)
{
	uint32_t at, looked = 0;

	if (w->armed == 0)
		return UINT32_MAX;
	for (at = w->now_ms + 1; at != w->now_ms + WHEEL_SLOTS; at++) {
		const struct wheel_batch *b = w->slots[at % WHEEL_SLOTS];
		bool due = false;

		for (; b != NULL && !due; b = b->next)
			for (uint32_t i = 0; i < b->n && !due; i++)
				due = looked++ == LOOK_MAX || wheel_armed(w, b->ids[i]);
		if (due)
			break;
	}
	return (int32_t)(at - now_ms) > 0 ? at - now_ms : 0;
}
