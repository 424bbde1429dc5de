/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watches: the many-to-many relation between files and the sets that look at them (epoll objects,
 * and the sets each thread keeps for poll, select and blocking calls).
 */
#ifndef PRELOAD_WATCH_H
#define PRELOAD_WATCH_H

#include "preload/fd.h"

#include <stdbool.h>
#include <stdint.h>

/* All fields: fd_lock. */
struct watch {
	LIST_ENTRY(watch) in_file, in_set;
	struct watch_set *set;
	struct file *file;         /* no reference: file_release() removes the watch */
	struct file *epoll;        /* whose set it is; NULL: a thread's */
	_Atomic(struct watch *) *owner; /* a thread's own pointer to it, cleared when it goes */
	int fd;
	uint32_t events;
	uint64_t data;
	struct ready_watch *ready; /* NULL while the file has no stack half */
	bool is_exclusive;         /* epoll: made with EPOLLEXCLUSIVE, which cannot be changed */
	bool in_kernel;            /* its kernel half is in the kernel's set as well */
};

/* All under fd_lock; 0 or -errno. watch_new() attaches at once where there is a stack half. */
int watch_new(struct watch_set *set, struct file *epoll, struct file *f, int fd, uint32_t events,
	uint64_t data, struct watch **out);
void watch_free(struct watch *w);
void watch_give(struct watch *w); /* only its memory */
/* The stack half has come. */
int watch_attach(struct watch *w);
/* Threads that sleep on the set look again. */
void watch_wake(struct watch *w);
/* The stack half goes. */
void watch_detach(struct watch *w);
/* Drop all watches of a set, and the set. */
void watch_set_clear(struct watch_set *set);
/* fork(), in the child: forget the parent's side of it without touching it. */
void watch_set_orphan(struct watch_set *set);

#endif
