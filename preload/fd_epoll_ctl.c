/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * epoll: making objects, and what is in their sets (fd_epoll.c has the theory of operation).
 */
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/epoll.h"
#include "preload/fd_new.h"
#include "preload/socket.h"
#include "preload/thread.h"
#include "preload/watch.h"
#include "stack/ready.h"
#include "stack/user.h"

static long created(int fd, const void *caller)
{
	struct file *f;

	if (fd < 0)
		return -errno;
	fd = fd_new(fd, caller);
	if (!boot_takes_thread() || own_fds_has(fd))
		return fd;
	f = file_new(FILE_EPOLL);
	if (f && fd_install(fd, f) < 0)
		file_put(f);
	return fd;
}

long on_epoll_create(int size, const void *caller)
{
	int fd = libc.epoll_create(size);

	if (fd < 0 && fd_new_can_retry(errno, caller)) {
		fd = libc.epoll_create(size);
		fd_new_retried();
	}
	return HELD(created(fd, caller));
}

long on_epoll_create1(int flags, const void *caller)
{
	int fd = libc.epoll_create1(flags);

	if (fd < 0 && fd_new_can_retry(errno, caller)) {
		fd = libc.epoll_create1(flags);
		fd_new_retried();
	}
	return HELD(created(fd, caller));
}

static struct watch *find_watch(struct file *epoll, struct file *f, int fd)
{
	struct watch *w;

	LIST_FOREACH(w, &f->watchers, in_file)
		if (w->epoll == epoll && w->fd == fd)
			return w;
	return NULL;
}

/* A wake-up source or exclusive wake-up means nothing to the stack. */
static uint32_t stack_events(uint32_t events)
{
	return events & ~(uint32_t)(EPOLLEXCLUSIVE | EPOLLWAKEUP);
}

/* epoll_ctl(2): with what, and how, exclusive wake-up may be asked for. */
static bool is_allowed(int op, uint32_t events)
{
	const uint32_t beside = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET;

	if (!(events & EPOLLEXCLUSIVE))
		return true;
	return op != EPOLL_CTL_MOD &&
		(op != EPOLL_CTL_ADD || !(events & ~(beside | EPOLLEXCLUSIVE)));
}

static int add(struct file *epoll, int epfd, struct file *f, int fd, struct epoll_event *ev)
{
	bool in_kernel = (f->sock.halves & HALF_KERNEL) != 0;
	struct watch *w;
	int r = socket_is_lazy(f) ? socket_make_kernel(f) : 0;

	if (r < 0)
		return r;

	if (find_watch(epoll, f, fd))
		return -EEXIST;
	if (in_kernel && libc.epoll_ctl(epfd, EPOLL_CTL_ADD, fd, ev) < 0)
		return -errno;
	r = watch_new(&epoll->epoll.set, epoll, f, fd, stack_events(ev->events), ev->data.u64, &w);
	if (r < 0) {
		if (in_kernel)
			libc.epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
		return r;
	}
	w->is_exclusive = (ev->events & EPOLLEXCLUSIVE) != 0;
	w->in_kernel = in_kernel;
	if (in_kernel)
		atomic_fetch_add(&epoll->epoll.n_kernel, 1);
	return 0;
}

static int modify(struct file *epoll, int epfd, struct file *f, int fd, struct epoll_event *ev)
{
	struct watch *w = find_watch(epoll, f, fd);

	if (w == NULL)
		return -ENOENT;
	if (w->is_exclusive)
		return -EINVAL;
	if (w->in_kernel && libc.epoll_ctl(epfd, EPOLL_CTL_MOD, fd, ev) < 0)
		return -errno;
	w->events = stack_events(ev->events);
	w->data = ev->data.u64;
	return w->ready ? ready_mod(w->ready, w->events, w->data) : 0;
}

static int forget(struct file *epoll, int epfd, struct file *f, int fd)
{
	struct watch *w = find_watch(epoll, f, fd);

	if (w == NULL)
		return -ENOENT;
	if (w->in_kernel)
		libc.epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
	watch_free(w);
	return 0;
}

static long control_kernel(struct file *epoll, int epfd, int op, int fd, struct epoll_event *ev)
{
	long r = libc_result(libc.epoll_ctl(epfd, op, fd, ev));

	if (r == 0 && op == EPOLL_CTL_ADD)
		atomic_fetch_add(&epoll->epoll.n_kernel, 1);
	else if (r == 0 && op == EPOLL_CTL_DEL)
		atomic_fetch_sub(&epoll->epoll.n_kernel, 1);
	return r;
}

long on_epoll_ctl(struct file *epoll, int epfd, int op, int fd, struct epoll_event *program)
{
	struct epoll_event event, *ev = &event;
	struct file *f = fd_get(fd);
	long r;

	if (f == &fd_free) /* the kernel reads the event first */
		return op != EPOLL_CTL_DEL && user_get(ev, program, sizeof(*ev)) < 0 ? -EFAULT : -EBADF;
	if (f == NULL || f->kind != FILE_SOCK) {
		if (f && f != epoll && epoll_must_nest(f))
			epoll_nest(f);
		r = control_kernel(epoll, epfd, op, fd, program);
		if (f)
			file_put(f);
		return r;
	}
	if (op != EPOLL_CTL_DEL && user_get(ev, program, sizeof(*ev)) < 0) {
		file_put(f);
		return -EFAULT;
	}
	if (op != EPOLL_CTL_DEL && !is_allowed(op, ev->events)) {
		file_put(f);
		return -EINVAL;
	}
	fd_lock();
	switch (op) {
	case EPOLL_CTL_ADD:
		r = add(epoll, epfd, f, fd, ev);
		break;
	case EPOLL_CTL_MOD:
		r = modify(epoll, epfd, f, fd, ev);
		break;
	case EPOLL_CTL_DEL:
		r = forget(epoll, epfd, f, fd);
		break;
	default:
		r = -EINVAL;
	}
	fd_unlock();
	file_put(f);
	return r;
}
