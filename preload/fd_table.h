/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads and children that share our memory and not the kernel's descriptor table: by
 * unshare(CLONE_FILES), close_range(CLOSE_RANGE_UNSHARE), or clone(CLONE_VM) without CLONE_FILES. To
 * them a number is another file than to the others. All their calls are the kernel's.
 */
#ifndef PRELOAD_FD_TABLE_H
#define PRELOAD_FD_TABLE_H

#include "preload/fd_check.h"

#include <pthread.h>

bool fd_table_ask(void);

/* Does the caller have a descriptor table that is not the program's? One load where nobody has. */
static inline bool fd_table_is_other(void)
{
	return __builtin_expect(
		       atomic_load_explicit(&fd_checks, memory_order_relaxed) & FD_CHECK_TABLES, 0) &&
		fd_table_ask();
}

/* Is the caller a child with the program's memory, but with signal handlers of its own? False as soon as
 * there has been one that shares them. */
bool fd_table_ask_handlers(void);
static inline bool fd_table_has_own_handlers(void)
{
	return __builtin_expect(
		       atomic_load_explicit(&fd_checks, memory_order_relaxed) & FD_CHECK_TABLES, 0) &&
		fd_table_ask_handlers();
}

/* This thread has just left the program's table. */
void fd_table_leave(void);
/* Are there threads of the program that would keep the table? If not, leaving it does nothing. */
bool fd_table_is_shared(void);
/* pthread_create(), for the program or for the library: the new thread has its creator's table. */
int fd_table_create_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
	void *arg, const void *caller);
/* fork(), in the child. */
void fd_table_in_child(void);

/* Before system call `number` with first argument `first` makes a child, which may return twice. */
void fd_table_before(long number, long first) __attribute__((visibility("hidden"), used));

#endif
