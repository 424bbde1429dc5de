/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of instances that ltran has mapped can be taken away by its owner: it cuts the file short,
 * and the next access raises SIGBUS. Then anonymous pages take its place, the instance is marked
 * as broken, and ltran goes on. The same where an access goes on behind a region (vhost_memory.h):
 * SIGSEGV.
 */
#ifndef DISPATCHER_SIGBUS_H
#define DISPATCHER_SIGBUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define SIGBUS_SLOTS 1024 /* instances */
#define SIGBUS_REGIONS 8  /* librte_vhost takes no more of one instance */

struct sigbus_region {
	void *start;
	size_t bytes;
};

/* Once per process. 0 or -errno. */
int sigbus_install(void);

/* From now on these regions belong to `slot`; on a fault in one of them `*broken` is set. One thread
 * at a time for each slot. Regions above SIGBUS_REGIONS are left out. */
void sigbus_watch(unsigned int slot, const struct sigbus_region *regions, unsigned int n,
	_Atomic bool *broken);
void sigbus_forget(unsigned int slot);

/* The calling thread has said so, see below. */
bool sigbus_expects(void);

/* The calling thread is about to touch memory of an instance whose regions are not known yet; NULL:
 * it has finished. */
void sigbus_expect(_Atomic bool *broken);

#endif
