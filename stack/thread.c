/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads of the two modes.
 *
 *   gz-stackN   run-to-wakeup: holds stack N's lock and runs it without end, on its own core
 *   gz-wakeN    with num_wakeup: does the eventfd writes of stack N, so that the stack's core does
 *               not spend a system call per sleeper
 *   gz-care     run-to-completion: runs stacks that no thread of the program has run for a while,
 *               so that ACKs, FINs and timers go on while the program computes
 *
 * With low_power_mode gz-stackN sleeps when it has been idle for a while (sleep.c); gz-wakeN is not
 * started, because it would poll; gz-care also looks after what the sleeping program does not see.
 *
 * All block every signal: signals belong to the program.
 */
#include "stack/impl.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define CARE_MS 2
#define CARE_ASLEEP_MS 40 /* while the program sleeps, having armed the wires */
#define NO_POLL_MS 1000
#define IDLE_RUNS_YIELD 64     /* then let others have the core between runs */
#define YIELD_TAKEN_US 10     /* longer: another thread had the core */
#define YIELD_LOST_US 500     /* longer: it does not just pass packets on, it computes */
#define WAKE_RING 1024

/* Sets to wake, from one stack to its waker; both sides poll. */
struct waker {
	_Atomic uint32_t head __attribute__((aligned(CACHE_LINE)));
	_Atomic uint32_t tail __attribute__((aligned(CACHE_LINE)));
	struct ready_set *ring[WAKE_RING];
};

struct thread_arg {
	struct stack_group *group;
	unsigned int index;
};

static void
sleep_us(long us)
{
	struct timespec ts = {.tv_sec = 0, .tv_nsec = us * 1000};

	nanosleep(&ts, NULL);
}

/* A yield that gave the core to somebody else cost no time of ours. */
static bool
yield(struct stack_group *g)
{
	uint64_t start = stack_tsc(), took;

	sched_yield();
	took = stack_tsc() - start;
	if (took < g->tsc_hz / 1000000 * YIELD_TAKEN_US)
		atomic_fetch_add_explicit(&g->idle_tsc, took, memory_order_relaxed);
	return took > g->tsc_hz / 1000000 * YIELD_LOST_US;
}

bool
thread_pause_idle(struct stack_group *g, unsigned int idle_runs)
{
	if (idle_runs > IDLE_RUNS_YIELD)
		return yield(g);
	cpu_pause();
	return false;
}

/* --- run-to-wakeup --------------------------------------------------------------------------------------- */

/* poll() takes no descriptor of a program that allows itself none (RLIMIT_NOFILE); this does, in milliseconds. */
static __attribute__((noinline)) void
sleep_without_poll(int epfd, uint64_t us)
{
	struct epoll_event e;

	epoll_wait(epfd, &e, 1, us > NO_POLL_MS * 1000 ? NO_POLL_MS : (int)((us + 999) / 1000));
}

/* low_power_mode: until there is something to do. False: the wire cannot be armed just now. */
static bool
sleep_in_kernel(struct sleeper *sl)
{
	struct pollfd p = {.fd = sleep_fd(sl), .events = POLLIN};
	enum sleep_verdict verdict;
	struct timespec ts;
	uint64_t us;

	verdict = sleep_begin(sl, &us);
	if (verdict != SLEEP_QUIET)
		return verdict != SLEEP_WIRE_BUSY;
	ts.tv_sec = (time_t)(us / 1000000);
	ts.tv_nsec = (long)(us % 1000000) * 1000;
	if (ppoll(&p, 1, us == UINT64_MAX ? NULL : &ts, NULL) < 0 && errno == EINVAL)
		sleep_without_poll(p.fd, us);
	sleep_end(sl);
	return true;
}

static void *
stack_main(void *p)
{
	struct thread_arg *a = p;
	struct stack_group *g = a->group;
	struct stack *st = &g->stacks[a->index];
	unsigned int idle = 0;
	uint64_t worked_tsc = stack_tsc(), crowded_tsc = 0;

	free(a);
	edge_thread_enter();
	while (!stack_trylock(st))
		sched_yield();
	while (atomic_load_explicit(&g->running, memory_order_relaxed)) {
		if (stack_run_locked(st)) {
			idle = 0;
			worked_tsc = stack_tsc();
		} else if (st->sleeper != NULL && (stack_tsc() - worked_tsc > g->spin_tsc ||
				stack_tsc() < crowded_tsc)) {
			if (!sleep_in_kernel(st->sleeper)) /* who is to empty it may need this core */
				crowded_tsc = 0;
		} else if (thread_pause_idle(g, ++idle)) {
			crowded_tsc = stack_tsc() + g->crowded_tsc;
		}
	}
	stack_unlock(st);
	return NULL;
}

static void *
wake_main(void *p)
{
	struct thread_arg *a = p;
	struct stack_group *g = a->group;
	struct waker *w = &g->wakers[a->index];
	unsigned int idle = 0;

	free(a);
	while (atomic_load_explicit(&g->running, memory_order_relaxed)) {
		uint32_t head = atomic_load_explicit(&w->head, memory_order_relaxed);

		if (head == atomic_load_explicit(&w->tail, memory_order_acquire)) {
			thread_pause_idle(g, ++idle);
			continue;
		}
		idle = 0;
		ready_wake(w->ring[head % WAKE_RING]);
		atomic_store_explicit(&w->head, head + 1, memory_order_release);
	}
	return NULL;
}

void
thread_hand_over(struct stack_group *g, unsigned int stack, struct ready_set *set)
{
	struct waker *w;
	uint32_t tail;

	if (g->wakers == NULL || stack >= g->params.n_wakeup) {
		ready_wake(set);
		return;
	}
	w = &g->wakers[stack];
	tail = atomic_load_explicit(&w->tail, memory_order_relaxed);
	if (tail - atomic_load_explicit(&w->head, memory_order_acquire) == WAKE_RING) {
		ready_wake(set);
		return;
	}
	w->ring[tail % WAKE_RING] = set;
	atomic_store_explicit(&w->tail, tail + 1, memory_order_release);
}

/* A set is about to be freed: wait until every waker has passed what it holds now. */
void
thread_forget(struct stack_group *g, struct ready_set *set)
{
	for (unsigned int i = 0; g->wakers != NULL && i < g->params.n_wakeup; i++) {
		struct waker *w = &g->wakers[i];
		uint32_t tail = atomic_load(&w->tail);

		while ((int32_t)(atomic_load(&w->head) - tail) < 0 && atomic_load(&g->running))
			sched_yield();
	}
}

/* --- run-to-completion --------------------------------------------------------------------------------------- */

static void *
care_main(void *p)
{
	struct thread_arg *a = p;
	struct stack_group *g = a->group;
	uint64_t limit = g->tsc_hz / 1000 * CARE_MS;

	free(a);
	edge_thread_enter();
	while (atomic_load_explicit(&g->running, memory_order_relaxed)) {
		sleep_us(1000 * (g->n_sleepers > 0 && sleep_is_on(g->sleepers[0]) ? CARE_ASLEEP_MS :
										     CARE_MS));
		for (unsigned int i = 0; i < g->n; i++) {
			struct stack *st = &g->stacks[i];
			uint64_t last = atomic_load_explicit(&st->last_run_tsc,
				memory_order_relaxed);

			if (stack_tsc() - last < limit)
				continue;
			/* The second run sends what the first has made lwIP answer. */
			for (int run = 0; run < 64 && stack_try_run(st); run++)
				;
		}
	}
	return NULL;
}

/* --- start, stop --------------------------------------------------------------------------------------------------- */

static int
thread_start(struct stack_group *g, void *(*fn)(void *), const char *name, unsigned int index,
	const unsigned int *cpu)
{
	struct thread_arg *a = malloc(sizeof(*a));
	pthread_attr_t attr;
	char full[16];
	cpu_set_t set;
	int rc;

	if (a == NULL)
		return -ENOMEM;
	a->group = g;
	a->index = index;
	pthread_attr_init(&attr);
	if (cpu != NULL) {
		CPU_ZERO(&set);
		CPU_SET(*cpu, &set);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	rc = pthread_create(&g->threads[g->n_threads], &attr, fn, a);
	pthread_attr_destroy(&attr);
	if (rc != 0) {
		free(a);
		return -rc;
	}
	snprintf(full, sizeof(full), "%s%u", name, index);
	pthread_setname_np(g->threads[g->n_threads], full);
	g->n_threads++;
	return 0;
}

static int
start_wakeup_mode(struct stack_group *g)
{
	const struct stack_params *p = &g->params;
	int rc = 0;

	if (p->n_wakeup > 0 && !p->low_power) {
		g->wakers = aligned_alloc(CACHE_LINE, p->n_wakeup * sizeof(*g->wakers));
		if (g->wakers == NULL)
			return -ENOMEM;
		memset(g->wakers, 0, p->n_wakeup * sizeof(*g->wakers));
	}
	for (unsigned int i = 0; rc == 0 && g->wakers != NULL && i < p->n_wakeup; i++)
		rc = thread_start(g, wake_main, "gz-wake", i, &g->wakeup_cpus[i]);
	for (unsigned int i = 0; rc == 0 && i < g->n; i++)
		rc = thread_start(g, stack_main, "gz-stack", i, g->cpus != NULL ? &g->cpus[i] : NULL);
	return rc;
}

int
thread_start_all(struct stack_group *g)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	atomic_store(&g->running, true);
	if (g->params.mode == STACK_RUN_TO_WAKEUP)
		rc = start_wakeup_mode(g);
	else
		rc = thread_start(g, care_main, "gz-care", 0, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		thread_stop_all(g);
	return rc;
}

void
thread_stop_all(struct stack_group *g)
{
	atomic_store(&g->running, false);
	for (unsigned int i = 0; i < g->n_sleepers; i++)
		sleep_kick(g->sleepers[i]);
	for (unsigned int i = 0; i < g->n_threads; i++)
		pthread_join(g->threads[i], NULL);
	g->n_threads = 0;
}
