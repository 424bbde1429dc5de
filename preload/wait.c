/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting for one socket, and what all waits share.
 *
 * Each thread keeps two ready sets of one watch, one for reading and one for writing, and keeps the
 * watch from call to call: a thread that serves one connection adds it once. The socket's own
 * events decide; the set only says which stacks to run, or where to sleep.
 */
#include "preload/wait.h"
#include "preload/boot.h"
#include "preload/fd.h"
#include "preload/socket.h"
#include "preload/watch.h"
#include "stack/ready.h"
#include "stack/sock.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>

enum {
	CHECKS_PER_CLOCK = 8, /* looks at the counters per look at the clock while spinning */
	NUDGE_AFTER = 3,      /* empty-handed calls in a row before the stack is run for them */
};

uint64_t clock_kernel_ticks;

static uint64_t loaded_ns, loaded_ticks;

struct single {
	struct watch_set set;
	_Atomic(struct watch *) watch;
};

/* initial state: all zero */
static __thread struct {
	struct single reading, writing;
	unsigned int n_empty;
	bool has_destructor;
} mine;

static pthread_key_t thread_key;
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;

void clock_init(void)
{
	loaded_ns = clock_ns();
	loaded_ticks = clock_ticks();
	clock_kernel_ticks = 0;
}

void clock_calibrate(void)
{
	uint64_t us = (clock_ns() - loaded_ns) / 1000;

	if (us > 100)
		clock_kernel_ticks = (clock_ticks() - loaded_ticks) * WAIT_KERNEL_US / us;
}

uint64_t wait_ns(const struct timespec *ts)
{
	if (ts == NULL || (uint64_t)ts->tv_sec > INT64_MAX / NS_PER_S - 1)
		return WAIT_FOREVER;
	return (uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec;
}

struct timespec wait_timespec(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / NS_PER_S),
		.tv_nsec = (long)(ns % NS_PER_S),
	};
}

int wait_ms(uint64_t ns)
{
	if (ns == WAIT_FOREVER)
		return -1;
	ns = (ns + NS_PER_MS - 1) / NS_PER_MS;
	return ns > INT_MAX ? INT_MAX : (int)ns;
}

static bool is_interrupted(const struct wait *w)
{
	struct signals_seen now = signals_seen();

	return w->was_broken || now.interrupting != w->seen.interrupting ||
		(!w->restarts && now.all != w->seen.all);
}

int wait_check(struct wait *w)
{
	uint64_t now;

	boot_check_end();
	if (is_interrupted(w))
		return -EINTR;
	if (w->timeout_ns == 0)
		return -ETIMEDOUT;
	if (w->timeout_ns == WAIT_FOREVER || w->n_checks++ % CHECKS_PER_CLOCK != 0)
		return 0;
	now = clock_ns();
	if (w->deadline_ns == 0)
		w->deadline_ns = now + w->timeout_ns;
	return now >= w->deadline_ns ? -ETIMEDOUT : 0;
}

/* What is left until the deadline, for the kernel, but at most `limit_us`; NULL: no end. */
static struct timespec *time_left(struct wait *w, uint64_t limit_us, struct timespec *ts)
{
	uint64_t left = limit_us == UINT64_MAX ? WAIT_FOREVER : limit_us * 1000;

	if (w->timeout_ns != WAIT_FOREVER) {
		uint64_t now = clock_ns(), own;

		if (w->deadline_ns == 0)
			w->deadline_ns = now + w->timeout_ns;
		own = w->deadline_ns > now ? w->deadline_ns - now : 0;
		left = own < left ? own : left;
		w->n_checks = 0; /* the next check reads the clock */
	}
	if (left == WAIT_FOREVER)
		return NULL;
	*ts = wait_timespec(left);
	return ts;
}

bool wait_sleep(struct wait *w, struct ready_set *set, struct pollfd *fds, nfds_t n)
{
	uint32_t handled = signals_seen().all;
	struct timespec left, *timeout;
	struct ready_sleep s;

	if (!HELD(ready_sleep_begin(set, &s)))
		return false;
	timeout = time_left(w, s.us, &left);
	fds[0] = (struct pollfd){.fd = ready_fd(set), .events = POLLIN};
	fds[1] = (struct pollfd){.fd = s.fd, .events = POLLIN};
	signals_sleep_begin(fds[0].fd);
	if (!is_interrupted(w) && libc.ppoll(fds, n, timeout, NULL) < 0) {
		for (nfds_t i = 0; i < n; i++)
			fds[i].revents = 0;
		if (errno == EINTR && signals_seen().all == handled)
			w->was_broken = true;
	}
	signals_sleep_end();
	signals_hold();
	ready_sleep_end(set, &s);
	signals_release();
	boot_check_end();
	return true;
}

void wait_disarm(struct ready_set *set)
{
	signals_hold();
	ready_disarm(set);
	signals_release();
}

void wait_clear(void)
{
	fd_lock();
	watch_set_clear(&mine.reading.set);
	watch_set_clear(&mine.writing.set);
	fd_unlock();
}

static void thread_exit(void *arg)
{
	wait_clear();
	mine.has_destructor = false;
}

static void make_key(void)
{
	pthread_key_create(&thread_key, thread_exit);
}

/* This thread's set that watches `f`, or NULL without memory. */
static struct ready_set *watch_single(struct file *f, int fd, uint32_t events)
{
	struct single *s = events & EPOLLIN ? &mine.reading : &mine.writing;
	struct watch *w = atomic_load(&s->watch);

	if (w && w->file == f)
		return atomic_load(&s->set.ready);
	if (!mine.has_destructor) {
		pthread_once(&thread_key_once, make_key);
		pthread_setspecific(thread_key, &mine);
		mine.has_destructor = true;
	}
	fd_lock();
	w = atomic_load(&s->watch);
	if (w)
		watch_free(w);
	if (watch_new(&s->set, NULL, f, fd, events, 0, &w) == 0) {
		w->owner = &s->watch;
		atomic_store(&s->watch, w);
	} else {
		w = NULL;
	}
	fd_unlock();
	return w ? atomic_load(&s->set.ready) : NULL;
}

static bool kernel_half_speaks(struct file *f, int fd, uint32_t events)
{
	struct pollfd p = {.fd = fd, .events = (short)events};

	if (!socket_has_kernel(f) || !clock_kernel_due(&f->sock.kernel_asked))
		return false;
	if (libc.poll(&p, 1, 0) <= 0)
		return false;
	socket_kernel_spoke();
	return true;
}

int wait_socket(struct wait *w, struct file *f, int fd, uint32_t events)
{
	struct sock *s = atomic_load(&f->sock.sock);
	struct ready_set *set = NULL;
	struct ready_event ignored;
	struct pollfd fds[WAIT_OWN_FDS + 1] = {[WAIT_OWN_FDS] = {.fd = fd, .events = (short)events}};
	int r;

	mine.n_empty = 0;
	for (;;) {
		if (sock_events(s) & (events | EPOLLERR | EPOLLHUP))
			return 0;
		if (kernel_half_speaks(f, fd, events))
			return 0;
		r = wait_check(w);
		if (r < 0)
			return r;
		if (set == NULL)
			set = watch_single(f, fd, events);
		if (set == NULL)
			return -ENOBUFS;
		if (ready_spins(set)) {
			HELD(ready_run(set));
		} else if (!wait_sleep(w, set, fds, WAIT_OWN_FDS + socket_has_kernel(f))) {
			HELD(ready_collect(set, &ignored, 1)); /* stale: make it look again */
		} else if (fds[WAIT_OWN_FDS].revents && socket_has_kernel(f)) {
			socket_kernel_spoke();
			return 0;
		}
	}
}

void wait_nudge(struct file *f)
{
	struct ready_set *set;

	if (++mine.n_empty < NUDGE_AFTER)
		return;
	set = watch_single(f, f->fd, EPOLLIN);
	if (set)
		HELD(ready_run(set));
}

void wait_rested(void)
{
	mine.n_empty = 0;
}

void wait_orphan(void)
{
	memset(&mine.reading, 0, sizeof(mine.reading));
	memset(&mine.writing, 0, sizeof(mine.writing));
	mine.n_empty = 0;
}
