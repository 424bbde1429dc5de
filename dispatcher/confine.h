/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ltran after its start: no capabilities, and no system calls but those of its work. Who takes it over
 * by what an instance sends can neither open a file, nor run a program, nor look into another process.
 */
#ifndef DISPATCHER_CONFINE_H
#define DISPATCHER_CONFINE_H

#include <stddef.h>
#include <stdint.h>

/* Sanitizers make calls of their own: their builds have no filters. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONFINE_HAS_SANITIZER 1
#else
#define CONFINE_HAS_SANITIZER 0
#endif

#define CONFINE_BIT(cap) (UINT64_C(1) << (cap))

/* The calling thread keeps those of its capabilities that are in `keep`. 0 or -errno. */
int confine_keep(uint64_t keep);

/*
 * Every thread of the process gives up all capabilities, and the filter is there for them and those
 * to come. For good. 0, or -errno with a line for people.
 *
 * A system call that is not on the list fails with EPERM and is logged once; in a build with
 * buildtype=debug it ends the process. SIGSYS is taken for this and must not be blocked.
 */
int confine_process(char *err, size_t err_len);

#endif
