/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * State changes of sockets: making, choosing and dropping halves.
 */
#include "preload/socket.h"
#include "conf/conf.h"
#include "preload/boot.h"
#include "preload/route.h"
#include "preload/wait.h"
#include "preload/watch.h"
#include "stack/sock.h"
#include "stack/user.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Atomic uint32_t socket_kernel_events = 1;

bool socket_wants_stack(const struct file *f)
{
	const struct file_sock *fs = &f->sock;

	return (fs->halves & HALF_STACK) && atomic_load(&fs->sock) == NULL && !fs->is_dead &&
		(fs->is_listening || (fs->is_udp && fs->is_bound));
}

static int repeat_calls(struct file *f, struct sock *s)
{
	struct file_sock *fs = &f->sock;
	int r = 0;

	/* What the stack does not know was accepted by the kernel half and stays there. */
	for (struct sock_option *o = fs->options; o; o = o->next)
		sock_setopt(s, o->level, o->name, o->val, o->len);
	if (fs->is_bound)
		r = sock_bind(s, &fs->local);
	if (r == 0 && fs->is_listening)
		r = sock_listen(s, fs->backlog);
	return r;
}

/* fork() leaves both copies with the same kernel socket, whatever their numbers. */
void socket_identify(const struct file *f, struct sock *s)
{
	struct stat st;
	uint64_t x;

	if (!boot_conf()->use_ltran || fstat(f->fd, &st) < 0)
		return;
	x = (st.st_ino ^ (uint64_t)st.st_dev << 40) * 0x9e3779b97f4a7c15ull;
	sock_set_identity(s, (uint32_t)(x >> 32));
	if (f->sock.is_listening && f->sock.listened_by != getpid())
		sock_set_inherited(s);
}

int socket_materialise(struct file *f)
{
	struct file_sock *fs = &f->sock;
	struct watch *w;
	struct sock *s;
	int r;

	if (atomic_load(&fs->sock))
		return 0;
	r = sock_open(boot_group(), fs->is_udp ? SOCK_UDP : SOCK_TCP, &s);
	if (r < 0)
		return r;
	if (fs->is_bound)
		socket_identify(f, s);
	r = repeat_calls(f, s);
	if (r < 0) {
		sock_close(s);
		return r;
	}
	sock_set_fd(s, f->fd);
	atomic_store(&fs->sock, s);
	LIST_FOREACH(w, &f->watchers, in_file)
		watch_attach(w);
	return 0;
}

bool socket_materialise_late(struct file *f)
{
	int r = socket_materialise(f);

	if (r < 0)
		boot_say("descriptor %d: no socket on %s:%u in the stack: %s", f->fd,
			inet_ntoa(f->sock.local.sin_addr), ntohs(f->sock.local.sin_port),
			strerror(-r));
	if (r != -EADDRINUSE || !boot_conf()->use_ltran || boot_conf()->on_error != CONF_ON_ERROR_EXIT)
		return true;
	boot_say("the program ends (on_error = \"exit\")");
	return false;
}

struct sock *socket_stack(struct file *f)
{
	struct sock *s = atomic_load_explicit(&f->sock.sock, memory_order_acquire);
	bool may_go_on = true;

	if (s || !(f->sock.halves & HALF_STACK) || f->sock.is_dead || !boot_attach())
		return s;
	fd_lock();
	if (f->sock.halves & HALF_STACK)
		may_go_on = socket_materialise_late(f);
	s = atomic_load(&f->sock.sock);
	fd_unlock();
	if (!may_go_on)
		boot_cannot_go_on(); /* waits for threads that want the lock */
	return s;
}

struct sock *socket_stack_for_data(struct file *f)
{
	struct sock *s = atomic_load_explicit(&f->sock.sock, memory_order_acquire);

	return s || !socket_wants_stack(f) ? s : socket_stack(f);
}

/* The kernel's socket takes the placeholder's place. */
static int replace_placeholder(struct file *f)
{
	struct file_sock *fs = &f->sock;
	int type = SOCK_STREAM | SOCK_CLOEXEC | (fs->is_nonblock ? SOCK_NONBLOCK : 0);
	int fd = libc.socket(fs->is_v6 ? AF_INET6 : AF_INET, type, IPPROTO_TCP), r = 0;

	if (fd < 0)
		return -errno;
	fd_forget(fd);
	for (struct sock_option *o = fs->options; o; o = o->next)
		libc.setsockopt(fd, o->level, o->name, o->val, o->len);
	if (libc.dup3(fd, f->fd, fs->is_cloexec ? O_CLOEXEC : 0) < 0)
		r = -errno;
	libc.close(fd);
	return r;
}

int socket_make_kernel(struct file *f)
{
	int r = 0;

	fd_lock();
	if (socket_is_lazy(f)) {
		if (f->fd < 0)
			r = -EBADF;
		else if (fd_is_own(f->fd))
			r = -EMFILE;
		else
			r = replace_placeholder(f);
		if (r == 0) {
			f->pooled_fd = -1;
			fd_check_learn(f);
			atomic_store(&f->sock.is_lazy, false);
		}
	}
	fd_unlock();
	return r;
}

static void set_kernel_nonblock(const struct file *f, bool on)
{
	int flags = socket_is_lazy(f) ? -1 : libc.fcntl(f->fd, F_GETFL);

	if (flags >= 0)
		libc.fcntl(f->fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

static struct sockaddr_in6 mapped(const struct sockaddr_in *in)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = in->sin_port};

	if (in->sin_addr.s_addr == INADDR_ANY)
		return in6;
	in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&in6.sin6_addr.s6_addr[12], &in->sin_addr, sizeof(in->sin_addr));
	return in6;
}

/* Bound to the stack's address only, and there is no stack: the kernel may have the address, too. */
static int move_to_kernel(struct file *f)
{
	struct file_sock *fs = &f->sock;
	struct sockaddr_in6 in6 = mapped(&fs->local);
	const void *addr = fs->is_v6 ? (const void *)&in6 : &fs->local;

	if (libc.bind(f->fd, addr, fs->is_v6 ? sizeof(in6) : sizeof(fs->local)) < 0 ||
		(fs->is_listening && libc.listen(f->fd, fs->backlog) < 0)) {
		int err = errno;

		boot_say("descriptor %d: %s:%u cannot be served by the kernel: %s", f->fd,
			inet_ntoa(fs->local.sin_addr), ntohs(fs->local.sin_port), strerror(err));
		return -err;
	}
	return 0;
}

static void drop_options(struct file *f)
{
	struct sock_option *o;

	while ((o = f->sock.options) != NULL) {
		f->sock.options = o->next;
		free(o);
	}
}

static void watch_by_kernel(struct watch *w)
{
	struct epoll_event ev = {.events = w->events, .data.u64 = w->data};

	w->in_kernel = libc.epoll_ctl(w->epoll->fd, EPOLL_CTL_ADD, w->fd, &ev) == 0;
	if (w->in_kernel)
		atomic_fetch_add(&w->epoll->epoll.n_kernel, 1);
}

/*
 * Other threads may be in a call on the file, and have looked up the stack half: each holds a reference. Those
 * that come later find none. More descriptors of the file look the same.
 */
static bool is_in_use(const struct file *f)
{
	return atomic_load(&((struct file *)f)->refs) > 2; /* a descriptor's and the caller's */
}

void socket_close_stack(struct file *f)
{
	struct sock *s = atomic_exchange(&f->sock.sock, NULL);
	struct watch *w;

	LIST_FOREACH(w, &f->watchers, in_file)
		watch_detach(w);
	if (s)
		sock_close(s);
}

/* Who waits for the stack half goes on with the kernel's. */
static void leave_stack_half(struct file *f)
{
	struct watch *w;

	LIST_FOREACH(w, &f->watchers, in_file) {
		watch_detach(w);
		watch_wake(w);
	}
	f->sock.left = atomic_exchange(&f->sock.sock, NULL);
	if (f->sock.left && !is_in_use(f)) {
		sock_close(f->sock.left);
		f->sock.left = NULL;
	}
}

int socket_to_kernel(struct file *f)
{
	struct file_sock *fs = &f->sock;
	struct watch *w;
	int r = 0;

	if (atomic_load(&fs->sock))
		leave_stack_half(f);
	if (!(fs->halves & HALF_KERNEL) && fs->is_bound)
		r = move_to_kernel(f);
	fs->halves = HALF_KERNEL;
	fs->kernel_active = true;
	set_kernel_nonblock(f, fs->is_nonblock);
	drop_options(f);
	LIST_FOREACH(w, &f->watchers, in_file)
		if (w->epoll && !w->in_kernel)
			watch_by_kernel(w);
	return r;
}

void socket_to_stack(struct file *f)
{
	struct watch *w;

	if (!(f->sock.halves & HALF_KERNEL))
		return;
	LIST_FOREACH(w, &f->watchers, in_file)
		if (w->in_kernel) {
			libc.epoll_ctl(w->epoll->fd, EPOLL_CTL_DEL, w->fd, NULL);
			atomic_fetch_sub(&w->epoll->epoll.n_kernel, 1);
			w->in_kernel = false;
		}
	f->sock.halves = HALF_STACK;
	atomic_store(&f->sock.is_lazy, false); /* the placeholder stays */
	f->sock.kernel_active = false;
}

void socket_leave_kernel(struct file *f)
{
	if (f->sock.is_udp || f->fd < 0 || f->pooled_fd >= 0 || fd_is_own(f->fd))
		return;
	if (fd_pool_stand_in(f->fd))
		f->pooled_fd = f->fd;
	fd_check_learn(f);
}

void socket_orphan(struct file *f)
{
	struct watch *w, *next;

	for (w = LIST_FIRST(&f->watchers); w; w = next) {
		next = LIST_NEXT(w, in_file);
		w->ready = NULL;
		if (w->epoll == NULL) { /* of a thread; only this one has survived, see wait_orphan() */
			LIST_REMOVE(w, in_file);
			watch_give(w);
		}
	}
	atomic_store(&f->sock.sock, NULL);
	f->sock.left = NULL;
	if (f->sock.halves & HALF_KERNEL) {
		f->sock.halves = HALF_KERNEL;
		set_kernel_nonblock(f, f->sock.is_nonblock);
	} else {
		f->sock.is_dead = true;
	}
}

void socket_destroy(struct file *f)
{
	struct sock *s;

	if (!LIST_EMPTY(&f->watchers)) {
		fd_lock();
		while (!LIST_EMPTY(&f->watchers))
			watch_free(LIST_FIRST(&f->watchers));
		fd_unlock();
	}
	s = atomic_exchange(&f->sock.sock, NULL);
	if (s)
		sock_close(s);
	if (f->sock.left)
		sock_close(f->sock.left);
	drop_options(f);
}

bool socket_ask_kernel(struct file *f)
{
	uint32_t now = atomic_load_explicit(&socket_kernel_events, memory_order_acquire);

	if (!socket_has_kernel(f))
		return false;
	if (!clock_kernel_due(&f->sock.kernel_asked) && atomic_load(&f->sock.kernel_seen) == now)
		return false;
	/* Before asking: a bump in between is then a reason to ask again. */
	atomic_store(&f->sock.kernel_seen, now);
	return true;
}

int socket_get_addr(struct sockaddr_storage *to, const struct sockaddr *program, socklen_t len)
{
	if (len > sizeof(*to))
		return -EINVAL;
	to->ss_family = AF_UNSPEC;
	return user_get(to, program, len);
}

bool socket_ipv4(const struct file *f, const struct sockaddr_storage *addr, socklen_t len,
	struct sockaddr_in *in)
{
	struct sockaddr_in6 in6;

	memset(in, 0, sizeof(*in));
	if (len < sizeof(*in))
		return false;
	if (!f->sock.is_v6) {
		memcpy(in, addr, sizeof(*in));
		return in->sin_family == AF_INET;
	}
	if (addr->ss_family != AF_INET6 || len < sizeof(in6))
		return false;
	memcpy(&in6, addr, sizeof(in6));
	if (!IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) && !IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr))
		return false;
	in->sin_family = AF_INET;
	in->sin_port = in6.sin6_port;
	memcpy(&in->sin_addr, &in6.sin6_addr.s6_addr[12], sizeof(in->sin_addr));
	return true;
}

int socket_put_addr(const void *from, socklen_t size, struct sockaddr *to, socklen_t *len)
{
	socklen_t room;
	int r = user_get(&room, len, sizeof(room));

	if (r < 0)
		return r;
	if ((int)room < 0)
		return -EINVAL;
	r = user_put(to, from, room < size ? room : size);
	return r < 0 ? r : user_put(len, &size, sizeof(size));
}

int socket_copy_addr(const struct file *f, const struct sockaddr_in *from, struct sockaddr *to,
	socklen_t *len)
{
	struct sockaddr_in6 in6;

	if (!f->sock.is_v6)
		return socket_put_addr(from, sizeof(*from), to, len);
	in6 = mapped(from);
	return socket_put_addr(&in6, sizeof(in6), to, len);
}
