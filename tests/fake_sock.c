/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets as queues in memory. One lock; every change of a socket is an edge for its watches.
 */
#include "tests/fake_sock.h"
#include "conf/conf.h"
#include "nodes/instance.h"
#include "stack/ready.h"
#include "stack/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

enum { QUEUE = 64 * 1024, BACKLOG_MAX = 128, FIRST_PORT = 40000 };

bool fake_spins, fake_fails;
int fake_attached, fake_runs, fake_live;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct ready_watch {
	LIST_ENTRY(ready_watch) in_sock, in_set;
	struct sock *s;
	struct ready_set *set;
	uint32_t events, edges_seen;
	uint64_t data;
	bool is_off; /* one-shot, fired */
};

LIST_HEAD(watches, ready_watch);

struct ready_set {
	struct watches watches;
	int fd;
	bool is_armed;
};

struct sock {
	LIST_ENTRY(sock) in_all;
	struct watches watches;
	enum sock_kind kind;
	struct sockaddr_in local, to;
	struct sock *peer;
	struct sock *pending[BACKLOG_MAX];
	int n_pending, backlog; /* backlog 0: not listening */
	char *queue;            /* received, not yet read */
	size_t n;
	bool is_connected, is_eof, is_cut, is_shut; /* eof: peer shut; cut: peer gone */
	int error;
	uint32_t edges;
	_Atomic uint32_t events; /* for sock_events(), which takes no lock */
};

static LIST_HEAD(, sock) all = LIST_HEAD_INITIALIZER(all);
static uint16_t next_port = FIRST_PORT;

/* --- readiness --------------------------------------------------------------------------------------- */

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

static void publish(struct sock *s)
{
	s->events = events_of(s);
}

/* Ends a call on `s`. */
static void done(struct sock *s)
{
	publish(s);
	if (s->peer)
		publish(s->peer);
	pthread_mutex_unlock(&lock);
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

static void edge(struct sock *s)
{
	struct ready_watch *w;

	s->edges++;
	publish(s);
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
	pthread_mutex_lock(&lock);
	w->edges_seen = s->edges - 1;
	LIST_INSERT_HEAD(&s->watches, w, in_sock);
	LIST_INSERT_HEAD(&set->watches, w, in_set);
	wake(w);
	pthread_mutex_unlock(&lock);
	*out = w;
	return 0;
}

int ready_mod(struct ready_watch *w, uint32_t events, uint64_t data)
{
	pthread_mutex_lock(&lock);
	w->events = events;
	w->data = data;
	w->is_off = false;
	w->edges_seen = w->s->edges - 1;
	wake(w);
	pthread_mutex_unlock(&lock);
	return 0;
}

void ready_del(struct ready_watch *w)
{
	pthread_mutex_lock(&lock);
	LIST_REMOVE(w, in_sock);
	LIST_REMOVE(w, in_set);
	pthread_mutex_unlock(&lock);
	free(w);
}

int ready_collect(struct ready_set *set, struct ready_event *out, int max)
{
	struct ready_watch *w;
	int n = 0;

	pthread_mutex_lock(&lock);
	LIST_FOREACH(w, &set->watches, in_set) {
		if (n == max)
			break;
		if (!is_ready(w))
			continue;
		out[n].events = events_of(w->s) & (w->events | EPOLLERR | EPOLLHUP);
		out[n++].data = w->data;
		w->edges_seen = w->s->edges;
		w->is_off = (w->events & EPOLLONESHOT) != 0;
	}
	pthread_mutex_unlock(&lock);
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

	pthread_mutex_lock(&lock);
	LIST_FOREACH(w, &set->watches, in_set)
		ready = ready || is_ready(w);
	set->is_armed = !ready;
	pthread_mutex_unlock(&lock);
	return !ready;
}

void ready_disarm(struct ready_set *set)
{
	uint64_t n;

	pthread_mutex_lock(&lock);
	set->is_armed = false;
	while (read(set->fd, &n, sizeof(n)) > 0)
		;
	pthread_mutex_unlock(&lock);
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

/* --- sockets ------------------------------------------------------------------------------------------ */

int sock_open(struct stack_group *g, enum sock_kind kind, struct sock **out)
{
	struct sock *s = calloc(1, sizeof(*s));

	if (g == NULL)
		abort();
	s->kind = kind;
	s->queue = malloc(QUEUE);
	pthread_mutex_lock(&lock);
	LIST_INSERT_HEAD(&all, s, in_all);
	fake_live++;
	done(s);
	*out = s;
	return 0;
}

static void close_locked(struct sock *s)
{
	if (!LIST_EMPTY(&s->watches))
		abort(); /* the contract of ready.h */
	for (int i = 0; i < s->n_pending; i++)
		close_locked(s->pending[i]);
	if (s->peer) {
		if (s->n)
			s->peer->error = ECONNRESET;
		s->peer->peer = NULL;
		s->peer->is_eof = s->peer->is_cut = true;
		edge(s->peer);
	}
	LIST_REMOVE(s, in_all);
	fake_live--;
	free(s->queue);
	free(s);
}

void sock_close(struct sock *s)
{
	pthread_mutex_lock(&lock);
	close_locked(s);
	pthread_mutex_unlock(&lock);
}

void sock_set_fd(struct sock *s, int fd)
{
}

static struct sock *find(enum sock_kind kind, uint16_t port)
{
	struct sock *s;

	LIST_FOREACH(s, &all, in_all)
		if (s->kind == kind && s->local.sin_port == port && !s->is_connected)
			return s;
	return NULL;
}

static int bind_locked(struct sock *s, const struct sockaddr_in *addr)
{
	if (s->local.sin_port)
		return -EINVAL;
	if (addr->sin_port && find(s->kind, addr->sin_port))
		return -EADDRINUSE;
	s->local = *addr;
	if (s->local.sin_port == 0)
		s->local.sin_port = htons(next_port++);
	return 0;
}

int sock_bind(struct sock *s, const struct sockaddr_in *addr)
{
	pthread_mutex_lock(&lock);
	int r = bind_locked(s, addr);
	done(s);
	return r;
}

int sock_listen(struct sock *s, int backlog)
{
	pthread_mutex_lock(&lock);
	s->backlog = backlog < 1 ? 1 : backlog;
	done(s);
	return 0;
}

static void self_address(struct sock *s)
{
	struct sockaddr_in any = {.sin_family = AF_INET};

	if (s->local.sin_port == 0)
		bind_locked(s, &any);
	inet_aton(FAKE_ADDR, &s->local.sin_addr);
}

int sock_connect(struct sock *s, const struct sockaddr_in *addr)
{
	struct sock *to, *conn;

	if (s->kind == SOCK_UDP) {
		s->to = *addr;
		return 0;
	}
	if (s->is_connected)
		return -EISCONN;
	pthread_mutex_lock(&lock);
	self_address(s);
	to = find(SOCK_TCP, addr->sin_port);
	s->is_connected = true;
	if (to == NULL || to->backlog == 0 || to->n_pending == BACKLOG_MAX) {
		s->error = ECONNREFUSED;
	} else {
		conn = calloc(1, sizeof(*conn));
		conn->queue = malloc(QUEUE);
		conn->local = *addr;
		conn->to = s->local;
		conn->is_connected = true;
		conn->peer = s;
		s->peer = conn;
		s->to = *addr;
		LIST_INSERT_HEAD(&all, conn, in_all);
		fake_live++;
		to->pending[to->n_pending++] = conn;
		edge(to);
	}
	edge(s);
	done(s);
	return -EINPROGRESS;
}

int sock_accept(struct sock *s, struct sock **out, struct sockaddr_in *peer)
{
	int r = -EAGAIN;

	pthread_mutex_lock(&lock);
	if (s->backlog == 0) {
		r = -EINVAL;
	} else if (s->n_pending) {
		*out = s->pending[0];
		memmove(s->pending, s->pending + 1, --s->n_pending * sizeof(s->pending[0]));
		if (peer)
			*peer = (*out)->to;
		r = 0;
	}
	done(s);
	return r;
}

static ssize_t take(struct sock *s, const struct iovec *iov, int n, bool peek)
{
	size_t done = 0;

	for (int i = 0; i < n && done < s->n; i++) {
		size_t part = s->n - done < iov[i].iov_len ? s->n - done : iov[i].iov_len;

		memcpy(iov[i].iov_base, s->queue + done, part);
		done += part;
	}
	if (!peek) {
		memmove(s->queue, s->queue + done, s->n - done);
		s->n -= done;
		if (s->peer)
			edge(s->peer);
	}
	return (ssize_t)done;
}

/* A datagram is queued with its length and source in front. */
struct datagram {
	size_t len;
	struct sockaddr_in from;
};

static ssize_t take_datagram(struct sock *s, const struct iovec *iov, int n, bool peek,
	struct sockaddr_in *from, int *flags)
{
	struct datagram d;
	size_t done = 0;

	memcpy(&d, s->queue, sizeof(d));
	for (int i = 0; i < n && done < d.len; i++) {
		size_t part = d.len - done < iov[i].iov_len ? d.len - done : iov[i].iov_len;

		memcpy(iov[i].iov_base, s->queue + sizeof(d) + done, part);
		done += part;
	}
	if (from)
		*from = d.from;
	if (flags && done < d.len)
		*flags = MSG_TRUNC;
	if (!peek) {
		s->n -= sizeof(d) + d.len;
		memmove(s->queue, s->queue + sizeof(d) + d.len, s->n);
	}
	return (ssize_t)done;
}

ssize_t sock_recv(struct sock *s, const struct iovec *iov, int iovcnt, int flags,
	struct sockaddr_in *from, int *out_flags)
{
	ssize_t r;

	pthread_mutex_lock(&lock);
	if (s->kind == SOCK_UDP) {
		r = s->n ? take_datagram(s, iov, iovcnt, flags & MSG_PEEK, from, out_flags) : -EAGAIN;
	} else if (s->error) {
		r = -s->error;
		s->error = 0;
	} else if (!s->is_connected) {
		r = -ENOTCONN;
	} else if (s->n) {
		r = take(s, iov, iovcnt, flags & MSG_PEEK);
	} else {
		r = s->is_eof ? 0 : -EAGAIN;
	}
	done(s);
	return r;
}

static ssize_t put(struct sock *to, const struct iovec *iov, int n)
{
	size_t done = 0;

	for (int i = 0; i < n && to->n < QUEUE; i++) {
		size_t part = QUEUE - to->n < iov[i].iov_len ? QUEUE - to->n : iov[i].iov_len;

		memcpy(to->queue + to->n, iov[i].iov_base, part);
		to->n += part;
		done += part;
	}
	if (done)
		edge(to);
	return done || n == 0 ? (ssize_t)done : -EAGAIN;
}

static ssize_t put_datagram(struct sock *s, struct sock *to, const struct iovec *iov, int n)
{
	struct datagram d = {.from = s->local};

	for (int i = 0; i < n; i++)
		d.len += iov[i].iov_len;
	if (to == NULL || to->n + sizeof(d) + d.len > QUEUE)
		return (ssize_t)d.len; /* lost */
	memcpy(to->queue + to->n, &d, sizeof(d));
	to->n += sizeof(d);
	put(to, iov, n);
	edge(to);
	return (ssize_t)d.len;
}

ssize_t sock_send(struct sock *s, const struct iovec *iov, int iovcnt, int flags,
	const struct sockaddr_in *to)
{
	ssize_t r;

	pthread_mutex_lock(&lock);
	if (s->kind == SOCK_UDP) {
		self_address(s);
		to = to ? to : &s->to;
		r = to->sin_port == 0 ? -EDESTADDRREQ :
					put_datagram(s, find(SOCK_UDP, to->sin_port), iov, iovcnt);
	} else if (s->is_shut || s->is_cut) {
		r = -EPIPE;
	} else {
		r = s->peer ? put(s->peer, iov, iovcnt) : -ENOTCONN;
	}
	done(s);
	return r;
}

int sock_shutdown(struct sock *s, int how)
{
	if (!s->is_connected)
		return -ENOTCONN;
	pthread_mutex_lock(&lock);
	if (how != SHUT_RD) {
		s->is_shut = true;
		if (s->peer) {
			s->peer->is_eof = true;
			edge(s->peer);
		}
	}
	if (how != SHUT_WR)
		s->is_eof = true;
	edge(s);
	done(s);
	return 0;
}

int sock_name(struct sock *s, struct sockaddr_in *addr)
{
	*addr = s->local;
	return 0;
}

int sock_peer(struct sock *s, struct sockaddr_in *addr)
{
	*addr = s->to;
	return s->to.sin_port ? 0 : -ENOTCONN;
}

int sock_take_error(struct sock *s)
{
	int err;

	pthread_mutex_lock(&lock);
	err = s->error;
	s->error = 0;
	done(s);
	return err;
}

size_t sock_inq(struct sock *s)
{
	return s->n;
}

size_t sock_outq(struct sock *s)
{
	return s->peer ? s->peer->n : 0;
}

int sock_setopt(struct sock *s, int level, int name, const void *val, socklen_t len)
{
	return level == SOL_SOCKET ? 0 : -ENOPROTOOPT;
}

int sock_getopt(struct sock *s, int level, int name, void *val, socklen_t *len)
{
	return -ENOPROTOOPT;
}

uint32_t sock_events(const struct sock *s)
{
	return s->events;
}

bool sock_is_listening(const struct sock *s)
{
	return s->backlog > 0;
}

/* --- instance and settings ---------------------------------------------------------------------------- */

int instance_start(const struct conf *c, void (*opened)(void *arg, struct stack_group *stacks),
	void *arg, struct instance **out, char *err, size_t err_len)
{
	static char instance;

	fake_attached++;
	*out = (struct instance *)&instance;
	if (fake_fails)
		return -ENODEV;
	opened(arg, (struct stack_group *)&instance);
	return 0;
}

struct stack_group *instance_stacks(struct instance *in)
{
	return (struct stack_group *)in;
}

void instance_stop(struct instance *in)
{
}

int conf_load(const char *path, struct conf *c, conf_report_fn report, void *arg)
{
	memset(c, 0, sizeof(*c));
	c->host_addr = inet_addr(FAKE_ADDR);
	c->descriptor_limit = FAKE_DESCRIPTORS;
	c->mask_addr = inet_addr("255.255.255.0");
	c->gateway_addr = inet_addr("198.18.0.254");
	c->udp_enable = true;
	return 0;
}

void conf_free(struct conf *c)
{
}
