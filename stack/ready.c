/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ready sets, see ready.h.
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
 * Lock order: set->lock before sock->watch_lock. The holder takes only watch_lock.
 */
#include "stack/chunk.h"
#include "stack/gather.h"
#include "stack/idle.h"
#include "stack/impl.h"
#include "stack/ready_fifo.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ALWAYS (EPOLLERR | EPOLLHUP)
#define CONTROL (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP)

static struct slab watches = SLAB(sizeof(struct ready_watch));

struct ready_set {
	struct stack_group *group;
	struct spin lock;
	_Atomic(struct ready_watch *) in;
	struct ready_fifo fifo;
	_Atomic bool armed;   /* a thread sleeps, or is about to */
	_Atomic bool in_wakes; /* on a stack's wake list */
	_Atomic uint32_t n_in_hand; /* stacks that have yet to wake it */
	_Atomic int eventfd;   /* -1: there was no number for one; changes once */
	struct ready_watch *all; /* under lock */
};

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
	if (!atomic_load_explicit(&set->armed, memory_order_seq_cst))
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

	if (atomic_load_explicit(&s->watches, memory_order_acquire) == NULL)
		return;
	spin_lock(&s->watch_lock);
	for (struct ready_watch *w = atomic_load_explicit(&s->watches, memory_order_relaxed);
		w != NULL; w = atomic_load_explicit(&w->sock_next, memory_order_relaxed)) {
		uint32_t want = atomic_load_explicit(&w->events, memory_order_relaxed);

		if (want != 0 && (bits & (want | ALWAYS)) != 0) {
			ready_push(st, w);
			if (st != NULL)
				st->counters.events++;
		}
	}
	spin_unlock(&s->watch_lock);
}

/* --- watches --------------------------------------------------------------------------------------------- */

static void
check_now(struct ready_watch *w)
{
	uint32_t want = atomic_load_explicit(&w->events, memory_order_relaxed);

	if (want != 0 && (sock_events(w->sock) & (want | ALWAYS)) != 0)
		ready_push(NULL, w);
}

/* The one inside the socket, if nobody has it. */
static struct ready_watch *
watch_take(struct sock *s)
{
	struct ready_watch *w = &s->watch;
	bool is_free;

	spin_lock(&s->watch_lock);
	is_free = !s->watch_is_taken;
	s->watch_is_taken = true;
	spin_unlock(&s->watch_lock);
	if (!is_free)
		w = slab_take(&watches);
	if (w != NULL)
		memset(w, 0, sizeof(*w));
	return w;
}

static void
watch_give(struct ready_watch *w)
{
	struct sock *s = w->sock;

	if (w != &s->watch) {
		slab_give(&watches, w);
		return;
	}
	spin_lock(&s->watch_lock);
	s->watch_is_taken = false;
	spin_unlock(&s->watch_lock);
}

int
ready_add(struct ready_set *set, struct sock *s, uint32_t events, uint64_t data,
	struct ready_watch **out)
{
	struct ready_watch *w = watch_take(s), *first;

	if (w == NULL)
		return -ENOMEM;
	sock_note_use(s);
	w->set = set;
	w->sock = s;
	w->data = data;
	atomic_init(&w->events, events | ALWAYS);
	spin_lock(&s->watch_lock);
	first = atomic_load_explicit(&s->watches, memory_order_relaxed);
	atomic_store_explicit(&w->sock_next, first, memory_order_relaxed);
	if (first != NULL)
		first->sock_prev = &w->sock_next;
	w->sock_prev = &s->watches;
	atomic_store_explicit(&s->watches, w, memory_order_release);
	spin_unlock(&s->watch_lock);
	spin_lock(&set->lock);
	w->set_next = set->all;
	if (set->all != NULL)
		set->all->set_prev = &w->set_next;
	w->set_prev = &set->all;
	set->all = w;
	spin_unlock(&set->lock);
	*out = w;
	check_now(w);
	return 0;
}

int
ready_mod(struct ready_watch *w, uint32_t events, uint64_t data)
{
	spin_lock(&w->set->lock);
	w->data = data;
	atomic_store(&w->events, events | ALWAYS);
	spin_unlock(&w->set->lock);
	check_now(w);
	return 0;
}

void
ready_del(struct ready_watch *w)
{
	struct ready_set *set = w->set;
	struct ready_watch *next;

	spin_lock(&w->sock->watch_lock);
	next = atomic_load_explicit(&w->sock_next, memory_order_relaxed);
	if (next != NULL)
		next->sock_prev = w->sock_prev;
	/* It may be the head, which sock_notify() looks at without the lock. */
	atomic_store_explicit(w->sock_prev, next, memory_order_relaxed);
	spin_unlock(&w->sock->watch_lock);
	/* Nobody pushes it any more; take it out of the set if it was pushed. */
	spin_lock(&set->lock);
	fifo_collect(&set->fifo, &set->in);
	fifo_remove(&set->fifo, w);
	*w->set_prev = w->set_next;
	if (w->set_next != NULL)
		w->set_next->set_prev = w->set_prev;
	spin_unlock(&set->lock);
	watch_give(w);
}

static void
op_nothing(struct stack *st, void *arg)
{
}

void
ready_destroy(struct ready_set *set)
{
	while (set->all != NULL)
		ready_del(set->all);
	/* No socket knows the set any more; now no stack and no waker may have it in hand. */
	for (unsigned int i = 0; i < set->group->n; i++) {
		if (atomic_load(&set->n_in_hand) > 0)
			stack_call(&set->group->stacks[i], op_nothing, NULL);
	}
	thread_forget(set->group, set);
	if (set->eventfd >= 0)
		close(set->eventfd);
	free(set);
}

/* --- collecting -------------------------------------------------------------------------------------------- */

/* What it has to say. What comes after this puts it into the queue again. */
static uint32_t
events_now(struct ready_watch *w, uint32_t want)
{
	atomic_store_explicit(&w->queued, false, memory_order_seq_cst);
	return want == 0 ? 0 : sock_events(w->sock) & ((want & ~CONTROL) | ALWAYS);
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
	if (n > 0)
		idle_end(&idle);
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

bool
ready_arm(struct ready_set *set)
{
	atomic_store_explicit(&set->armed, true, memory_order_seq_cst);
	if (set->fifo.first == NULL && atomic_load_explicit(&set->in, memory_order_seq_cst) == NULL)
		return true;
	atomic_store(&set->armed, false);
	return false;
}

void
ready_disarm(struct ready_set *set)
{
	uint64_t n;
	int fd = atomic_load(&set->eventfd);

	atomic_store(&set->armed, false);
	if (fd >= 0 && read(fd, &n, sizeof(n)) < 0) {
		/* nothing was written */
	}
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
	if (!ready_arm(set))
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
		ready_disarm(set);
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
	ready_disarm(set);
	if (s->attends)
		sleep_end(set->group->sleepers[0]);
	if (completes(set))
		idle.tsc = set->group->spin_tsc - set->group->spin_tsc / SPIN_AFTER_SLEEP;
}
