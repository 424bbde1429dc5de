/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * connect(): it decides which half serves the socket.
 *
 * Threads may do so at the same time. The half is chosen under fd_lock; who finds that another has chosen
 * meanwhile (MOVED) begins again, and is told what the socket is by then.
 */
#include "preload/calls.h"
#include "preload/route.h"
#include "preload/socket.h"
#include "preload/wait.h"
#include "stack/sock.h"

enum { MOVED = 1 };

/* `unfinished`: the answer when the time is over. */
static int connect_wait(struct file *f, int fd, struct sock *s, int unfinished)
{
	uint64_t timeout = f->sock.send_timeout_ns ? f->sock.send_timeout_ns : WAIT_FOREVER;
	struct wait w;
	int r;

	wait_begin(&w, timeout, timeout == WAIT_FOREVER, f);
	r = wait_socket(&w, f, fd, EPOLLOUT);
	if (r < 0)
		return r == -ETIMEDOUT ? unfinished : r;
	return sock_connect_result(s);
}

static bool is_for_stack(const struct file *f, const struct sockaddr_in *in)
{
	if (!(f->sock.halves & HALF_STACK))
		return false;
	if (!(f->sock.halves & HALF_KERNEL))
		return true;
	return in->sin_family == AF_INET && route_to_stack(in->sin_addr.s_addr);
}

static long connect_kernel(struct file *f, int fd, const struct sockaddr *addr, socklen_t addrlen)
{
	int r = socket_is_lazy(f) ? socket_make_kernel(f) : 0;
	bool is_stacks;

	if (r < 0)
		return r;
	if (f->sock.halves & HALF_STACK && addr->sa_family != AF_UNSPEC) {
		if (f->sock.is_listening)
			return -EISCONN; /* and it goes on, in both halves */
		fd_lock();
		is_stacks = !(f->sock.halves & HALF_KERNEL) && atomic_load(&f->sock.sock);
		if (!is_stacks)
			socket_to_kernel(f);
		fd_unlock();
		if (is_stacks)
			return MOVED;
	}
	return CALL_WAITS(f, libc.connect(fd, addr, addrlen));
}

/* A stream; Linux says so before it looks at the address. */
static bool is_connected(const struct file *f)
{
	struct sock *s = atomic_load(&f->sock.sock);
	struct sockaddr_in peer;

	return s && !f->sock.is_udp && sock_peer(s, &peer) == 0;
}

static long connect_once(struct file *f, int fd, const struct sockaddr *program, socklen_t addrlen)
{
	struct sockaddr_storage any;
	const struct sockaddr *addr = (const struct sockaddr *)&any;
	struct sockaddr_in in;
	struct sock *s;
	int r;

	if (f->sock.is_dead)
		return -EIO;
	r = socket_get_addr(&any, program, addrlen);
	if (r < 0)
		return r;
	if (!socket_ipv4(f, &any, addrlen, &in) && !(f->sock.halves & HALF_KERNEL) &&
		any.ss_family != AF_UNSPEC)
		return is_connected(f) && addrlen >= sizeof(sa_family_t) ? -EISCONN :
			addrlen < sizeof(in)                             ? -EINVAL :
									   -EAFNOSUPPORT;
	if (!is_for_stack(f, &in))
		return connect_kernel(f, fd, addr, addrlen);
	s = socket_stack(f);
	if (s == NULL)
		return connect_kernel(f, fd, addr, addrlen);

	fd_lock();
	if (!(f->sock.halves & HALF_STACK)) {
		fd_unlock();
		return MOVED;
	}
	socket_to_stack(f);
	socket_leave_kernel(f);
	fd_unlock();
	r = sock_connect(s, &in);
	if (r == -EISCONN && f->sock.is_connecting) {
		f->sock.is_connecting = false; /* Linux says 0 once, then EISCONN */
		return 0;
	}
	if (r != -EINPROGRESS && r != -EALREADY)
		return r;
	f->sock.is_connecting = f->sock.is_nonblock;
	return f->sock.is_nonblock ? r : connect_wait(f, fd, s, r);
}

long on_connect(struct file *f, int fd, const struct sockaddr *program, socklen_t addrlen)
{
	long r;

	do {
		r = connect_once(f, fd, program, addrlen);
	} while (r == MOVED);
	return r;
}
