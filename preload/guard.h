/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guard (syscall_guard=1): system calls in the code of the program and of its libraries are stopped
 * by the kernel and served as if they had been made through libc. See guard.c.
 */
#ifndef PRELOAD_GUARD_H
#define PRELOAD_GUARD_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

extern _Atomic bool guard_is_on __attribute__((visibility("hidden")));

/* Put this thread, and every thread that it makes from now on, under guard. 0, or -errno with the
 * reason in `why`. */
int guard_start(const char **why);

/* In a child of fork(): the kernel's side of it is not inherited. */
void guard_after_fork(void);

/* The guard's own signal must be let through, whatever the program blocks. */
static inline void guard_unblock(sigset_t *set)
{
	if (atomic_load_explicit(&guard_is_on, memory_order_relaxed))
		sigdelset(set, SIGSYS);
}

/* The system call rt_sigaction while the guard is on; a result or -errno. */
long guard_kernel_action(int sig, const void *set, void *old, size_t size);

/* `mask` of a call that waits, or a copy in `room`; one that is not there is left to the kernel. */
const sigset_t *guard_mask(const sigset_t *mask, sigset_t *room);

/* sigaction() for SIGSYS while the guard is on: what the program wants for other causes of it. */
int guard_set_action(const struct sigaction *act, struct sigaction *old);

#endif
