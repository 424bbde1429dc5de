/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Placeholders: kernel descriptors that only reserve their number for a connection of the stack, so
 * that socket(), accept() and close() make no system calls. They are duplicates of one unconnected
 * UNIX socket, the seed (fstat() sees a socket; a placeholder costs the kernel a pointer), closed on
 * exec. While they wait here the table holds fd_free for them: to the program such a number is
 * closed (EBADF).
 *
 * System calls that do not come through libc (in the program's own code, or by a ring of io_uring)
 * meet the placeholder. It is of type SOCK_SEQPACKET, because there reading and writing both fail with
 * ENOTCONN and without SIGPIPE; nothing that a program does with an IPv4 address connects it.
 *
 * Lowest number first, as far as a batch goes. The numbers 0 to 2 never wait here: a connection gets
 * one where the kernel would give it. The pool takes at most a sixteenth of RLIMIT_NOFILE, and gives
 * everything back before a call fails for want of numbers.
 *
 * A program may close placeholders by such system calls as well. Where there is a sign of it, those
 * that wait are looked at before one is used: a number that the kernel may hand out again at any time
 * is worth nothing.
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
#include "preload/own_fds.h"
#include "preload/signals.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { POOL_MAX = 256, POOL_BATCH = 32, RLIMIT_SHARE = 16, LOWEST = STDERR_FILENO + 1 };

/* Files whose numbers the kernel has handed out anew: to be dropped when the lock is free. */
struct stale {
	struct file *files[POOL_BATCH];
	int n;
};

static struct {
	pthread_mutex_t lock;
	int fds[POOL_MAX];
	int n;
	int max; /* 0: not known yet */
	int end; /* none waits from here on: a limit that the program has set; 0: it has set none */
	int seed;
	ino_t seed_inode;
	bool low_may_be_free;   /* one of the numbers 0 to 2 */
	_Atomic bool is_in_doubt; /* some that wait may have been closed */
	/* own numbers: base .. next have been in use, n_own of them are free again */
	int *own;
	int n_own, next;
	_Atomic int soft; /* the kernel's soft limit at the start, less what the library keeps */
	_Atomic int base, limit; /* 0: not known yet; limit: the program's own soft limit */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .seed = -1, .low_may_be_free = true};

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

static void unlock_and_drop(struct stale *s)
{
	fd_pool_unlock();
	while (s->n > 0)
		file_put(s->files[--s->n]);
}

static bool waits(int fd)
{
	for (int i = 0; i < pool.n; i++)
		if (pool.fds[i] == fd)
			return true;
	return fd == pool.seed;
}

/* `fd` is ours now. False: it waits here already. */
static bool claim(int fd, struct stale *s)
{
	struct file *old = fd_swap_free(fd);

	if (old == &fd_free) {
		if (waits(fd))
			return false;
	} else if (old) {
		s->files[s->n++] = old;
	}
	return true;
}

static bool is_placeholder(int fd)
{
	struct stat st;

	return libc.fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == pool.seed_inode;
}

/* 0 or -errno. */
static int make_seed(struct stale *s)
{
	struct stat st;
	int fd, high;

	if (pool.seed >= 0 && is_placeholder(pool.seed))
		return 0;
	if (pool.seed >= 0)
		fd_set_free(pool.seed, false); /* closed, and somebody else's by now */
	fd = libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	high = own_fds_move(fd);
	if (libc.fstat(high, &st) < 0) {
		libc.close(high);
		return -EBADF;
	}
	pool.seed = high;
	pool.seed_inode = st.st_ino;
	claim(high, s); /* out of the program's reach */
	return 0;
}

static void verify(void)
{
	int kept = 0;

	if (!atomic_exchange(&pool.is_in_doubt, false))
		return;
	for (int i = 0; i < pool.n; i++) {
		if (is_placeholder(pool.fds[i]))
			pool.fds[kept++] = pool.fds[i];
		else
			fd_set_free(pool.fds[i], false);
	}
	pool.n = kept;
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

void fd_pool_reserved(rlim_t soft)
{
	if (soft < (rlim_t)pool.soft)
		pool.soft = (int)soft;
}

/* 0, or why there is not a single one. */
static int refill(struct stale *s)
{
	int batch[POOL_BATCH];
	int n = 0, err = make_seed(s);

	while (err == 0 && s->n < POOL_BATCH && n < POOL_BATCH && pool.n + n < pool_max()) {
		int fd = libc.fcntl(pool.seed, F_DUPFD_CLOEXEC, LOWEST);

		if (fd < 0) { /* EINVAL: the limit is LOWEST or less */
			err = errno == EINVAL ? -EMFILE : -errno;
			break;
		}
		if (fd >= kernel_end()) {
			libc.close(fd);
			err = -EMFILE;
			break;
		}
		if (claim(fd, s))
			batch[n++] = fd;
	}
	while (n > 0)
		pool.fds[pool.n++] = batch[--n];
	return pool.n ? 0 : err;
}

/* A number from 0 to 2, if the kernel has one; or its next, where none waits. -1: neither. */
static int take_lowest(struct stale *s)
{
	int fd;

	if (!pool.low_may_be_free || make_seed(s) < 0)
		return -1;
	fd = libc.fcntl(pool.seed, F_DUPFD_CLOEXEC, 0);
	pool.low_may_be_free = fd >= 0 && fd < LOWEST;
	if (fd >= kernel_end() || (fd >= LOWEST && pool.n > 0)) {
		libc.close(fd);
		return -1;
	}
	return fd < 0 || !claim(fd, s) ? -1 : fd;
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

int fd_pool_own_limit(void)
{
	int limit;

	fd_pool_lock();
	if (pool.base == 0)
		own_init();
	limit = pool.own ? pool.limit : 0;
	fd_pool_unlock();
	return limit;
}

void fd_pool_limit_own(rlim_t soft)
{
	fd_pool_lock();
	pool.limit = soft > (rlim_t)pool.base ? (int)soft : pool.base;
	fd_pool_unlock();
}

/* --- all numbers ------------------------------------------------------------------------------------ */

bool fd_pool_has(void)
{
	struct stale stale = {.n = 0};

	fd_pool_lock();
	verify();
	bool has = pool.n > 0 || own_has() || refill(&stale) == 0;
	unlock_and_drop(&stale);
	return has;
}

/* One of those that wait; where they can be closed unseen, one that was not. -1: see `err`. */
static int pop(struct stale *s, int *err)
{
	int fd = pool.fds[--pool.n];

	while ((fd_checks & FD_CHECK_NUMBERS) && !is_placeholder(fd)) {
		fd_set_free(fd, false);
		if (pool.n == 0)
			*err = refill(s);
		if (pool.n == 0)
			return -1;
		fd = pool.fds[--pool.n];
	}
	return fd;
}

int fd_pool_take(void)
{
	struct stale stale = {.n = 0};
	int fd, err = 0;

	fd_pool_lock();
	verify();
	fd = take_lowest(&stale);
	if (fd < 0 && pool.n == 0)
		err = refill(&stale);
	if (fd < 0 && err == 0)
		fd = pop(&stale, &err);
	if (fd >= 0)
		fd_set_free(fd, false);
	else
		fd = err == -EMFILE && pool.seed >= 0 ? own_take() : err;
	unlock_and_drop(&stale);
	return fd;
}

bool fd_pool_verify(int fd)
{
	bool is_ours = fd_is_own(fd) || is_placeholder(fd);

	if (!is_ours)
		fd_pool_forget(fd);
	return is_ours;
}

bool fd_pool_empty(void)
{
	int n;

	fd_pool_lock();
	for (n = 0; pool.n > 0; n++) {
		int fd = pool.fds[--pool.n];

		fd_set_free(fd, false);
		libc.close(fd);
	}
	fd_pool_unlock();
	return n > 0;
}

void fd_pool_limit(rlim_t soft)
{
	fd_pool_lock();
	pool.end = soft == 0 ? 1 : soft < FD_MAX ? (int)soft : FD_MAX;
	fd_pool_unlock();
	fd_pool_empty();
}

bool fd_pool_leaves_room(void)
{
	int fd;

	if (pool.n == 0) /* a guess: nothing waits */
		return true;
	fd = libc.fcntl(pool.seed, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0)
		libc.close(fd);
	return fd >= 0;
}

void fd_pool_doubt(void)
{
	atomic_store(&pool.is_in_doubt, true);
}

void fd_pool_low_is_free(void)
{
	fd_pool_lock();
	pool.low_may_be_free = true;
	fd_pool_unlock();
}

bool fd_pool_stand_in(int fd)
{
	struct stale stale = {.n = 0};
	int flags = libc.fcntl(fd, F_GETFD), r;

	fd_pool_lock();
	r = flags < 0 ? -1 : make_seed(&stale);
	if (r == 0)
		r = libc.dup3(pool.seed, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
	unlock_and_drop(&stale);
	return r == fd && (flags & FD_CLOEXEC);
}

void fd_pool_closed(int fd)
{
	fd_pool_lock();
	if (!waits(fd)) /* the kernel may have given it to us again */
		fd_unfree(fd);
	fd_pool_unlock();
}

void fd_pool_give(int fd)
{
	bool is_full;

	fd_pool_lock();
	is_full = pool.n >= pool_max() || fd < LOWEST || (pool.end > 0 && fd >= pool.end);
	pool.low_may_be_free = pool.low_may_be_free || fd < LOWEST;
	if (fd_is_own(fd)) {
		pool.own[pool.n_own++] = fd;
		is_full = false;
	} else if (fd_peek(fd) != &fd_free) {
		is_full = false; /* another file's */
	} else if (!is_full) {
		pool.fds[pool.n++] = fd;
	}
	fd_pool_unlock();
	if (is_full) {
		libc.close(fd);
		fd_pool_closed(fd);
	}
}

void fd_pool_give_unused(int fd)
{
	fd_set_free(fd, true);
	fd_pool_give(fd);
}

void fd_pool_forget(int fd)
{
	fd_pool_lock();
	fd_unfree(fd);
	if (fd == pool.seed)
		pool.seed = -1; /* the next refill makes another */
	for (int i = 0; i < pool.n; i++)
		if (pool.fds[i] == fd) {
			pool.fds[i] = pool.fds[--pool.n];
			fd_pool_doubt();
			break;
		}
	fd_pool_unlock();
}
