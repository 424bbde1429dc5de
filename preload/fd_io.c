/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving data: every flavour of recv and send ends in receive() or transmit().
 *
 * The stack never waits; waiting, SO_RCVTIMEO and SO_SNDTIMEO, MSG_WAITALL, "a blocking send takes
 * everything" and SIGPIPE are made here.
 */
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/route.h"
#include "preload/socket.h"
#include "preload/wait.h"
#include "stack/sock.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A place in a list of buffers: `iov[0]` from `skip` on. */
struct cursor {
	const struct iovec *iov;
	int n;
	size_t skip;
};

static void cursor_advance(struct cursor *c, size_t done)
{
	c->skip += done;
	while (c->n > 0 && c->skip >= c->iov->iov_len) {
		c->skip -= c->iov->iov_len;
		c->iov++;
		c->n--;
	}
}

/* The buffers from here on; the rest of a begun one comes alone. */
static const struct iovec *cursor_view(const struct cursor *c, struct iovec *part, int *n)
{
	if (c->skip == 0) {
		*n = c->n;
		return c->iov;
	}
	part->iov_base = (char *)c->iov->iov_base + c->skip;
	part->iov_len = c->iov->iov_len - c->skip;
	*n = 1;
	return part;
}

/* Bytes in all, or -EINVAL as readv(2) says. */
static ssize_t iov_total(const struct iovec *iov, size_t n)
{
	size_t total = 0;

	if (n > IOV_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (iov[i].iov_len > SSIZE_MAX - total)
			return -EINVAL;
		total += iov[i].iov_len;
	}
	return (ssize_t)total;
}

static uint64_t timeout_of(uint64_t ns)
{
	return ns ? ns : WAIT_FOREVER;
}

/* --- receive -------------------------------------------------------------------------------------- */

struct incoming {
	struct sockaddr_in from;
	bool has_from;
	struct sockaddr_storage kernel_from; /* as the kernel half gave it */
	socklen_t kernel_len;                /* 0: it was not the kernel's */
	int flags;                           /* MSG_TRUNC */
};

/* The kernel half of a UDP socket bound to any address. */
static ssize_t receive_kernel(int fd, const struct iovec *iov, int n, int flags, struct incoming *in)
{
	struct msghdr msg = {
		.msg_name = &in->kernel_from,
		.msg_namelen = sizeof(in->kernel_from),
		.msg_iov = (struct iovec *)iov,
		.msg_iovlen = n,
	};
	ssize_t r = libc.recvmsg(fd, &msg, flags | MSG_DONTWAIT);

	if (r < 0)
		return -errno;
	in->kernel_len = msg.msg_namelen;
	in->flags = msg.msg_flags & MSG_TRUNC;
	return r;
}

static ssize_t receive_now(struct file *f, int fd, const struct iovec *iov, int n, int flags,
	struct incoming *in)
{
	struct sock *s = atomic_load_explicit(&f->sock.sock, memory_order_relaxed);
	ssize_t r = sock_recv(s, iov, n, flags & (MSG_PEEK | MSG_TRUNC), &in->from, &in->flags);

	if (r == -EAGAIN && f->sock.is_udp && socket_ask_kernel(f))
		return receive_kernel(fd, iov, n, flags, in);
	in->has_from = f->sock.is_udp;
	return r;
}

/* Nothing there, or MSG_WAITALL and not all of it. */
static ssize_t receive_wait(struct file *f, int fd, struct cursor c, int flags, struct incoming *in,
	ssize_t got)
{
	uint64_t timeout = timeout_of(f->sock.recv_timeout_ns);
	bool wants_all = (flags & MSG_WAITALL) && !f->sock.is_udp && !(flags & MSG_PEEK);
	const struct iovec *iov;
	struct iovec part;
	struct wait w;
	ssize_t r;
	int n;

	wait_begin(&w, timeout, timeout == WAIT_FOREVER, f);
	for (;;) {
		r = wait_socket(&w, f, fd, EPOLLIN);
		if (r < 0) {
			r = r == -ETIMEDOUT ? -EAGAIN : r;
			break;
		}
		iov = cursor_view(&c, &part, &n);
		r = receive_now(f, fd, iov, n, flags, in);
		if (r == -EAGAIN)
			continue;
		if (r <= 0)
			break;
		got += r;
		cursor_advance(&c, r);
		if (!wants_all || c.n == 0)
			break;
	}
	return got > 0 ? got : r;
}

static ssize_t receive(struct file *f, int fd, const struct iovec *iov, size_t n, int flags,
	struct incoming *in)
{
	struct cursor c = {iov, (int)n, 0};
	ssize_t total, r;

	in->has_from = false;
	in->kernel_len = 0;
	in->flags = 0;
	if (flags & MSG_OOB)
		return -EINVAL;
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	total = iov_total(iov, n);
	if (total < 0 || (total == 0 && !f->sock.is_udp))
		return total;

	r = receive_now(f, fd, iov, (int)n, flags, in);
	if (r > 0 && (!(flags & MSG_WAITALL) || r == total || f->sock.is_udp || flags & MSG_PEEK))
		return r;
	if (r == 0 || (r < 0 && r != -EAGAIN))
		return r;
	if (f->sock.is_nonblock || (flags & MSG_DONTWAIT)) {
		if (r < 0)
			wait_nudge(f);
		return r;
	}
	if (r > 0)
		cursor_advance(&c, r);
	return receive_wait(f, fd, c, flags, in, r > 0 ? r : 0);
}

/* Where a datagram came from; for a stream the length becomes 0, as in Linux. */
static int copy_source(const struct file *f, const struct incoming *in, struct sockaddr *addr,
	socklen_t *addrlen)
{
	if (in->has_from)
		return socket_copy_addr(f, &in->from, addr, addrlen);
	if (addrlen == NULL)
		return -EFAULT;
	memcpy(addr, &in->kernel_from, *addrlen < in->kernel_len ? *addrlen : in->kernel_len);
	*addrlen = in->kernel_len;
	return 0;
}

static bool is_kernel_only(struct file *f)
{
	return !f->sock.is_dead && socket_stack_for_data(f) == NULL;
}

long on_readv(struct file *f, int fd, const struct iovec *iov, int iovcnt)
{
	struct incoming in;

	if (is_kernel_only(f))
		return CALL_WAITS(f, libc.readv(fd, iov, iovcnt));
	if (f->sock.is_dead)
		return -EIO;
	if (iovcnt < 0)
		return -EINVAL;
	return receive(f, fd, iov, iovcnt, 0, &in);
}

long on_read(struct file *f, int fd, void *buf, size_t n)
{
	return on_recvfrom(f, fd, buf, n, 0, NULL, NULL);
}

long on_recv(struct file *f, int fd, void *buf, size_t n, int flags)
{
	return on_recvfrom(f, fd, buf, n, flags, NULL, NULL);
}

long on_recvfrom(struct file *f, int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
	socklen_t *addrlen)
{
	struct iovec iov = {buf, n > SSIZE_MAX ? SSIZE_MAX : n};
	struct incoming in;
	ssize_t r;

	if (is_kernel_only(f))
		return CALL_WAITS(f, libc.recvfrom(fd, buf, n, flags, addr, addrlen));
	if (f->sock.is_dead)
		return -EIO;
	r = receive(f, fd, &iov, 1, flags, &in);
	if (r >= 0 && addr) {
		int err = copy_source(f, &in, addr, addrlen);

		return err < 0 ? err : r;
	}
	return r;
}

long on_recvmsg(struct file *f, int fd, struct msghdr *msg, int flags)
{
	struct incoming in;
	ssize_t r;

	if (is_kernel_only(f))
		return CALL_WAITS(f, libc.recvmsg(fd, msg, flags));
	if (f->sock.is_dead)
		return -EIO;
	r = receive(f, fd, msg->msg_iov, msg->msg_iovlen, flags, &in);
	if (r < 0)
		return r;
	msg->msg_flags = in.flags;
	msg->msg_controllen = 0;
	if (msg->msg_name == NULL) {
		msg->msg_namelen = 0;
		return r;
	}
	int err = copy_source(f, &in, msg->msg_name, &msg->msg_namelen);
	return err < 0 ? err : r;
}

long on_recvmmsg(struct file *f, int fd, struct mmsghdr *msgs, unsigned int n, int flags,
	struct timespec *timeout)
{
	uint64_t wait = wait_ns(timeout), start = clock_ns();
	unsigned int i;
	long r = 0;

	if (is_kernel_only(f))
		return CALL_WAITS(f, libc.recvmmsg(fd, msgs, n, flags, timeout));
	for (i = 0; i < n && i < IOV_MAX; i++) {
		r = on_recvmsg(f, fd, &msgs[i].msg_hdr, flags & ~MSG_WAITFORONE);
		if (r < 0)
			break;
		msgs[i].msg_len = (unsigned int)r;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		/* The kernel, too, looks at the time only between datagrams. */
		if (wait != WAIT_FOREVER && clock_ns() - start >= wait) {
			i++;
			break;
		}
	}
	return i ? (long)i : r;
}

/* --- send ----------------------------------------------------------------------------------------- */

static ssize_t broken_pipe(const struct file *f, int flags, ssize_t r)
{
	if (r == -EPIPE && !(flags & MSG_NOSIGNAL) && !f->sock.is_udp)
		raise(SIGPIPE);
	return r;
}

/* Nothing or only a part fitted in, and the call has to take it all. */
static ssize_t transmit_wait(struct file *f, int fd, struct cursor c, int flags,
	const struct sockaddr_in *to, ssize_t sent)
{
	struct sock *s = atomic_load_explicit(&f->sock.sock, memory_order_relaxed);
	uint64_t timeout = timeout_of(f->sock.send_timeout_ns);
	const struct iovec *iov;
	struct iovec part;
	struct wait w;
	ssize_t r = 0;
	int n;

	wait_begin(&w, timeout, timeout == WAIT_FOREVER, f);
	while (c.n > 0) {
		r = wait_socket(&w, f, fd, EPOLLOUT);
		if (r < 0) {
			r = r == -ETIMEDOUT ? -EAGAIN : r;
			break;
		}
		iov = cursor_view(&c, &part, &n);
		r = sock_send(s, iov, n, flags & MSG_MORE, to);
		if (r == -EAGAIN)
			continue;
		if (r < 0)
			break;
		sent += r;
		cursor_advance(&c, r);
		if (f->sock.is_udp)
			break;
	}
	return sent > 0 ? sent : broken_pipe(f, flags, r);
}

static ssize_t transmit(struct file *f, int fd, const struct iovec *iov, size_t n, int flags,
	const struct sockaddr_in *to)
{
	struct sock *s = atomic_load_explicit(&f->sock.sock, memory_order_relaxed);
	struct cursor c = {iov, (int)n, 0};
	ssize_t total, r;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	total = iov_total(iov, n);
	if (total < 0)
		return total;
	r = sock_send(s, iov, (int)n, flags & MSG_MORE, to);
	if (r == total || f->sock.is_nonblock || (flags & MSG_DONTWAIT))
		return r < 0 ? broken_pipe(f, flags, r) : r;
	if (r < 0 && r != -EAGAIN)
		return broken_pipe(f, flags, r);
	if (r > 0)
		cursor_advance(&c, r);
	return transmit_wait(f, fd, c, flags, to, r > 0 ? r : 0);
}

/* Which half takes a datagram to `to` (NULL: where the socket is connected to, or a stream)? */
static bool leaves_by_kernel(struct file *f, const struct sockaddr *addr, socklen_t addrlen)
{
	struct sockaddr_in in;

	if (!(f->sock.halves & HALF_KERNEL))
		return false;
	if (!(f->sock.halves & HALF_STACK) || !f->sock.is_udp || addr == NULL)
		return true;
	if (socket_ipv4(f, addr, addrlen, &in) && route_to_stack(in.sin_addr.s_addr) &&
		socket_stack(f))
		return false;
	f->sock.kernel_active = true; /* answers will come to the kernel half */
	return true;
}

static ssize_t transmit_to(struct file *f, int fd, const struct iovec *iov, size_t n, int flags,
	const struct sockaddr *addr, socklen_t addrlen)
{
	struct sockaddr_in to;

	if (f->sock.is_dead || atomic_load(&f->sock.sock) == NULL)
		return f->sock.is_dead ? -EIO : -ENOTCONN;
	/* Streams ignore an address, as in Linux. */
	if (addr == NULL || !f->sock.is_udp)
		return transmit(f, fd, iov, n, flags, NULL);
	if (!socket_ipv4(f, addr, addrlen, &to))
		return addrlen < sizeof(to) ? -EINVAL : -EAFNOSUPPORT;
	return transmit(f, fd, iov, n, flags, &to);
}

long on_write(struct file *f, int fd, const void *buf, size_t n)
{
	struct iovec iov = {(void *)buf, n > SSIZE_MAX ? SSIZE_MAX : n};

	if (leaves_by_kernel(f, NULL, 0))
		return CALL_WAITS(f, libc.write(fd, buf, n));
	return transmit_to(f, fd, &iov, 1, 0, NULL, 0);
}

long on_writev(struct file *f, int fd, const struct iovec *iov, int iovcnt)
{
	if (leaves_by_kernel(f, NULL, 0))
		return CALL_WAITS(f, libc.writev(fd, iov, iovcnt));
	return iovcnt < 0 ? -EINVAL : transmit_to(f, fd, iov, iovcnt, 0, NULL, 0);
}

long on_send(struct file *f, int fd, const void *buf, size_t n, int flags)
{
	return on_sendto(f, fd, buf, n, flags, NULL, 0);
}

long on_sendto(struct file *f, int fd, const void *buf, size_t n, int flags,
	const struct sockaddr *addr, socklen_t addrlen)
{
	struct iovec iov = {(void *)buf, n > SSIZE_MAX ? SSIZE_MAX : n};

	if (leaves_by_kernel(f, addr, addrlen))
		return CALL_WAITS(f, libc.sendto(fd, buf, n, flags, addr, addrlen));
	return transmit_to(f, fd, &iov, 1, flags, addr, addrlen);
}

long on_sendmsg(struct file *f, int fd, const struct msghdr *msg, int flags)
{
	if (leaves_by_kernel(f, msg->msg_name, msg->msg_namelen))
		return CALL_WAITS(f, libc.sendmsg(fd, msg, flags));
	if (msg->msg_controllen > 0)
		boot_say_once("sendmsg: control data is ignored on sockets of the stack");
	return transmit_to(f, fd, msg->msg_iov, msg->msg_iovlen, flags, msg->msg_name,
		msg->msg_namelen);
}

long on_sendmmsg(struct file *f, int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	unsigned int i;
	long r = 0;

	for (i = 0; i < n && i < IOV_MAX; i++) {
		r = on_sendmsg(f, fd, &msgs[i].msg_hdr, flags);
		if (r < 0)
			break;
		msgs[i].msg_len = (unsigned int)r;
	}
	return i ? (long)i : r;
}
