/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * poll and select over both worlds.
 *
 * Calls without a socket of ours go straight to the kernel. Otherwise the answer for ours comes from
 * the sockets' own events, for all others from one kernel poll() over a copy of the list in which
 * ours are blanked out. A ready set is only needed to wait (fd_poll_set.c).
 *
 * What a call in progress holds is a struct poll_call: the thread's own, or one more where a handler polls
 * on top of a poll. It is not on the stack, because a jump out of the call leaves that.
 *
 * select is made of the same (fd_select.c).
 */
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/guard.h"
#include "preload/epoll.h"
#include "preload/polling.h"
#include "preload/socket.h"
#include "preload/wait.h"
#include "preload/watch.h"
#include "stack/ready.h"
#include "stack/sock.h"
#include "stack/user.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROOM_MIN = 64,
	LOOK_FEW = 16, /* descriptors of a list that is copied for the first look, */
	ANSWER_FEW = 4, /* and of one whose answers are written one by one */
	ROOM_KEPT = 4096, /* larger ones are freed after the call */
};

static __thread struct poll_call *idle; /* for the next call */

/* --- one call ------------------------------------------------------------------------------------- */

void poll_clear(void)
{
	poll_set_clear();
	free(idle);
	idle = NULL;
}

bool poll_is_ours(int fd)
{
	struct file *f = fd_peek(fd);

	if (f && epoll_must_nest(f)) {
		signals_hold();
		f = fd_get(fd);
		if (f && epoll_must_nest(f))
			epoll_nest(f);
		if (f)
			file_put(f);
		signals_release();
		f = fd_peek(fd);
	}
	return f && (f == &fd_free || f->kind == FILE_SOCK);
}

static bool is_any_ours(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++) {
		const struct file *f = fd_peek(fds[i].fd);

		if (f && (f->kind == FILE_SOCK || poll_is_ours(fds[i].fd)))
			return true;
	}
	return false;
}

struct look {
	const struct pollfd *fds;
	nfds_t n;
	volatile bool found;
};

/* Under user_try(): no locks, so what must be nested is found by the second look. */
static void look(void *arg)
{
	struct look *l = arg;

	for (nfds_t i = 0; i < l->n && !l->found; i++)
		l->found = fd_peek(l->fds[i].fd) != NULL;
}

/* False also where the list is not there: the kernel says so. */
static bool any_ours(const struct pollfd *fds, nfds_t n)
{
	struct pollfd few[LOOK_FEW];
	struct look l = {fds, n, false};
	int only;

	if (n == 1)
		return user_copy(&only, &fds->fd, sizeof(only)) && poll_is_ours(only);
	if (n <= LOOK_FEW)
		return user_copy(few, fds, n * sizeof(*fds)) && is_any_ours(few, n);
	if (!user_try(look, &l) || !l.found)
		return false;
	for (nfds_t i = 0; i < n; i++) {
		int fd;

		if (user_get(&fd, &fds[i].fd, sizeof(fd)) == 0 && poll_is_ours(fd))
			return true;
	}
	return false;
}

struct poll_call *poll_begin(nfds_t n)
{
	nfds_t room = n < ROOM_MIN ? ROOM_MIN : n;
	struct poll_call *c = idle;

	idle = NULL;
	if (c == NULL || c->room < n) {
		free(c);
		c = malloc(sizeof(*c) + room * sizeof(*c->files) +
			(2 * room + WAIT_OWN_FDS) * sizeof(*c->fds));
		if (c == NULL)
			return NULL;
		c->room = room;
		c->files = (struct file **)(c + 1);
		c->fds = (struct pollfd *)(c->files + room);
		c->kernel = c->fds + room;
	}
	c->n = n;
	c->n_held = 0;
	c->has_kernel = false;
	return c;
}

void poll_end(void *arg)
{
	struct poll_call *c = arg;

	for (nfds_t i = 0; i < c->n_held; i++)
		if (c->files[i])
			file_put(c->files[i]);
	c->n_held = 0;
	if (idle == NULL && c->room <= ROOM_KEPT)
		idle = c;
	else
		free(c);
}

/* Before it is known what the kernel is asked: one of them may need the stack. */
static void attach_if_wanted(const struct poll_call *c)
{
	bool must_attach = false;

	for (nfds_t i = 0; i < c->n && !must_attach; i++) {
		struct file *f = fd_get_sock(c->fds[i].fd);

		must_attach = f && socket_wants_stack(f);
		if (f)
			file_put(f);
	}
	if (must_attach)
		boot_attach();
}

static void take_files(struct poll_call *c)
{
	if (boot_is_idle())
		attach_if_wanted(c);
	for (nfds_t i = 0; i < c->n; i++) {
		struct pollfd ask = c->fds[i];
		struct file *f = fd_get(ask.fd);

		/* INT_MAX is no descriptor: the kernel says POLLNVAL for a closed number. */
		if (f == &fd_free) {
			f = NULL;
			ask.fd = INT_MAX;
		} else if (f && f->kind != FILE_SOCK) {
			file_put(f);
			f = NULL;
		}
		c->files[i] = f;
		c->n_held = i + 1;
		if (f) {
			if (socket_is_lazy(f))
				socket_make_kernel(f);
			if (!(f->sock.halves & HALF_KERNEL))
				ask.fd = -1;
		}
		c->kernel[i] = ask;
		c->has_kernel = c->has_kernel || ask.fd >= 0;
	}
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
static int scan(struct poll_call *c, bool ask_kernel)
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

/* 0 or -EBADF. */
static int sleep_on(struct poll_call *c, struct ready_set *set, struct wait *w)
{
	struct ready_event stale;
	int r;

	/* wait_sleep() wants its own first. */
	memmove(c->kernel + WAIT_OWN_FDS, c->kernel, c->n * sizeof(*c->kernel));
	r = wait_sleep(w, set, c->kernel, WAIT_OWN_FDS + (c->has_kernel ? c->n : 0));
	if (r < 0)
		return r;
	if (r == 0)
		ready_collect(set, &stale, 1); /* what is no longer true leaves the set */
	memmove(c->kernel, c->kernel + WAIT_OWN_FDS, c->n * sizeof(*c->kernel));
	return 0;
}

static long wait_for(struct poll_call *c, uint64_t timeout_ns)
{
	struct ready_set *set = NULL;
	bool ask_kernel = true;
	struct wait w;
	int n, r;

	boot_check_end();
	wait_rested();
	wait_begin(&w, timeout_ns, false, NULL);
	w.holds.undo = poll_end;
	w.holds.arg = c;
	for (;;) {
		n = scan(c, ask_kernel);
		if (n > 0)
			return n;
		if (set == NULL)
			set = poll_set_prepare(c);
		else if ((r = wait_check(&w)) < 0)
			return r == -ETIMEDOUT ? 0 : r;
		if (set == NULL) /* undecided sockets only */
			return -EAGAIN;
		if (ready_run(set) || timeout_ns == 0 || ready_spins(set)) {
			ask_kernel = clock_ticks() - c->kernel_asked >= clock_kernel_ticks;
		} else {
			if (timeout_ns != 0 && (r = sleep_on(c, set, &w)) < 0)
				return r;
			ask_kernel = true;
		}
	}
}

long poll_do(struct poll_call *c, uint64_t timeout_ns, const sigset_t *mask)
{
	sigset_t old;
	long r;

	if (mask)
		pthread_sigmask(SIG_SETMASK, mask, &old);
	take_files(c);
	r = wait_for(c, timeout_ns);
	if (mask)
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

static long poll_kernel(struct pollfd *fds, nfds_t n, uint64_t timeout_ns, const sigset_t *mask)
{
	struct timespec ts = wait_timespec(timeout_ns);

	sigset_t room;

	return libc_result(libc.ppoll(
		fds, n, timeout_ns == WAIT_FOREVER ? NULL : &ts, guard_mask(mask, &room)));
}

struct result {
	struct pollfd *fds;
	const struct poll_call *call;
};

static void write_result(void *arg)
{
	const struct result *r = arg;

	for (nfds_t i = 0; i < r->call->n; i++)
		r->fds[i].revents = r->call->fds[i].revents;
}

static bool give_result(struct pollfd *fds, const struct poll_call *c)
{
	struct result r = {fds, c};

	if (c->n == 1)
		return user_copy(&fds->revents, &c->fds->revents, sizeof(fds->revents));
	if (c->n > ANSWER_FEW)
		return user_try(write_result, &r);
	for (nfds_t i = 0; i < c->n; i++)
		if (!user_copy(&fds[i].revents, &c->fds[i].revents, sizeof(fds->revents)))
			return false;
	return true;
}

static long poll_mixed(struct pollfd *fds, nfds_t n, uint64_t timeout_ns, const sigset_t *mask)
{
	struct poll_call *c;
	long r;

	call_enter(true);
	c = poll_begin(n);
	if (c == NULL) {
		call_leave(NULL);
		return -ENOMEM;
	}
	if (user_copy(c->fds, fds, n * sizeof(*fds)))
		r = poll_do(c, timeout_ns, mask);
	else
		r = -EFAULT;
	if (r != -EBADF) {
		if (r >= 0 && !give_result(fds, c))
			r = -EFAULT;
		poll_end(c);
	}
	call_leave(NULL);
	if (r == -EAGAIN)
		return poll_kernel(fds, n, timeout_ns, mask);
	return r == -EBADF ? -EINTR : r;
}

/* --- poll ------------------------------------------------------------------------------------------- */

/* `program`: to the kernel the length is a number of 32 bits. */
long on_poll(struct pollfd *fds, nfds_t program, int timeout_ms)
{
	unsigned int n = (unsigned int)program;

	if (fd_limit_is_below(n))
		return -EINVAL;
	if (!any_ours(fds, n))
		return libc_result(libc.poll(fds, n, timeout_ms));
	return poll_mixed(fds, n,
		timeout_ms < 0 ? WAIT_FOREVER : (uint64_t)timeout_ms * NS_PER_MS, NULL);
}

long on_ppoll(struct pollfd *fds, nfds_t program, const struct timespec *timeout, const sigset_t *mask)
{
	unsigned int n = (unsigned int)program;
	struct timespec ts;
	sigset_t room;

	/* libc's function reads the timeout itself. */
	if (timeout && user_get(&ts, timeout, sizeof(ts)) < 0)
		return -EFAULT;
	/* The kernel says why, and in its order. */
	if (fd_limit_is_below(n) || !any_ours(fds, n))
		return libc_result(libc.ppoll(fds, n, timeout, guard_mask(mask, &room)));
	if (mask && poll_get_mask(&room, mask) < 0)
		return -EFAULT;
	if (timeout && !wait_is_valid(&ts))
		return -EINVAL;
	return poll_mixed(fds, n, wait_ns(timeout ? &ts : NULL), mask ? &room : NULL);
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
