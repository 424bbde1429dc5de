/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Low descriptor numbers are the program's. The data path opens a good hundred descriptors of its
 * own when it starts (packet memory, rings, event descriptors); programs that size tables by the
 * connections they expect (wrk, everything on the "ae" event loop) would find theirs beyond the end.
 * While the data path starts, the low numbers are taken, so that its own come out above.
 */
#ifndef PRELOAD_LOW_FDS_H
#define PRELOAD_LOW_FDS_H

#include <sys/resource.h>

enum { LOW_FDS_MAX = 1024 };

struct low_fds {
	struct rlimit old; /* of RLIMIT_NOFILE */
	int fds[LOW_FDS_MAX];
	int n, floor;
};

/*
 * First number for the library's own descriptors, where the soft limit is `soft` and the hard one
 * `hard`: LOW_FDS_MAX, or as much as leaves enough room below the hard limit.
 */
int low_fds_floor(rlim_t soft, rlim_t hard);

/*
 * Take every free number below the floor, and lift the soft limit to the hard one so that there is
 * room above. Whatever fails leaves less taken: not an error. Any thread; pair with low_fds_give().
 */
void low_fds_take(struct low_fds *l);

/* Give the numbers back and restore the soft limit; descriptors above it stay open. */
void low_fds_give(struct low_fds *l);

#endif
