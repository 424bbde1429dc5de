/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Room on the stacks of threads: what the library and DPDK need of a thread's stack is not taken from
 * what the program has asked for; and which stacks are narrow (common/narrow.h).
 */
#ifndef PRELOAD_THREAD_ROOM_H
#define PRELOAD_THREAD_ROOM_H

#include "common/narrow.h"

#include <pthread.h>

/* pthread_create(). A small stack that libc makes is larger than `attr` says, which stays as it is. An
 * error number. */
int thread_room_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);

/* In a handler, whose third argument is `context`: the alternate stack that it runs on. 0 bytes: none. */
struct narrow_range thread_room_alternate(const void *context);
/* Around the program's handler: is what it runs on narrow? `before` is to be given back. */
struct narrow_range thread_room_enter(const void *context);
void thread_room_leave(struct narrow_range before);

/* fn(arg) where there are NARROW_ROOM_BYTES / 2 of stack at least: here, or in a room of its own, which is
 * for seldom calls. */
void thread_room_run(void (*fn)(void *arg), void *arg);

#endif
