/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The directories that DPDK's environment makes at its start: BASE/dpdk/gazelle_PID. Most processes of
 * ours put nothing in there; then they are removed again at once, so that /tmp/dpdk of the first user
 * does not stand in everybody's way.
 */
#ifndef NODES_EAL_RUNTIME_H
#define NODES_EAL_RUNTIME_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define EAL_FILE_PREFIX "gazelle_"

/* BASE/dpdk as DPDK chooses it: $RUNTIME_DIRECTORY, /var/run for root, $XDG_RUNTIME_DIR, /tmp. */
void eal_runtime_dir(char dir[PATH_MAX]);

/* May this process keep files in `dir`? False: another user has made it, or could change it. A
 * directory that is not there yet will be ours. */
bool eal_runtime_is_ours(const char *dir);

/* The directory of process `pid` in `dir`, with what is in it; `dir` itself if it is empty then and in
 * /tmp, where all users meet. Only what belongs to us, and no symbolic link is followed. */
void eal_runtime_remove(const char *dir, int pid);

/* Those of processes that were killed. */
void eal_runtime_remove_stale(const char *dir);

#endif
