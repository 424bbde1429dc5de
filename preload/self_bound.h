/* SPDX-License-Identifier: BSD-3-Clause */
/* Libraries whose names the program cannot take over; see self_bound.c. */
#ifndef PRELOAD_SELF_BOUND_H
#define PRELOAD_SELF_BOUND_H

/*
 * Loads the library `file` and those that it needs (libc and the loader are not meant), visible to nobody
 * else, and makes them call each other, whatever the program has under these names. The handle for
 * dlsym(), or NULL and the reason in dlerror(). To be called before anybody uses the library; one thread.
 */
void *self_bound_load(const char *file);

#endif
