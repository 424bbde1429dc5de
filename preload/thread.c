/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cancellation, and calls that were left by a jump.
 *
 * pthread_cancel() lets a thread unwind out of any cancellation point below us: a driver's sendto()
 * under the lock of a stack, the write() of an eventfd. Switching cancellation off in every section
 * would cost two calls of glibc's per call; so the canceller is the one who takes care: it marks the
 * thread (ATTEND_CANCEL, ATTEND_GUARD) and looks whether the thread is in a section. If it is, the
 * thread passes the cancellation on to glibc itself when the section ends; if not, the canceller
 * does, and from then on the thread switches cancellation off in its sections (it sees the mark when
 * the next one begins). Mark and depth are a store and a load on each side, in opposite order:
 * membarrier() of the canceller is the fence of both. A thread that has never made a call of ours is
 * not registered; when somebody has cancelled such a one, threads register with the mark.
 *
 * A call that waits notes what it holds in its thread, not on its stack: after a jump that memory is
 * somebody else's. Handlers that run on top of a waiting call are noted as well. A new call finds
 * notes only inside such a handler, or after a jump. Which one it is, the stack says: inside a
 * handler the new call is deeper than the handler; a handler on an alternate stack lives as long as
 * calls come from that stack. Calls that a dead handler has interrupted are dead, and those that a
 * living one has not interrupted. In doubt a note stays until the thread calls from further up, or
 * ends.
 *
 * A program with stacks of its own (swapcontext() out of a handler) may have two of them so close to each
 * other that a living call is taken for one that was left. What it held is released, and when it goes on
 * it notices (ATTEND_LOST) and takes it again, where its descriptor still has it.
 *
 * exit() takes the sockets away while other threads go on. It marks them (ATTEND_STOP) with the same
 * fence as a cancellation: whoever begins a call, or is back from a wait, sees the mark and stays there
 * for good, and whoever is in a section is waited for. The library's own threads are needed to the
 * end.
 */
#include "preload/thread.h"
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/put_off.h"
#include "preload/signals.h"
#include "preload/thread_room.h"
#include "preload/wait.h"

#include <pthread.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum {
	CALLS_MAX = 16,   /* noted per thread; what is deeper is not noted */
	HANDLERS_MAX = 8, /* the same */
	SAME_STACK = 1 << 20, /* addresses further apart are not compared */
	DRAIN_US = 1000,      /* without membarrier(): no store buffer is that slow */
	STOP_LOOK_US = 50,
};

struct noted_call {
	struct call_holds holds;
	uintptr_t frame;
	uint32_t serial;
};

struct noted_handler {
	uintptr_t frame, alt_low, alt_high; /* of the alternate stack it runs on; 0: none */
	int n_calls;                        /* noted when it began */
};

struct thread {
	LIST_ENTRY(thread) next; /* threads_lock */
	pthread_t self;
	_Atomic uint32_t *attention, *held;
	_Atomic bool is_parked; /* in a section, for good */
	struct noted_call calls[CALLS_MAX];
	struct noted_handler handlers[HANDLERS_MAX];
	int n_calls, n_handlers;
	uint32_t serial;
	int cancel_state; /* the program's, while it is switched off */
	bool cancel_is_off;
	bool stops_others;
};

THREAD_LOCAL _Atomic uint32_t signals_held;
THREAD_LOCAL _Atomic uint32_t signals_attention = ATTEND_NEW;
static THREAD_LOCAL struct thread me;

static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, thread) threads;      /* threads_lock */
static bool cancelled_unknown;           /* threads_lock: a thread that was not registered */
static bool stopping;                    /* threads_lock */
static pthread_key_t thread_key;
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;

static void attend(uint32_t bits)
{
	atomic_fetch_or(&signals_attention, bits);
}

static void unattend(uint32_t bits)
{
	atomic_fetch_and(&signals_attention, ~bits);
}

/* --- the end of the process --------------------------------------------------------------------------- */

void thread_park(void)
{
	atomic_store(&me.is_parked, true);
	for (;;)
		pause();
}

/* Every thread that the library makes has a name that begins so. */
static bool is_librarys(void)
{
	char name[16] = "";

	return pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 &&
		(strncmp(name, "gz-", 3) == 0 || strncmp(name, "gazelle-", 8) == 0);
}

/* In the outermost section, which has touched nothing yet. */
static void stop_here(void)
{
	if (__builtin_expect(signals_attend() & ATTEND_STOP, 0) && signals_depth(0) == 1 &&
		!is_librarys())
		thread_park();
}

/* --- notes ------------------------------------------------------------------------------------------ */

static void release_top(void)
{
	struct call_holds h = me.calls[--me.n_calls].holds;

	if (!process_is_own()) /* it is the parent's */
		return;
	if (h.undo)
		h.undo(h.arg);
	if (h.file)
		file_put(h.file);
}

static bool is_above(uintptr_t here, uintptr_t frame)
{
	return here >= frame && here - frame < SAME_STACK;
}

static bool is_dead(const struct noted_handler *h, uintptr_t here)
{
	if (h->alt_high != 0)
		return here < h->alt_low || here >= h->frame;
	return is_above(here, h->frame);
}

/* In a section. */
static void release_abandoned(uintptr_t here)
{
	int left = 0; /* calls below this were interrupted by a dead handler */

	while (me.n_handlers > 0 && is_dead(&me.handlers[me.n_handlers - 1], here)) {
		int n = me.handlers[--me.n_handlers].n_calls;

		left = n > left ? n : left;
	}
	int living = me.n_handlers > 0 ? me.handlers[me.n_handlers - 1].n_calls : 0;

	while (me.n_calls > living &&
		(me.n_calls <= left || is_above(here, me.calls[me.n_calls - 1].frame)))
		release_top();
	if (me.n_calls == 0)
		unattend(ATTEND_CALLS);
}

uint32_t call_note(const struct call_holds *holds)
{
	uint32_t serial = 0;

	if (me.n_calls < CALLS_MAX) {
		serial = ++me.serial ? me.serial : ++me.serial;
		me.calls[me.n_calls++] = (struct noted_call){
			*holds, (uintptr_t)__builtin_frame_address(0), serial};
		if (!(signals_attend() & ATTEND_CALLS))
			attend(ATTEND_CALLS);
	}
	return serial;
}

bool call_unnote(uint32_t note)
{
	if (note == 0)
		return true;
	/* What lies above was left by a jump that came back to this call. */
	while (me.n_calls > 0 && (int32_t)(me.calls[me.n_calls - 1].serial - note) > 0)
		release_top();
	if (me.n_calls == 0 || me.calls[me.n_calls - 1].serial != note) {
		attend(ATTEND_LOST);
		return false;
	}
	me.n_calls--;
	if (me.n_calls == 0)
		unattend(ATTEND_CALLS);
	return true;
}

uint32_t call_open(const struct call_holds *holds)
{
	uint32_t note = call_note(holds);

	signals_release();
	return note;
}

bool call_close(uint32_t note)
{
	bool is_there;

	signals_hold();
	stop_here();
	is_there = call_unnote(note);
	if (is_there && !process_is_own()) { /* a handler has called _Fork(), and this is the child */
		attend(ATTEND_LOST);
		is_there = false;
	}
	return is_there;
}

void call_forget_lost(void)
{
	unattend(ATTEND_LOST);
}

bool call_is_first_note(void)
{
	return me.n_calls == (me.n_handlers > 0 ? me.handlers[me.n_handlers - 1].n_calls : 0);
}

/* Its memory is still a file (fd.h), perhaps another one. */
bool call_regain(struct file *f)
{
	int fd = f->fd;

	if (fd < 0 || !file_try_hold(f))
		return false;
	if (fd_peek(fd) != f) {
		file_put(f);
		return false;
	}
	call_forget_lost();
	return true;
}

uint32_t call_handler_begin(const void *context)
{
	struct narrow_range alt = thread_room_alternate(context);
	bool on_alt = alt.bytes != 0;

	if (!(signals_attend() & ATTEND_CALLS) || me.n_handlers == HANDLERS_MAX)
		return 0;
	me.handlers[me.n_handlers++] = (struct noted_handler){
		(uintptr_t)__builtin_frame_address(0), on_alt ? alt.low : 0,
		on_alt ? alt.low + alt.bytes : 0, me.n_calls};
	return (uint32_t)me.n_handlers;
}

void call_handler_end(uint32_t note)
{
	if (note > 0 && me.n_handlers >= (int)note)
		me.n_handlers = (int)note - 1;
}

/* --- threads ---------------------------------------------------------------------------------------- */

static void lock_threads(void)
{
	signals_depth(1); /* not signals_hold(), which may come here */
	pthread_mutex_lock(&threads_lock);
}

static void unlock_threads(void)
{
	pthread_mutex_unlock(&threads_lock);
	signals_release();
}

/* The thread ends, however it does. */
static void thread_exit(void *arg)
{
	if (!process_is_own())
		return;
	signals_hold();
	while (me.n_calls > 0)
		release_top();
	me.n_handlers = 0;
	wait_clear();
	poll_clear();
	lock_threads();
	LIST_REMOVE(&me, next);
	unlock_threads();
	signals_release();
	atomic_store(&signals_attention, ATTEND_NEW);
	put_off_end();
}

static void make_key(void)
{
	pthread_key_create(&thread_key, thread_exit);
}

static void enroll(void)
{
	if (!process_is_own()) /* nobody asks for it there */
		return;
	pthread_once(&thread_key_once, make_key);
	pthread_setspecific(thread_key, &me);
	me.self = pthread_self();
	me.attention = &signals_attention;
	me.held = &signals_held;
	lock_threads();
	LIST_INSERT_HEAD(&threads, &me, next);
	if (cancelled_unknown)
		attend(ATTEND_GUARD);
	if (stopping && !me.stops_others)
		attend(ATTEND_STOP);
	unattend(ATTEND_NEW);
	unlock_threads();
}

void thread_orphan(void)
{
	threads_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	LIST_INIT(&threads);
	if (!(signals_attend() & ATTEND_NEW))
		LIST_INSERT_HEAD(&threads, &me, next);
}

/* --- cancellation ----------------------------------------------------------------------------------- */

/* glibc may end an asynchronously cancelled thread right here, outside of a section. */
static void pass_cancel_on(void)
{
	if (atomic_fetch_and(&signals_attention, ~(uint32_t)ATTEND_CANCEL) & ATTEND_CANCEL)
		libc.pthread_cancel(pthread_self());
}

static void switch_cancel_off(void)
{
	if (signals_depth(0) != 1 || me.cancel_is_off)
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &me.cancel_state);
	me.cancel_is_off = true;
}

void signals_hold_attend(void)
{
	int saved_errno = errno;

	if (signals_depth(0) == 1) {
		if (signals_attend() & ATTEND_NEW)
			enroll();
		signals_depth(-1);
		pass_cancel_on();
		signals_depth(1);
		if (signals_attend() & ATTEND_GUARD)
			switch_cancel_off();
	}
	errno = saved_errno;
}

void signals_release_attend(void)
{
	int saved_errno = errno;

	if (me.cancel_is_off) {
		me.cancel_is_off = false;
		pthread_setcancelstate(me.cancel_state, NULL);
	}
	if (signals_attend() & ATTEND_CANCEL)
		pass_cancel_on();
	if (signals_attend() & ATTEND_SIGNALS)
		signals_deliver();
	errno = saved_errno;
}

void call_enter_attend(bool is_cancellation_point)
{
	if (signals_depth(0) == 1 && is_cancellation_point &&
		(signals_attend() & (ATTEND_CANCEL | ATTEND_GUARD))) {
		signals_depth(-1);
		pass_cancel_on();
		pthread_testcancel();
		signals_depth(1);
	}
	signals_hold_attend();
	stop_here();
	if (signals_depth(0) == 1 && (signals_attend() & ATTEND_CALLS))
		release_abandoned((uintptr_t)__builtin_frame_address(0));
}

/* Every thread of the process passes a full memory barrier. */
static void barrier_everywhere(void)
{
	static _Atomic bool is_registered;
	static _Atomic unsigned int own; /* a fence that the thread sanitizer knows */

	if (!atomic_load(&is_registered))
		atomic_store(&is_registered,
			syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) ==
				0);
	atomic_fetch_add(&own, 1);
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) < 0)
		usleep(DRAIN_US);
}

/* An error number, not -errno. */
long on_pthread_cancel(pthread_t thread)
{
	struct thread *t;
	bool in_section = false;
	int r = 0;

	lock_threads();
	LIST_FOREACH(t, &threads, next)
		if (pthread_equal(t->self, thread))
			break;
	if (t == NULL) {
		cancelled_unknown = true;
	} else if (t != &me) {
		atomic_fetch_or(t->attention, ATTEND_CANCEL | ATTEND_GUARD);
		barrier_everywhere();
		in_section = atomic_load(t->held) != 0 ||
			!(atomic_fetch_and(t->attention, ~(uint32_t)ATTEND_CANCEL) & ATTEND_CANCEL);
	}
	if (t != &me && !in_section)
		r = libc.pthread_cancel(thread);
	unlock_threads();
	if (t == &me) {
		attend(ATTEND_GUARD);
		r = libc.pthread_cancel(thread);
	}
	return r;
}

/* Some other thread is in a section and not parked there. */
static bool others_are_inside(void)
{
	struct thread *t;
	bool found = false;

	lock_threads();
	LIST_FOREACH(t, &threads, next)
		found = found || (t != &me && atomic_load(t->held) != 0 && !atomic_load(&t->is_parked));
	unlock_threads();
	return found;
}

bool thread_stop(unsigned int limit_us)
{
	struct thread *t;

	me.stops_others = true;
	lock_threads();
	stopping = true;
	LIST_FOREACH(t, &threads, next)
		if (t != &me)
			atomic_fetch_or(t->attention, ATTEND_STOP);
	unlock_threads();
	barrier_everywhere();
	for (unsigned int us = 0; others_are_inside(); us += STOP_LOOK_US) {
		if (us >= limit_us)
			return false;
		usleep(STOP_LOOK_US);
	}
	return true;
}
