/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The size of the program's descriptor table, as the kernel would have it without us: select() and
 * pselect() look at no more bits than that, whatever number they are given, and programs rely on it
 * (select(getdtablesize(), ...) with an fd_set of 1024 bits). The kernel's real table is larger, for
 * the library's own descriptors lie above the program's.
 */
#ifndef PRELOAD_FD_SIZE_H
#define PRELOAD_FD_SIZE_H

#include <limits.h>
#include <stdatomic.h>

enum { FD_SIZE_MIN = 64, FD_SIZE_UNKNOWN = INT_MAX };

extern _Atomic int fd_size;

void fd_size_grow(int fd);

/* The program has a descriptor of this number now. Any thread, also in signal handlers. */
static inline void fd_size_note(int fd)
{
	if (__builtin_expect(fd >= atomic_load_explicit(&fd_size, memory_order_relaxed), 0))
		fd_size_grow(fd);
}

/* Find it out, if it is not known. To be called before the library opens its own descriptors. */
void fd_size_learn(void);
/* The first argument of select() as the kernel would cut it. errno is kept. */
int fd_size_cut(int n);

#endif
