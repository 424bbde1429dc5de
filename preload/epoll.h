/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Epoll objects and the threads' sets for poll and select, as the rest of the folder sees them.
 */
#ifndef PRELOAD_EPOLL_H
#define PRELOAD_EPOLL_H

struct file;

/* fd_lock: the set has a watch on a stack half now; threads asleep in the kernel must see it. */
void epoll_ring(struct file *epoll);
/* fd_lock, child of fork(). */
void epoll_orphan(struct file *epoll);
/* The last reference is gone. Takes fd_lock itself. */
void epoll_destroy(struct file *epoll);

#endif
