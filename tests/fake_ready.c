/* SPDX-License-Identifier: BSD-3-Clause */
/* The ready sets of the fake sockets: every change of a socket is an edge for its watches. */
#include "tests/fake_impl.h"
#include "tests/fake_sock.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static uint32_t events_of(const struct sock *s)
{
	uint32_t e = 0;

	if (s->backlog)
		return s->n_pending ? EPOLLIN : 0;
	if (s->kind == SOCK_UDP)
		return EPOLLOUT | (s->n ? EPOLLIN : 0);
	if (s->error)
		return EPOLLERR | EPOLLHUP | EPOLLIN | EPOLLOUT;
	if (!s->is_connected)
		return EPOLLOUT | EPOLLHUP;
	if (s->n)
		e |= EPOLLIN;
	if (s->is_eof)
		e |= EPOLLIN | EPOLLRDHUP;
	if (s->is_shut || s->is_cut || (s->peer && s->peer->n < QUEUE))
		e |= EPOLLOUT;
	if (s->is_eof && s->is_shut)
		e |= EPOLLHUP;
	return e;
}

void fake_publish(struct sock *s)
{
	s->events = events_of(s);
}

static bool is_ready(const struct ready_watch *w)
{
	return !w->is_off && (events_of(w->s) & (w->events | EPOLLERR | EPOLLHUP)) &&
		(!(w->events & EPOLLET) || w->edges_seen != w->s->edges);
}

static void wake(struct ready_watch *w)
{
	const uint64_t one = 1;

	if (w->set->is_armed && is_ready(w) && write(w->set->fd, &one, sizeof(one)) < 0)
		abort();
}

void fake_edge(struct sock *s)
{
	struct ready_watch *w;

	s->edges++;
	fake_publish(s);
	LIST_FOREACH(w, &s->watches, in_sock)
		wake(w);
}

int ready_create(struct stack_group *g, struct ready_set **out)
{
	struct ready_set *set = calloc(1, sizeof(*set));

	if (g == NULL)
		abort();
	set->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	*out = set;
	return 0;
}

void ready_destroy(struct ready_set *set)
{
	while (!LIST_EMPTY(&set->watches))
		ready_del(LIST_FIRST(&set->watches));
	close(set->fd);
	free(set);
}

int ready_add(struct ready_set *set, struct sock *s, uint32_t events, uint64_t data,
	struct ready_watch **out)
{
	struct ready_watch *w = calloc(1, sizeof(*w));

	w->s = s;
	w->set = set;
	w->events = events;
	w->data = data;
	pthread_mutex_lock(&fake_lock);
	w->edges_seen = s->edges - 1;
	LIST_INSERT_HEAD(&s->watches, w, in_sock);
	LIST_INSERT_HEAD(&set->watches, w, in_set);
	wake(w);
	pthread_mutex_unlock(&fake_lock);
	*out = w;
	return 0;
}

int ready_mod(struct ready_watch *w, uint32_t events, uint64_t data)
{
	pthread_mutex_lock(&fake_lock);
	w->events = events;
	w->data = data;
	w->is_off = false;
	w->edges_seen = w->s->edges - 1;
	wake(w);
	pthread_mutex_unlock(&fake_lock);
	return 0;
}

void ready_del(struct ready_watch *w)
{
	pthread_mutex_lock(&fake_lock);
	LIST_REMOVE(w, in_sock);
	LIST_REMOVE(w, in_set);
	pthread_mutex_unlock(&fake_lock);
	free(w);
}

bool ready_has_some(const struct ready_set *set)
{
	return true;
}

bool ready_look(struct ready_set *set)
{
	struct ready_watch *w;
	bool has_some = false;

	pthread_mutex_lock(&fake_lock);
	LIST_FOREACH(w, &set->watches, in_set)
		has_some = has_some || is_ready(w);
	pthread_mutex_unlock(&fake_lock);
	return has_some;
}

int ready_collect(struct ready_set *set, struct ready_event *out, int max)
{
	struct ready_watch *w;
	int n = 0;

	pthread_mutex_lock(&fake_lock);
	LIST_FOREACH(w, &set->watches, in_set) {
		if (n == max)
			break;
		if (!is_ready(w))
			continue;
		out[n].events = events_of(w->s) & (w->events | EPOLLERR | EPOLLHUP);
		out[n].fd = w->s->fd;
		out[n++].data = w->data;
		w->edges_seen = w->s->edges;
		w->is_off = (w->events & EPOLLONESHOT) != 0;
	}
	pthread_mutex_unlock(&fake_lock);
	return n;
}

bool ready_spins(const struct ready_set *set)
{
	return fake_spins;
}

bool ready_run(struct ready_set *set)
{
	__atomic_add_fetch(&fake_runs, 1, __ATOMIC_RELAXED);
	sched_yield();
	return false;
}

int ready_fd(const struct ready_set *set)
{
	return set->fd;
}

bool ready_arm(struct ready_set *set)
{
	struct ready_watch *w;
	bool ready = false;

	pthread_mutex_lock(&fake_lock);
	LIST_FOREACH(w, &set->watches, in_set)
		ready = ready || is_ready(w);
	set->is_armed = !ready;
	pthread_mutex_unlock(&fake_lock);
	return !ready;
}

void ready_disarm(struct ready_set *set)
{
	uint64_t n;

	pthread_mutex_lock(&fake_lock);
	set->is_armed = false;
	while (read(set->fd, &n, sizeof(n)) > 0)
		;
	pthread_mutex_unlock(&fake_lock);
}

void ready_pass_on(struct ready_set *set)
{
}

bool ready_sleep_begin(struct ready_set *set, struct ready_sleep *s)
{
	*s = (struct ready_sleep){.fd = -1, .us = UINT64_MAX};
	return ready_arm(set);
}

void ready_sleep_end(struct ready_set *set, const struct ready_sleep *s)
{
	ready_disarm(set);
}
