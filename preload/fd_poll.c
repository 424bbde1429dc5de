/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * poll and select over both worlds.
 *
 * Calls without a socket of ours go straight to the kernel. Otherwise the answer for ours comes from
 * the sockets' own events, for all others from one kernel poll() over a copy of the list in which
 * ours are blanked out. A ready set is only needed to wait: each thread keeps one and changes just
 * what differs from its last call, because programs poll the same list again and again.
 *
 * select is poll over the bits that are set: RD = IN|HUP|ERR, WR = OUT|ERR, EX = PRI, as in the
 * kernel.
 */
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/epoll.h"
#include "preload/socket.h"
#include "preload/wait.h"
#include "preload/watch.h"
#include "stack/ready.h"
#include "stack/sock.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	ON_STACK_MAX = 64, /* descriptors of a call that needs no malloc */
	SELECT_RD = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR,
	SELECT_WR = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR,
	SELECT_EX = POLLPRI,
};

/* One call in progress. */
struct call {
	struct pollfd *fds;     /* the program's */
	nfds_t n;
	struct file **files;    /* n entries; NULL: the kernel's. References are held */
	struct pollfd *kernel;  /* n + WAIT_OWN_FDS entries: a copy with ours blanked out */
	bool has_kernel;
	uint64_t kernel_asked; /* ticks */
};

/* The watches this thread has left in its set, in the order of its last call. */
static __thread struct {
	struct watch_set set;
	_Atomic(struct watch *) *watches;
	size_t n, room;
	bool has_destructor;
} mine;

static pthread_key_t thread_key;
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;

/* --- the thread's set ------------------------------------------------------------------------------- */

void poll_clear(void)
{
	fd_lock();
	watch_set_clear(&mine.set);
	fd_unlock();
	free(mine.watches);
	mine.watches = NULL;
	mine.n = mine.room = 0;
}

static void thread_exit(void *arg)
{
	poll_clear();
	mine.has_destructor = false;
}

static void make_key(void)
{
	pthread_key_create(&thread_key, thread_exit);
}

void poll_orphan(void)
{
	memset(&mine.set, 0, sizeof(mine.set));
	mine.n = 0;
}

static bool set_grow(size_t n)
{
	_Atomic(struct watch *) *grown;

	if (!mine.has_destructor) {
		pthread_once(&thread_key_once, make_key);
		pthread_setspecific(thread_key, &mine);
		mine.has_destructor = true;
	}
	if (n <= mine.room)
		return true;
	grown = calloc(n, sizeof(*grown));
	if (grown == NULL)
		return false;
	/* The watches point back into the array. */
	for (size_t i = 0; i < mine.n; i++) {
		struct watch *w = atomic_load(&mine.watches[i]);

		atomic_store(&grown[i], w);
		if (w)
			w->owner = &grown[i];
	}
	free(mine.watches);
	mine.watches = grown;
	mine.room = n;
	return true;
}

static bool is_same(struct watch *w, struct file *f, uint32_t events)
{
	return w == NULL ? f == NULL : w->file == f && w->events == events;
}

static int set_replace(size_t i, struct file *f, int fd, uint32_t events)
{
	struct watch *w = atomic_load(&mine.watches[i]);
	int r;

	if (w)
		watch_free(w);
	if (f == NULL)
		return 0;
	r = watch_new(&mine.set, NULL, f, fd, events, 0, &w);
	if (r < 0)
		return r;
	w->owner = &mine.watches[i];
	atomic_store(&mine.watches[i], w);
	return 0;
}

/* Make the thread's set watch what this call watches. */
static struct ready_set *set_prepare(const struct call *c)
{
	int r = 0;

	fd_lock();
	if (!set_grow(c->n)) {
		fd_unlock();
		return NULL;
	}
	for (size_t i = mine.n; i < mine.room; i++)
		atomic_store(&mine.watches[i], NULL);
	for (size_t i = 0; i < c->n || i < mine.n; i++) {
		struct file *f = i < c->n ? c->files[i] : NULL;
		uint32_t events = f ? (uint16_t)c->fds[i].events : 0;

		if (f && atomic_load(&f->sock.sock) == NULL)
			f = NULL;
		if (!is_same(atomic_load(&mine.watches[i]), f, events))
			r = set_replace(i, f, i < c->n ? c->fds[i].fd : -1, events);
		if (r < 0)
			break;
	}
	mine.n = c->n > mine.n ? c->n : mine.n;
	while (mine.n > 0 && atomic_load(&mine.watches[mine.n - 1]) == NULL)
		mine.n--;
	fd_unlock();
	/* Nothing of the stack's is left in it: there is nothing to run or to sleep on. */
	return r < 0 || mine.set.n_ready == 0 ? NULL : atomic_load(&mine.set.ready);
}

/* --- one call ------------------------------------------------------------------------------------- */

static bool is_ours(int fd)
{
	struct file *f = fd_peek(fd);

	if (f && epoll_must_nest(f)) {
		f = fd_get(fd);
		if (f && epoll_must_nest(f))
			epoll_nest(f);
		if (f)
			file_put(f);
		f = fd_peek(fd);
	}
	return f && (f == &fd_free || f->kind == FILE_SOCK);
}

static bool any_ours(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++)
		if (is_ours(fds[i].fd))
			return true;
	return false;
}

static void call_begin(struct call *c)
{
	bool must_attach = false;

	for (nfds_t i = 0; i < c->n; i++) {
		c->files[i] = fd_get_sock(c->fds[i].fd);
		must_attach = must_attach || (c->files[i] && socket_wants_stack(c->files[i]));
	}
	if (must_attach)
		boot_attach();
	for (nfds_t i = 0; i < c->n; i++) {
		struct file *f = c->files[i];
		bool is_closed = f == &fd_free;

		if (is_closed)
			c->files[i] = f = NULL;
		if (f && socket_is_lazy(f))
			socket_make_kernel(f);
		c->kernel[i] = c->fds[i];
		/* INT_MAX is no descriptor: the kernel says POLLNVAL for a closed number. */
		if (is_closed)
			c->kernel[i].fd = INT_MAX;
		else if (f && !(f->sock.halves & HALF_KERNEL))
			c->kernel[i].fd = -1;
		if (c->kernel[i].fd >= 0)
			c->has_kernel = true;
	}
}

static void call_end(struct call *c)
{
	for (nfds_t i = 0; i < c->n; i++)
		if (c->files[i])
			file_put(c->files[i]);
}

static short events_of(const struct file *f, short wanted)
{
	struct sock *s = atomic_load_explicit(&f->sock.sock, memory_order_relaxed);
	uint32_t events;

	if (f->sock.is_dead)
		return POLLERR | POLLHUP;
	if (s == NULL)
		return 0;
	events = sock_events(s);
	if (events & POLLIN)
		events |= POLLRDNORM;
	if (events & POLLOUT)
		events |= POLLWRNORM;
	return (short)(events & ((uint16_t)wanted | POLLERR | POLLHUP));
}

/* Fill in revents; the number of entries with some. */
static int call_scan(struct call *c, bool ask_kernel)
{
	bool has_answer = false;
	int n = 0;

	if (ask_kernel && c->has_kernel) {
		has_answer = libc.poll(c->kernel, c->n, 0) > 0;
		c->kernel_asked = clock_ticks();
		if (has_answer)
			socket_kernel_spoke();
	}
	for (nfds_t i = 0; i < c->n; i++) {
		short got = has_answer && c->kernel[i].fd >= 0 ? c->kernel[i].revents : 0;

		if (c->files[i])
			got |= events_of(c->files[i], c->fds[i].events);
		c->fds[i].revents = got;
		n += got != 0;
	}
	return n;
}

static void call_sleep(struct call *c, struct ready_set *set, struct wait *w)
{
	struct ready_event stale;

	/* wait_sleep() wants its own first. */
	memmove(c->kernel + WAIT_OWN_FDS, c->kernel, c->n * sizeof(*c->kernel));
	if (!wait_sleep(w, set, c->kernel, WAIT_OWN_FDS + (c->has_kernel ? c->n : 0)))
		HELD(ready_collect(set, &stale, 1)); /* what is no longer true leaves the set */
	memmove(c->kernel, c->kernel + WAIT_OWN_FDS, c->n * sizeof(*c->kernel));
}

static long call_wait(struct call *c, uint64_t timeout_ns)
{
	struct ready_set *set = NULL;
	bool ask_kernel = true;
	struct wait w;
	int n, r;

	boot_check_end();
	wait_rested();
	wait_begin(&w, timeout_ns, false);
	for (;;) {
		n = call_scan(c, ask_kernel);
		if (n > 0)
			return n;
		if (set == NULL)
			set = set_prepare(c);
		else if ((r = wait_check(&w)) < 0)
			return r == -ETIMEDOUT ? 0 : r;
		if (set == NULL) /* undecided sockets only */
			return -EAGAIN;
		if (HELD(ready_run(set)) || timeout_ns == 0 || ready_spins(set)) {
			ask_kernel = clock_ticks() - c->kernel_asked >= clock_kernel_ticks;
		} else {
			if (timeout_ns != 0)
				call_sleep(c, set, &w);
			ask_kernel = true;
		}
	}
}

static long poll_mixed(struct pollfd *fds, nfds_t n, uint64_t timeout_ns, const sigset_t *mask)
{
	struct file *few_files[ON_STACK_MAX];
	struct pollfd few_fds[ON_STACK_MAX + WAIT_OWN_FDS];
	struct call c = {.fds = fds, .n = n, .files = few_files, .kernel = few_fds};
	struct timespec ts = wait_timespec(timeout_ns);
	sigset_t old;
	void *big = NULL;
	long r;

	if (n > ON_STACK_MAX) {
		big = malloc(n * sizeof(*c.files) + (n + WAIT_OWN_FDS) * sizeof(*c.kernel));
		if (big == NULL)
			return -ENOMEM;
		c.files = big;
		c.kernel = (struct pollfd *)(c.files + n);
	}
	if (mask)
		pthread_sigmask(SIG_SETMASK, mask, &old);
	call_begin(&c);
	r = call_wait(&c, timeout_ns);
	call_end(&c);
	if (mask)
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	free(big);
	if (r == -EAGAIN)
		r = libc_result(libc.ppoll(fds, n, timeout_ns == WAIT_FOREVER ? NULL : &ts, mask));
	return r;
}

/* --- poll ------------------------------------------------------------------------------------------- */

static bool is_valid(const struct timespec *ts)
{
	return ts == NULL ||
		(ts->tv_sec >= 0 && ts->tv_nsec >= 0 && (uint64_t)ts->tv_nsec < NS_PER_S);
}

long on_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	if (!any_ours(fds, n))
		return libc_result(libc.poll(fds, n, timeout_ms));
	return poll_mixed(fds, n,
		timeout_ms < 0 ? WAIT_FOREVER : (uint64_t)timeout_ms * NS_PER_MS, NULL);
}

long on_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	if (!any_ours(fds, n))
		return libc_result(libc.ppoll(fds, n, timeout, mask));
	return is_valid(timeout) ? poll_mixed(fds, n, wait_ns(timeout), mask) : -EINVAL;
}

static void check_bounds(nfds_t n, size_t size)
{
	if (n <= size / sizeof(struct pollfd))
		return;
	boot_say("buffer overflow detected in the program: poll of %lu descriptors", (unsigned long)n);
	abort();
}

long on___poll_chk(struct pollfd *fds, nfds_t n, int timeout_ms, size_t size)
{
	check_bounds(n, size);
	return on_poll(fds, n, timeout_ms);
}

long on___ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
	const sigset_t *mask, size_t size)
{
	check_bounds(n, size);
	return on_ppoll(fds, n, timeout, mask);
}

/* --- select ------------------------------------------------------------------------------------------ */

static bool has_bit(const fd_set *set, int fd)
{
	return set && (set->fds_bits[fd / __NFDBITS] & (1L << (fd % __NFDBITS)));
}

static void put_bit(fd_set *set, int fd)
{
	set->fds_bits[fd / __NFDBITS] |= 1L << (fd % __NFDBITS);
}

static void clear_bits(fd_set *set, int n)
{
	if (set)
		memset(set->fds_bits, 0, ((n + __NFDBITS - 1) / __NFDBITS) * sizeof(long));
}

static bool select_any_ours(int n, const fd_set *rd, const fd_set *wr, const fd_set *ex)
{
	for (int fd = 0; fd < n; fd++)
		if ((has_bit(rd, fd) || has_bit(wr, fd) || has_bit(ex, fd)) && is_ours(fd))
			return true;
	return false;
}

static long select_result(const struct pollfd *fds, nfds_t n_fds, int n, fd_set *rd, fd_set *wr,
	fd_set *ex)
{
	long bits = 0;

	for (nfds_t i = 0; i < n_fds; i++)
		if (fds[i].revents & POLLNVAL)
			return -EBADF;
	clear_bits(rd, n);
	clear_bits(wr, n);
	clear_bits(ex, n);
	for (nfds_t i = 0; i < n_fds; i++) {
		short wanted = fds[i].events, got = fds[i].revents;

		if ((wanted & POLLIN) && (got & SELECT_RD) && ++bits)
			put_bit(rd, fds[i].fd);
		if ((wanted & POLLOUT) && (got & SELECT_WR) && ++bits)
			put_bit(wr, fds[i].fd);
		if ((wanted & POLLPRI) && (got & SELECT_EX) && ++bits)
			put_bit(ex, fds[i].fd);
	}
	return bits;
}

static long select_mixed(int n, fd_set *rd, fd_set *wr, fd_set *ex, uint64_t timeout_ns,
	const sigset_t *mask)
{
	struct pollfd *fds = malloc((n ? n : 1) * sizeof(*fds));
	nfds_t n_fds = 0;
	long r;

	if (fds == NULL)
		return -ENOMEM;
	for (int fd = 0; fd < n; fd++) {
		short events = (has_bit(rd, fd) ? POLLIN : 0) | (has_bit(wr, fd) ? POLLOUT : 0) |
			(has_bit(ex, fd) ? POLLPRI : 0);

		if (events)
			fds[n_fds++] = (struct pollfd){.fd = fd, .events = events};
	}
	r = poll_mixed(fds, n_fds, timeout_ns, mask);
	if (r >= 0)
		r = select_result(fds, n_fds, n, rd, wr, ex);
	free(fds);
	return r;
}

long on_select(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timeval *timeout)
{
	uint64_t ns = WAIT_FOREVER, start;
	long r;

	if (n < 0 || !select_any_ours(n, rd, wr, ex))
		return libc_result(libc.select(n, rd, wr, ex, timeout));
	if (timeout) {
		struct timespec ts = {timeout->tv_sec + timeout->tv_usec / 1000000,
			timeout->tv_usec % 1000000 * 1000};

		if (timeout->tv_sec < 0 || timeout->tv_usec < 0)
			return -EINVAL;
		ns = wait_ns(&ts);
	}
	start = clock_ns();
	r = select_mixed(n, rd, wr, ex, ns, NULL);
	if (timeout && ns != WAIT_FOREVER) { /* Linux leaves what is left of it */
		uint64_t spent = clock_ns() - start, left = spent < ns ? ns - spent : 0;

		timeout->tv_sec = (time_t)(left / NS_PER_S);
		timeout->tv_usec = (suseconds_t)(left % NS_PER_S / 1000);
	}
	return r;
}

long on_pselect(int n, fd_set *rd, fd_set *wr, fd_set *ex, const struct timespec *timeout,
	const sigset_t *mask)
{
	if (n < 0 || !select_any_ours(n, rd, wr, ex))
		return libc_result(libc.pselect(n, rd, wr, ex, timeout, mask));
	return is_valid(timeout) ? select_mixed(n, rd, wr, ex, wait_ns(timeout), mask) : -EINVAL;
}
