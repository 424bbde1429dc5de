/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timer wheel, 1 ms per slot. Arming, moving and cancelling cost O(1) and touch nothing but a few
 * dense bytes of the timer itself: among 100,000 connections their neighbours' memory is far away.
 * A tick costs the entries of its slot. Times are 32-bit milliseconds that may wrap. One owner, no
 * lock.
 *
 * A timer has an owner, a pointer of the caller's. A timer id is never 0.
 */
#ifndef STACK_WHEEL_H
#define STACK_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_SLOTS 4096
#define WHEEL_PAGE 4096   /* timers per page */
#define WHEEL_PAGES 4096

struct wheel_timer {
	void *owner;          /* NULL: this id is free */
	uint32_t deadline_ms; /* when armed; free: the next free id */
	uint32_t at_ms : 30;  /* when queued: low bits of the slot's time */
	uint32_t queued : 1;  /* in a slot */
	uint32_t armed : 1;
};

struct wheel_batch;

struct wheel {
	struct wheel_batch *slots[WHEEL_SLOTS];
	struct wheel_timer *pages[WHEEL_PAGES];
	struct wheel_batch *spare;
	uint32_t now_ms; /* slots up to here have been looked at */
	uint32_t armed;
	uint32_t n_ids, free_id;
};

/* What a due timer needs from its owner's memory, while others are handled: may be NULL. */
struct wheel_calls {
	void (*soon)(void *owner); /* prefetch what the owner is */
	void (*next)(void *owner); /* prefetch what the owner points to */
	void (*fire)(void *arg, void *owner);
};

void wheel_init(struct wheel *w, uint32_t now_ms);
void wheel_fini(struct wheel *w);
uint32_t wheel_add(struct wheel *w, void *owner); /* 0: no memory */
void wheel_drop(struct wheel *w, uint32_t id);    /* 0 is ignored */
/* (Re-)arm; a deadline in the past fires at the next wheel_advance(). */
void wheel_arm(struct wheel *w, uint32_t id, uint32_t deadline_ms);
void wheel_cancel(struct wheel *w, uint32_t id);
/* Fire every timer due at now_ms; it is disarmed before. fire() may arm, cancel and drop any. */
void wheel_advance(struct wheel *w, uint32_t now_ms, const struct wheel_calls *calls, void *arg);
/* Milliseconds from `now_ms` until something may be due: 0 if it is already, at most one turn, or
 * UINT32_MAX: nothing is armed. Never too late; where a slot is crowded perhaps too early. */
uint32_t wheel_next_ms(const struct wheel *w, uint32_t now_ms);

static inline struct wheel_timer *
wheel_timer(const struct wheel *w, uint32_t id)
{
	return &w->pages[id / WHEEL_PAGE][id % WHEEL_PAGE];
}

static inline bool
wheel_armed(const struct wheel *w, uint32_t id)
{
	return wheel_timer(w, id)->armed;
}

#endif
