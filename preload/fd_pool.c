/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Placeholders: kernel descriptors that only reserve their number for a connection of the stack, so
 * that accept() and close() make no system calls. They are unconnected UNIX sockets (fstat() sees a
 * socket), closed on exec. While they wait here the table holds fd_free for them: to the program
 * such a number is closed (EBADF).
 *
 * Lowest number first, as far as a batch goes. The pool takes at most a sixteenth of RLIMIT_NOFILE,
 * so that a program near its limit still has them for itself.
 */
#include "preload/fd.h"
#include "preload/libc.h"
#include "preload/signals.h"

#include <pthread.h>
#include <sys/resource.h>

enum { POOL_MAX = 256, POOL_BATCH = 32, RLIMIT_SHARE = 16 };

static struct {
	pthread_mutex_t lock;
	int fds[POOL_MAX];
	int n;
	int max; /* 0: not known yet */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

void fd_pool_lock(void)
{
	signals_hold();
	pthread_mutex_lock(&pool.lock);
}

void fd_pool_unlock(void)
{
	pthread_mutex_unlock(&pool.lock);
	signals_release();
}

static int pool_max(void)
{
	struct rlimit lim;

	if (pool.max == 0) {
		pool.max = POOL_MAX;
		if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur / RLIMIT_SHARE < POOL_MAX)
			pool.max = 1 + (int)(lim.rlim_cur / RLIMIT_SHARE);
	}
	return pool.max;
}

/* 0, or why there is not a single one. */
static int refill(void)
{
	int batch[POOL_BATCH];
	int n = 0, err = 0;

	while (n < POOL_BATCH && pool.n + n < pool_max()) {
		int fd = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0) {
			err = -errno;
			break;
		}
		if (fd >= FD_MAX) {
			libc.close(fd);
			err = -EMFILE;
			break;
		}
		fd_set_free(fd, true);
		batch[n++] = fd;
	}
	while (n > 0)
		pool.fds[pool.n++] = batch[--n];
	return pool.n ? 0 : err;
}

bool fd_pool_has(void)
{
	fd_pool_lock();
	bool has = pool.n > 0 || refill() == 0;
	fd_pool_unlock();
	return has;
}

int fd_pool_take(void)
{
	int fd;

	fd_pool_lock();
	fd = pool.n ? 0 : refill();
	if (fd == 0) {
		fd = pool.fds[--pool.n];
		fd_set_free(fd, false);
	}
	fd_pool_unlock();
	return fd;
}

void fd_pool_give(int fd)
{
	bool is_full;

	fd_pool_lock();
	is_full = pool.n >= pool_max();
	if (!is_full) {
		fd_set_free(fd, true);
		pool.fds[pool.n++] = fd;
	}
	fd_pool_unlock();
	if (is_full)
		libc.close(fd);
}

void fd_pool_forget(int fd)
{
	fd_pool_lock();
	for (int i = 0; i < pool.n; i++)
		if (pool.fds[i] == fd) {
			pool.fds[i] = pool.fds[--pool.n];
			fd_set_free(fd, false);
			break;
		}
	fd_pool_unlock();
}
