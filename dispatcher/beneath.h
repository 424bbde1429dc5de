/* SPDX-License-Identifier: BSD-3-Clause */
/* Names in directories of users who may be hostile. */
#ifndef DISPATCHER_BENEATH_H
#define DISPATCHER_BENEATH_H

/* Opens `path` in directory `dir` without following a link and without entering another file system, which
 * could belong to a process that never answers. `flags` of open(2); O_CLOEXEC is added. A descriptor or
 * -errno; -EXDEV: something is mounted there, -ELOOP: a link. */
int beneath_open(int dir, const char *path, int flags);

#endif
