/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers that can be closed and handed out anew without any call of ours noticing: by system calls in
 * the program's own code. Where there is such code each call on an object of ours asks the kernel first
 * whether its number still stands for it, and what does not is closed. See fd_check.c.
 */
#ifndef PRELOAD_FD_CHECK_H
#define PRELOAD_FD_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct file;

/* Zero where nothing is to be asked: nearly always. The rest is fd_check.c's and syscall.c's. */
enum {
	FD_CHECK_NUMBERS = 1, /* there is such code */
	FD_CHECK_CODE = 2,    /* something may have been loaded since we looked for it */
	FD_CHECK_LOADING = 4, /* a dlopen() has begun */
	FD_CHECK_TABLES = 8,  /* somebody has another descriptor table: see fd_table.h */
};
extern _Atomic uint8_t fd_checks __attribute__((visibility("hidden")));

/* `f` with its reference, or &fd_free, as the table has it for `fd`: the same; or NULL, and the
 * number is the kernel's, the reference is given back. errno is kept. */
struct file *fd_check(int fd, struct file *f);

/* A file gets its first number, or other kernel descriptors under its numbers. */
void fd_check_learn(struct file *f);

/* Look for such code; when the data path starts. */
void fd_check_start(void);
/* There is some. */
void fd_check_begin(void) __attribute__((visibility("hidden")));

#endif
