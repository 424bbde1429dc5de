/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control thread: who is registered.
 *
 * One thread waits for the registration socket, its connections and a clock. A connection is an
 * instance's identity: whatever comes over it is about that instance, and when it ends, the instance
 * is gone. A message is handled in one go and answered at once, or waits (registry_restart.c); what
 * takes longer (rings that connect, farewells) is done in pieces by the clock. Connections are closed
 * at the end of a round, so that events of the same round still find them.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ctl/path.h"
#include "dispatcher/closer.h"
#include "dispatcher/farewell.h"
#include "dispatcher/log.h"
#include "dispatcher/registry.h"
#include "dispatcher/ring.h"
#include "dispatcher/time_share.h"

#define EVENTS 64
#define CHECK_US 100000 /* rings and clocks are looked at */
#define SOON_MS 10      /* a ring that is not connected, a farewell */
#define DEAF_US 10000   /* for so long nobody is let in, after ... */
#define SPENT_MAX 16    /* ... so many of users who have had their share */

uint64_t
registry_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* --- connections --------------------------------------------------------------------------------- */

static void
drop_waiting(struct registry_client *c)
{
	if (c->waiting != NULL && c->waiting->table_fd >= 0)
		closer_close(c->waiting->table_fd, c->peer.uid);
	free(c->waiting);
	c->waiting = NULL;
}

void
registry_close_client(struct registry *r, struct registry_client *c, const char *why)
{
	struct member *m = c->m;

	if (c->is_closed)
		return;
	c->is_closed = true;
	c->next_closed = r->closed;
	r->closed = c;
	r->n_clients--;
	c->m = NULL;
	if (m == NULL)
		return;
	if (why != NULL)
		log_error("%s (process %d) is cut off: %s", m->program, (int)m->pid, why);
	registry_leave(r, m);
}

static void
reap_clients(struct registry *r)
{
	struct registry_client *c, **at;

	while ((c = r->closed) != NULL) {
		r->closed = c->next_closed;
		for (at = &r->clients; *at != c; at = &(*at)->next)
			;
		*at = c->next;
		drop_waiting(c);
		/* Whoever has a copy of the descriptor would keep it in the set. */
		epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
		if (!registry_hold_unread(r, c))
			closer_hang_up(c->fd);
		free(c);
	}
}

/* Nobody new for a moment: those who want to come wait in the kernel's queue. */
static void
be_deaf(struct registry *r, uint64_t until_us)
{
	struct epoll_event e = {.events = until_us == 0 ? EPOLLIN : 0, .data.ptr = NULL};

	epoll_ctl(r->epoll_fd, EPOLL_CTL_MOD, r->listen_fd, &e);
	r->deaf_until_us = until_us;
	r->n_spent = 0;
}

/* Nothing of this client is read for a moment. */
static void
hold_client(struct registry *r, struct registry_client *c, bool do_hold)
{
	struct epoll_event e = {.events = do_hold ? 0 : EPOLLIN, .data.ptr = c};

	if (c->is_closed || c->is_held == do_hold)
		return;
	epoll_ctl(r->epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
	c->is_held = do_hold;
}

/* Others shall find room, too. */
static bool
has_many_strangers(const struct registry *r, uid_t uid)
{
	unsigned int n = 0;

	for (const struct registry_client *c = r->clients; c != NULL; c = c->next)
		n += !c->is_closed && c->m == NULL && c->waiting == NULL && c->peer.uid == uid;
	return n >= REGISTRY_USER_STRANGERS;
}

static void
add_client(struct registry *r, int fd, const struct ucred *cred, bool do_hold, uint64_t now_us)
{
	struct registry_client *c = NULL;
	struct epoll_event e = {.events = do_hold ? 0 : EPOLLIN};

	if (r->n_clients < r->lt->conf->dispatch_max_clients + REGISTRY_STRANGERS)
		c = calloc(1, sizeof(*c));
	e.data.ptr = c;
	if (c == NULL || has_many_strangers(r, cred->uid) || !registry_peer_of(cred, &c->peer) ||
		epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) {
		free(c);
		closer_hang_up(fd);
		return;
	}
	c->fd = fd;
	c->is_held = do_hold;
	c->deadline_us = now_us + REGISTRY_SILENCE_US;
	c->next = r->clients;
	r->clients = c;
	r->n_clients++;
}

static void
accept_client(struct registry *r, uint64_t now_us)
{
	int fd = accept4(r->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred cred;
	socklen_t len = sizeof(cred);
	bool is_spent;

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			be_deaf(r, now_us + DEAF_US); /* no descriptors */
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		closer_hang_up(fd);
		return;
	}
	is_spent = share_is_spent(cred.uid, now_us);
	share_begin();
	add_client(r, fd, &cred, is_spent, now_us);
	share_end(cred.uid, now_us);
	if (is_spent && ++r->n_spent == SPENT_MAX)
		be_deaf(r, now_us + DEAF_US);
}

static void
read_message(struct registry *r, struct registry_client *c)
{
	union registry_message q;
	ssize_t n;
	int fd;

	if (!closer_may_read(c->fd, false, c->peer.uid)) {
		registry_close_client(r, c, CLOSER_FULL_TEXT);
		return;
	}
	n = registry_receive(c->fd, &q, sizeof(q), &fd, c->peer.uid);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		registry_close_client(r, c, NULL);
	} else if (!registry_handle(r, c, &q, n, &fd)) {
		r->n_bad_messages++;
		registry_close_client(r, c, "it sent what is no message");
	}
	if (fd >= 0)
		closer_close(fd, c->peer.uid);
}

static void
read_client(struct registry *r, struct registry_client *c, uint32_t events, uint64_t now_us)
{
	uid_t uid = c->peer.uid;
	bool was_member = c->m != NULL;

	if (c->is_held && (events & (EPOLLHUP | EPOLLERR)) != 0) {
		registry_close_client(r, c, NULL);
		return;
	}
	if (share_is_spent(uid, now_us)) {
		hold_client(r, c, true);
		return;
	}
	share_begin();
	read_message(r, c);
	/* Coming and going is not charged. */
	if (was_member == (c->m != NULL))
		share_end(uid, now_us);
}

/* --- the clock -------------------------------------------------------------------------------------- */

/* True: one of them is not connected. */
static bool
run_rings(struct registry *r, uint64_t now_us, bool must_check)
{
	bool is_waiting = false;
	char why[RING_TEXT_MAX];

	for (struct registry_client *c = r->clients; c != NULL; c = c->next) {
		if (c->m == NULL)
			continue;
		if (!ring_connect(c->m, now_us))
			is_waiting = true;
		if ((must_check || atomic_load(&c->m->broken)) && ring_is_broken(c->m, why))
			registry_close_client(r, c, why);
	}
	return is_waiting;
}

static bool
run_strangers(struct registry *r, uint64_t now_us)
{
	bool is_waiting = false;

	for (struct registry_client *c = r->clients; c != NULL; c = c->next) {
		struct registry_waiting *w = c->waiting;

		if (c->is_closed || c->m != NULL)
			continue;
		if (w == NULL) {
			if (now_us > c->deadline_us)
				registry_close_client(r, c, NULL);
		} else if (registry_is_expecting(r, now_us)) {
			is_waiting = true;
		} else {
			c->waiting = NULL;
			registry_register(r, c, &w->request, w->table_fd);
			free(w);
		}
	}
	return is_waiting;
}

/* Those who had had their share. True: some still wait. */
static bool
run_held(struct registry *r, uint64_t now_us)
{
	bool is_waiting = r->deaf_until_us > now_us;

	if (r->deaf_until_us != 0 && !is_waiting)
		be_deaf(r, 0);
	for (struct registry_client *c = r->clients; c != NULL; c = c->next) {
		if (!c->is_held || c->is_closed)
			continue;
		if (share_is_spent(c->peer.uid, now_us))
			is_waiting = true;
		else
			hold_client(r, c, false);
	}
	return is_waiting;
}

/* How long to wait for the next event, ms. */
static int
run_clock(struct registry *r)
{
	uint64_t now_us = registry_now_us();
	bool must_check = now_us >= r->check_us, is_soon;

	if (r->is_unsettled)
		registry_settle(r);
	is_soon = run_rings(r, now_us, must_check);
	is_soon |= farewells_run(r->farewells, now_us);
	is_soon |= run_strangers(r, now_us) || r->is_unsettled;
	is_soon |= run_held(r, now_us);
	is_soon |= registry_answer_again(r, now_us);
	if (must_check) {
		registry_drop_unread(r, false);
		registry_forget_gone(r, now_us);
		registry_forget_awaited(r);
		r->check_us = now_us + CHECK_US;
	}
	if (is_soon)
		return SOON_MS;
	return r->clients != NULL || r->n_gone > 0 || r->unread != NULL ? CHECK_US / 1000 : -1;
}

static void *
control_thread(void *arg)
{
	struct registry *r = arg;
	struct epoll_event events[EVENTS];

	while (!atomic_load(&r->must_stop)) {
		int wait_ms = run_clock(r), n;
		uint64_t now_us;

		reap_clients(r);
		n = epoll_wait(r->epoll_fd, events, EVENTS, wait_ms);
		now_us = registry_now_us();
		for (int i = 0; i < n; i++) {
			struct registry_client *c = events[i].data.ptr;

			if (c == NULL)
				accept_client(r, now_us);
			else if ((void *)c == r->lt)
				rings_serve(now_us);
			else if ((void *)c != r && !c->is_closed)
				read_client(r, c, events[i].events, now_us);
		}
		reap_clients(r);
	}
	return NULL;
}

/* --- start and stop --------------------------------------------------------------------------------- */

static void
free_registry(struct registry *r)
{
	for (struct registry_client *c = r->clients; c != NULL; c = c->next) {
		if (!c->is_closed) {
			c->is_closed = true;
			c->next_closed = r->closed;
			r->closed = c;
		}
	}
	registry_free_members(r);
	reap_clients(r);
	registry_drop_unread(r, true);
	farewells_free(r->farewells);
	registry_unlisten(r);
	if (r->epoll_fd >= 0)
		close(r->epoll_fd);
	if (r->stop_fd >= 0)
		close(r->stop_fd);
	pthread_mutex_destroy(&r->lock);
	free(r->expected);
	free(r);
}

static int
open_fds(struct registry *r)
{
	/* Marks: NULL is the socket, the registry itself the end, ltran the rings. */
	struct epoll_event accepts = {.events = EPOLLIN, .data.ptr = NULL};
	struct epoll_event stops = {.events = EPOLLIN, .data.ptr = r};
	struct epoll_event rings = {.events = EPOLLIN, .data.ptr = r->lt};

	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->epoll_fd < 0 || r->stop_fd < 0 ||
		epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->listen_fd, &accepts) < 0 ||
		epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->stop_fd, &stops) < 0 || rings_fd() < 0 ||
		epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, rings_fd(), &rings) < 0)
		return -errno;
	return 0;
}

/* Signals are the main thread's. */
static int
start_thread(struct registry *r)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGSYS); /* confine.c */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&r->thread, NULL, control_thread, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	r->has_thread = ret == 0;
	if (ret == 0)
		pthread_setname_np(r->thread, "ltran-control");
	return -ret;
}

int
registry_start_in(struct ltran *lt, const char *dir, char *err, size_t err_len)
{
	struct registry *r = calloc(1, sizeof(*r));
	int ret;

	if (r == NULL || (r->farewells = farewells_create(lt)) == NULL) {
		free(r);
		snprintf(err, err_len, "no memory");
		return -ENOMEM;
	}
	r->lt = lt;
	r->per_s = REGISTRY_PER_S;
	r->lock_fd = r->listen_fd = r->epoll_fd = r->stop_fd = -1;
	pthread_mutex_init(&r->lock, NULL);
	snprintf(r->dir, sizeof(r->dir), "%s", dir);
	ret = registry_listen_at(r, err, err_len);
	if (ret == 0) {
		registry_expect(r, registry_now_us());
		ret = open_fds(r);
		if (ret == 0)
			ret = start_thread(r);
		if (ret < 0)
			snprintf(err, err_len, "control thread: %s", strerror(-ret));
	}
	if (ret < 0)
		free_registry(r);
	else
		lt->registry = r;
	return ret;
}

int
registry_start(struct ltran *lt, char *err, size_t err_len)
{
	char dir[PATH_MAX];
	int ret = ctl_run_dir(dir, sizeof(dir));

	if (ret == 0)
		ret = ctl_run_dir_make(dir);
	if (ret < 0) {
		ctl_run_dir_explain(dir, ret, err, err_len);
		return ret;
	}
	return registry_start_in(lt, dir, err, err_len);
}

void
registry_stop(struct ltran *lt)
{
	struct registry *r = lt->registry;

	if (r == NULL)
		return;
	lt->registry = NULL;
	atomic_store(&r->must_stop, true);
	eventfd_write(r->stop_fd, 1);
	pthread_join(r->thread, NULL);
	free_registry(r);
}

void
registry_each(struct ltran *lt, void (*each)(void *arg, const struct member *m), void *arg)
{
	struct registry *r = lt->registry;

	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	for (unsigned int i = 0; i < r->n_members; i++) {
		if (r->members[i]->fd >= 0)
			each(arg, r->members[i]);
	}
	pthread_mutex_unlock(&r->lock);
}
