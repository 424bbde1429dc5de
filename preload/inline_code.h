/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is there code in this process that makes system calls past libc? Then a descriptor can be closed and
 * its number handed out anew without any call of ours noticing, see fd_check.h.
 *
 * The code of all loaded objects is searched but libc's, the loader's, the kernel's (vdso) and the
 * library's own with DPDK's. Code that is made at run time is not seen.
 */
#ifndef PRELOAD_INLINE_CODE_H
#define PRELOAD_INLINE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Does one of these `n` bytes of code begin a system call instruction? */
bool inline_code_is_in(const uint8_t *code, size_t n);

/* Search what has been loaded since the last search. True where something was found, now or before;
 * the first object is named on standard error. One thread at a time. */
bool inline_code_search(void);

/* Objects loaded so far: changes with every one that comes. */
unsigned long long inline_code_objects(void);

#endif
