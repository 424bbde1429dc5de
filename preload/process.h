/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process that the stack belongs to, and the children that are copies of it.
 *
 * A child that libc's fork() makes passes the handlers in boot.c. Others come past them: clone() without
 * CLONE_VM, _Fork(), system calls by number or in the program's own code. Such a child has a copy of every
 * lock and every pointer, and the rings, the packet memory and the sockets behind them are its parent's.
 * It must not touch any of it.
 *
 * What leads there is therefore in memory that the kernel clears in every child whose memory is a copy
 * (MADV_WIPEONFORK, Linux 4.14): the table of descriptors, the state of the data path, and `is_own`. In
 * such a child no number is ours and there is no data path, so each call is libc's. Only in a child of
 * fork() the handlers put everything back. A child with CLONE_VM shares the memory and is not meant here
 * (fd_table.h).
 */
#ifndef PRELOAD_PROCESS_H
#define PRELOAD_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>

#if defined(__x86_64__)
#define PROCESS_PAGE 4096
#else
#define PROCESS_PAGE 65536 /* the largest page that a kernel may have */
#endif

enum { PROCESS_FD_PAGES = 1024 };

struct fd_page;

/* All zero at the start of a process and in the children described above. */
struct process {
	_Atomic(struct fd_page *) fd_pages[PROCESS_FD_PAGES]; /* fd.h */
	_Atomic int boot_state;                               /* enum boot_state */
	bool is_own; /* plain, so that a look at it is one instruction; no thread of the process changes it */
} __attribute__((aligned(PROCESS_PAGE)));

extern struct process process __attribute__((visibility("hidden")));

/*
 * Is this a process of ours, and not a child that came past the handlers of fork()? If not, the caller
 * leaves the call to libc and takes no lock: another thread of the parent may have had it. Any thread,
 * also in signal handlers.
 */
static inline bool process_is_own(void)
{
	return __builtin_expect(process.is_own, 1);
}

/* The process is ours from now on. False: the kernel does not clear memory in children. */
bool process_begin(void);
/* Before fork(), and in its child. What is kept is what is there: also nothing. One thread at a time. */
void process_keep(void);
void process_restore(void);

#endif
