/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * epoll: a kernel epoll object (its number is the program's) and a ready set for stack halves.
 *
 * Kernel descriptors go into the kernel's set with the program's own data, so what it reports is
 * passed on as it is. A socket with both halves is in both sets, with the same data.
 *
 * A wait collects from both. The kernel's half costs a system call, so it is only asked when it is
 * empty-handed otherwise, or WAIT_KERNEL_US after the last time; and never when nothing is in it.
 * When both have much to say the kernel's gets half of the room, so neither starves. Without any
 * watch on a stack half the wait is the kernel's alone.
 *
 * The bell: a thread asleep in the kernel's epoll_wait alone cannot notice that another thread adds
 * the first socket of the stack. Then a descriptor that is always readable is put into the kernel's
 * set until the last sleeper has left; its data is an address of ours and never shown.
 *
 * Nesting: once the epoll descriptor itself is in another epoll, poll or select, the eventfd of the
 * ready set stays in the kernel's set, armed whenever nobody waits here, so the kernel sees it
 * readable when a stack half has something. In run-to-completion nobody but the caretaker runs the
 * stack for such an outer wait, so it is late by up to a few milliseconds.
 */
#include "preload/epoll.h"
#include "common/narrow.h"
#include "preload/polling.h"
#include "preload/boot.h"
#include "preload/buffers.h"
#include "preload/calls.h"
#include "preload/fd_new.h"
#include "preload/guard.h"
#include "preload/socket.h"
#include "preload/wait.h"
#include "preload/watch.h"
#include "stack/ready.h"
#include "stack/user.h"

#include <limits.h>
#include <pthread.h>
#include <sys/eventfd.h>

enum {
	COLLECT_MAX = 256, /* events of the stack in one call; bounds the stack frame */
	COLLECT_FEW = 16,  /* the same on a small stack, see common/narrow.h */
	EVENTS_MAX = INT_MAX / (int)sizeof(struct epoll_event),
};

static const char bell_tag, nest_tag;
static int bell_fd = -1; /* fd_lock */

/* --- nesting ---------------------------------------------------------------------------------------- */

/* From here on the eventfd tells. */
static void arm_nest(struct ready_set *set)
{
	const uint64_t one = 1;

	if (!ready_arm(set) && libc.write(ready_fd(set), &one, sizeof(one)) < 0)
		return; /* full is readable as well */
}

/* fd_lock */
static void hang_nest(struct file *f)
{
	struct ready_set *set = atomic_load(&f->epoll.set.ready);
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = (void *)&nest_tag};

	if (set == NULL || f->epoll.nest_hangs)
		return;
	f->epoll.nest_hangs = libc.epoll_ctl(f->fd, EPOLL_CTL_ADD, ready_fd(set), &ev) == 0;
	arm_nest(set);
}

void epoll_nest(struct file *f)
{
	fd_lock();
	atomic_store(&f->epoll.is_nested, true);
	hang_nest(f);
	fd_unlock();
}

/* --- the bell -------------------------------------------------------------------------------------- */

void epoll_ring(struct file *f)
{
	struct file_epoll *ep = &f->epoll;
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = (void *)&bell_tag};

	if (atomic_load(&ep->is_nested))
		hang_nest(f);
	if (atomic_load(&ep->sleepers) == 0 || ep->bell_hangs)
		return;
	if (bell_fd < 0)
		bell_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	ep->bell_hangs = libc.epoll_ctl(f->fd, EPOLL_CTL_ADD, bell_fd, &ev) == 0;
}

static void leave_sleep(void *arg)
{
	struct file *f = arg;
	struct file_epoll *ep = &f->epoll;

	if (atomic_fetch_sub(&ep->sleepers, 1) != 1 || atomic_load(&ep->set.n_ready) == 0)
		return;
	fd_lock();
	if (ep->bell_hangs && atomic_load(&ep->sleepers) == 0) {
		libc.epoll_ctl(f->fd, EPOLL_CTL_DEL, bell_fd, NULL);
		ep->bell_hangs = false;
	}
	fd_unlock();
}

/* Take out what is only ours to see. */
static int drop_tags(struct epoll_event *evs, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++)
		if (evs[i].data.ptr != &bell_tag && evs[i].data.ptr != &nest_tag)
			evs[kept++] = evs[i];
	return kept;
}

/* --- wait ------------------------------------------------------------------------------------------- */

/* One of its sockets waits for packets, and the data path has not been started yet. */
static bool must_attach(struct file *f)
{
	struct watch *w;
	bool must = false;

	if (!boot_is_idle())
		return false;
	fd_lock();
	LIST_FOREACH(w, &f->epoll.set.watches, in_set)
		must = must || socket_wants_stack(w->file);
	fd_unlock();
	return must;
}

static int ask_kernel(struct file *f, int epfd, struct epoll_event *evs, int max)
{
	int n = libc.epoll_wait(epfd, evs, max, 0);

	atomic_store_explicit(&f->epoll.kernel_asked, clock_ticks(), memory_order_relaxed);
	if (n <= 0)
		return n < 0 && errno == EFAULT ? -EFAULT : 0;
	n = drop_tags(evs, n);
	if (n > 0)
		socket_kernel_spoke();
	return n;
}

/* What the program has closed unseen says nothing any more. */
static int drop_stale(struct ready_event *events, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++) {
		struct file *was = fd_peek(events[i].fd);

		if (was == NULL || fd_is_sock(events[i].fd) || fd_peek(events[i].fd) == was)
			events[kept++] = events[i];
	}
	return kept;
}

/*
 * What is collected must not get lost for want of memory: no more than there is room for. COLLECT_MAX
 * events span two pages at most, so a look at both ends does.
 */
static inline __attribute__((always_inline)) int collect_into(struct ready_set *set,
	struct epoll_event *evs, int max, struct ready_event *ready, struct epoll_event *answer)
{
	int n;

	if (!user_touch(evs) || !user_touch((char *)(evs + max) - 1))
		max = (int)(user_extent(evs, (size_t)max * sizeof(*evs), true) / sizeof(*evs));
	if (max == 0) {
		n = ready_look(set) ? -EFAULT : 0;
		ready_pass_on(set);
		return n;
	}
	n = ready_collect(set, ready, max);
	if (__builtin_expect(fd_checks != 0, 0))
		n = drop_stale(ready, n);
	for (int i = 0; i < n; i++) {
		answer[i].events = ready[i].events;
		answer[i].data.u64 = ready[i].data;
	}
	return user_copy(evs, answer, (size_t)n * sizeof(*evs)) ? n : -EFAULT;
}

static __attribute__((noinline)) int collect_few(
	struct ready_set *set, struct epoll_event *evs, int max)
{
	struct ready_event ready[COLLECT_FEW];
	struct epoll_event answer[COLLECT_FEW];

	return collect_into(set, evs, max < COLLECT_FEW ? max : COLLECT_FEW, ready, answer);
}

static __attribute__((noinline)) int collect_many(
	struct ready_set *set, struct epoll_event *evs, int max)
{
	struct ready_event ready[COLLECT_MAX];
	struct epoll_event answer[COLLECT_MAX];

	return collect_into(set, evs, max < COLLECT_MAX ? max : COLLECT_MAX, ready, answer);
}

static int collect(struct ready_set *set, struct epoll_event *evs, int max)
{
	if (!ready_has_some(set))
		return 0;
	if (max <= COLLECT_FEW || narrow_is_here())
		return collect_few(set, evs, max);
	return collect_many(set, evs, max);
}

/* Once round both halves. `exact`: an empty answer must be true now, not WAIT_KERNEL_US ago. */
static int gather(struct file *f, int epfd, struct ready_set *set, struct epoll_event *evs, int max,
	bool exact)
{
	bool has_kernel = atomic_load_explicit(&f->epoll.n_kernel, memory_order_relaxed) > 0;
	int n = 0;

	/* With room for one event only they take turns. */
	if (has_kernel && (max > 1 || !f->epoll.kernel_was_last) &&
		clock_kernel_due(&f->epoll.kernel_asked))
		n = ask_kernel(f, epfd, evs, max > 1 ? max / 2 : 1);
	if (n < 0)
		return n;
	f->epoll.kernel_was_last = n > 0;
	if (n < max) {
		int r = collect(set, evs + n, max - n);

		if (r > 0 || n == 0)
			n += r;
	} else {
		ready_pass_on(set);
	}
	if (n == 0 && has_kernel && exact)
		n = ask_kernel(f, epfd, evs, max);
	return n;
}

/* 1: the kernel's half has something; 0; -EBADF. */
static int sleep_both(struct file *f, int epfd, struct ready_set *set, struct wait *w)
{
	/* Also where it is empty: another thread may put something in. */
	struct pollfd fds[WAIT_OWN_FDS + 1] = {[WAIT_OWN_FDS] = {.fd = epfd, .events = POLLIN}};
	int r = wait_sleep(w, set, fds, WAIT_OWN_FDS + 1);

	return r <= 0 ? r : fds[WAIT_OWN_FDS].revents != 0;
}

static long wait_both(struct file *f, int epfd, struct epoll_event *evs, int max, struct wait *w)
{
	struct ready_set *set = atomic_load(&f->epoll.set.ready);
	bool exact = w->timeout_ns == 0;
	int r, n;

	wait_rested();
	for (;;) {
		ready_run(set);
		n = gather(f, epfd, set, evs, max, exact);
		if (n != 0)
			return n;
		r = wait_check(w);
		if (r < 0)
			return r == -ETIMEDOUT ? 0 : r;
		/* Another thread has removed the last one: sleep in the kernel then. */
		if (atomic_load_explicit(&f->epoll.set.n_ready, memory_order_relaxed) == 0)
			return -EAGAIN;
		if (ready_spins(set))
			continue;
		r = sleep_both(f, epfd, set, w);
		if (r < 0)
			return r;
		exact = exact || r > 0;
	}
}

/* wait_begin() read the counters of handled signals before the mask opens here, so what was pending
 * interrupts. */
static long wait_both_masked(struct file *f, int epfd, struct epoll_event *evs, int max,
	struct wait *w, const sigset_t *mask)
{
	sigset_t old;
	long n;

	if (mask)
		pthread_sigmask(SIG_SETMASK, mask, &old);
	if (atomic_load_explicit(&f->epoll.is_nested, memory_order_relaxed))
		ready_disarm(atomic_load(&f->epoll.set.ready));
	n = wait_both(f, epfd, evs, max, w);
	if (n != -EBADF && atomic_load_explicit(&f->epoll.is_nested, memory_order_relaxed))
		arm_nest(atomic_load(&f->epoll.set.ready));
	if (mask)
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	return n;
}

static long wait_kernel(struct file *f, int epfd, struct epoll_event *evs, int max, struct wait *w,
	const sigset_t *mask)
{
	uint64_t now = clock_ns();
	sigset_t room;
	uint32_t note;
	int n, err;

	if (w->timeout_ns != WAIT_FOREVER && w->deadline_ns == 0)
		w->deadline_ns = now + w->timeout_ns;
	uint64_t left = w->timeout_ns == WAIT_FOREVER ? WAIT_FOREVER :
		w->deadline_ns > now		      ? w->deadline_ns - now :
							0;

	if (atomic_load(&f->epoll.is_nested) && atomic_load(&f->epoll.set.ready))
		ready_disarm(atomic_load(&f->epoll.set.ready)); /* what it said is out of date */
	atomic_fetch_add(&f->epoll.sleepers, 1);
	if (atomic_load(&f->epoll.set.n_ready) > 0) {
		leave_sleep(f);
		return -EAGAIN;
	}
	note = call_open(&(struct call_holds){f, leave_sleep, f});
	n = libc.epoll_pwait(epfd, evs, max, wait_ms(left), guard_mask(mask, &room));
	err = errno;
	if (!call_close(note))
		return -EINTR; /* it has nothing any more, see call_note() */
	leave_sleep(f);
	if (n < 0)
		return -err;
	if (n > 0) {
		socket_kernel_spoke();
		n = drop_tags(evs, n);
		if (n == 0)
			return -EAGAIN;
	}
	return n;
}

static long epoll_wait_ns(struct file *f, int epfd, struct epoll_event *evs, int max, uint64_t ns,
	const sigset_t *mask)
{
	sigset_t room;
	struct wait w;
	long n;

	if (mask) {
		if (poll_get_mask(&room, mask) < 0)
			return -EFAULT;
		mask = &room;
	}
	if (max <= 0 || max > EVENTS_MAX)
		return -EINVAL;
	if (!buffers_possible(evs, (size_t)max * sizeof(*evs)))
		return -EFAULT;
	boot_check_end();
	if (must_attach(f))
		boot_attach();
	wait_begin(&w, ns, false, f);
	do {
		if (atomic_load_explicit(&f->epoll.set.n_ready, memory_order_acquire) > 0)
			n = wait_both_masked(f, epfd, evs, max, &w, mask);
		else
			n = wait_kernel(f, epfd, evs, max, &w, mask);
	} while (n == -EAGAIN);
	return n;
}

static uint64_t from_ms(int timeout_ms)
{
	return timeout_ms < 0 ? WAIT_FOREVER : (uint64_t)timeout_ms * NS_PER_MS;
}

long on_epoll_wait(struct file *f, int epfd, struct epoll_event *evs, int max, int timeout_ms)
{
	return epoll_wait_ns(f, epfd, evs, max, from_ms(timeout_ms), NULL);
}

long on_epoll_pwait(struct file *f, int epfd, struct epoll_event *evs, int max, int timeout_ms,
	const sigset_t *mask)
{
	return epoll_wait_ns(f, epfd, evs, max, from_ms(timeout_ms), mask);
}

long on_epoll_pwait2(struct file *f, int epfd, struct epoll_event *evs, int max,
	const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec ts;

	if (timeout && user_get(&ts, timeout, sizeof(ts)) < 0)
		return -EFAULT;
	if (timeout && !wait_is_valid(&ts))
		return -EINVAL;
	return epoll_wait_ns(f, epfd, evs, max, wait_ns(timeout ? &ts : NULL), mask);
}

/* --- end ---------------------------------------------------------------------------------------------- */

void epoll_orphan(struct file *f)
{
	watch_set_orphan(&f->epoll.set);
	atomic_store(&f->epoll.sleepers, 0);
	f->epoll.bell_hangs = false;
	f->epoll.nest_hangs = false;
}

void epoll_destroy(struct file *f)
{
	fd_lock();
	f->epoll.bell_hangs = false;
	watch_set_clear(&f->epoll.set);
	fd_unlock();
}
