/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who has another descriptor table.
 *
 * A thread that has left the program's table is marked in its thread-local state, and so are the threads
 * that it creates. A child of clone(CLONE_VM) is another process, but it may use its parent's
 * thread-local state, so it is known by its process id: as long as there can be one, the id is asked for
 * in each lookup. That is until clone(CLONE_VFORK) returns; for others it never ends.
 *
 * While either exists FD_CHECK_TABLES is set, and fd_get() finds nothing for them (fd_check.c); the
 * functions that work on numbers without a lookup ask fd_table_is_other().
 *
 * Not seen: a clone() with CLONE_THREAD and without CLONE_FILES, and system calls in the program's own
 * code.
 */
#include "preload/fd_table.h"
#include "preload/calls.h"
#include "preload/guard.h"
#include "preload/last_thread.h"
#include "preload/libc.h"
#include "preload/own_fds.h"
#include "preload/signals.h"
#include "preload/thread_room.h"
#include "stack/user.h"

#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

struct start {
	void *(*fn)(void *arg);
	void *arg;
	bool is_own; /* of the library */
	bool has_left;
};

static THREAD_LOCAL bool has_left;
static _Atomic bool has_threads;  /* the program has made some */
static _Atomic int n_children;    /* that share the memory and may be running */
static _Atomic bool share_handlers; /* there has been a child with CLONE_SIGHAND */
static _Atomic pid_t home;        /* the process that the table is of; 0: nobody has asked */

static bool is_child(void)
{
	return atomic_load(&n_children) > 0 && getpid() != atomic_load(&home);
}

bool fd_table_ask(void)
{
	return has_left || is_child();
}

bool fd_table_ask_handlers(void)
{
	return is_child() && !atomic_load(&share_handlers);
}

void fd_table_leave(void)
{
	has_left = true;
	atomic_fetch_or(&fd_checks, FD_CHECK_TABLES);
}

bool fd_table_is_shared(void)
{
	return atomic_load(&has_threads) || syscall(SYS_gettid) != getpid();
}

static void *begin(void *arg)
{
	struct start s = *(struct start *)arg;
	void *r;

	has_left = s.has_left;
	free(arg);
	if (!s.is_own)
		return s.fn(s.arg);
	last_thread_begin_own();
	pthread_cleanup_push(last_thread_end_own, NULL);
	r = s.fn(s.arg);
	pthread_cleanup_pop(1);
	return r;
}

int fd_table_create_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
	void *arg, const void *caller)
{
	bool is_own = own_fds_calls(caller), leaves = fd_table_is_other();
	struct start *s;
	int r;

	if (!is_own)
		atomic_store(&has_threads, true);
	if (!is_own && !leaves)
		return thread_room_create(thread, attr, fn, arg);
	s = malloc(sizeof(*s));
	if (s == NULL)
		return EAGAIN;
	*s = (struct start){fn, arg, is_own, leaves};
	r = thread_room_create(thread, attr, begin, s);
	if (r != 0)
		free(s);
	return r;
}

void fd_table_in_child(void)
{
	atomic_store(&n_children, 0);
	atomic_store(&home, 0);
	atomic_store(&has_threads, false);
	if (!has_left)
		atomic_fetch_and(&fd_checks, (uint8_t)~FD_CHECK_TABLES);
}

/* --- unshare ------------------------------------------------------------------------------------------ */

long on_unshare(int flags)
{
	long r;

	if (!(flags & CLONE_FILES) || fd_table_is_other())
		return libc_result(libc.unshare(flags));
	/* To the kernel the library's threads share the table; to the program there is nobody. */
	if (!fd_table_is_shared())
		return libc_result(libc.unshare(flags & ~CLONE_FILES));
	r = libc_result(libc.unshare(flags));
	if (r == 0)
		fd_table_leave();
	return r;
}

/* --- clone -------------------------------------------------------------------------------------------- */

static bool has_own_table(unsigned long flags)
{
	return (flags & (CLONE_VM | CLONE_FILES)) == CLONE_VM;
}

static void child_begins(unsigned long flags)
{
	pid_t nobody = 0;

	if (flags & CLONE_SIGHAND)
		atomic_store(&share_handlers, true);
	if (fd_table_is_other()) /* its home is its parent's */
		return;
	atomic_compare_exchange_strong(&home, &nobody, getpid());
	atomic_fetch_add(&n_children, 1);
	atomic_fetch_or(&fd_checks, FD_CHECK_TABLES);
}

/* The mark in fd_checks stays: others may have been made meanwhile. */
static void child_has_gone(void)
{
	if (!fd_table_is_other())
		atomic_fetch_sub(&n_children, 1);
}

void fd_table_before(long number, long first)
{
	uint64_t flags = (uint64_t)first;

#if defined(SYS_vfork)
	if (number == SYS_vfork)
		flags = CLONE_VM | CLONE_VFORK;
#endif
#if defined(SYS_clone3)
	/* struct clone_args begins with the flags. */
	if (number == SYS_clone3 && !user_copy(&flags, (const void *)first, sizeof(flags)))
		return;
#endif
	if (has_own_table(flags))
		child_begins(flags);
}

__attribute__((visibility("default"))) int wrap_clone(int (*fn)(void *), void *stack, int flags,
	void *arg, ...) __asm__("clone");

/* The child begins in `fn` on a stack of its own: it does not return through here. */
int wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	bool is_other = has_own_table((unsigned int)flags);
	void *more[3];
	va_list ap;
	int r;

	va_start(ap, arg);
	for (int i = 0; i < 3; i++)
		more[i] = va_arg(ap, void *);
	va_end(ap);
	if (atomic_load(&guard_is_on))
		fd_check_begin(); /* what clone() makes is not guarded */
	if (is_other)
		child_begins((unsigned int)flags);
	r = libc.clone(fn, stack, flags, arg, more[0], more[1], more[2]);
	if (is_other && (r < 0 || (flags & CLONE_VFORK)))
		child_has_gone();
	return r;
}
