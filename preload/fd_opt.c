/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket options, names, fcntl and ioctl.
 *
 * While the kernel half can still become the socket (undecided, or bound to any address) it gets
 * every option and its answer counts; the stack half gets the same, now or when it is made. Once
 * the socket is the stack's alone, so is the answer: an option it does not know is ENOPROTOOPT.
 */
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/fd.h"
#include "preload/fd_new.h"
#include "preload/socket.h"
#include "preload/wait.h"
#include "stack/sock.h"
#include "stack/user.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { OPTION_LEN_MAX = 256 };

static int remember(struct file *f, int level, int name, const void *val, socklen_t len)
{
	struct sock_option **at = &f->sock.options, *o;

	if (len > OPTION_LEN_MAX)
		return 0;
	while (*at && ((*at)->level != level || (*at)->name != name))
		at = &(*at)->next;
	o = malloc(sizeof(*o) + len);
	if (o == NULL)
		return -ENOMEM;
	o->next = *at ? (*at)->next : NULL;
	o->level = level;
	o->name = name;
	o->len = len;
	memcpy(o->val, val, len);
	free(*at);
	*at = o;
	return 0;
}

/* SO_RCVTIMEO, SO_SNDTIMEO: waiting is done here, so the stack never hears of them. */
static int set_timeout(uint64_t *ns, const void *val, socklen_t len)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, val, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	*ns = tv.tv_sec < 0 ? 0 : (uint64_t)tv.tv_sec * NS_PER_S + (uint64_t)tv.tv_usec * 1000;
	return 0;
}

static bool is_timeout(int level, int name)
{
	return level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO);
}

static int set_on_stack(struct file *f, int level, int name, const void *val, socklen_t len)
{
	int r = sock_setopt(atomic_load(&f->sock.sock), level, name, val, len);

	if (r == -ENOPROTOOPT && !(f->sock.halves & HALF_KERNEL))
		boot_say_once("setsockopt: the stack does not know level %d option %d (ENOPROTOOPT; "
			      "said once)",
			level, name);
	/* The kernel has taken it, and may be the one who serves it. */
	return r == -ENOPROTOOPT && (f->sock.halves & HALF_KERNEL) ? 0 : r;
}

/* Options with nothing for the kernel to refuse: they need no kernel half to be set. */
static bool is_flag(int level, int name, const void *val, socklen_t len)
{
	if (val == NULL || len != sizeof(int))
		return false;
	return level == SOL_SOCKET ? name == SO_REUSEADDR || name == SO_KEEPALIVE :
				     level == IPPROTO_TCP && name == TCP_NODELAY;
}

static int set_on_file(struct file *f, int fd, int level, int name, const void *program, socklen_t len)
{
	char val[OPTION_LEN_MAX];
	socklen_t known;
	int r = 0;

	if (!(f->sock.halves & HALF_STACK))
		return (int)libc_result(libc.setsockopt(fd, level, name, program, len));
	if (f->sock.is_dead)
		return -EIO;
	if ((int)len < 0)
		return -EINVAL;
	known = len < sizeof(val) ? len : sizeof(val);
	if (user_get(val, program, known) < 0) {
		/* No more than an option needs has to be there. */
		known = (socklen_t)user_extent((void *)program, known, false);
		if (known < sizeof(int))
			return len < sizeof(int) ? -EINVAL : -EFAULT;
	}
	if (socket_is_lazy(f) && !is_flag(level, name, val, len))
		r = socket_make_kernel(f);
	if (r < 0)
		return r;
	fd_lock();
	/* Without a stack half the kernel's also keeps the value for getsockopt(). */
	if (!socket_is_lazy(f) &&
		((f->sock.halves & HALF_KERNEL) || atomic_load(&f->sock.sock) == NULL))
		r = (int)libc_result(libc.setsockopt(fd, level, name, program, len));
	len = known;
	if (r == 0 && is_timeout(level, name))
		r = set_timeout(name == SO_RCVTIMEO ? &f->sock.recv_timeout_ns :
						      &f->sock.send_timeout_ns,
			val, len);
	else if (r == 0)
		r = atomic_load(&f->sock.sock) ? set_on_stack(f, level, name, val, len) :
						 remember(f, level, name, val, len);
	fd_unlock();
	return r;
}

/*
 * DPDK's af_packet driver has the kernel put IP fragments together before it spreads them over
 * queues, and the result does not fit its ring's frames. Reassembly is the graph's: without the flag
 * fragments keep their size, and those of one datagram still meet on one queue.
 */
static int set_fanout(int fd, const void *val, socklen_t len)
{
	int arg;

	memcpy(&arg, val, sizeof(arg));
	arg &= ~(int)((uint32_t)PACKET_FANOUT_FLAG_DEFRAG << 16);
	return (int)libc_result(libc.setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &arg, sizeof(arg)));
}

long on_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	struct file *f;
	long r;

	call_enter(false);
	f = fd_get(fd);
	if (f != NULL && f->kind == FILE_SOCK)
		r = set_on_file(f, fd, level, name, val, len);
	else if (f != NULL && f->kind == FILE_FREE)
		r = -EBADF;
	else if (level == SOL_PACKET && name == PACKET_FANOUT && len >= sizeof(int) &&
		boot_is_starting())
		r = set_fanout(fd, val, len);
	else
		r = libc_result(libc.setsockopt(fd, level, name, val, len));
	call_leave(f);
	return r;
}

static int put_int(int value, void *val, socklen_t *len)
{
	if (*len > sizeof(value))
		*len = sizeof(value);
	memcpy(val, &value, *len);
	return 0;
}

static int put_timeout(uint64_t ns, void *val, socklen_t *len)
{
	struct timeval tv = {
		.tv_sec = (time_t)(ns / NS_PER_S),
		.tv_usec = (suseconds_t)(ns % NS_PER_S / 1000),
	};

	if (*len > sizeof(tv))
		*len = sizeof(tv);
	memcpy(val, &tv, *len);
	return 0;
}

/* What is known here without asking the stack. -ENOPROTOOPT: it is not. */
static int get_known(struct file *f, struct sock *s, int level, int name, void *val, socklen_t *len)
{
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && f->sock.is_v6)
		return put_int(0, val, len);
	if (level != SOL_SOCKET)
		return -ENOPROTOOPT;
	switch (name) {
	case SO_TYPE:
		return put_int(f->sock.is_udp ? SOCK_DGRAM : SOCK_STREAM, val, len);
	case SO_DOMAIN:
		return put_int(f->sock.is_v6 ? AF_INET6 : AF_INET, val, len);
	case SO_PROTOCOL:
		return put_int(f->sock.is_udp ? IPPROTO_UDP : IPPROTO_TCP, val, len);
	case SO_ACCEPTCONN:
		return put_int(f->sock.is_listening, val, len);
	case SO_ERROR:
		return put_int(sock_take_error(s), val, len);
	case SO_RCVTIMEO:
		return put_timeout(f->sock.recv_timeout_ns, val, len);
	case SO_SNDTIMEO:
		return put_timeout(f->sock.send_timeout_ns, val, len);
	default:
		return -ENOPROTOOPT;
	}
}

long on_getsockopt(struct file *f, int fd, int level, int name, void *val, socklen_t *len)
{
	struct sock *s = atomic_load(&f->sock.sock);
	char room[OPTION_LEN_MAX];
	socklen_t n;
	int r;

	if (f->sock.is_dead)
		return -EIO;
	if ((f->sock.halves & HALF_KERNEL) || s == NULL)
		return libc_result(libc.getsockopt(fd, level, name, val, len));
	r = user_get(&n, len, sizeof(n));
	if (r < 0)
		return r;
	if ((int)n < 0)
		return -EINVAL;
	if (n > sizeof(room))
		n = sizeof(room);
	r = get_known(f, s, level, name, room, &n);
	if (r == -ENOPROTOOPT)
		r = sock_getopt(s, level, name, room, &n);
	if (r < 0)
		return r;
	r = user_put(val, room, n < sizeof(room) ? n : sizeof(room));
	return r < 0 ? r : user_put(len, &n, sizeof(n));
}

/* --- names ---------------------------------------------------------------------------------------- */

long on_getsockname(struct file *f, int fd, struct sockaddr *addr, socklen_t *addrlen)
{
	struct sockaddr_in in = f->sock.local;
	struct sock *s = atomic_load(&f->sock.sock);

	if (f->sock.halves & HALF_KERNEL)
		return libc_result(libc.getsockname(fd, addr, addrlen));
	/* Port 0 on the stack's address: only the stack can choose it. */
	if (s == NULL && in.sin_port == 0)
		s = socket_stack(f);
	if (s)
		sock_name(s, &in);
	return socket_copy_addr(f, &in, addr, addrlen);
}

long on_getpeername(struct file *f, int fd, struct sockaddr *addr, socklen_t *addrlen)
{
	struct sock *s = atomic_load(&f->sock.sock);
	struct sockaddr_in in;
	int r;

	if (f->sock.halves & HALF_KERNEL)
		return libc_result(libc.getpeername(fd, addr, addrlen));
	if (s == NULL)
		return -ENOTCONN;
	r = sock_peer(s, &in);
	if (r < 0)
		return r;
	return socket_copy_addr(f, &in, addr, addrlen);
}

/* --- fcntl ------------------------------------------------------------------------------------------ */

static long duplicate(struct file *f, int fd, int cmd, void *arg)
{
	int r = f->kind == FILE_SOCK && socket_is_lazy(f) ? socket_make_kernel(f) : 0;
	int to = r == 0 ? libc.fcntl(fd_kernel(fd), cmd, arg) : -1;

	if (r == 0 && to < 0 && fd_new_can_retry(errno, NULL))
		to = libc.fcntl(fd_kernel(fd), cmd, arg);
	if (to < 0)
		return r < 0 ? r : -errno;
	file_hold(f);
	if (fd_install(to, f) < 0)
		file_put(f);
	return to;
}

static long set_nonblock(struct file *f, int fd, bool on)
{
	f->sock.is_nonblock = on;
	/* A kernel half that listens stays non-blocking, see listen_kernel(). */
	if (!(f->sock.halves & HALF_KERNEL) || socket_is_lazy(f) ||
		(f->sock.is_listening && (f->sock.halves & HALF_STACK)))
		return 0;
	int flags = libc.fcntl(fd, F_GETFL);
	return libc_result(libc.fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

static void say_no_signals(const struct file *f)
{
	if (!(f->sock.halves & HALF_KERNEL))
		boot_say_once("O_ASYNC has no effect on sockets of the stack: no SIGIO");
}

static long fcntl_sock(struct file *f, int fd, int cmd, void *arg)
{
	long flags = (long)arg;

	switch (cmd) {
	case F_GETFL:
		return O_RDWR | (f->sock.is_nonblock ? O_NONBLOCK : 0) |
			(f->sock.is_append ? O_APPEND : 0);
	case F_SETFL:
		if (flags & O_DIRECT)
			return -EINVAL;
		if (flags & O_ASYNC)
			say_no_signals(f);
		f->sock.is_append = (flags & O_APPEND) != 0;
		return set_nonblock(f, fd, (flags & O_NONBLOCK) != 0);
	case F_SETFD:
		if (f->pooled_fd == fd)
			f->sock.is_cloexec = (flags & FD_CLOEXEC) != 0;
		if (socket_is_lazy(f) || fd_is_own(fd))
			return 0;
		/* A placeholder that is not close-on-exec must not go back to the pool. */
		if (f->pooled_fd == fd && !(flags & FD_CLOEXEC))
			f->pooled_fd = -1;
		return libc_result(libc.fcntl(fd, cmd, arg));
	case F_GETFD:
		if (f->pooled_fd == fd) /* placeholders are close-on-exec, whatever the program wants */
			return f->sock.is_cloexec ? FD_CLOEXEC : 0;
		/* fall through */
	default:
		flags = socket_is_lazy(f) ? socket_make_kernel(f) : 0;
		return flags < 0 ? flags : libc_result(libc.fcntl(fd_kernel(fd), cmd, arg));
	}
}

static long fcntl_kernel(int fd, int cmd, void *arg, const void *caller)
{
	int r = libc.fcntl(fd, cmd, arg);

	if (cmd != F_DUPFD && cmd != F_DUPFD_CLOEXEC)
		return libc_result(r);
	if (r < 0 && fd_new_can_retry(errno, caller)) {
		r = libc.fcntl(fd, cmd, arg);
		fd_new_retried();
	}
	return libc_result(fd_new(r, caller));
}

long on_fcntl(int fd, int cmd, void *arg, const void *caller)
{
	struct file *f;
	long r;

	if (fd_peek(fd) == NULL)
		return fcntl_kernel(fd, cmd, arg, caller);
	call_enter(false);
	f = fd_get(fd);
	if (f == NULL)
		r = fcntl_kernel(fd, cmd, arg, caller);
	else if (f->kind == FILE_FREE)
		r = -EBADF;
	else if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		r = duplicate(f, fd, cmd, arg);
	else if (f->kind == FILE_SOCK)
		r = fcntl_sock(f, fd, cmd, arg);
	else
		r = libc_result(libc.fcntl(fd, cmd, arg));
	call_leave(f);
	return r;
}

/* --- ioctl ------------------------------------------------------------------------------------------ */

static long ioctl_sock(struct file *f, int fd, unsigned long request, void *arg)
{
	struct sock *s = atomic_load(&f->sock.sock);
	int r, value = 0;

	if (request == FIONBIO) {
		r = user_get(&value, arg, sizeof(value));
		return r < 0 ? r : set_nonblock(f, fd, value != 0);
	}
	if (request == FIOCLEX || request == FIONCLEX)
		return fcntl_sock(f, fd, F_SETFD, (void *)(request == FIOCLEX ? FD_CLOEXEC : 0L));
	if (request == FIOASYNC)
		say_no_signals(f);
	r = socket_is_lazy(f) ? socket_make_kernel(f) : 0;
	if (r < 0)
		return r;
	/* Interface requests and the like are the kernel's, whoever carries the data. */
	if (s == NULL || (request != FIONREAD && request != SIOCOUTQ && request != SIOCATMARK))
		return libc_result(libc.ioctl(fd_kernel(fd), request, arg));
	if (request == FIONREAD) {
		if (f->sock.is_listening)
			return -EINVAL;
		value = (int)sock_inq(s);
		if (value == 0 && socket_has_kernel(f))
			return libc_result(libc.ioctl(fd, request, arg));
	} else if (request == SIOCOUTQ) {
		if (f->sock.is_listening)
			return -EINVAL;
		value = (int)sock_outq(s);
	}
	return user_put(arg, &value, sizeof(value));
}

long on_sockatmark(struct file *f, int fd)
{
	int is_at_mark;
	long r = on_ioctl(fd, SIOCATMARK, &is_at_mark);

	return r < 0 ? r : is_at_mark;
}

long on_ioctl(int fd, unsigned long request, void *arg)
{
	struct file *f;
	long r;

	if (fd_peek(fd) == NULL)
		return libc_result(libc.ioctl(fd, request, arg));
	call_enter(false);
	f = fd_get(fd);
	if (f == NULL)
		r = libc_result(libc.ioctl(fd, request, arg));
	else if (f->kind == FILE_FREE)
		r = -EBADF;
	else if (f->kind == FILE_SOCK && (f->sock.halves & HALF_STACK))
		r = f->sock.is_dead ? -EIO : ioctl_sock(f, fd, request, arg);
	else
		r = libc_result(libc.ioctl(fd, request, arg));
	call_leave(f);
	return r;
}
