/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registration with ltran, and its thread.
 *
 * The connection is the registration. When it breaks, ltran has gone: the thread connects and
 * registers again, with the same socket table, ring and ports, until it succeeds; the ring comes
 * back by itself (virtio-user's server). Connections of the program know nothing of all this.
 *
 * Questions (ask()) may come from any thread, one at a time. An answer that came too late is read
 * and dropped before the next question's: the order of answers is that of the questions, so counting
 * them is enough. The connection is never closed for a slow answer; that would end the instance.
 *
 * Whoever asks may hold locks of the program's side (a stack's, the descriptor table's), so nothing
 * here goes through calls that the preload library intercepts, but for those of the thread's own.
 */
#include "nodes/instance_ltran_link.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/say.h"
#include "ctl/path.h"
#include "nodes/instance_ltran_bells.h"
#include "nodes/instance_ltran_io.h"
#include "nodes/instance_wait.h"

struct ltran_link {
	char path[2][PATH_MAX];         /* of ltran's socket: our user's ltran, root's */
	unsigned int n_paths;
	struct ltran_register request;  /* `resumes`, `path`, `blocks` after the first time */
	struct ltran_registered grant;  /* of the first time */
	_Atomic uint64_t blocks[LTRAN_BLOCK_WORDS];
	struct ltran_bells bells;

	int table_fd; /* the caller's */
	pthread_t thread;
	bool has_thread;
	int wake_fd; /* ends the thread */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_up, is_busy, is_over; /* registered; somebody asks; ltran_link_close() */
	unsigned int n_late;          /* answers that nobody waits for any more */

	pthread_mutex_t fd_lock; /* held while `fd` changes; a fork() waits for it */
	int fd;                  /* -1: none */
	int first_fd;            /* its number the first time: out of the program's way */
};

/* --- the connection ------------------------------------------------------------------------------- */

static void
drop_connection(struct ltran_link *l)
{
	pthread_mutex_lock(&l->fd_lock);
	if (l->fd >= 0)
		syscall(SYS_close, l->fd);
	l->fd = -1;
	pthread_mutex_unlock(&l->fd_lock);
}

/* ctl_dial_as() trusts nobody but our own user and root. 0 or -errno; -EPERM: nothing but sockets of others. */
static int
dial(struct ltran_link *l)
{
	int fd = -ENOENT;
	bool is_foreign = true;

	pthread_mutex_lock(&l->fd_lock);
	for (unsigned int i = 0; i < l->n_paths && fd < 0; i++) {
		fd = ctl_dial_as(l->path[i], SOCK_SEQPACKET);
		is_foreign &= fd == -EPERM;
	}
	if (fd >= 0 && l->first_fd >= 0)
		fd = ltran_io_move_up(fd, l->first_fd);
	l->fd = fd < 0 ? -1 : fd;
	pthread_mutex_unlock(&l->fd_lock);
	if (fd < 0)
		return fd == -EPERM && !is_foreign ? -ENOENT : fd;
	if (l->first_fd < 0)
		l->first_fd = fd;
	return 0;
}

/* --- registration -------------------------------------------------------------------------------- */

static void
take_blocks(struct ltran_link *l, const uint64_t *blocks)
{
	for (int i = 0; i < LTRAN_BLOCK_WORDS; i++)
		atomic_store_explicit(&l->blocks[i], blocks[i], memory_order_relaxed);
}

/* ltran's answer, with its doorbells if it is a good one. */
static int
receive_grant(struct ltran_link *l, struct ltran_registered *a)
{
	unsigned int n = LTRAN_FDS_MAX;
	int fds[LTRAN_FDS_MAX];
	int ret;

	ret = ltran_io_receive(l->fd, LTRAN_REGISTER, a, sizeof(*a),
		ltran_io_now_ms() + 5 * LTRAN_ANSWER_MS, fds, &n);
	if (ret == -EAGAIN || ret == -EPIPE)
		return ret; /* no message: no descriptors */
	if (ret == 0 && !ltran_io_is_usable(a))
		ret = -EPROTO;
	if (ret == 0 && a->header.status == 0)
		return ltran_bells_take(&l->bells, a->worker, fds, n);
	ltran_bells_drop(fds, n);
	return ret;
}

/* Connect and register. 0; -ECONNREFUSED: a->header.status and a->text say why; any other -errno:
 * ltran is not there (yet). */
static int
enter(struct ltran_link *l, struct ltran_registered *a)
{
	int ret = dial(l);

	for (int i = 0; i < LTRAN_BLOCK_WORDS; i++)
		l->request.blocks[i] = atomic_load(&l->blocks[i]);
	if (ret == 0)
		ret = ltran_io_send(l->fd, &l->request, sizeof(l->request), l->table_fd);
	if (ret == 0)
		ret = receive_grant(l, a);
	if (ret == 0 && a->header.status < 0)
		ret = -ECONNREFUSED;
	else if (ret == -ECONNREFUSED)
		ret = -ENOENT; /* a socket file without a process behind it */
	if (ret < 0)
		drop_connection(l);
	else
		take_blocks(l, a->blocks);
	return ret;
}

static void
set_up(struct ltran_link *l, bool is_up)
{
	pthread_mutex_lock(&l->lock);
	while (!is_up && l->is_busy)
		pthread_cond_wait(&l->changed, &l->lock);
	l->is_up = is_up;
	l->n_late = 0;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

static bool
is_over(struct ltran_link *l)
{
	bool over;

	pthread_mutex_lock(&l->lock);
	over = l->is_over;
	pthread_mutex_unlock(&l->lock);
	return over;
}

/* ltran has gone and comes back, perhaps as another version with another NIC. */
static void
resume(struct ltran_link *l)
{
	struct ltran_registered a;
	bool was_refused = false;
	int ret;

	while (!is_over(l)) {
		ret = enter(l, &a);
		if (ret == 0) {
			if (memcmp(a.mac, l->grant.mac, sizeof(a.mac)) != 0 ||
				strcmp(a.path, l->grant.path) != 0)
				say("ltran came back with another device: restart this program");
			say("ltran is back");
			set_up(l, true);
			return;
		}
		if (ret == -ECONNREFUSED && !was_refused)
			say("ltran came back and refuses this program: %s",
				a.text[0] != '\0' ? a.text : strerror(-a.header.status));
		was_refused |= ret == -ECONNREFUSED;
		ltran_io_wait(-1, 0, l->wake_fd, ltran_io_now_ms() +
			(ret == -ECONNREFUSED ? LTRAN_REFUSED_MS : LTRAN_RESUME_MS), NULL);
	}
}

static void *
keep_registered(void *arg)
{
	struct ltran_link *l = arg;
	short hangup;

	while (!is_over(l)) {
		/* No events asked for: hang-up only. What can be read is an answer. */
		if (ltran_io_wait(l->fd, 0, l->wake_fd, LTRAN_FOREVER, &hangup) < 0 || hangup == 0)
			continue;
		say("ltran has gone; connections wait for it");
		set_up(l, false);
		drop_connection(l);
		resume(l);
	}
	return NULL;
}

/* --- questions ----------------------------------------------------------------------------------- */

static int
exchange(struct ltran_link *l, const void *request, void *answer, size_t len, uint64_t deadline)
{
	const struct ltran_header *h = request;
	int ret = ltran_io_send(l->fd, request, len, -1);

	if (ret < 0)
		return -EAGAIN;
	for (l->n_late++; l->n_late > 0; l->n_late--) {
		/* An answer of another type can only be a late one, and so may one of the same. */
		ret = ltran_io_receive(l->fd, h->type, answer, len, deadline, NULL, NULL);
		if (ret == -EAGAIN || ret == -EPIPE)
			return -EAGAIN;
	}
	return ret;
}

/* 0: `answer` is there, and as long as the request; -EAGAIN: ltran does not answer. */
static int
ask(struct ltran_link *l, const void *request, void *answer, size_t len, unsigned int ms)
{
	uint64_t deadline = ltran_io_now_ms() + ms;
	struct timespec until = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};
	int ret = 0;

	pthread_mutex_lock(&l->lock);
	while ((l->is_busy || !l->is_up) && !l->is_over && ret == 0)
		ret = pthread_cond_timedwait(&l->changed, &l->lock, &until);
	if (l->is_busy || !l->is_up || l->is_over) {
		pthread_mutex_unlock(&l->lock);
		return -EAGAIN;
	}
	l->is_busy = true;
	pthread_mutex_unlock(&l->lock);
	ret = exchange(l, request, answer, len, deadline);
	pthread_mutex_lock(&l->lock);
	l->is_busy = false;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	return ret;
}

static struct ltran_header
header_of(enum ltran_type type)
{
	return (struct ltran_header){
		.magic = LTRAN_MAGIC, .version = LTRAN_VERSION, .type = type};
}

int
ltran_link_listen(struct ltran_link *l, uint8_t protocol, uint16_t port, bool reuseport,
	uint32_t identity, uint32_t *pid)
{
	struct ltran_listen q = {.header = header_of(LTRAN_LISTEN), .identity = identity,
		.port = port, .protocol = protocol, .reuseport = reuseport};
	struct ltran_listen a;

	*pid = 0;
	/* ltran learns of the port from the socket table then. */
	if (ask(l, &q, &a, sizeof(a), LTRAN_ANSWER_MS) < 0)
		return 0;
	*pid = a.pid;
	return a.header.status == -EADDRINUSE ? -EADDRINUSE : 0;
}

int
ltran_link_more_ports(struct ltran_link *l)
{
	struct ltran_ports q = {.header = header_of(LTRAN_PORTS)}, a;

	if (ask(l, &q, &a, sizeof(a), LTRAN_PORTS_MS) < 0)
		return -EAGAIN;
	if (a.header.status < 0)
		return -ENOSPC;
	take_blocks(l, a.blocks);
	return 0;
}

const struct ltran_registered *
ltran_link_grant(const struct ltran_link *l)
{
	return &l->grant;
}

const struct ltran_bells *
ltran_link_bells(const struct ltran_link *l)
{
	return &l->bells;
}

const _Atomic uint64_t *
ltran_link_ports(const struct ltran_link *l)
{
	return l->blocks;
}

/* --- life ---------------------------------------------------------------------------------------- */

static void
say_waits(const struct ltran_link *l, int why)
{
	if (why == -ECONNREFUSED)
		say("waiting: ltran says \"%s\"", l->grant.text);
	else
		say("waiting for ltran at %s%s%s%s", l->path[0], l->n_paths > 1 ? " or " : "", l->path[1],
			why == -EACCES ? " (permission denied)" : why == -ETOOMANYREFS ?
			" (too many descriptors of this user are on their way)" : "");
}

static int
enter_when_there(struct ltran_link *l, const sigset_t *signals, char *err, size_t err_len)
{
	bool said = false;
	int ret;

	for (;;) {
		ret = enter(l, &l->grant);
		if (ret == 0)
			return 0;
		/* EBUSY: other programs of this user ask too much just now; that passes. */
		if (ret == -ECONNREFUSED && l->grant.header.status != -EBUSY) {
			snprintf(err, err_len, "ltran: %s", l->grant.text[0] != '\0' ?
				l->grant.text : strerror(-l->grant.header.status));
			return l->grant.header.status;
		}
		if (ret == -EPROTO || ret == -EPERM) {
			snprintf(err, err_len, "%s: %s", l->path[0], ret == -EPERM ?
				"belongs to another user" : "not this version of ltran");
			return ret;
		}
		if (!said)
			say_waits(l, ret);
		said = true;
		ltran_io_wait(-1, 0, -1, ltran_io_now_ms() + LTRAN_RETRY_MS, NULL);
		if (instance_signal_ends_wait(signals)) {
			snprintf(err, err_len, "a signal came while waiting for ltran");
			return -EINTR;
		}
	}
}

static bool
add_path(struct ltran_link *l, const char *dir, const char *prefix)
{
	char *path = l->path[l->n_paths];

	l->n_paths++;
	return (size_t)snprintf(path, sizeof(l->path[0]), "%s/%s%s", dir, prefix, LTRAN_SOCKET) <
		sizeof(l->path[0]);
}

static int
fill_request(struct ltran_link *l, const struct ltran_link_params *p)
{
	struct ltran_register *r = &l->request;

	r->header = header_of(LTRAN_REGISTER);
	r->addr = p->addr;
	r->mask = p->mask;
	r->gateway = p->gateway;
	r->n_queues = p->n_queues;
	r->mtu = p->mtu;
	memcpy(r->mac, p->mac, sizeof(r->mac));
	snprintf(r->program, sizeof(r->program), "%s", program_invocation_short_name);
	if (!add_path(l, p->dir, p->prefix))
		return -ENAMETOOLONG;
	if (strcmp(p->dir, CTL_RUN_DIR_ROOT) != 0)
		add_path(l, CTL_RUN_DIR_ROOT, p->prefix);
	return 0;
}

/* From here on it is as if it had always been there. */
static int
start_thread(struct ltran_link *l)
{
	int ret;

	memcpy(l->request.path, l->grant.path, sizeof(l->request.path));
	l->request.resumes = 1;
	l->is_up = true;
	ret = pthread_create(&l->thread, NULL, keep_registered, l);
	l->has_thread = ret == 0;
	if (l->has_thread)
		pthread_setname_np(l->thread, "gazelle-ltran");
	return -ret;
}

int
ltran_link_open(const struct ltran_link_params *p, struct ltran_link **out, char *err,
	size_t err_len)
{
	struct ltran_link *l = calloc(1, sizeof(*l));
	pthread_condattr_t monotonic;
	int ret;

	if (l == NULL) {
		snprintf(err, err_len, "no memory");
		return -ENOMEM;
	}
	l->fd = l->first_fd = -1;
	l->table_fd = p->table_fd;
	ltran_bells_init(&l->bells, p->n_queues);
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->fd_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = l->wake_fd < 0 ? -errno : fill_request(l, p);
	if (ret < 0)
		snprintf(err, err_len, "ltran: %s", strerror(-ret));
	else
		ret = enter_when_there(l, p->signals, err, err_len);
	if (ret == 0) {
		ret = start_thread(l);
		if (ret < 0)
			snprintf(err, err_len, "ltran: thread: %s", strerror(-ret));
	}
	if (ret < 0)
		ltran_link_close(l);
	else
		*out = l;
	return ret;
}

void
ltran_link_close(struct ltran_link *l)
{
	const uint64_t one = 1;

	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->is_over = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	if (l->has_thread) {
		if (syscall(SYS_write, l->wake_fd, &one, sizeof(one)) < 0)
			pthread_cancel(l->thread); /* cannot be: the eventfd is ours alone */
		pthread_join(l->thread, NULL);
	}
	drop_connection(l);
	ltran_bells_close(&l->bells);
	if (l->wake_fd >= 0)
		syscall(SYS_close, l->wake_fd);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->fd_lock);
	free(l);
}

void
ltran_link_before_fork(struct ltran_link *l)
{
	pthread_mutex_lock(&l->fd_lock);
}

void
ltran_link_after_fork(struct ltran_link *l, bool is_child)
{
	if (is_child) {
		if (l->fd >= 0)
			syscall(SYS_close, l->fd);
		l->fd = -1;
		syscall(SYS_close, l->wake_fd);
		ltran_bells_close(&l->bells);
	}
	pthread_mutex_unlock(&l->fd_lock);
}
