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
	LOOK_NS = 1000000,    /* a sleep that nothing but a signal ends */
	LOOK_AGAIN_US = 100000, /* a signal that comes just before a sleep is seen after it */
};

uint64_t clock_kernel_ticks;

static uint64_t loaded_ns, loaded_ticks;

struct single {
	struct watch_set set;
	_Atomic(struct watch *) watch; /* NULL also when another thread has closed its file */
	struct file *file;             /* of the watch; not looked at, for it may be gone */
};

/* initial state: all zero */
static __thread struct {
	struct single reading, writing;
	unsigned int n_empty;
} mine;

/* A sleep in progress: not on the stack, because a jump out of it leaves that. They nest where a
 * handler sleeps on top of a sleep. */
struct nap {
	struct ready_set *set;
	struct ready_sleep sleep;
	struct call_holds holds;
};

enum { NAPS_MAX = 8 }; /* deeper ones poll instead */
static __thread struct nap naps[NAPS_MAX];
static __thread int n_naps;

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

/* What the call holds has been lost. `is_first`: it held nothing but the file. */
static bool regain(const struct wait *w, bool is_first)
{
	return is_first && w->holds.undo == NULL && w->holds.file && call_regain(w->holds.file);
}

/* Let handlers run, and a cancelled thread end. */
static int open_for_a_moment(const struct wait *w)
{
	bool is_first = call_is_first_note();
	uint32_t note = call_open(&w->holds);

	pthread_testcancel();
	return call_close(note) || regain(w, is_first) ? 0 : -EBADF;
}

int wait_check(struct wait *w)
{
	uint64_t now;

	boot_check_end();
	if (__builtin_expect(signals_attend() != 0, 0)) {
		int r = open_for_a_moment(w);

		if (r < 0)
			return r;
	}
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

static void end_nap(struct nap *nap)
{
	n_naps = (int)(nap - naps);
	ready_sleep_end(nap->set, &nap->sleep);
}

static void abandon_nap(void *arg)
{
	struct nap *nap = arg;

	signals_sleep_end();
	end_nap(nap);
	ready_pass_on(nap->set);
	if (nap->holds.undo)
		nap->holds.undo(nap->holds.arg);
}

/* As ppoll(). The kernel takes no list that is longer than RLIMIT_NOFILE, but a program that can open
 * nothing more still waits for what it has: then it is a short sleep, after which the caller looks. */
static int sleep_in_kernel(struct pollfd *fds, nfds_t n, const struct timespec *timeout)
{
	const struct timespec shortly = {.tv_nsec = LOOK_NS};
	int n_ready = libc.ppoll(fds, n, timeout, NULL);

	if (n_ready >= 0 || errno != EINVAL)
		return n_ready;
	for (nfds_t i = 0; i < n; i++)
		fds[i].revents = 0;
	if (timeout == NULL || timeout->tv_sec > 0 || timeout->tv_nsec > LOOK_NS)
		timeout = &shortly;
	return libc.ppoll(NULL, 0, timeout, NULL);
}

int wait_sleep(struct wait *w, struct ready_set *set, struct pollfd *fds, nfds_t n)
{
	struct nap *nap = &naps[n_naps];
	uint32_t handled = signals_seen().all, note;
	struct timespec left, *timeout;
	int n_ready = 0;
	bool is_broken, is_first;

	if (n_naps == NAPS_MAX || !ready_sleep_begin(set, &nap->sleep))
		return 0;
	nap->set = set;
	nap->holds = w->holds;
	n_naps++;
	timeout = time_left(w, nap->sleep.us, &left);
	fds[0] = (struct pollfd){.fd = ready_fd(set), .events = POLLIN};
	fds[1] = (struct pollfd){.fd = nap->sleep.fd, .events = POLLIN};
	signals_sleep_begin(fds[0].fd);
	is_first = call_is_first_note();
	note = call_open(&(struct call_holds){w->holds.file, abandon_nap, nap});
	if (!is_interrupted(w))
		n_ready = sleep_in_kernel(fds, n, timeout);
	is_broken = n_ready < 0 && errno == EINTR;
	if (!call_close(note)) /* the sleep itself has been ended, see abandon_nap() */
		return regain(w, is_first) ? 0 : -EBADF;
	signals_sleep_end();
	end_nap(nap);
	for (nfds_t i = 0; i < n && n_ready < 0; i++)
		fds[i].revents = 0;
	if (is_broken && signals_seen().all == handled)
		w->was_broken = true;
	boot_check_end();
	return 1;
}

void wait_clear(void)
{
	fd_lock();
	watch_set_clear(&mine.reading.set);
	watch_set_clear(&mine.writing.set);
	fd_unlock();
}

/* This thread's set that watches `f`, or NULL without memory. */
static struct ready_set *watch_single(struct file *f, int fd, uint32_t events)
{
	struct single *s = events & EPOLLIN ? &mine.reading : &mine.writing;
	struct watch *w = atomic_load(&s->watch);

	if (w && s->file == f)
		return atomic_load(&s->set.ready);
	fd_lock();
	w = atomic_load(&s->watch);
	if (w)
		watch_free(w);
	if (watch_new(&s->set, NULL, f, fd, events, 0, &w) == 0) {
		w->owner = &s->watch;
		s->file = f;
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

/* The stack half has gone meanwhile: another thread has connected the socket to a peer of the kernel's. */
static int wait_kernel_half(struct wait *w, int fd, uint32_t events)
{
	struct pollfd p = {.fd = fd, .events = (short)events};
	bool is_first = call_is_first_note();
	struct timespec left;
	uint32_t note;
	int n, r;

	do {
		r = wait_check(w);
		if (r < 0)
			return r;
		note = call_open(&w->holds);
		n = libc.ppoll(&p, 1, time_left(w, LOOK_AGAIN_US, &left), NULL);
		if (!call_close(note))
			return regain(w, is_first) ? 0 : -EBADF;
	} while (n <= 0);
	return 0;
}

int wait_socket(struct wait *w, struct file *f, int fd, uint32_t events)
{
	struct sock *s;
	struct ready_set *set;
	struct ready_event ignored;
	struct pollfd fds[WAIT_OWN_FDS + 1] = {[WAIT_OWN_FDS] = {.fd = fd, .events = (short)events}};
	int r;

	mine.n_empty = 0;
	for (;;) {
		s = atomic_load(&f->sock.sock);
		if (s == NULL)
			return wait_kernel_half(w, fd, events);
		if (sock_events(s) & (events | EPOLLERR | EPOLLHUP))
			return 0;
		if (kernel_half_speaks(f, fd, events))
			return 0;
		r = wait_check(w);
		if (r < 0)
			return r;
		/* Again, for a handler may have waited for another socket. */
		set = watch_single(f, fd, events);
		if (set == NULL)
			return -ENOBUFS;
		if (ready_spins(set)) {
			ready_run(set);
			continue;
		}
		r = wait_sleep(w, set, fds, WAIT_OWN_FDS + socket_has_kernel(f));
		if (r < 0)
			return r;
		if (r == 0) {
			ready_collect(set, &ignored, 1); /* stale: make it look again */
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
		ready_run(set);
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
