/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The descriptors that the library opens for itself: event descriptors, packet sockets, packet memory,
 * control sockets, whatever DPDK opens. A program may close every number that it does not know, or
 * give one to dup2(): these it must not reach. They lie above the numbers that programs expect.
 */
#ifndef PRELOAD_OWN_FDS_H
#define PRELOAD_OWN_FDS_H

#include "preload/fd.h"

#include <limits.h>
#include <sys/resource.h>

enum { OWN_FDS_WORD = sizeof(unsigned long) * CHAR_BIT };

/* One bit per number. */
extern _Atomic(unsigned long) own_fds_bits[FD_MAX / OWN_FDS_WORD];
/* The data path has been started, so there may be some. */
extern _Atomic bool own_fds_exist;

/* The data path starts; the first number for what is opened from now on is `floor`, or that of
 * own_fds_reserve(). Once more when it has started: DPDK has loaded its drivers by then. */
void own_fds_begin(int floor);
/* In a child of fork(): nothing of it is in use here. */
void own_fds_end(void);

int own_fds_floor(void);

/*
 * Where the hard limit is low (OWN_FDS_LOW_LIMIT or less), its last numbers are kept for the library,
 * OWN_FDS_RESERVE at most: the soft limit is lowered below them, so that the program has exactly what
 * getrlimit() tells it. Above that a few numbers in the middle of many do not matter, and keeping the
 * last ones would cost the kernel memory up to the limit. Called when the settings are read, and again
 * when the data path starts.
 */
enum { OWN_FDS_RESERVE = 64, OWN_FDS_LOW_LIMIT = 65536 };
void own_fds_reserve(void);
/* The limits as the program is to see them, and the other way round. */
void own_fds_show_limit(struct rlimit *lim);
void own_fds_take_limit(struct rlimit *lim);

/* Does the library ask, from `caller` (an address in it) or because this thread starts or stops the
 * data path? */
bool own_fds_calls(const void *caller);
/* Is it liblstack.so, or one of DPDK's libraries? */
struct dl_phdr_info;
bool own_fds_is_library(const struct dl_phdr_info *info);

/* The library has made `fd`. Returns the number it has now: it is moved above the floor where the
 * limit allows that, never left at 0 to 2, and then closed on exec. */
int own_fds_keep(int fd);
void own_fds_protect(int fd); /* where it is */
void own_fds_forget(int fd);
/* Only the move: the new number, or `fd` where there is no room. */
int own_fds_move(int fd);
/* The library's next descriptors may have numbers above the soft limit: held by this thread until
 * own_fds_unlift(), which does nothing where nothing is held, and keeps errno. False: the limit cannot
 * be lifted. */
bool own_fds_lift(void);
void own_fds_unlift(void);
/* dup3() for the library's own number `to`, which may be above the soft limit. -1: errno says why. */
int own_fds_replace(int fd, int to, int flags);

static inline bool own_fds_has(int fd)
{
	return (unsigned int)fd < FD_MAX &&
		(atomic_load_explicit(&own_fds_bits[fd / OWN_FDS_WORD], memory_order_relaxed) >>
				(fd % OWN_FDS_WORD) & 1);
}

#endif
