/* SPDX-License-Identifier: BSD-3-Clause */
/* The watches of a set that may be ready, oldest first. Under set->lock. */
#ifndef STACK_READY_FIFO_H
#define STACK_READY_FIFO_H

#include <stddef.h>

#include "stack/impl.h"

struct ready_fifo {
	struct ready_watch *first, **tail;
};

static inline void
fifo_append(struct ready_fifo *f, struct ready_watch *w)
{
	w->fifo_next = NULL;
	w->fifo_prev = f->tail;
	*f->tail = w;
	f->tail = &w->fifo_next;
}

/* It need not be there. */
static inline void
fifo_remove(struct ready_fifo *f, struct ready_watch *w)
{
	if (w->fifo_prev == NULL)
		return;
	*w->fifo_prev = w->fifo_next;
	if (w->fifo_next != NULL)
		w->fifo_next->fifo_prev = w->fifo_prev;
	else
		f->tail = w->fifo_prev;
	w->fifo_prev = NULL;
}

static inline struct ready_watch *
fifo_last(const struct ready_fifo *f)
{
	if (f->first == NULL)
		return NULL;
	return (struct ready_watch *)((char *)f->tail - offsetof(struct ready_watch, fifo_next));
}

/* Take over what was pushed to `in`, the newest first there. */
static inline void
fifo_collect(struct ready_fifo *f, _Atomic(struct ready_watch *) *in)
{
	struct ready_watch *w, *oldest = NULL;

	if (atomic_load_explicit(in, memory_order_relaxed) == NULL)
		return;
	w = atomic_exchange_explicit(in, NULL, memory_order_acquire);
	while (w != NULL) {
		struct ready_watch *next = w->in_next;

		w->in_next = oldest;
		oldest = w;
		w = next;
	}
	for (; oldest != NULL; oldest = oldest->in_next)
		fifo_append(f, oldest);
}

#endif
