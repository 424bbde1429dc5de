/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets as queues in memory. One lock; who watches them is in fake_ready.c.
 */
#include "tests/fake_sock.h"
#include "conf/conf.h"
#include "nodes/instance.h"
#include "tests/fake_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool fake_spins, fake_fails;
void (*fake_on_close)(void);
int fake_attached, fake_runs, fake_live, fake_own_fd = -1;

pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;

static LIST_HEAD(, sock) all = LIST_HEAD_INITIALIZER(all);
static uint16_t next_port = FIRST_PORT;

/* Ends a call on `s`. */
static void done(struct sock *s)
{
	fake_publish(s);
	if (s->peer)
		fake_publish(s->peer);
	pthread_mutex_unlock(&fake_lock);
}

/* --- sockets ------------------------------------------------------------------------------------------ */

int sock_open(struct stack_group *g, enum sock_kind kind, struct sock **out)
{
	struct sock *s = calloc(1, sizeof(*s));

	if (g == NULL)
		abort();
	s->kind = kind;
	s->queue = malloc(QUEUE);
	pthread_mutex_lock(&fake_lock);
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
		fake_edge(s->peer);
	}
	LIST_REMOVE(s, in_all);
	fake_live--;
	free(s->queue);
	free(s);
}

void sock_close(struct sock *s)
{
	if (fake_on_close)
		fake_on_close();
	pthread_mutex_lock(&fake_lock);
	close_locked(s);
	pthread_mutex_unlock(&fake_lock);
}

void sock_set_fd(struct sock *s, int fd)
{
	s->fd = fd;
}

void sock_set_identity(struct sock *s, uint32_t identity)
{
}

void sock_set_inherited(struct sock *s)
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
	pthread_mutex_lock(&fake_lock);
	int r = bind_locked(s, addr);
	done(s);
	return r;
}

int sock_listen(struct sock *s, int backlog)
{
	pthread_mutex_lock(&fake_lock);
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

int sock_connect_result(struct sock *s)
{
	return -sock_take_error(s);
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
	pthread_mutex_lock(&fake_lock);
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
		fake_edge(to);
	}
	fake_edge(s);
	done(s);
	return -EINPROGRESS;
}

int sock_accept(struct sock *s, struct sock **out, struct sockaddr_in *peer)
{
	int r = -EAGAIN;

	pthread_mutex_lock(&fake_lock);
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
			fake_edge(s->peer);
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

	pthread_mutex_lock(&fake_lock);
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
		fake_edge(to);
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
	fake_edge(to);
	return (ssize_t)d.len;
}

ssize_t sock_send(struct sock *s, const struct iovec *iov, int iovcnt, int flags,
	const struct sockaddr_in *to)
{
	ssize_t r;

	pthread_mutex_lock(&fake_lock);
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
	pthread_mutex_lock(&fake_lock);
	if (how != SHUT_RD) {
		s->is_shut = true;
		if (s->peer) {
			s->peer->is_eof = true;
			fake_edge(s->peer);
		}
	}
	if (how != SHUT_WR)
		s->is_eof = true;
	fake_edge(s);
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

	pthread_mutex_lock(&fake_lock);
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

void instance_before_fork(struct instance *in)
{
}

void instance_after_fork(struct instance *in, bool is_child)
{
}

int instance_start(const struct conf *c, void (*opened)(void *arg, struct stack_group *stacks),
	void *arg, struct instance **out, char *err, size_t err_len)
{
	static char instance;

	fake_attached++;
	*out = (struct instance *)&instance;
	if (fake_fails)
		return -ENODEV;
	fake_own_fd = eventfd(0, EFD_NONBLOCK);
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
