/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * low_power_mode: a thread that has found nothing to do for a while sleeps in the kernel until there
 * is something: a packet, an operation of another thread, or a timer.
 *
 * A sleeper is the place to sleep: an epoll object with the descriptors of the wires and an eventfd
 * (`kick`) for everything that other threads of the process hand over. run-to-wakeup has one per
 * stack, used by the stack's thread; run-to-completion one for all stacks: the first thread of the
 * program that goes to sleep attends to the wires, others sleep on their ready sets only, and until
 * it is back the caretaker (thread.c) looks after the stacks.
 *
 * No wake-up is lost: the state says ASLEEP and the wires are armed before the last look. Whoever
 * publishes work does so before it reads the state, with a read-modify-write; so either the last
 * look finds the work, or the publisher finds ASLEEP and kicks.
 *
 * Nor does a sleeper wait for a holder who keeps the lock, perhaps because he himself waits for the core:
 * it sleeps as it is, and he kicks it when he lets go (LOCK_WANTED), to look and to arm the wires then.
 *
 * Under load a sleep per request would cost more than it saves; see gather.h for what is done there.
 *
 * Descriptors of wires are in the epoll object during a sleep only: a socket that is watched calls
 * the watcher for every packet, which the sender would pay.
 */
#include "stack/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum sleep_state { AWAKE, ASLEEP, KICKED };

struct sleeper {
	_Atomic uint32_t state __attribute__((aligned(CACHE_LINE)));
	/* whoever attends */
	struct stack *stacks __attribute__((aligned(CACHE_LINE)));
	unsigned int n; /* of stacks */
	bool holds;     /* the sleeping thread holds the lock of its stack for good */
	int epfd, kick;
	int *fds;       /* of wires, in the epoll object now */
	unsigned int n_fds;
	unsigned int n_armed; /* stacks whose wires are armed */
};

static struct sleeper *
create(struct stack *stacks, unsigned int n, bool holds)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct sleeper *sl = aligned_alloc(CACHE_LINE, sizeof(*sl));

	if (sl == NULL)
		return NULL;
	memset(sl, 0, sizeof(*sl));
	sl->stacks = stacks;
	sl->n = n;
	sl->holds = holds;
	sl->fds = calloc(n, STACK_WAKE_FDS * sizeof(*sl->fds));
	sl->epfd = epoll_create1(EPOLL_CLOEXEC);
	sl->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sl->fds != NULL && sl->epfd >= 0 && sl->kick >= 0 &&
		epoll_ctl(sl->epfd, EPOLL_CTL_ADD, sl->kick, &ev) == 0)
		return sl;
	close(sl->epfd);
	close(sl->kick);
	free(sl->fds);
	free(sl);
	return NULL;
}

int
sleep_init(struct stack_group *g)
{
	bool one_each = g->params.mode == STACK_RUN_TO_WAKEUP;
	unsigned int n = one_each ? g->n : 1;

	g->sleepers = calloc(n, sizeof(*g->sleepers));
	if (g->sleepers == NULL)
		return -ENOMEM;
	for (; g->n_sleepers < n; g->n_sleepers++) {
		g->sleepers[g->n_sleepers] = create(&g->stacks[g->n_sleepers], one_each ? 1 : g->n,
			one_each);
		if (g->sleepers[g->n_sleepers] == NULL)
			return -ENOMEM;
	}
	for (unsigned int i = 0; i < g->n; i++)
		g->stacks[i].sleeper = g->sleepers[one_each ? i : 0];
	return 0;
}

void
sleep_fini(struct stack_group *g)
{
	for (unsigned int i = 0; i < g->n_sleepers; i++) {
		struct sleeper *sl = g->sleepers[i];

		close(sl->epfd);
		close(sl->kick);
		free(sl->fds);
		free(sl);
	}
	free(g->sleepers);
	g->sleepers = NULL;
	g->n_sleepers = 0;
}

int
sleep_fd(const struct sleeper *sl)
{
	return sl->epfd;
}

bool
sleep_is_on(const struct sleeper *sl)
{
	return atomic_load_explicit(&((struct sleeper *)sl)->state, memory_order_relaxed) != AWAKE;
}

bool
sleep_take(struct sleeper *sl)
{
	uint32_t awake = AWAKE;

	return atomic_compare_exchange_strong(&sl->state, &awake, ASLEEP);
}

void
sleep_kick(struct sleeper *sl)
{
	uint32_t asleep = ASLEEP;
	uint64_t one = 1;

	if (sl == NULL || atomic_fetch_or(&sl->state, 0) != ASLEEP)
		return;
	if (atomic_compare_exchange_strong(&sl->state, &asleep, KICKED) &&
		write(sl->kick, &one, sizeof(one)) < 0)
		return; /* the counter is full: readable already */
}

void
stack_kick(struct stack *st)
{
	sleep_kick(st->sleeper);
}

static void
watch(struct sleeper *sl, const int *fds, int n)
{
	struct epoll_event ev = {.events = EPOLLIN};

	for (int i = 0; i < n; i++)
		if (epoll_ctl(sl->epfd, EPOLL_CTL_ADD, fds[i], &ev) == 0)
			sl->fds[sl->n_fds++] = fds[i];
}

/* Whether nothing is left to do for this stack before `until_us`. */
static bool
is_quiet(struct stack *st, uint64_t *until_us)
{
	uint32_t ms, syn_ms;

	if (stack_run_locked(st) || st->op_fifo != NULL || st->dirty_fifo != NULL ||
		stack_tx_pending(st))
		return false;
	ms = wheel_next_ms(&st->wheel, st->now_ms);
	syn_ms = tcp_syn_next_ms(st);
	if (syn_ms < ms)
		ms = syn_ms;
	if (ms != UINT32_MAX && ms * UINT64_C(1000) < *until_us)
		*until_us = ms * UINT64_C(1000);
	return ms != 0;
}

/* Holder. */
static enum sleep_verdict
arm(struct sleeper *sl, struct stack *st, uint64_t *until_us)
{
	int fds[STACK_WAKE_FDS], n = 0;

	sl->n_armed++;
	if (st->wiring.arm != NULL)
		n = st->wiring.arm(st->wiring.walk_arg, fds, until_us);
	if (n < 0)
		return SLEEP_WIRE_BUSY;
	watch(sl, fds, n);
	if (!is_quiet(st, until_us))
		return SLEEP_WORKED;
	st->counters.sleeps++;
	return SLEEP_QUIET;
}

enum sleep_verdict
sleep_begin(struct sleeper *sl, uint64_t *until_us)
{
	enum sleep_verdict verdict = SLEEP_QUIET;

	*until_us = UINT64_MAX;
	atomic_exchange(&sl->state, ASLEEP);
	for (unsigned int i = 0; i < sl->n && verdict == SLEEP_QUIET; i++) {
		struct stack *st = &sl->stacks[i];

		if (!sl->holds && !stack_lock_or_want(st))
			break; /* the kick comes soon */
		verdict = arm(sl, st, until_us);
		if (!sl->holds)
			stack_unlock(st);
	}
	if (verdict != SLEEP_QUIET)
		sleep_end(sl);
	return verdict;
}

void
sleep_end(struct sleeper *sl)
{
	uint64_t n;

	for (unsigned int i = 0; i < sl->n_fds; i++)
		epoll_ctl(sl->epfd, EPOLL_CTL_DEL, sl->fds[i], NULL);
	sl->n_fds = 0;
	for (unsigned int i = 0; i < sl->n_armed; i++)
		if (sl->stacks[i].wiring.disarm != NULL)
			sl->stacks[i].wiring.disarm(sl->stacks[i].wiring.walk_arg);
	sl->n_armed = 0;
	atomic_exchange(&sl->state, AWAKE);
	/* A kicker may be between its look at the state and its write: the next sleep is short then. */
	if (read(sl->kick, &n, sizeof(n)) < 0)
		return; /* nobody kicked */
}
