/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much memory this process may still take, asked before DPDK maps what the settings want: its
 * ordinary pages are filled by the pools, and a host that runs out kills whom it likes.
 */
#ifndef NODES_EAL_MEMORY_H
#define NODES_EAL_MEMORY_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct memory_room {
	uint64_t mb;              /* the tightest limit leaves so much; UINT64_MAX: nobody says */
	char what[PATH_MAX + 64]; /* which one, in words */
};

/* MemAvailable, the memory cgroups of this process with all they stand in (version 1 and 2), RLIMIT_AS.
 * `root` stands before /proc and /sys: "" but in tests. */
void memory_room(const char *root, struct memory_room *out);

/* May this process lock any amount of memory? No RLIMIT_MEMLOCK; or CAP_IPC_LOCK, if that counts. */
bool memory_may_lock(bool capability_counts);

#endif
