/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of the program's last thread, where threads of the library are left.
 */
#ifndef PRELOAD_LAST_THREAD_H
#define PRELOAD_LAST_THREAD_H

/* The calling thread is the process's first one. When the process begins, and in a child of fork(). */
void last_thread_begin(void);

/* The calling thread is one of the library's, until last_thread_end_own() in the same thread. */
void last_thread_begin_own(void);
void last_thread_end_own(void *arg);

#endif
