/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * select and pselect: poll over the bits that are set. RD = IN|HUP|ERR, WR = OUT|ERR, EX = PRI, as in
 * the kernel.
 */
#include "preload/calls.h"
#include "preload/fd_size.h"
#include "preload/guard.h"
#include "preload/polling.h"

#include <string.h>

enum {
	SELECT_RD = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR,
	SELECT_WR = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR,
	SELECT_EX = POLLPRI,
};

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

/* One call, and what is found out about it. Its functions run under user_try(). */
struct select {
	int n;
	fd_set *rd, *wr, *ex;
	struct poll_call *call;
	volatile nfds_t n_fds; /* bits that are set */
	volatile bool has_known; /* one of them is in our table */
	volatile long bits;      /* of the answer */
};

static short events_at(const struct select *s, int fd)
{
	return (short)((has_bit(s->rd, fd) ? POLLIN : 0) | (has_bit(s->wr, fd) ? POLLOUT : 0) |
		(has_bit(s->ex, fd) ? POLLPRI : 0));
}

static void look(void *arg)
{
	struct select *s = arg;

	for (int fd = 0; fd < s->n; fd++) {
		if (events_at(s, fd) == 0)
			continue;
		s->n_fds++;
		s->has_known = s->has_known || fd_peek(fd) != NULL;
	}
}

static void read_sets(void *arg)
{
	struct select *s = arg;
	nfds_t i = 0;

	for (int fd = 0; fd < s->n && i < s->call->n; fd++) {
		short events = events_at(s, fd);

		if (events)
			s->call->fds[i++] = (struct pollfd){.fd = fd, .events = events};
	}
	s->call->n = i;
}

static void write_sets(void *arg)
{
	struct select *s = arg;
	long bits = 0;

	clear_bits(s->rd, s->n);
	clear_bits(s->wr, s->n);
	clear_bits(s->ex, s->n);
	for (nfds_t i = 0; i < s->call->n; i++) {
		const struct pollfd *p = &s->call->fds[i];

		if ((p->events & POLLIN) && (p->revents & SELECT_RD) && ++bits)
			put_bit(s->rd, p->fd);
		if ((p->events & POLLOUT) && (p->revents & SELECT_WR) && ++bits)
			put_bit(s->wr, p->fd);
		if ((p->events & POLLPRI) && (p->revents & SELECT_EX) && ++bits)
			put_bit(s->ex, p->fd);
	}
	s->bits = bits;
}

static bool is_ours(const struct poll_call *c)
{
	for (nfds_t i = 0; i < c->n; i++)
		if (poll_is_ours(c->fds[i].fd))
			return true;
	return false;
}

/* The answer of the call goes into the sets; the number of bits, or -EBADF for a closed number. */
static long give_answer(struct select *s)
{
	for (nfds_t i = 0; i < s->call->n; i++)
		if (s->call->fds[i].revents & POLLNVAL)
			return -EBADF;
	return user_try(write_sets, s) ? s->bits : -EFAULT;
}

/* -EAGAIN: the kernel can do all of it. */
static long select_mixed(struct select *s, uint64_t timeout_ns, const sigset_t *mask)
{
	long r;

	call_enter(true);
	s->call = poll_begin(s->n_fds);
	if (s->call == NULL) {
		call_leave(NULL);
		return -ENOMEM;
	}
	if (!user_try(read_sets, s))
		r = -EFAULT;
	else
		r = is_ours(s->call) ? poll_do(s->call, timeout_ns, mask) : -EAGAIN;
	if (r == -EBADF) {
		r = -EINTR; /* the call is gone */
	} else {
		if (r >= 0)
			r = give_answer(s);
		poll_end(s->call);
	}
	call_leave(NULL);
	return r;
}

static long select_kernel(const struct select *s, const struct timespec *timeout, const sigset_t *mask)
{
	sigset_t room;

	return libc_result(libc.pselect(s->n, s->rd, s->wr, s->ex, timeout,
		guard_mask(mask, &room)));
}

/* Sets that are not there are the kernel's to complain about. Neither it nor we look at more bits than
 * the program's table has numbers. */
static long select_both(struct select *s, const struct timespec *timeout, const sigset_t *mask)
{
	sigset_t room;
	long r = -EAGAIN;

	s->n = fd_size_cut(s->n);
	if (s->n >= 0 && user_try(look, s) && s->has_known) {
		if (mask && poll_get_mask(&room, mask) < 0)
			return -EFAULT;
		if (!wait_is_valid(timeout))
			return -EINVAL;
		r = select_mixed(s, wait_ns(timeout), mask ? &room : NULL);
	}
	return r == -EAGAIN ? select_kernel(s, timeout, mask) : r;
}

long on_select(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timeval *timeout)
{
	struct select s = {.n = n, .rd = rd, .wr = wr, .ex = ex};
	struct timespec ts = {0};
	struct timeval tv;
	uint64_t start, ns;
	long r;

	/* libc's function reads the timeout itself. */
	if (timeout && user_get(&tv, timeout, sizeof(tv)) < 0)
		return -EFAULT;
	if (timeout == NULL)
		return select_both(&s, NULL, NULL);
	if (tv.tv_sec < 0 || tv.tv_usec < 0)
		return -EINVAL;
	ts.tv_sec = tv.tv_sec + tv.tv_usec / 1000000;
	ts.tv_nsec = tv.tv_usec % 1000000 * 1000;
	ns = wait_ns(&ts);
	start = clock_ns();
	r = select_both(&s, &ts, NULL);
	if (ns != WAIT_FOREVER) { /* Linux leaves what is left of it, where it can */
		uint64_t spent = clock_ns() - start, left = spent < ns ? ns - spent : 0;

		tv.tv_sec = (time_t)(left / NS_PER_S);
		tv.tv_usec = (suseconds_t)(left % NS_PER_S / 1000);
		user_copy(timeout, &tv, sizeof(tv));
	}
	return r;
}

long on_pselect(int n, fd_set *rd, fd_set *wr, fd_set *ex, const struct timespec *timeout,
	const sigset_t *mask)
{
	struct select s = {.n = n, .rd = rd, .wr = wr, .ex = ex};
	struct timespec ts;

	if (timeout && user_get(&ts, timeout, sizeof(ts)) < 0)
		return -EFAULT;
	return select_both(&s, timeout ? &ts : NULL, mask);
}
