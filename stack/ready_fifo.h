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

#endif
