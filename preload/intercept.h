/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The functions behind syscall(): one per system call that a row of intercept.def serves, NULL for
 * all others. They take the arguments as syscall() got them, from the second on, and return as it
 * does: a long, -1 and errno. Each has parameters of its own; in registers that is the same.
 */
#ifndef PRELOAD_INTERCEPT_H
#define PRELOAD_INTERCEPT_H

typedef void (*syscall_fn)(void);

enum { SYSCALL_ROWS = 512 };

extern const syscall_fn syscall_rows[SYSCALL_ROWS] __attribute__((visibility("hidden")));

#endif
