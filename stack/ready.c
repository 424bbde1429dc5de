/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ready sets, see ready.h. Joining and leaving them is in ready_watch.c.
 *
 * A watch is on its socket's list and, when it may be ready, also once on its set: first on the
 * lock-free list `in` (pushed by the holder), then on the fifo (owned by the collector under
 * set->lock). `queued` says that it is on one of the two; the pusher that turns it from false to
 * true pushes. The collector turns it to false before it looks at the socket, so an edge that
 * comes after the look pushes again.
 *
 * A level-triggered watch that was reported goes back to the end of the fifo and is looked at again
 * at the next collect, as in Linux.
 *
 * Several threads may sleep on one set. `armed` counts them: who wakes up takes only itself out, and the
 * eventfd, which it has emptied, is written again for the next event. An event is one write, and the
 * first thread to run takes it; what that thread leaves in the set it passes on (ready_pass_on()).
 *
 * Lock order: set->lock before sock->watch_lock. The holder takes only watch_lock.
 */
#include "stack/gather.h"
#include "stack/idle.h"
#include "stack/impl.h"
#include "stack/ready_set.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define CONTROL (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP)

static __thread struct idle idle;

static __thread struct gather gather;

#define LOOK_US 1000 /* a sleep that nothing can end is no longer */
#define NAP_US 100   /* one that the wire cannot end, of a thread that polls */

/* Under a low RLIMIT_NOFILE there may be no number; later there may. */
static void
make_eventfd(struct ready_set *set)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), none = -1;

	if (fd >= 0 && !atomic_compare_exchange_strong(&set->eventfd, &none, fd))
		close(fd);
}

int
ready_create(struct stack_group *g, struct ready_set **out)
{
	struct ready_set *set = calloc(1, sizeof(*set));

	if (set == NULL)
		return -ENOMEM;
	set->eventfd = -1;
	make_eventfd(set);
	set->group = g;
	set->fifo.tail = &set->fifo.first;
	*out = set;
	return 0;
}

/* --- edges --------------------------------------------------------------------------------------------- */

void
ready_wake(struct ready_set *set)
{
	uint64_t one = 1;
	int fd = atomic_load(&set->eventfd);

	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0) {
		/* the counter is full: readable already */
	}
}

/* `st` NULL: not the holder, wake at once. */
void
ready_push(struct stack *st, struct ready_watch *w)
{
	struct ready_set *set = w->set;
	struct ready_watch *old;

	if (atomic_exchange_explicit(&w->queued, true, memory_order_acq_rel))
		return;
	old = atomic_load_explicit(&set->in, memory_order_relaxed);
	do {
		w->in_next = old;
	} while (!atomic_compare_exchange_weak_explicit(&set->in, &old, w, memory_order_seq_cst,
		memory_order_relaxed));
	if (atomic_load_explicit(&set->armed, memory_order_seq_cst) == 0)
		return;
	if (st == NULL || st->n_wakes == STACK_WAKES) {
		ready_wake(set);
	} else if (!atomic_exchange(&set->in_wakes, true)) {
		atomic_fetch_add(&set->n_in_hand, 1);
		st->wakes[st->n_wakes++] = set;
	}
}

void
ready_flush_wakes(struct stack *st)
{
	for (unsigned int i = 0; i < st->n_wakes; i++) {
		struct ready_set *set = st->wakes[i];

		st->counters.wakeups++;
		atomic_store(&set->in_wakes, false); /* before: what comes now has to wake it again */
		thread_hand_over(st->group, st->index, set);
		atomic_fetch_sub(&set->n_in_hand, 1); /* it may be gone now */
	}
	st->n_wakes = 0;
}

void
sock_notify(struct sock *s, uint32_t bits)
{
	struct stack *st = s->stack != NULL && s->stack->holder == pthread_self() ? s->stack : NULL;

	if (atomic_load_explicit(&s->watches, memory_order_acquire) == NULL) {
		/* Who begins to watch adds the watch and then looks at the socket; here it is the other
		 * way round. */
		atomic_thread_fence(memory_order_seq_cst);
		if (atomic_load_explicit(&s->watches, memory_order_acquire) == NULL)
			return;
	}
	spin_lock(&s->watch_lock);
	for (struct ready_watch *w = atomic_load_explicit(&s->watches, memory_order_relaxed);
		w != NULL; w = atomic_load_explicit(&w->sock_next, memory_order_relaxed)) {
		uint32_t want = atomic_load_explicit(&w->events, memory_order_relaxed);

		if (want != 0 && (bits & (want | READY_ALWAYS)) != 0) {
			ready_push(st, w);
			if (st != NULL)
				st->counters.events++;
		}
	}
	spin_unlock(&s->watch_lock);
}

/* --- collecting -------------------------------------------------------------------------------------------- */

/* What it has to say. What comes after this puts it into the queue again. */
static uint32_t
events_now(struct ready_watch *w, uint32_t want)
{
	atomic_store_explicit(&w->queued, false, memory_order_seq_cst);
	return want == 0 ? 0 : sock_events(w->sock) & ((want & ~CONTROL) | READY_ALWAYS);
}

/* True: `e` was filled. Whether the watch stays queued is decided here. */
static bool
look(struct ready_set *set, struct ready_watch *w, struct ready_event *e)
{
	uint32_t want = atomic_load_explicit(&w->events, memory_order_relaxed);
	uint32_t now = events_now(w, want);

	if (now == 0)
		return false;
	e->events = now;
	e->fd = atomic_load_explicit(&w->sock->fd, memory_order_relaxed);
	e->data = w->data;
	if (want & EPOLLONESHOT) {
		atomic_store(&w->events, 0);
	} else if ((want & EPOLLET) == 0) {
		if (!atomic_exchange(&w->queued, true))
			fifo_append(&set->fifo, w);
	}
	return true;
}

bool
ready_has_some(const struct ready_set *set)
{
	return set->fifo.first != NULL || atomic_load_explicit(&set->in, memory_order_relaxed) != NULL;
}

bool
ready_look(struct ready_set *set)
{
	struct ready_watch *w;
	bool has_some = false;

	spin_lock(&set->lock);
	fifo_collect(&set->fifo, &set->in);
	while (!has_some && (w = set->fifo.first) != NULL) {
		fifo_remove(&set->fifo, w);
		has_some = events_now(w, atomic_load_explicit(&w->events, memory_order_relaxed)) != 0;
		if (has_some && !atomic_exchange(&w->queued, true))
			fifo_append(&set->fifo, w);
	}
	spin_unlock(&set->lock);
	return has_some;
}

/* Nobody has anything to say, as far as it can be seen without the lock. */
static bool
is_quiet(struct ready_set *set)
{
	return set->fifo.first == NULL && atomic_load_explicit(&set->in, memory_order_seq_cst) == NULL;
}

void
ready_pass_on(struct ready_set *set)
{
	if (atomic_load_explicit(&set->armed, memory_order_seq_cst) != 0 && !is_quiet(set))
		ready_wake(set);
}

int
ready_collect(struct ready_set *set, struct ready_event *out, int max)
{
	struct ready_watch *w, *last;
	int n = 0;

	if (!ready_has_some(set))
		return 0;
	spin_lock(&set->lock);
	fifo_collect(&set->fifo, &set->in);
	last = fifo_last(&set->fifo);
	while (n < max && (w = set->fifo.first) != NULL) {
		fifo_remove(&set->fifo, w);
		n += look(set, w, &out[n]);
		if (w == last)
			break; /* what follows was put back by us */
	}
	spin_unlock(&set->lock);
	gather_result(&gather, n);
	if (n > 0) {
		idle_end(&idle);
		ready_pass_on(set);
	}
	return n;
}

/* --- running and sleeping ------------------------------------------------------------------------------------ */

#define GATHER_NS 30000 /* and what the kernel adds to it */
#define SPIN_AFTER_SLEEP 4 /* of spin_tsc: a fourth, if it was nothing */

static bool
completes(const struct ready_set *set)
{
	return set->group->params.mode == STACK_RUN_TO_COMPLETION;
}

bool
ready_spins(const struct ready_set *set)
{
	bool polls = set->group->n_sleepers == 0, spins_still = idle.tsc < set->group->spin_tsc;

	if (!completes(set))
		return false;
	if (polls && spins_still)
		return true;
	return (polls || spins_still) && !idle_is_crowded(&idle);
}

static bool
run_all(struct stack_group *g)
{
	bool worked = false;

	for (unsigned int i = 0; i < g->n; i++)
		worked |= stack_try_run(&g->stacks[i]);
	return worked;
}

bool
ready_run(struct ready_set *set)
{
	const struct timespec gather_time = {.tv_nsec = GATHER_NS};
	struct stack_group *g = set->group;
	uint64_t start;
	bool had_some, worked;

	if (!completes(set))
		return false;
	edge_thread_enter();
	had_some = ready_has_some(set);
	start = stack_tsc();
	worked = run_all(g);
	if (g->n_sleepers > 0 && ready_has_some(set) && gather_wanted(&gather)) {
		nanosleep(&gather_time, NULL);
		run_all(g);
	}
	if (worked || (!had_some && ready_has_some(set))) {
		idle_end(&idle);
		return true;
	}
	if (!idle_is_crowded(&idle) && thread_pause_idle(g, ++idle.runs))
		idle.crowded_tsc = stack_tsc() + g->crowded_tsc;
	idle.tsc += stack_tsc() - start;
	return false;
}

int
ready_fd(const struct ready_set *set)
{
	return set->eventfd;
}

static void
drain(struct ready_set *set)
{
	uint64_t n;
	int fd = atomic_load(&set->eventfd);

	if (fd >= 0 && read(fd, &n, sizeof(n)) < 0) {
		/* nothing was written */
	}
}

bool
ready_arm(struct ready_set *set)
{
	atomic_fetch_or(&set->armed, READY_ARMED_BY_CALLER);
	if (is_quiet(set))
		return true;
	atomic_fetch_and(&set->armed, ~READY_ARMED_BY_CALLER);
	return false;
}

void
ready_disarm(struct ready_set *set)
{
	atomic_fetch_and(&set->armed, ~READY_ARMED_BY_CALLER);
	drain(set);
}

static bool
begin_sleep(struct ready_set *set)
{
	atomic_fetch_add(&set->armed, 1);
	if (is_quiet(set))
		return true;
	atomic_fetch_sub(&set->armed, 1);
	return false;
}

static void
end_sleep(struct ready_set *set)
{
	atomic_fetch_sub(&set->armed, 1);
	drain(set);
}

bool
ready_sleep_begin(struct ready_set *set, struct ready_sleep *s)
{
	struct stack_group *g = set->group;
	enum sleep_verdict verdict;
	uint64_t most;

	edge_thread_enter();
	/* Who has not spun has perhaps not run the stacks either; that wants no wire armed. */
	if (completes(set) && idle_is_crowded(&idle) && run_all(g)) {
		idle_end(&idle);
		return false;
	}
	if (__builtin_expect(set->eventfd < 0, 0))
		make_eventfd(set);
	most = set->eventfd < 0 ? LOOK_US : UINT64_MAX;
	*s = (struct ready_sleep){.fd = -1, .us = most};
	if (!begin_sleep(set))
		return false;
	if (!completes(set))
		return true;
	if (g->n_sleepers == 0) {
		s->us = NAP_US;
		return true;
	}
	if (!sleep_take(g->sleepers[0]))
		return true;
	verdict = sleep_begin(g->sleepers[0], &s->us);
	if (verdict != SLEEP_QUIET) {
		end_sleep(set);
		idle.tsc = 0;
		if (verdict == SLEEP_WIRE_BUSY)
			idle.crowded_tsc = 0; /* who is to empty the wire may need this core */
		return false;
	}
	if (s->us > most)
		s->us = most;
	s->attends = true;
	s->fd = sleep_fd(g->sleepers[0]);
	return true;
}

void
ready_sleep_end(struct ready_set *set, const struct ready_sleep *s)
{
	end_sleep(set);
	if (s->attends)
		sleep_end(set->group->sleepers[0]);
	if (completes(set))
		idle.tsc = set->group->spin_tsc - set->group->spin_tsc / SPIN_AFTER_SLEEP;
}
