/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sections and calls of one thread: what it holds, so that nothing is lost when the thread is
 * cancelled or leaves a call by longjmp().
 *
 * Between signals_hold() and signals_release() the thread is in a section: it has a lock of the
 * stack or of ours, or a reference that nobody knows of. Handlers of the program are put off until
 * the end (a handler may call exit(), longjmp() or a socket call), and so is pthread_cancel().
 * Sections nest, and nobody waits in one. HELD() is a call in between.
 *
 * An intercepted call is one section from call_enter() to call_leave(). Where it waits, it opens the
 * section with call_open(), which notes what the call holds, and closes it with call_close().
 */
#ifndef PRELOAD_THREAD_H
#define PRELOAD_THREAD_H

#include "preload/fd.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What a thread has to look after at the begin or the end of a section; usually nothing. */
enum {
	ATTEND_SIGNALS = 1, /* handlers were put off */
	ATTEND_CANCEL = 2,  /* pthread_cancel() was called for this thread; glibc does not know yet */
	ATTEND_GUARD = 4,   /* glibc does: cancellation is switched off in sections */
	ATTEND_CALLS = 8,   /* calls are noted */
	ATTEND_NEW = 16,    /* the thread is not registered yet */
	ATTEND_LOST = 32,   /* the call in progress has lost its reference, see call_close() */
	ATTEND_STOP = 64,   /* the process ends: the thread makes no further call, see thread_stop() */
};

/* initial-exec: a handler must not be the first to allocate this thread's copy. */
#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))

extern THREAD_LOCAL _Atomic uint32_t signals_held;
extern THREAD_LOCAL _Atomic uint32_t signals_attention;

void signals_hold_attend(void);
void signals_release_attend(void);
void call_enter_attend(bool is_cancellation_point);

static inline uint32_t signals_attend(void)
{
	return atomic_load_explicit(&signals_attention, memory_order_relaxed);
}

/* Only this thread writes the depth; pthread_cancel() of others reads it. */
static inline uint32_t signals_depth(int change)
{
	uint32_t n = atomic_load_explicit(&signals_held, memory_order_relaxed) + (uint32_t)change;

	atomic_store_explicit(&signals_held, n, memory_order_relaxed);
	return n;
}

static inline void signals_hold(void)
{
	signals_depth(1);
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(signals_attend() & (ATTEND_NEW | ATTEND_CANCEL | ATTEND_GUARD), 0))
		signals_hold_attend();
}

static inline void signals_release(void)
{
	atomic_signal_fence(memory_order_seq_cst);
	if (signals_depth(-1) == 0 && __builtin_expect(signals_attend() != 0, 0))
		signals_release_attend();
}

#define HELD(call)                                                                                 \
	({                                                                                         \
		signals_hold();                                                                    \
		__typeof__(call) held_result = (call);                                             \
		signals_release();                                                                 \
		held_result;                                                                       \
	})

/*
 * An intercepted call begins; what calls of this thread have left behind that were left by a jump
 * is released. `is_cancellation_point`: a thread that has been cancelled ends here.
 */
static inline void call_enter(bool is_cancellation_point)
{
	signals_depth(1);
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(signals_attend() != 0, 0))
		call_enter_attend(is_cancellation_point);
}

void call_forget_lost(void);

/* It ends, and gives its reference back (`f` may be NULL). errno is kept. */
static inline void call_leave(struct file *f)
{
	if (__builtin_expect(signals_attend() & ATTEND_LOST, 0))
		call_forget_lost();
	else if (f)
		file_put(f);
	signals_release();
}

/*
 * What a call holds while it waits: the reference of `file`, and whatever `undo` gives back.
 * NULL: none. `undo` runs in a section.
 */
struct call_holds {
	struct file *file;
	void (*undo)(void *arg);
	void *arg;
};

/*
 * Note what a call holds, for as long as it does; call_unnote() takes the note out again. False: what
 * the call held has been released, because a call of this thread began as if this one had been left
 * by a jump (a handler that switched stacks). The call must end without touching it; call_leave()
 * knows.
 */
uint32_t call_note(const struct call_holds *holds);
bool call_unnote(uint32_t note);

/* Before call_note(): has this call noted nothing yet? Then the note is all that it can lose. */
bool call_is_first_note(void);
/* After call_unnote() has said false, for a call that held nothing but `f`: take it again. False: its
 * number is another's by now. */
bool call_regain(struct file *f);

/*
 * The same, and in between the section is open: put off handlers run now, later ones at once, and the
 * thread can be cancelled. errno is kept by both.
 */
uint32_t call_open(const struct call_holds *holds);
bool call_close(uint32_t note);

/* A call of libc's that may wait, inside an intercepted call on `f`: a result or -errno. */
#define CALL_WAITS(f, call)                                                                        \
	({                                                                                         \
		uint32_t waits_note = call_open(&(struct call_holds){.file = (f)});                \
		long waits_result = (call);                                                        \
		call_close(waits_note); /* what it has done counts, lost or not */                 \
		waits_result < 0 ? -errno : waits_result;                                          \
	})

/* A handler of the program begins and ends, for those that begin while a call waits. */
struct call_handler;
uint32_t call_handler_begin(const void *context);
void call_handler_end(uint32_t note);

/* fork(), in the child: other threads are gone. */
void thread_orphan(void);

/*
 * The process ends. No other thread begins a call on an object of ours any more, or comes out of one
 * that waits: it stays there. Those that are inside have `limit_us` to finish; true: they have.
 */
bool thread_stop(unsigned int limit_us);
/* Stay here. */
void thread_park(void) __attribute__((noreturn));

#endif
