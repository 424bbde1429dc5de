/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libc's own versions of the intercepted calls: the folder's only way into the kernel.
 */
#ifndef PRELOAD_LIBC_H
#define PRELOAD_LIBC_H

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <wchar.h>

struct libc_calls {
#define ANY(ret, name, params, args) ret(*name) params;
#include "intercept.def"
};

/* Filled at the first call of any member, also before any constructor has run. What this libc does
 * not have fails with ENOSYS. */
extern struct libc_calls libc __attribute__((visibility("hidden")));
/* It is filled. Looking functions up needs memory, which a caller may be about to set up. */
extern bool libc_is_known __attribute__((visibility("hidden")));

static inline long libc_result(long r)
{
	return r < 0 ? -errno : r;
}

#endif
