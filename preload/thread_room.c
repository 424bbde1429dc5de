/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libc takes the thread-local memory of all libraries that were there at the start from the stack of each
 * thread: 2 KB for us, 4.5 KB for librte_eal. And a call on a socket of the stack goes deeper than the
 * system call that the program has planned for. A thread with PTHREAD_STACK_MIN (16 KB) would not start,
 * or overflow; so small stacks get EXTRA bytes more. Memory is used of it where it is touched.
 *
 * A stack that the program has made itself (pthread_attr_setstack()) is as large as it is. A small one is
 * noted as narrow when its thread begins, and so is a small alternate stack while a handler runs on it; a
 * handler that jumps away leaves its note behind, which says nothing of other addresses.
 */
#include "preload/thread_room.h"
#include "preload/libc.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

enum { SMALL = 256 * 1024, EXTRA = 32 * 1024 }; /* bytes */

struct start {
	void *(*fn)(void *arg);
	void *arg;
	struct narrow_range range;
};

static void *start_narrow(void *arg)
{
	struct start s = *(struct start *)arg;

	free(arg);
	narrow_note_own(s.range);
	return s.fn(s.arg);
}

/* The memory that the program has given itself. Without, its address is 0, which is said as "ends at 0". */
static bool has_memory(const pthread_attr_t *attr, struct narrow_range *range)
{
	void *low = NULL;
	size_t bytes = 0;

	if (pthread_attr_getstack(attr, &low, &bytes) != 0)
		return false;
	*range = (struct narrow_range){(uintptr_t)low, bytes};
	return range->low + bytes != 0;
}

static int create_narrow(pthread_t *thread, const pthread_attr_t *attr, struct start start)
{
	struct start *s = malloc(sizeof(*s));
	int r;

	if (s == NULL)
		return EAGAIN;
	*s = start;
	r = libc.pthread_create(thread, attr, start_narrow, s);
	if (r != 0)
		free(s);
	return r;
}

static bool is_small(const pthread_attr_t *attr, size_t *bytes)
{
	return pthread_attr_getstacksize(attr, bytes) == 0 && *bytes < SMALL;
}

/* Without attributes a thread has the default ones: a size that came from `ulimit -s`. */
static int create_by_default(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	size_t bytes;
	bool is_enlarged;
	int r;

	if (pthread_getattr_default_np(&attr) != 0)
		return libc.pthread_create(thread, NULL, fn, arg);
	is_enlarged = is_small(&attr, &bytes) && pthread_attr_setstacksize(&attr, bytes + EXTRA) == 0;
	r = libc.pthread_create(thread, is_enlarged ? &attr : NULL, fn, arg);
	pthread_attr_destroy(&attr);
	return r;
}

int thread_room_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	struct narrow_range range;
	pthread_attr_t larger;
	size_t bytes;

	if (attr == NULL)
		return create_by_default(thread, fn, arg);
	if (!is_small(attr, &bytes))
		return libc.pthread_create(thread, attr, fn, arg);
	if (has_memory(attr, &range))
		return range.bytes < NARROW_BELOW ?
			create_narrow(thread, attr, (struct start){fn, arg, range}) :
			libc.pthread_create(thread, attr, fn, arg);
	/* It shares what `attr` points to, so it is not destroyed. */
	larger = *attr;
	if (pthread_attr_setstacksize(&larger, bytes + EXTRA) != 0)
		return libc.pthread_create(thread, attr, fn, arg);
	return libc.pthread_create(thread, &larger, fn, arg);
}

struct narrow_range thread_room_alternate(const void *context)
{
	const stack_t *alt = &((const ucontext_t *)context)->uc_stack;
	struct narrow_range r = {(uintptr_t)alt->ss_sp, alt->ss_size};

	if ((alt->ss_flags & SS_DISABLE) || (uintptr_t)__builtin_frame_address(0) - r.low >= r.bytes)
		r.bytes = 0;
	return r;
}

struct narrow_range thread_room_enter(const void *context)
{
	struct narrow_range now = thread_room_alternate(context);

	if (now.bytes == 0 || now.bytes >= NARROW_BELOW)
		return narrow_notes.alternate;
	return narrow_note_alternate(now);
}

void thread_room_leave(struct narrow_range before)
{
	narrow_note_alternate(before);
}

/* --- calls that need much ----------------------------------------------------------------------------- */

/* The stack that libc has given this thread, or that was given to libc for it. */
static bool is_on_own_stack(uintptr_t here, size_t *left)
{
	pthread_attr_t attr;
	void *low = NULL;
	size_t bytes = 0;
	bool is_known;

	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return false;
	is_known = pthread_attr_getstack(&attr, &low, &bytes) == 0;
	pthread_attr_destroy(&attr);
	*left = here - (uintptr_t)low;
	return is_known && *left < bytes;
}

static bool has_much(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	size_t left = 0;
	stack_t now;

	if (sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_ONSTACK))
		left = here - (uintptr_t)now.ss_sp;
	else if (!is_on_own_stack(here, &left))
		return false; /* one that the program has made for itself */
	return left >= NARROW_ROOM_BYTES / 2;
}

void thread_room_run(void (*fn)(void *arg), void *arg)
{
	void *room = NARROW_SWITCHES && !has_much() ? narrow_room_make() : NULL;

	narrow_call(room, fn, arg);
	narrow_room_free(room);
}
