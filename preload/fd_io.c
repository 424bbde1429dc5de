/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving data: every flavour of recv and send ends in receive() or transmit().
 *
 * The stack never waits; waiting, SO_RCVTIMEO and SO_SNDTIMEO, MSG_WAITALL, "a blocking send takes
 * everything" and SIGPIPE are made here.
 */
#include "preload/boot.h"
#include "preload/buffers.h"
#include "preload/calls.h"
#include "preload/route.h"
#include "preload/socket.h"
#include "preload/wait.h"
#include "stack/sock.h"
#include "stack/user.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static uint64_t timeout_of(uint64_t ns)
{
	return ns ? ns : WAIT_FOREVER;
}

/* Of a struct msghdr: what recvmsg() writes back beside the address. */
enum {
	ANSWER_BYTES = offsetof(struct msghdr, msg_flags) + sizeof(int) -
		offsetof(struct msghdr, msg_controllen),
};
_Static_assert(ANSWER_BYTES == sizeof(size_t) + sizeof(int), "msg_flags follows msg_controllen");

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
	ssize_t r;

	if (s == NULL) /* another thread has just connected it to a peer of the kernel's */
		return receive_kernel(fd, iov, n, flags, in);
	r = sock_recv(s, iov, n, flags & (MSG_PEEK | MSG_TRUNC), &in->from, &in->flags);
	if (r == -EAGAIN && f->sock.is_udp && socket_ask_kernel(f))
		return receive_kernel(fd, iov, n, flags, in);
	in->has_from = f->sock.is_udp;
	return r;
}

/* Nothing there, or MSG_WAITALL and not all of it. Who wants no bytes of a stream waits once, as in Linux,
 * and gets 0 whatever ends that: an error is for the next call. */
static ssize_t receive_wait(struct file *f, int fd, const struct buffers *b, int flags,
	struct incoming *in, ssize_t got)
{
	uint64_t timeout = timeout_of(f->sock.recv_timeout_ns);
	bool wants_none = b->total == 0 && !f->sock.is_udp;
	struct cursor c = {b->iov, b->n, 0};
	bool wants_all = (flags & MSG_WAITALL) && !f->sock.is_udp && !(flags & MSG_PEEK);
	const struct iovec *iov;
	struct iovec part;
	struct wait w;
	ssize_t r;
	int n;

	/* As in Linux: what has been received is reported after any handler, and not waited on with. */
	wait_begin(&w, timeout, timeout == WAIT_FOREVER && got == 0 && !wants_none, f);
	if (got > 0)
		cursor_advance(&c, got);
	for (;;) {
		r = wait_socket(&w, f, fd, EPOLLIN);
		if (wants_none && r != -EBADF)
			return 0;
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
		w.restarts = false;
		cursor_advance(&c, r);
		if (!wants_all || c.n == 0)
			break;
	}
	return got > 0 ? got : r;
}

static ssize_t receive(struct file *f, int fd, const struct buffers *b, int flags, struct incoming *in)
{
	ssize_t r;

	in->has_from = false;
	in->kernel_len = 0;
	in->flags = 0;
	if ((flags & MSG_OOB) && !f->sock.is_udp) /* there never is urgent data */
		return f->sock.is_listening ? -ENOTCONN : -EINVAL;
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;

	r = receive_now(f, fd, b->iov, b->n, flags, in);
	if (r > 0 && (!(flags & MSG_WAITALL) || r == b->total || f->sock.is_udp || flags & MSG_PEEK))
		return r;
	if (r == 0 || (r < 0 && r != -EAGAIN))
		return r;
	if (f->sock.is_nonblock || (flags & MSG_DONTWAIT)) {
		if (r < 0)
			wait_nudge(f);
		return r;
	}
	return receive_wait(f, fd, b, flags, in, r > 0 ? r : 0);
}

/* Where a datagram came from; for a stream the length becomes 0, as in Linux. */
static int copy_source(const struct file *f, const struct incoming *in, struct sockaddr *addr,
	socklen_t *addrlen)
{
	if (in->has_from)
		return socket_copy_addr(f, &in->from, addr, addrlen);
	return socket_put_addr(&in->kernel_from, in->kernel_len, addr, addrlen);
}

static bool is_kernel_only(struct file *f)
{
	return !f->sock.is_dead && socket_stack_for_data(f) == NULL;
}

long on_readv(struct file *f, int fd, const struct iovec *iov, int iovcnt)
{
	struct incoming in;
	struct buffers b;
	long r;

	if (is_kernel_only(f))
		return CALL_WAITS(f, libc.readv(fd, iov, iovcnt));
	if (f->sock.is_dead)
		return -EIO;
	r = iovcnt < 0 ? -EINVAL : buffers_get(&b, iov, (size_t)iovcnt);
	if (r < 0)
		return r;
	if (b.total > 0) /* see on_read() */
		r = receive(f, fd, &b, 0, &in);
	buffers_end(&b);
	return r;
}

long on_read(struct file *f, int fd, void *buf, size_t n)
{
	if (!buffers_possible(buf, n))
		return -EFAULT;
	/* System V: read() of nothing is nothing, where recv() waits for something to be there. */
	if (n == 0)
		return 0;
	return on_recvfrom(f, fd, buf, n, 0, NULL, NULL);
}

long on_recv(struct file *f, int fd, void *buf, size_t n, int flags)
{
	return on_recvfrom(f, fd, buf, n, flags, NULL, NULL);
}

long on_recvfrom(struct file *f, int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
	socklen_t *addrlen)
{
	struct incoming in;
	struct buffers b;
	ssize_t r;

	if (is_kernel_only(f))
		return CALL_WAITS(f, libc.recvfrom(fd, buf, n, flags, addr, addrlen));
	if (f->sock.is_dead)
		return -EIO;
	buffers_one(&b, buf, n);
	r = receive(f, fd, &b, flags, &in);
	if (r >= 0 && addr) {
		int err = copy_source(f, &in, addr, addrlen);

		return err < 0 ? err : r;
	}
	return r;
}

/* What recvmsg() and sendmsg() have in common; as buffers_get(), and -EMSGSIZE. */
static int message_get(struct msghdr *m, struct buffers *b, const struct msghdr *program)
{
	int r = user_get(m, program, sizeof(*m));

	if (r < 0)
		return r;
	if (m->msg_name == NULL)
		m->msg_namelen = 0;
	if ((int)m->msg_namelen < 0)
		return -EINVAL;
	if (m->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	return buffers_get(b, m->msg_iov, m->msg_iovlen);
}

long on_recvmsg(struct file *f, int fd, struct msghdr *msg, int flags)
{
	/* msg_controllen and msg_flags of the answer, which lie side by side. */
	struct {
		size_t controllen;
		int flags;
	} answer = {0};
	struct incoming in;
	struct buffers b;
	struct msghdr m;
	ssize_t r;
	int err = 0;

	if (is_kernel_only(f))
		return CALL_WAITS(f, libc.recvmsg(fd, msg, flags));
	if (f->sock.is_dead)
		return -EIO;
	r = message_get(&m, &b, msg);
	if (r < 0)
		return r;
	r = receive(f, fd, &b, flags, &in);
	buffers_end(&b);
	if (r < 0)
		return r;
	if (m.msg_name)
		err = copy_source(f, &in, m.msg_name, &msg->msg_namelen);
	answer.flags = in.flags | (flags & MSG_CMSG_CLOEXEC);
	if (err == 0)
		err = user_put(&msg->msg_controllen, &answer, ANSWER_BYTES);
	return err < 0 ? err : r;
}

static long put_length(struct mmsghdr *msg, long r)
{
	unsigned int len = (unsigned int)r;

	return user_put(&msg->msg_len, &len, sizeof(len));
}

long on_recvmmsg(struct file *f, int fd, struct mmsghdr *msgs, unsigned int n, int flags,
	struct timespec *timeout)
{
	uint64_t wait, spent, start = clock_ns();
	struct timespec limit;
	unsigned int i;
	long r = 0;

	if (is_kernel_only(f))
		return CALL_WAITS(f, libc.recvmmsg(fd, msgs, n, flags, timeout));
	if (timeout && !user_copy(&limit, timeout, sizeof(limit)))
		return -EFAULT;
	if (timeout && !wait_is_valid(&limit))
		return -EINVAL;
	wait = wait_ns(timeout ? &limit : NULL);
	for (i = 0; i < n && i < IOV_MAX; i++) {
		r = on_recvmsg(f, fd, &msgs[i].msg_hdr, flags & ~MSG_WAITFORONE);
		if (r >= 0)
			r = put_length(&msgs[i], r);
		if (r < 0)
			break;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		/* The kernel, too, looks at the time only between datagrams. */
		if (wait != WAIT_FOREVER && clock_ns() - start >= wait) {
			i++;
			break;
		}
	}
	if (i > 0 && wait != WAIT_FOREVER) { /* it also writes what is left of it */
		spent = clock_ns() - start;
		limit = wait_timespec(spent < wait ? wait - spent : 0);
		if (user_put(timeout, &limit, sizeof(limit)) < 0)
			return -EFAULT;
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
static ssize_t transmit_wait(struct file *f, struct sock *s, int fd, struct cursor c, int flags,
	const struct sockaddr_in *to, ssize_t sent)
{
	uint64_t timeout = timeout_of(f->sock.send_timeout_ns);
	const struct iovec *iov;
	struct iovec part;
	struct wait w;
	ssize_t r = 0;
	int n;

	wait_begin(&w, timeout, timeout == WAIT_FOREVER && sent == 0, f);
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
		w.restarts = false; /* a part is reported, as by receive_wait() */
		cursor_advance(&c, r);
		if (f->sock.is_udp)
			break;
	}
	return sent > 0 ? sent : broken_pipe(f, flags, r);
}

static ssize_t transmit(struct file *f, struct sock *s, int fd, const struct buffers *b, int flags,
	const struct sockaddr_in *to)
{
	struct cursor c = {b->iov, b->n, 0};
	ssize_t r;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	r = sock_send(s, b->iov, b->n, flags & MSG_MORE, to);
	if (r == b->total || f->sock.is_nonblock || (flags & MSG_DONTWAIT))
		return r < 0 ? broken_pipe(f, flags, r) : r;
	if (r < 0 && r != -EAGAIN)
		return broken_pipe(f, flags, r);
	if (r > 0)
		cursor_advance(&c, r);
	return transmit_wait(f, s, fd, c, flags, to, r > 0 ? r : 0);
}

/* Which half takes a datagram to `addr` (NULL: where the socket is connected to, or a stream)? */
static bool leaves_by_kernel(struct file *f, const struct sockaddr *addr, socklen_t addrlen)
{
	struct sockaddr_storage any;
	struct sockaddr_in in;

	if (!(f->sock.halves & HALF_KERNEL))
		return false;
	if (!(f->sock.halves & HALF_STACK) || !f->sock.is_udp || addr == NULL)
		return true;
	if (socket_get_addr(&any, addr, addrlen) < 0)
		return true; /* it says so, too */
	if (socket_ipv4(f, &any, addrlen, &in) && route_to_stack(in.sin_addr.s_addr) &&
		socket_stack(f))
		return false;
	f->sock.kernel_active = true; /* answers will come to the kernel half */
	return true;
}

static ssize_t transmit_to(struct file *f, int fd, const struct buffers *b, int flags,
	const struct sockaddr *addr, socklen_t addrlen)
{
	struct sock *s = atomic_load(&f->sock.sock);
	struct sockaddr_storage any;
	struct sockaddr_in to;
	int r;

	if (f->sock.is_dead || s == NULL)
		return f->sock.is_dead ? -EIO : -ENOTCONN;
	if (addr == NULL)
		return transmit(f, s, fd, b, flags, NULL);
	r = socket_get_addr(&any, addr, addrlen);
	if (r < 0)
		return r;
	/* Streams ignore an address, as in Linux. */
	if (!f->sock.is_udp)
		return transmit(f, s, fd, b, flags, NULL);
	if (!socket_ipv4(f, &any, addrlen, &to))
		return addrlen < sizeof(to) ? -EINVAL : -EAFNOSUPPORT;
	return transmit(f, s, fd, b, flags, &to);
}

long on_write(struct file *f, int fd, const void *buf, size_t n)
{
	struct buffers b;

	if (leaves_by_kernel(f, NULL, 0))
		return CALL_WAITS(f, libc.write(fd, buf, n));
	if (!buffers_possible(buf, n))
		return -EFAULT;
	buffers_one(&b, buf, n);
	return transmit_to(f, fd, &b, 0, NULL, 0);
}

long on_writev(struct file *f, int fd, const struct iovec *iov, int iovcnt)
{
	struct buffers b;
	long r;

	if (leaves_by_kernel(f, NULL, 0))
		return CALL_WAITS(f, libc.writev(fd, iov, iovcnt));
	r = iovcnt < 0 ? -EINVAL : buffers_get(&b, iov, (size_t)iovcnt);
	if (r < 0 || iovcnt == 0)
		return r;
	r = transmit_to(f, fd, &b, 0, NULL, 0);
	buffers_end(&b);
	return r;
}

long on_send(struct file *f, int fd, const void *buf, size_t n, int flags)
{
	return on_sendto(f, fd, buf, n, flags, NULL, 0);
}

long on_sendto(struct file *f, int fd, const void *buf, size_t n, int flags,
	const struct sockaddr *addr, socklen_t addrlen)
{
	struct buffers b;

	if (leaves_by_kernel(f, addr, addrlen))
		return CALL_WAITS(f, libc.sendto(fd, buf, n, flags, addr, addrlen));
	buffers_one(&b, buf, n);
	return transmit_to(f, fd, &b, flags, addr, addrlen);
}

/* Control data is not used, but it must be there, and well-formed. */
static int ignore_control(const struct msghdr *m)
{
	int r;

	if (m->msg_controllen == 0)
		return 0;
	if (m->msg_controllen > INT_MAX)
		return -ENOBUFS;
	if (user_extent(m->msg_control, m->msg_controllen, false) < m->msg_controllen)
		return -EFAULT;
	r = buffers_check_control(m);
	if (r < 0)
		return r;
	boot_say_once("sendmsg: control data is ignored on sockets of the stack");
	return 0;
}

long on_sendmsg(struct file *f, int fd, const struct msghdr *msg, int flags)
{
	struct buffers b;
	struct msghdr m;
	long r;

	if (leaves_by_kernel(f, NULL, 0) && !f->sock.is_udp)
		return CALL_WAITS(f, libc.sendmsg(fd, msg, flags));
	r = message_get(&m, &b, msg);
	if (r < 0)
		return r;
	if (leaves_by_kernel(f, m.msg_name, m.msg_namelen))
		r = CALL_WAITS(f, libc.sendmsg(fd, msg, flags));
	else if ((r = ignore_control(&m)) == 0)
		r = transmit_to(f, fd, &b, flags, m.msg_name, m.msg_namelen);
	buffers_end(&b);
	return r;
}

long on_sendmmsg(struct file *f, int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	unsigned int i;
	long r = 0;

	for (i = 0; i < n && i < IOV_MAX; i++) {
		r = on_sendmsg(f, fd, &msgs[i].msg_hdr, flags);
		if (r >= 0)
			r = put_length(&msgs[i], r);
		if (r < 0)
			break;
	}
	return i ? (long)i : r;
}
