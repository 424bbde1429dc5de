/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The size of the program's descriptor table.
 *
 * The kernel's table begins with 64 numbers, and grows to the next power of two above a number that is
 * handed out (alloc_fdtable() in fs/file.c). It never shrinks, except in the child of a fork(), where a
 * size that is too large does no harm. What the program has is listed once in /proc/self/fd, when the
 * data path starts or a select() needs it; from then on new numbers are noted as they are handed out.
 *
 * System calls in the program's own code make descriptors that nobody notes. Where there is such code
 * the list is read again for each select() that asks for more than is known.
 */
#include "preload/fd_size.h"
#include "preload/fd.h"
#include "preload/fd_check.h"
#include "preload/libc.h"
#include "preload/low_fds.h"
#include "preload/own_fds.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIZE_MAX_KERNEL = 1 << 30 };

_Atomic int fd_size = FD_SIZE_UNKNOWN;

static int size_for(int fd)
{
	int size = FD_SIZE_MIN;

	while (size <= fd && size < SIZE_MAX_KERNEL)
		size *= 2;
	return size;
}

void fd_size_grow(int fd)
{
	int size = size_for(fd), was = atomic_load(&fd_size);

	while (was < size && !atomic_compare_exchange_weak(&fd_size, &was, size))
		;
}

static bool is_programs(int fd)
{
	return !own_fds_has(fd) && fd_peek(fd) != &fd_free;
}

/* The highest number of the program in a piece of the list, or `highest`. */
static int highest_of(const char *piece, long n, int highest)
{
	while (n > 0) {
		const struct dirent64 *entry = (const struct dirent64 *)(const void *)piece;
		int fd = (int)strtol(entry->d_name, NULL, 10); /* "." and ".." are 0 */

		if (fd > highest && is_programs(fd))
			highest = fd;
		piece += entry->d_reclen;
		n -= entry->d_reclen;
	}
	return highest;
}

/* Also where no number is left, and without memory of the heap: select() may be called in handlers. */
static int highest_open(void)
{
	char piece[2048] __attribute__((aligned(8)));
	int fd = libc.open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), highest = 0;
	long n;

	if (fd < 0)
		return LOW_FDS_MAX - 1; /* as large as a set of bits usually is */
	while ((n = libc.syscall(SYS_getdents64, fd, piece, sizeof(piece))) > 0)
		highest = highest_of(piece, n, highest);
	libc.close(fd);
	return highest;
}

void fd_size_learn(void)
{
	int unknown = FD_SIZE_UNKNOWN;
	int highest = highest_open();

	if (!atomic_compare_exchange_strong(&fd_size, &unknown, size_for(highest)))
		fd_size_grow(highest);
}

int fd_size_cut(int n)
{
	int size = atomic_load_explicit(&fd_size, memory_order_relaxed), err = errno;

	if (n <= FD_SIZE_MIN)
		return n;
	if (size == FD_SIZE_UNKNOWN || (n > size && (fd_checks & FD_CHECK_NUMBERS))) {
		fd_size_learn();
		size = atomic_load(&fd_size);
		errno = err;
	}
	return n < size ? n : size;
}
