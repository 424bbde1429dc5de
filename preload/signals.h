/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals must end a wait that spins in user space, as they end a system call, and must not meet
 * this thread in a section (thread.h): the program's handlers run behind a trampoline that counts
 * them per thread and puts them off where it has to.
 */
#ifndef PRELOAD_SIGNALS_H
#define PRELOAD_SIGNALS_H

#include "preload/libc.h"
#include "preload/thread.h"

#include <stdatomic.h>
#include <stdint.h>

struct signals_seen {
	uint32_t all;
	uint32_t interrupting; /* those whose handler was installed without SA_RESTART */
};

/* What this thread has handled so far. */
struct signals_seen signals_seen(void);
/* Between the two a handled signal also writes to the eventfd `fd`, because it may arrive after
 * the last look at the counters and before the thread sleeps. */
void signals_sleep_begin(int fd);
void signals_sleep_end(void);

void signals_init(void); /* once, when it is known that the process is ours */
/* What was put off in a section runs now, see thread.h. */
void signals_deliver(void);

#endif
