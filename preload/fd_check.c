/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is the number still ours?
 *
 * A system call in the program's own code that closes a socket of ours, and another that opens a file,
 * leave the file under a number that the table takes for the socket. What the program then writes into
 * its file by write() would go to the socket's peer. Nobody tells us of such calls (syscall_guard=1
 * does, at the price of a signal for each), but most programs have none: their code is searched when
 * the data path starts, and again after dlopen(). Where one is found, each lookup of a number asks the
 * kernel what it stands for:
 *
 *	socket		the inode of the kernel's socket (or of the placeholder), known from the file's
 *			first number on
 *	epoll		all of them have one inode; ours know a descriptor of ours (the mark), which never
 *			reports anything
 *	waiting in the pool	as a placeholder
 *
 * One system call per lookup, only in such programs. A number that has changed hands is the kernel's from
 * then on, and what it stood for is closed. A change in the middle of a call is none of ours: to the
 * kernel, too, the call goes on with what the number was when it began.
 *
 * dlopen() sets two bits on its way into libc and is not seen to return (its caller must stay what it
 * is, for libc looks there for the search path). So for LOAD_NS after the last one each lookup also
 * compares the number of loaded objects with that of the last search.
 */
#include "preload/fd_check.h"
#include "preload/boot.h"
#include "preload/fd.h"
#include "preload/fd_table.h"
#include "preload/guard.h"
#include "preload/inline_code.h"
#include "preload/libc.h"
#include "preload/own_fds.h"
#include "preload/thread.h"
#include "preload/wait.h"

#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD_NS NS_PER_S

_Atomic uint8_t fd_checks;

static int mark = -1;                        /* fd_lock */
static unsigned long long n_objects;         /* fd_lock: at the last search */
static uint64_t loading_ns;                  /* fd_lock: when the last dlopen() was noticed */

/* Not fstat(): libc makes a dearer call of it. 0: the number is no socket. */
static uint64_t inode_of(int fd)
{
#if defined(SYS_fstat)
	struct stat st;

	if (libc.syscall(SYS_fstat, fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return 0;
#else
	struct stat st;

	if (libc.fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return 0;
#endif
	return st.st_ino;
}

/* fd_lock. */
static void hang_mark(int epfd)
{
	struct epoll_event none = {.events = 0};

	if (mark < 0)
		mark = own_fds_keep(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	libc.epoll_ctl(epfd, EPOLL_CTL_ADD, mark, &none);
}

static bool has_mark(int epfd)
{
	struct epoll_event none = {.events = 0};

	return libc.epoll_ctl(epfd, EPOLL_CTL_MOD, mark, &none) == 0;
}

void fd_check_learn(struct file *f)
{
	if (!(fd_checks & FD_CHECK_NUMBERS) || f->fd < 0 || fd_is_own(f->fd))
		return;
	fd_lock();
	if (f->kind == FILE_SOCK)
		f->inode = inode_of(f->fd);
	else if (f->inode == 0)
		hang_mark(f->fd);
	if (f->kind == FILE_EPOLL)
		f->inode = 1;
	fd_unlock();
}

static bool is_still(int fd, const struct file *f)
{
	if (f->inode == 0 || fd_is_own(fd)) /* not learned: it was made while the checks began */
		return true;
	return f->kind == FILE_SOCK ? inode_of(fd) == f->inode : has_mark(fd);
}

/* For sure: what was seen may have been a descriptor that was just being replaced by us. */
static struct file *check_again(int fd, struct file *f)
{
	fd_lock();
	if (!is_still(fd, f))
		fd_leave(fd, f);
	fd_unlock();
	if (fd_peek(fd) == f)
		return f;
	file_put(f);
	return NULL;
}

/* Has other code come since the last search? */
static void search_again(void)
{
	uint64_t now = clock_ns();

	fd_lock();
	if (atomic_fetch_and(&fd_checks, (uint8_t)~FD_CHECK_LOADING) & FD_CHECK_LOADING)
		loading_ns = now;
	if (inline_code_objects() != n_objects)
		fd_check_start();
	else if (now - loading_ns > LOAD_NS)
		atomic_fetch_and(&fd_checks, (uint8_t)~FD_CHECK_CODE);
	fd_unlock();
}

/* `f` is another's: to the caller the number is what the kernel says. */
static struct file *not_of_caller(struct file *f)
{
	if (f->kind == FILE_SOCK)
		boot_say_once("a thread or child with a descriptor table of its own (CLONE_FILES) cannot "
			      "use the sockets of the stack: they belong to the others (said once)");
	file_put(f);
	return NULL;
}

struct file *fd_check(int fd, struct file *f)
{
	int saved_errno = errno;

	if (fd_table_is_other()) {
		f = not_of_caller(f);
		errno = saved_errno;
		return f;
	}
	if (atomic_load(&fd_checks) & FD_CHECK_CODE)
		search_again();
	if (atomic_load(&fd_checks) & FD_CHECK_NUMBERS) {
		if (f == &fd_free)
			f = fd_pool_verify(fd) ? f : NULL;
		else if (!is_still(fd, f))
			f = check_again(fd, f);
	}
	errno = saved_errno;
	return f;
}

void fd_check_begin(void)
{
	struct file *f;
	size_t pos = 0;

	fd_lock();
	if (!(atomic_fetch_or(&fd_checks, FD_CHECK_NUMBERS) & FD_CHECK_NUMBERS))
		while ((f = file_next(&pos)) != NULL) {
			fd_check_learn(f);
			file_put(f);
		}
	fd_unlock();
}

void fd_check_start(void)
{
	n_objects = inline_code_objects();
	if (!atomic_load(&guard_is_on) && inline_code_search())
		fd_check_begin();
}
