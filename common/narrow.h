/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Code that needs more room than some stacks have. The program's thread may run on an alternate signal stack
 * of 8 KB, or on a small stack that the program has made for it. Such a stack is noted, and narrow_call()
 * leaves it for the time of a call. See narrow.c.
 */
#ifndef COMMON_NARROW_H
#define COMMON_NARROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define NARROW_SWITCHES 1
#else
#define NARROW_SWITCHES 0 /* no stack is left: narrow_call() calls the function where it is */
#endif

enum {
	NARROW_BELOW = 64 * 1024,      /* a smaller stack is narrow */
	NARROW_ROOM_BYTES = 256 * 1024, /* of stack in a room */
};

/* Addresses [low, low + bytes). 0 bytes: none. */
struct narrow_range {
	uintptr_t low;
	size_t bytes;
};

/* Of this thread. Changed by narrow_note_*() only. */
struct narrow_notes {
	bool has_some;
	struct narrow_range own, alternate;
};

extern __thread __attribute__((tls_model("initial-exec"))) struct narrow_notes narrow_notes;

/* The stack that this thread begins on, and the alternate stack that its handler runs on, where they are
 * narrow. A note may outlive its stack: it says nothing of other addresses. */
void narrow_note_own(struct narrow_range range);
/* What was noted before. */
struct narrow_range narrow_note_alternate(struct narrow_range range);

bool narrow_look(void);

/* Does this thread run on a stack that was noted? */
static inline bool narrow_is_here(void)
{
#if NARROW_SWITCHES
	return __builtin_expect(narrow_notes.has_some, 0) && narrow_look();
#else
	return false;
#endif
}

/* A room is memory for narrow_call(), which one call at a time uses. NULL: there is none. In handlers, too. */
void *narrow_room_make(void);
void narrow_room_free(void *room); /* may be NULL */

/*
 * fn(arg) on `room`, and back. fn() returns; the thread may end in it, but nothing jumps out of it. `room`
 * NULL, or without NARROW_SWITCHES: fn(arg) runs where we are. Where that is an alternate signal stack, all
 * signals but those of faults are blocked meanwhile, and the thread has no alternate stack.
 */
void narrow_call(void *room, void (*fn)(void *arg), void *arg);

#endif
