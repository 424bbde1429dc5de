/* SPDX-License-Identifier: BSD-3-Clause */
/* Watches: a set begins to look at a socket, and ends it. See ready.c for the locks. */
#include "stack/chunk.h"
#include "stack/ready_set.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct slab watches = SLAB(sizeof(struct ready_watch));

static void
check_now(struct ready_watch *w)
{
	uint32_t want = atomic_load_explicit(&w->events, memory_order_relaxed);

	if (want != 0 && (sock_events(w->sock) & (want | READY_ALWAYS)) != 0)
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
	atomic_init(&w->events, events | READY_ALWAYS);
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
	atomic_store(&w->events, events | READY_ALWAYS);
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
