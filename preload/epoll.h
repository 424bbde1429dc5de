/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Epoll objects and the threads' sets for poll and select, as the rest of the folder sees them.
 */
#ifndef PRELOAD_EPOLL_H
#define PRELOAD_EPOLL_H

#include "preload/fd.h"

/* fd_lock: the set has a watch on a stack half now; threads asleep in the kernel must see it. */
void epoll_ring(struct file *epoll);
/* Somebody looks at the descriptor of this epoll object as at a file. */
void epoll_nest(struct file *epoll);

static inline bool epoll_must_nest(const struct file *f)
{
	return f->kind == FILE_EPOLL &&
		!atomic_load_explicit(&f->epoll.is_nested, memory_order_relaxed);
}

/* fd_lock, child of fork(). */
void epoll_orphan(struct file *epoll);
/* The last reference is gone. Takes fd_lock itself. */
void epoll_destroy(struct file *epoll);

#endif
