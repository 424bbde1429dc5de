/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls on descriptor numbers: close, dup and their relatives.
 *
 * A descriptor of ours always has a kernel descriptor of the same number, so the kernel keeps
 * handing out the numbers: dup() duplicates that, and the table follows.
 */
#include "common/say.h"
#include "preload/calls.h"
#include "preload/fd.h"
#include "preload/fd_new.h"
#include "preload/fd_table.h"
#include "preload/socket.h"
#include "preload/thread.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long close_kernel(int fd, const void *caller)
{
	long r;

	if (own_fds_has(fd) && !fd_table_is_other()) {
		if (!own_fds_calls(caller))
			return -EBADF; /* the program does not know of it */
		own_fds_forget(fd);
	}
	r = libc_result(libc.close(fd));
	if (fd >= 0 && fd <= STDERR_FILENO)
		fd_pool_low_is_free();
	return r;
}

/* Is it a placeholder, whose number goes back to the pool? */
static bool is_pooled(int fd, const struct file *f)
{
	return fd_is_own(fd) || (f && f->kind == FILE_SOCK && f->pooled_fd == fd);
}

/* In a section: what is taken out of the table is given back before it ends. Of two threads that close a
 * placeholder's number one gets it, and the other EBADF: it must not come to the kernel's close(), for the
 * pool still counts on the placeholder. */
static long close_ours(int fd, const void *caller)
{
	bool was_pooled = is_pooled(fd, fd_peek(fd));
	struct file *f = was_pooled ? fd_close(fd) : fd_remove(fd);
	long r = 0;

	if (f == &fd_free)
		return -EBADF;
	if (f == NULL)
		return close_kernel(fd, caller);
	if (is_pooled(fd, f)) {
		f->pooled_fd = -1;
		file_put(f);
		if (was_pooled)
			fd_pool_give(fd);
		else
			fd_pool_give_unused(fd);
	} else {
		/* First the kernel's, so that its epoll sets forget it before ours do. */
		r = libc_result(libc.close(fd));
		if (was_pooled)
			fd_pool_closed(fd);
		if (fd <= STDERR_FILENO)
			fd_pool_low_is_free();
		file_put(f);
	}
	return r;
}

/* Has it a kernel half yet to come, socket_make_kernel()? That must find the number open, or closed. */
static bool is_lazy(int fd)
{
	const struct file *f = fd_peek(fd);

	return f && f->kind == FILE_SOCK && socket_is_lazy(f);
}

long on_close(int fd, const void *caller)
{
	bool must_lock;
	long r;

	if (fd_peek(fd) == NULL || fd_table_is_other())
		return close_kernel(fd, caller);
	call_enter(true);
	if (fd_checks != 0)
		fd_is_sock(fd); /* what is not ours any more leaves the table */
	must_lock = is_lazy(fd);
	if (must_lock)
		fd_lock();
	r = close_ours(fd, caller);
	if (must_lock)
		fd_unlock();
	call_leave(NULL);
	return r;
}

/* Must it survive close_range()? */
static bool must_stay(int fd, const void *caller)
{
	return (fd_peek(fd) == &fd_free && (fd_checks == 0 || fd_pool_verify(fd))) ||
		(own_fds_has(fd) && !own_fds_calls(caller));
}

static bool is_plain_page(unsigned int fd)
{
	if (atomic_load(&process.fd_pages[fd / FD_PAGE]))
		return false;
	for (unsigned int i = 0; i < FD_PAGE / OWN_FDS_WORD; i++)
		if (own_fds_bits[fd / FD_PAGE * (FD_PAGE / OWN_FDS_WORD) + i])
			return false;
	return true;
}

/* Ours one by one, the kernel's in the stretches between those that must stay. */
static long close_all(unsigned int first, unsigned int last, const void *caller)
{
	unsigned int stretch = first;

	for (unsigned int fd = first; fd <= last && fd < FD_MAX; fd++) {
		if (is_plain_page(fd)) {
			fd |= FD_PAGE - 1;
			continue;
		}
		if (fd_peek((int)fd) && fd_peek((int)fd) != &fd_free)
			on_close((int)fd, caller);
		if (must_stay((int)fd, caller)) {
			if (fd > stretch)
				libc.close_range(stretch, fd - 1, 0);
			stretch = fd + 1;
		}
	}
	if (first <= STDERR_FILENO)
		fd_pool_low_is_free();
	return stretch <= last ? libc_result(libc.close_range(stretch, last, 0)) : 0;
}

static void close_all_on_exec(unsigned int first, unsigned int last)
{
	for (unsigned int fd = first; fd <= last && fd < FD_MAX; fd++) {
		struct file *f;

		if (atomic_load(&process.fd_pages[fd / FD_PAGE]) == NULL) {
			fd |= FD_PAGE - 1;
			continue;
		}
		call_enter(false);
		f = fd_get_sock((int)fd);
		/* A copy's flag is the kernel's alone. */
		if (f && f != &fd_free && f->pooled_fd == (int)fd)
			f->sock.is_cloexec = true;
		call_leave(f);
	}
}

long on_close_range(unsigned int first, unsigned int last, int flags, const void *caller)
{
	long r;

	if (first > last)
		return -EINVAL;
	if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
		return -EINVAL;
	if (fd_table_is_other() || !process_is_own()) /* closefrom() comes here directly */
		return libc_result(libc.close_range(first, last, flags));
	if ((flags & CLOSE_RANGE_UNSHARE) && fd_table_is_shared()) {
		r = libc_result(libc.close_range(first, last, flags));
		if (r == 0)
			fd_table_leave();
		return r;
	}
	/* Nobody but the library's threads shares the table, and they keep it. */
	flags &= ~CLOSE_RANGE_UNSHARE;
	if (flags & CLOSE_RANGE_CLOEXEC) {
		close_all_on_exec(first, last);
		return libc_result(libc.close_range(first, last, flags));
	}
	return close_all(first, last, caller);
}

/* Descriptors of one file share its kernel half, so it must be there. */
static long make_kernel_of(struct file *f)
{
	if (f && f->kind == FILE_SOCK && socket_is_lazy(f) && !fd_is_own(f->fd))
		return socket_make_kernel(f);
	return 0;
}

/* `to` now is the same as `fd` in the kernel's table. */
static long follow(struct file *f, int to, const void *caller)
{
	if (f == NULL)
		return fd_new(to, caller);
	if (fd_peek(to) == &fd_free)
		fd_pool_forget(to);
	file_hold(f); /* what it was before it is until now: the number is never closed to others */
	if (fd_install(to, f) < 0)
		file_put(f);
	return to;
}

static long dup_kernel(int fd, const void *caller)
{
	int to = libc.dup(fd);

	if (to < 0 && fd_new_can_retry(errno, caller)) {
		to = libc.dup(fd);
		fd_new_retried();
	}
	return libc_result(to);
}

long on_dup(int fd, const void *caller)
{
	struct file *f;
	long to;

	call_enter(false);
	f = fd_get(fd);
	to = f == &fd_free ? -EBADF : make_kernel_of(f);
	if (to == 0)
		to = f && fd_is_own(fd) ? fd_pool_take() : dup_kernel(fd, caller);
	if (to >= 0)
		to = follow(f, (int)to, caller);
	call_leave(f);
	return to;
}

static long replace(int fd, int to, int flags, bool is_dup3, const void *caller)
{
	bool is_library = own_fds_has(to) && own_fds_calls(caller);
	struct file *f;
	long r;

	if (fd_table_is_other())
		return libc_result(is_dup3 ? libc.dup3(fd, to, flags) : libc.dup2(fd, to));
	call_enter(false);
	f = fd_get(fd);
	if (f == &fd_free)
		r = -EBADF;
	else if (own_fds_has(to) && !is_library)
		r = -EBUSY; /* it cannot be had */
	else
		r = make_kernel_of(f);
	if (r == 0 && fd == to && fd_is_own(fd))
		r = is_dup3 ? -EINVAL : fd;
	else if (r == 0)
		r = libc_result(is_library ? own_fds_replace(fd_kernel(fd), to, flags) :
				is_dup3	   ? libc.dup3(fd_kernel(fd), to, flags) :
					     libc.dup2(fd_kernel(fd), to));
	if (r >= 0 && fd != to && !is_library)
		follow(f, to, NULL);
	if (r == STDERR_FILENO && f == NULL)
		say_adopt(); /* the program chooses its standard error */
	call_leave(f);
	return r;
}

/* Is it this process that the descriptor stands for? Where /proc does not say so: no. */
static bool is_self(int pidfd)
{
	char text[512];
	const char *pid;
	ssize_t n;
	int fd;

	snprintf(text, sizeof(text), "/proc/self/fdinfo/%d", pidfd);
	fd = libc.open(text, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	n = libc.read(fd, text, sizeof(text) - 1);
	libc.close(fd);
	text[n > 0 ? n : 0] = '\0';
	pid = strstr(text, "\nPid:");
	return pid && strtol(pid + 5, NULL, 10) == getpid();
}

/* A descriptor of any process, which may be this one: then it is dup(). */
long on_pidfd_getfd(int pidfd, int fd, unsigned int flags, const void *caller)
{
	struct file *f;
	bool is_ours;
	long to;

	call_enter(false);
	f = fd_get(fd);
	if (f && f != &fd_free)
		make_kernel_of(f);
	to = libc.pidfd_getfd(pidfd, fd, flags);
	if (to < 0 && fd_new_can_retry(errno, caller)) {
		to = libc.pidfd_getfd(pidfd, fd, flags);
		fd_new_retried();
	}
	to = libc_result(to);
	is_ours = to >= 0 && f && is_self(pidfd);
	if (is_ours && f == &fd_free) { /* to the program the number is closed */
		libc.close((int)to);
		to = -EBADF;
	} else if (to >= 0) {
		to = follow(is_ours ? f : NULL, (int)to, caller);
	}
	call_leave(f);
	return to;
}

long on_dup2(int fd, int to, const void *caller)
{
	return replace(fd, to, 0, false, caller);
}

long on_dup3(int fd, int to, int flags, const void *caller)
{
	return replace(fd, to, flags, true, caller);
}
