/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the guard's handler runs (guard.c): on a stack with room for a call of libc, whatever stack made
 * the system call. See guard_stack.c. x86-64.
 */
#ifndef PRELOAD_GUARD_STACK_H
#define PRELOAD_GUARD_STACK_H

#include <signal.h>
#include <ucontext.h>

/* This thread, before its first guarded call: notes its stack and maps the reserve. Without memory for
 * it the handler stays where the kernel puts it. */
void guard_stack_begin(void);

/* The handler that is installed for SIGSYS, with SA_ONSTACK: goes on as guard_serve() on the right stack. */
void guard_stack_enter(int sig, siginfo_t *info, void *context);

/* The system call sigaltstack, of the code that `uc` is of: a result or -errno. */
long guard_stack_change(ucontext_t *uc, const stack_t *set, stack_t *old);

/* In guard.c. */
void guard_serve(int sig, siginfo_t *info, void *context) __attribute__((visibility("hidden")));

#endif
