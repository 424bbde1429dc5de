/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket calls that make and name: socket, bind, listen, accept, shutdown. fd_connect.c connects.
 */
#include "conf/conf.h"
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/fd_new.h"
#include "preload/route.h"
#include "preload/socket.h"
#include "preload/wait.h"
#include "stack/sock.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>

enum { TYPE_FLAGS = SOCK_NONBLOCK | SOCK_CLOEXEC };

static bool can_be_ours(int domain, int type, int protocol)
{
	if (domain != AF_INET && domain != AF_INET6)
		return false;
	switch (type & ~TYPE_FLAGS) {
	case SOCK_STREAM:
		return protocol == 0 || protocol == IPPROTO_TCP;
	case SOCK_DGRAM:
		return (protocol == 0 || protocol == IPPROTO_UDP) && boot_conf()->udp_enable;
	default:
		return false;
	}
}

/* A stream socket while the data path is up: its kernel half can wait. */
static long socket_lazy(int domain, int type)
{
	int fd = fd_pool_take();
	struct file *f;

	if (fd < 0)
		return fd;
	f = file_new(FILE_SOCK);
	if (f == NULL) {
		fd_pool_give_unused(fd);
		return -ENOMEM;
	}
	f->pooled_fd = fd;
	f->sock.is_lazy = true;
	f->sock.is_cloexec = (type & SOCK_CLOEXEC) != 0;
	f->sock.is_v6 = domain == AF_INET6;
	f->sock.is_nonblock = (type & SOCK_NONBLOCK) != 0;
	fd_install(fd, f);
	return fd;
}

static long open_socket(int domain, int type, int protocol, const void *caller)
{
	int fd;
	struct file *f;
	int r;
	bool is_ours = boot_takes_thread() && can_be_ours(domain, type, protocol);

	if (is_ours && boot_group() && (type & ~TYPE_FLAGS) == SOCK_STREAM)
		return socket_lazy(domain, type);
	fd = libc.socket(domain, type, protocol);
	if (fd < 0 && fd_new_can_retry(errno, caller)) {
		fd = libc.socket(domain, type, protocol);
		fd_new_retried();
	}
	if (fd < 0)
		return -errno;
	fd = fd_new(fd, caller);
	if (!is_ours)
		return fd;
	f = file_new(FILE_SOCK);
	if (f == NULL)
		return fd; /* without memory for more: the kernel's alone */
	f->sock.is_udp = (type & ~TYPE_FLAGS) == SOCK_DGRAM;
	f->sock.is_v6 = domain == AF_INET6;
	f->sock.is_nonblock = (type & SOCK_NONBLOCK) != 0;
	r = fd_install(fd, f);
	if (r < 0)
		file_put(f);
	return fd;
}

long on_socket(int domain, int type, int protocol, const void *caller)
{
	return HELD(open_socket(domain, type, protocol, caller));
}

/* After the kernel half was bound: the program's address with the port the kernel chose. */
static void take_kernel_name(struct file *f, int fd)
{
	union {
		struct sockaddr_storage any;
		struct sockaddr in;
	} name = {.any.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(name);

	libc.getsockname(fd, &name.in, &len);
	socket_ipv4(f, &name.any, len, &f->sock.local);
	f->sock.is_bound = true;
	f->sock.kernel_active = true;
}

static int bind_both(struct file *f, int fd, const struct sockaddr *addr, socklen_t addrlen)
{
	if (libc.bind(fd, addr, addrlen) < 0)
		return -errno;
	take_kernel_name(f, fd);
	/* TCP makes its half with listen() or connect(), when it is known to be needed. */
	return boot_group() && f->sock.is_udp ? socket_materialise(f) : 0;
}

static int bind_stack(struct file *f, const struct sockaddr_in *addr)
{
	struct sock *s = atomic_load(&f->sock.sock);
	int r;

	if (f->sock.is_bound)
		return -EINVAL;
	if (s) {
		socket_identify(f, s);
		r = sock_bind(s, addr);
		if (r < 0)
			return r;
		sock_name(s, &f->sock.local);
		f->sock.is_bound = true;
	} else {
		f->sock.local = *addr;
		f->sock.is_bound = true;
		r = boot_group() ? socket_materialise(f) : 0;
		if (r < 0) {
			f->sock.is_bound = false;
			return r;
		}
	}
	socket_to_stack(f);
	return 0;
}

static enum route_bind bind_where(const struct file *f, int fd, const struct sockaddr_storage *addr,
	socklen_t addrlen, struct sockaddr_in *in)
{
	socklen_t len = sizeof(int);
	int v6only = 0;

	if (!socket_ipv4(f, addr, addrlen, in)) {
		/* As the kernel does: AF_UNSPEC with 0.0.0.0 is an old way to write AF_INET. */
		if (f->sock.is_v6 || in->sin_family != AF_UNSPEC || addrlen < sizeof(*in) ||
			in->sin_addr.s_addr != INADDR_ANY)
			return ROUTE_BIND_KERNEL;
		in->sin_family = AF_INET;
	}
	if (f->sock.is_v6 && !socket_is_lazy(f))
		libc.getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &len);
	return v6only ? ROUTE_BIND_KERNEL : route_bind(in->sin_addr.s_addr);
}

/* Has another socket of this process the port? Under fd_lock. */
static bool is_port_ours(const struct file *f, uint16_t port)
{
	bool found = false;
	struct file *other;
	size_t pos = 0;

	while ((other = file_next(&pos)) != NULL) {
		found |= other != f && other->kind == FILE_SOCK && other->sock.is_bound &&
			other->sock.is_udp == f->sock.is_udp && other->sock.local.sin_port == port;
		file_put(other);
	}
	return found;
}

/*
 * The kernel's addresses are common to all programs behind one ltran, and one of them has this port
 * there. On the address of this program it may well be free. The data path starts now, so that a
 * listen() that is refused there is refused at once.
 */
static int bind_own_address(struct file *f, const struct sockaddr_in *in)
{
	int r = -EADDRINUSE;

	if (!boot_conf()->use_ltran || in->sin_port == 0 || !boot_attach())
		return r;
	fd_lock();
	if ((f->sock.halves & HALF_STACK) && !is_port_ours(f, in->sin_port))
		r = bind_stack(f, in);
	fd_unlock();
	if (r == 0)
		boot_say("port %u of the kernel's addresses is taken: it is served on this "
			"program's own address only", ntohs(in->sin_port));
	return r;
}

long on_bind(struct file *f, int fd, const struct sockaddr *program, socklen_t addrlen)
{
	struct sockaddr_storage any;
	const struct sockaddr *addr = (const struct sockaddr *)&any;
	enum route_bind where;
	struct sockaddr_in in;
	int r;

	if (f->sock.is_dead)
		return -EIO;
	if (!(f->sock.halves & HALF_STACK))
		return libc_result(libc.bind(fd, program, addrlen));
	r = socket_get_addr(&any, program, addrlen);
	if (r < 0)
		return r;
	where = bind_where(f, fd, &any, addrlen, &in);
	r = where != ROUTE_BIND_STACK && socket_is_lazy(f) ? socket_make_kernel(f) : 0;
	if (r < 0)
		return r;

	fd_lock();
	if (!(f->sock.halves & HALF_STACK))
		where = ROUTE_BIND_KERNEL; /* by another thread, just now */
	switch (where) {
	case ROUTE_BIND_STACK:
		r = bind_stack(f, &in);
		break;
	case ROUTE_BIND_ANY:
		if (f->sock.halves & HALF_KERNEL) {
			r = bind_both(f, fd, addr, addrlen);
			break;
		}
		r = bind_stack(f, &in);
		break;
	default:
		r = (int)libc_result(libc.bind(fd, addr, addrlen));
		if (r == 0)
			socket_to_kernel(f);
	}
	fd_unlock();
	return r == -EADDRINUSE && where == ROUTE_BIND_ANY ? bind_own_address(f, &in) : r;
}

static int listen_kernel(struct file *f, int fd, int backlog)
{
	int flags;

	if (libc.listen(fd, backlog) < 0)
		return -errno;
	take_kernel_name(f, fd);
	/* accept() must come back from an empty kernel half to look at the stack's. */
	flags = libc.fcntl(fd, F_GETFL);
	libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	return 0;
}

long on_listen(struct file *f, int fd, int backlog)
{
	struct sock *s;
	int r = 0;

	if (f->sock.is_dead)
		return -EIO;
	if (!(f->sock.halves & HALF_STACK) || f->sock.is_udp)
		return libc_result(libc.listen(fd, backlog));

	fd_lock();
	if (!(f->sock.halves & HALF_STACK)) {
		fd_unlock();
		return libc_result(libc.listen(fd, backlog));
	}
	if (f->sock.halves & HALF_KERNEL)
		r = listen_kernel(f, fd, backlog);
	if (r == -EADDRINUSE && boot_conf()->use_ltran) {
		socket_to_stack(f); /* as in bind_own_address(): both bound before one listened */
		r = 0;
	}
	s = atomic_load(&f->sock.sock);
	if (r == 0 && s)
		r = sock_listen(s, backlog);
	if (r == 0) {
		f->sock.backlog = backlog;
		if (!f->sock.is_listening)
			f->sock.listened_by = getpid();
		f->sock.is_listening = true;
		if (boot_group() && s == NULL)
			r = socket_materialise(f);
	}
	fd_unlock();
	return r;
}

/* A connection of the stack becomes a descriptor. */
static long accept_install(const struct file *listener, struct sock *s, int flags)
{
	int fd = fd_pool_take();
	struct file *f;

	if (fd < 0) {
		sock_close(s);
		return fd;
	}
	f = file_new(FILE_SOCK);
	if (f == NULL) {
		fd_pool_give_unused(fd);
		sock_close(s);
		return -ENOMEM;
	}
	f->pooled_fd = fd;
	f->sock.halves = HALF_STACK;
	f->sock.is_v6 = listener->sock.is_v6;
	f->sock.is_bound = true;
	f->sock.is_nonblock = (flags & SOCK_NONBLOCK) != 0;
	f->sock.is_cloexec = (flags & SOCK_CLOEXEC) != 0;
	f->sock.recv_timeout_ns = listener->sock.recv_timeout_ns;
	f->sock.send_timeout_ns = listener->sock.send_timeout_ns;
	atomic_store_explicit(&f->sock.sock, s, memory_order_relaxed);
	sock_set_fd(s, fd);
	fd_install(fd, f);
	return fd;
}

static long accept_kernel(struct file *f, int fd, struct sockaddr *addr, socklen_t *addrlen, int flags)
{
	long r = CALL_WAITS(f, libc.accept4(fd, addr, addrlen, flags));

	if (r < 0 && fd_new_can_retry((int)-r, NULL))
		r = CALL_WAITS(f, libc.accept4(fd, addr, addrlen, flags));
	if (r >= 0)
		fd_new_keep((int)r);
	return r;
}

/* Once round both halves, the stack's first. */
static long accept_now(struct file *f, int fd, struct sock *s, struct sockaddr *addr,
	socklen_t *addrlen, int flags)
{
	struct sockaddr_in peer;
	struct sock *conn;
	int r;

	if (!fd_pool_has())
		return -EMFILE;
	r = sock_accept(s, &conn, addr ? &peer : NULL);
	if (r == 0) {
		long got = accept_install(f, conn, flags);

		if (got >= 0 && addr && socket_copy_addr(f, &peer, addr, addrlen) < 0)
			return on_close((int)got, NULL), -EFAULT;
		return got;
	}
	if (r == -EAGAIN && socket_ask_kernel(f))
		return accept_kernel(f, fd, addr, addrlen, flags);
	return r;
}

long on_accept4(struct file *f, int fd, struct sockaddr *addr, socklen_t *addrlen, int flags)
{
	uint64_t timeout;
	struct sock *s;
	struct wait w;
	long r;

	if (f->sock.is_dead)
		return -EIO;
	if (flags & ~TYPE_FLAGS)
		return -EINVAL;
	s = f->sock.is_listening ? socket_stack(f) : NULL;
	if (f->sock.is_udp)
		return -EOPNOTSUPP;
	if (s == NULL)
		return f->sock.halves & HALF_KERNEL ? accept_kernel(f, fd, addr, addrlen, flags) :
						      -EINVAL;
	r = accept_now(f, fd, s, addr, addrlen, flags);
	if (r != -EAGAIN)
		return r;
	if (f->sock.is_nonblock) {
		wait_nudge(f);
		return r;
	}
	timeout = f->sock.recv_timeout_ns ? f->sock.recv_timeout_ns : WAIT_FOREVER;
	wait_begin(&w, timeout, timeout == WAIT_FOREVER, f);
	do {
		r = wait_socket(&w, f, fd, EPOLLIN);
		if (r < 0)
			return r == -ETIMEDOUT ? -EAGAIN : r;
		r = accept_now(f, fd, s, addr, addrlen, flags);
	} while (r == -EAGAIN);
	return r;
}

long on_accept(struct file *f, int fd, struct sockaddr *addr, socklen_t *addrlen)
{
	return on_accept4(f, fd, addr, addrlen, 0);
}

static int shut(struct file *f, int fd, int how)
{
	struct sock *s = atomic_load(&f->sock.sock);
	int r = 0;

	if (s)
		r = sock_shutdown(s, how);
	else if (!(f->sock.halves & HALF_KERNEL) && !f->sock.is_listening)
		r = -ENOTCONN;
	if (how != SHUT_WR)
		f->sock.is_listening = false;
	if (f->sock.halves & HALF_KERNEL) {
		long k = libc_result(libc.shutdown(fd, how));

		if (s == NULL)
			r = (int)k;
	}
	return r;
}

long on_shutdown(struct file *f, int fd, int how)
{
	bool was_listening = f->sock.is_listening;
	int r;

	if (f->sock.is_dead)
		return -EIO;
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (was_listening)
		fd_lock(); /* both halves in one step, for another thread may call listen() */
	r = shut(f, fd, how);
	if (was_listening)
		fd_unlock();
	return r;
}
