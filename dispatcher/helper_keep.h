/* SPDX-License-Identifier: BSD-3-Clause */
/* The helper's request about memory of instances; see helper_keep.c. */
#ifndef DISPATCHER_HELPER_KEEP_H
#define DISPATCHER_HELPER_KEEP_H

#include <sys/types.h>

#define HELPER_FDS_MAX 8 /* in one request */

/* Nobody can punch holes into these files of user `uid` from now on. 0, with a descriptor in *end that hangs
 * up when it has been done, or -1 there: it has been done, or cannot be. -EBUSY: the user makes too many
 * wait. */
int helper_keep(const int *fds, unsigned int n, uid_t uid, int *end);
/* The same in the calling process, which waits. */
void helper_keep_here(const int *fds, unsigned int n);

#endif
