/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting: clock, deadlines, EINTR, and the loop of calls that wait for one socket.
 */
#ifndef PRELOAD_WAIT_H
#define PRELOAD_WAIT_H

#include "preload/signals.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

struct file;
struct ready_set;

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define WAIT_FOREVER UINT64_MAX

/* While a thread spins it looks at its kernel descriptors this often. */
enum { WAIT_KERNEL_US = 20 };

extern uint64_t clock_kernel_ticks; /* WAIT_KERNEL_US in ticks */

void clock_init(void);      /* at load */
void clock_calibrate(void); /* later: ticks per microsecond, from the time since clock_init() */

static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Cheap and monotonic; only good for comparing intervals. */
static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#else
	return clock_ns();
#endif
}

/* Is it time to ask the kernel again? Then the answer counts as given now. */
static inline bool clock_kernel_due(_Atomic uint64_t *asked)
{
	uint64_t now = clock_ticks();

	if (now - atomic_load_explicit(asked, memory_order_relaxed) < clock_kernel_ticks)
		return false;
	atomic_store_explicit(asked, now, memory_order_relaxed);
	return true;
}

struct wait {
	uint64_t timeout_ns; /* WAIT_FOREVER, or from the first look on */
	uint64_t deadline_ns; /* 0: the clock has not been read yet */
	struct signals_seen seen;
	struct call_holds holds; /* what the call that waits holds */
	bool restarts;     /* SA_RESTART handlers do not end it */
	bool was_broken;   /* the kernel said EINTR for a handler we do not know */
	uint32_t n_checks;
};

/* `f`: the file of the call, whose reference it holds; NULL: none. */
static inline void wait_begin(struct wait *w, uint64_t timeout_ns, bool restarts, struct file *f)
{
	*w = (struct wait){.timeout_ns = timeout_ns, .seen = signals_seen(), .restarts = restarts,
		.holds = {.file = f}};
}

/* Handlers that were put off run here, and a cancelled thread ends. 0: go on; -EINTR, -ETIMEDOUT,
 * -EBADF: what the call holds is lost, see call_unnote(). */
int wait_check(struct wait *w);
/* Sleep in the kernel until the set or one of `fds` speaks, a signal, the deadline, or until a stack
 * wants to be run. The first WAIT_OWN_FDS of the `n` are filled in here. 1: slept; 0: something became
 * ready meanwhile, and this was no sleep; -EBADF as above. */
enum { WAIT_OWN_FDS = 2 };
int wait_sleep(struct wait *w, struct ready_set *set, struct pollfd *fds, nfds_t n);

/* Wait until a socket of the stack has one of `events`, or its kernel half may have: 0, -EINTR,
 * -ETIMEDOUT or another error. */
int wait_socket(struct wait *w, struct file *f, int fd, uint32_t events);
/* A program that asks again and again without waiting must see the stack move, too. */
void wait_nudge(struct file *f);
/* It does wait in between. */
void wait_rested(void);

struct timespec wait_timespec(uint64_t ns);
/* As the kernel accepts it; NULL: no end. */
static inline bool wait_is_valid(const struct timespec *ts)
{
	return ts == NULL ||
		(ts->tv_sec >= 0 && ts->tv_nsec >= 0 && (uint64_t)ts->tv_nsec < NS_PER_S);
}

/* INT64_MAX milliseconds and the like must not wrap. */
uint64_t wait_ns(const struct timespec *ts);
/* Whole milliseconds, rounded up as the kernel does; -1: forever. */
int wait_ms(uint64_t ns);

/* fork(), in the child: what this thread has prepared belongs to the parent's stack; its watches
 * are dropped with their files, see socket_orphan(). */
void wait_orphan(void);
void poll_orphan(void);
/* exit(), while the stack is still there. */
void wait_clear(void);
void poll_clear(void);

#endif
