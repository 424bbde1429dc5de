/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is to be done when libc or the kernel has just made a descriptor. If our table has an entry
 * for its number, somebody closed that number behind our back (by a system call in the program's own
 * code), and what the entry stood for is closed now: later calls on the number are the new file's.
 * What the library makes for itself is moved out of the program's way, see own_fds.h.
 *
 * Any thread, also in signal handlers. errno is kept.
 */
#ifndef PRELOAD_FD_NEW_H
#define PRELOAD_FD_NEW_H

#include "preload/fd.h"
#include "preload/fd_size.h"
#include "preload/own_fds.h"

#include <sys/socket.h>

int fd_new_slow(int fd, const void *caller);
void fd_new_keep_slow(int fd);

/* `fd`, or -1 where the call failed; `caller`: who asked for it. Returns the number it has then. */
static inline int fd_new(int fd, const void *caller)
{
	if (fd >= 0 && (fd_peek(fd) != NULL || atomic_load(&own_fds_exist) || fd >= fd_size))
		return fd_new_slow(fd, caller);
	return fd;
}

/* The same for a descriptor that is part of something (a stream) and has to keep its number. It is not
 * taken for the library's own: nobody would hear of its end. */
static inline void fd_new_keep(int fd)
{
	if (fd_peek(fd) != NULL || own_fds_has(fd) || fd >= fd_size)
		fd_new_keep_slow(fd);
}

static inline void fd_new_pair(int *a, int *b, const void *caller)
{
	*a = fd_new(*a, caller);
	*b = fd_new(*b, caller);
}

/* Those that came in control messages (SCM_RIGHTS). */
void fd_new_messages(const struct mmsghdr *msgs, int n, const void *caller);

/*
 * A call failed with `err`; has something been done that makes it worth another try? What waits in the
 * pool is given back. A call of the library itself (`caller`) may have numbers above the soft limit, until
 * fd_new_retried(), which is to follow the other try. errno is kept by that.
 */
bool fd_new_can_retry(int err, const void *caller);
void fd_new_retried(void);
/* Before a call of the library that only tells of missing numbers by what it leaves out (recvmsg).
 * A message must be there already, for nobody else can lift the limit meanwhile. True: fd_new_retried() is
 * to follow it. */
bool fd_new_lift_for(const void *caller);
/* Before a call that cannot be repeated. */
void fd_new_make_room(void);

#endif
