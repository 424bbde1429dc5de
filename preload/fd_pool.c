/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Placeholders: kernel descriptors that only reserve their number for a connection of the stack, so
 * that socket(), accept() and close() make no system calls. They are duplicates of one unconnected
 * UNIX socket, the seed (fstat() sees a socket; a placeholder costs the kernel a pointer), closed on
 * exec. While they wait here the table holds fd_free for them: to the program such a number is
 * closed (EBADF).
 *
 * Lowest number first, as far as a batch goes. The pool takes at most a sixteenth of RLIMIT_NOFILE,
 * so that a program near its limit still has them for itself.
 *
 * Own numbers: where the settings allow more descriptors than the kernel's hard limit, and the
 * kernel has none left, connections get numbers from that limit on, which the kernel never hands
 * out. Nothing of the kernel stands behind them; where a call needs some descriptor the seed is it.
 */
#include "conf/conf.h"
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/fd.h"
#include "preload/libc.h"
#include "preload/signals.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

enum { POOL_MAX = 256, POOL_BATCH = 32, RLIMIT_SHARE = 16 };

static struct {
	pthread_mutex_t lock;
	int fds[POOL_MAX];
	int n;
	int max; /* 0: not known yet */
	int seed;
	/* own numbers: base .. next have been in use, n_own of them are free again */
	int *own;
	int n_own, next;
	int soft; /* the kernel's soft limit at the start */
	_Atomic int base, limit; /* 0: not known yet; limit: the program's own soft limit */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .seed = -1};

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
		if (libc.getrlimit(RLIMIT_NOFILE, &lim) == 0 &&
			lim.rlim_cur / RLIMIT_SHARE < POOL_MAX)
			pool.max = 1 + (int)(lim.rlim_cur / RLIMIT_SHARE);
	}
	return pool.max;
}

static int make_seed(void)
{
	if (pool.seed >= 0)
		return 0;
	pool.seed = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (pool.seed < 0)
		return -errno;
	fd_set_free(pool.seed, true); /* out of the program's reach */
	return 0;
}

static void own_init(void)
{
	int wanted = (int)boot_conf()->descriptor_limit;
	struct rlimit lim;
	void *list;

	if (wanted > FD_MAX)
		wanted = FD_MAX;
	if (libc.getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_max >= (rlim_t)wanted) {
		pool.base = pool.limit = pool.next = FD_MAX; /* none */
		return;
	}
	/* Pages that are never touched cost nothing. */
	list = mmap(NULL, (wanted - lim.rlim_max) * sizeof(int), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	pool.own = list != MAP_FAILED ? list : NULL;
	pool.next = (int)lim.rlim_max;
	pool.soft = (int)lim.rlim_cur;
	pool.limit = pool.own ? wanted : pool.next;
	pool.base = pool.next;
}

/* Placeholders are below this. Where there are own numbers, the kernel's last ones are the program's
 * for its files. */
static int kernel_end(void)
{
	if (pool.base == 0)
		own_init();
	return pool.own ? pool.soft - pool.soft / RLIMIT_SHARE : FD_MAX;
}

/* 0, or why there is not a single one. */
static int refill(void)
{
	int batch[POOL_BATCH];
	int n = 0, err = make_seed();

	while (err == 0 && n < POOL_BATCH && pool.n + n < pool_max()) {
		int fd = libc.fcntl(pool.seed, F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			err = -errno;
			break;
		}
		if (fd >= kernel_end()) {
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

/* --- own numbers ------------------------------------------------------------------------------------ */

/* A number, or -EMFILE. */
static int own_take(void)
{
	if (pool.base == 0)
		own_init();
	while (pool.n_own > 0) {
		int fd = pool.own[--pool.n_own];

		if (fd < pool.limit && fd_peek(fd) == &fd_free) {
			fd_set_free(fd, false);
			return fd;
		}
	}
	return pool.next < pool.limit ? pool.next++ : -EMFILE;
}

static bool own_has(void)
{
	if (pool.base == 0)
		own_init();
	return pool.n_own > 0 || pool.next < pool.limit;
}

bool fd_is_own(int fd)
{
	int base = atomic_load_explicit(&pool.base, memory_order_relaxed);

	return base != 0 && fd >= base && fd < FD_MAX;
}

int fd_kernel(int fd)
{
	return fd_is_own(fd) ? pool.seed : fd;
}

long on_getrlimit(int resource, struct rlimit *lim)
{
	long r = libc_result(libc.getrlimit(resource, lim));

	if (r < 0 || resource != RLIMIT_NOFILE || !boot_takes_thread())
		return r;
	fd_pool_lock();
	if (pool.base == 0)
		own_init();
	if (pool.own) {
		if (lim->rlim_cur == lim->rlim_max)
			lim->rlim_cur = pool.limit;
		lim->rlim_max = boot_conf()->descriptor_limit;
	}
	fd_pool_unlock();
	return r;
}

long on_getrlimit64(int resource, struct rlimit *lim)
{
	return on_getrlimit(resource, lim);
}

/* The kernel gets its part of it. */
long on_setrlimit(int resource, const struct rlimit *want)
{
	struct rlimit lim;

	if (resource != RLIMIT_NOFILE || want == NULL || !boot_takes_thread() ||
		libc.getrlimit(resource, &lim) < 0 || want->rlim_cur > want->rlim_max)
		return libc_result(libc.setrlimit(resource, want));
	fd_pool_lock();
	if (pool.base == 0)
		own_init();
	if (pool.own == NULL || want->rlim_max > boot_conf()->descriptor_limit) {
		fd_pool_unlock();
		return libc_result(libc.setrlimit(resource, want));
	}
	if (want->rlim_cur > (rlim_t)pool.base)
		pool.limit = (int)want->rlim_cur;
	else
		pool.limit = pool.base;
	fd_pool_unlock();
	lim.rlim_cur = want->rlim_cur < lim.rlim_max ? want->rlim_cur : lim.rlim_max;
	return libc_result(libc.setrlimit(resource, &lim));
}

long on_setrlimit64(int resource, const struct rlimit *want)
{
	return on_setrlimit(resource, want);
}

/* --- all numbers ------------------------------------------------------------------------------------ */

bool fd_pool_has(void)
{
	fd_pool_lock();
	bool has = pool.n > 0 || own_has() || refill() == 0;
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
	} else if (fd == -EMFILE && pool.seed >= 0) {
		fd = own_take();
	}
	fd_pool_unlock();
	return fd;
}

void fd_pool_give(int fd)
{
	bool is_full;

	fd_pool_lock();
	is_full = pool.n >= pool_max();
	if (fd_is_own(fd)) {
		fd_set_free(fd, true);
		pool.own[pool.n_own++] = fd;
		is_full = false;
	} else if (!is_full) {
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
	if (fd_is_own(fd) || fd == pool.seed)
		fd_set_free(fd, false);
	if (fd == pool.seed)
		pool.seed = -1; /* the next refill makes another */
	for (int i = 0; i < pool.n; i++)
		if (pool.fds[i] == fd) {
			pool.fds[i] = pool.fds[--pool.n];
			fd_set_free(fd, false);
			break;
		}
	fd_pool_unlock();
}
