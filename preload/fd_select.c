/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * select and pselect: poll over the bits that are set. RD = IN|HUP|ERR, WR = OUT|ERR, EX = PRI, as in
 * the kernel.
 */
#include "preload/calls.h"
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

static bool select_any_ours(int n, const fd_set *rd, const fd_set *wr, const fd_set *ex)
{
	for (int fd = 0; fd < n; fd++)
		if ((has_bit(rd, fd) || has_bit(wr, fd) || has_bit(ex, fd)) && poll_is_ours(fd))
			return true;
	return false;
}

/* The answer of `c` goes into the sets; the number of bits, or -EBADF for a closed number. */
static long select_result(const struct poll_call *c, int n, fd_set *rd, fd_set *wr, fd_set *ex)
{
	long bits = 0;

	for (nfds_t i = 0; i < c->n; i++)
		if (c->fds[i].revents & POLLNVAL)
			return -EBADF;
	clear_bits(rd, n);
	clear_bits(wr, n);
	clear_bits(ex, n);
	for (nfds_t i = 0; i < c->n; i++) {
		short wanted = c->fds[i].events, got = c->fds[i].revents;

		if ((wanted & POLLIN) && (got & SELECT_RD) && ++bits)
			put_bit(rd, c->fds[i].fd);
		if ((wanted & POLLOUT) && (got & SELECT_WR) && ++bits)
			put_bit(wr, c->fds[i].fd);
		if ((wanted & POLLPRI) && (got & SELECT_EX) && ++bits)
			put_bit(ex, c->fds[i].fd);
	}
	return bits;
}

static nfds_t select_count(int n, const fd_set *rd, const fd_set *wr, const fd_set *ex)
{
	nfds_t count = 0;

	for (int fd = 0; fd < n; fd++)
		count += has_bit(rd, fd) || has_bit(wr, fd) || has_bit(ex, fd);
	return count;
}

/* -EAGAIN as from poll_do(). */
static long select_mixed(int n, fd_set *rd, fd_set *wr, fd_set *ex, uint64_t timeout_ns,
	const sigset_t *mask)
{
	struct poll_call *c;
	nfds_t i = 0;
	long r;

	call_enter(true);
	c = poll_begin(select_count(n, rd, wr, ex));
	if (c == NULL) {
		call_leave(NULL);
		return -ENOMEM;
	}
	for (int fd = 0; fd < n && i < c->n; fd++) {
		short events = (has_bit(rd, fd) ? POLLIN : 0) | (has_bit(wr, fd) ? POLLOUT : 0) |
			(has_bit(ex, fd) ? POLLPRI : 0);

		if (events)
			c->fds[i++] = (struct pollfd){.fd = fd, .events = events};
	}
	r = poll_do(c, timeout_ns, mask);
	if (r == -EBADF) {
		r = -EINTR;
	} else {
		if (r >= 0)
			r = select_result(c, n, rd, wr, ex);
		poll_end(c);
	}
	call_leave(NULL);
	return r;
}

static long select_kernel(int n, fd_set *rd, fd_set *wr, fd_set *ex, uint64_t timeout_ns,
	const sigset_t *mask)
{
	struct timespec ts = wait_timespec(timeout_ns);

	return libc_result(
		libc.pselect(n, rd, wr, ex, timeout_ns == WAIT_FOREVER ? NULL : &ts, mask));
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
	if (r == -EAGAIN)
		r = select_kernel(n, rd, wr, ex, ns, NULL);
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
	long r = poll_is_valid(timeout) ? select_mixed(n, rd, wr, ex, wait_ns(timeout), mask) : -EINVAL;

	return r == -EAGAIN ? select_kernel(n, rd, wr, ex, wait_ns(timeout), mask) : r;
}
