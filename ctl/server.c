/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket's thread.
 *
 * One thread polls the listening socket and at most CLIENTS_MAX connections, none of which ever
 * blocks it: a client is reading a header, reading a body, or writing an answer, and has a deadline
 * for all of that. Requests are answered one at a time, by handlers that only take snapshots.
 * A connection that waits for its next request may stay as long as nobody else needs its place: when
 * all are taken, the one that has been idle for longest makes room.
 *
 * The socket is made under a hidden name and renamed once it listens, so a published name that
 * refuses connections is stale for certain (path.h).
 *
 * The thread lives in programs that are not ours. It blocks every signal but those of a fault in
 * itself, never writes to a closed connection with SIGPIPE, ends quietly if the program has closed
 * its descriptors, and rests for a moment where the program leaves it none (accept() and poll() fail
 * at once then, and would do so again).
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ctl/path.h"
#include "ctl/server.h"

#define CLIENTS_MAX 16
#define REST_MS 100
#define STACK_BYTES (512u << 10) /* whatever the program's threads have */

struct client {
	int fd; /* -1: free */
	bool writing; /* else reading */
	bool closing; /* after the answer */
	uint64_t since_ms;    /* accepted, or done with its last request */
	uint64_t deadline_ms; /* 0: none, idle between requests */
	struct ctl_header header;
	char body[CTL_REQUEST_MAX];
	size_t n_read; /* of header and body */
	struct ctl_header out;
	char *out_body;
	size_t n_written; /* of out and out_body */
};

struct ctl_server {
	struct ctl_server_params p;
	pid_t pid; /* the process that owns thread and name */
	int listen_fd, stop_fd;
	_Atomic bool stops; /* beside stop_fd: poll() fails where fewer descriptors are allowed than it is given */
	pthread_t thread;
	uint64_t rest_until_ms; /* no descriptor was left for a connection */
	struct client clients[CLIENTS_MAX];
	char addr[CTL_ADDR_MAX]; /* what p.addr points to */
	char path[PATH_MAX];
};

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
drop_client(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->out_body);
	memset(c, 0, offsetof(struct client, body));
	c->fd = -1;
	c->n_read = 0;
	c->out_body = NULL;
	c->n_written = 0;
}

static void
start_writing(struct ctl_server *s, struct client *c)
{
	c->writing = true;
	c->n_written = 0;
	c->deadline_ms = now_ms() + s->p.timeout_ms;
}

static void
refuse_client(struct ctl_server *s, struct client *c, enum ctl_status status, const char *text)
{
	c->out = (struct ctl_header){.magic = CTL_MAGIC, .version = CTL_VERSION,
		.command = c->header.command, .status = status};
	c->out_body = strdup(text);
	c->out.length = c->out_body != NULL ? strlen(text) : 0;
	c->closing = true;
	start_writing(s, c);
}

/* Sends what is left; false: the connection is done with. */
static bool
write_client(struct client *c)
{
	size_t n_header = sizeof(c->out), total = n_header + c->out.length;

	while (c->n_written < total) {
		bool in_header = c->n_written < n_header;
		const char *from = in_header ? (const char *)&c->out + c->n_written
					     : c->out_body + (c->n_written - n_header);
		size_t left = in_header ? n_header - c->n_written : total - c->n_written;
		ssize_t n = send(c->fd, from, left, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->n_written += n;
	}
	free(c->out_body);
	c->out_body = NULL;
	c->writing = false;
	c->n_read = 0;
	c->since_ms = now_ms();
	c->deadline_ms = 0;
	return !c->closing;
}

/* A whole header is there: may its body come? */
static void
check_header(struct ctl_server *s, struct client *c)
{
	if (c->header.magic != CTL_MAGIC)
		refuse_client(s, c, CTL_BAD_REQUEST, "not a request of gazellectl");
	else if (c->header.length > CTL_REQUEST_MAX)
		refuse_client(s, c, CTL_BAD_REQUEST, "the request is too long");
}

/* Takes what has arrived; false: the connection is done with. */
static bool
read_client(struct ctl_server *s, struct client *c)
{
	size_t n_header = sizeof(c->header);

	while (!c->writing) {
		bool in_header = c->n_read < n_header;
		char *to = in_header ? (char *)&c->header + c->n_read
				     : c->body + (c->n_read - n_header);
		size_t left = in_header ? n_header - c->n_read
					: n_header + c->header.length - c->n_read;
		ssize_t n = left > 0 ? recv(c->fd, to, left, MSG_DONTWAIT) : 0;

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0 && left > 0)
			return false;
		if (c->n_read == 0 && c->deadline_ms == 0)
			c->deadline_ms = now_ms() + s->p.timeout_ms;
		c->n_read += n;
		if (in_header && c->n_read == n_header)
			check_header(s, c);
		if (!c->writing && c->n_read >= n_header &&
			c->n_read == n_header + c->header.length) {
			ctl_server_dispatch(&s->p, &c->header, c->body, &c->out, &c->out_body);
			start_writing(s, c);
		}
	}
	return write_client(c);
}

static bool
is_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

/* Tell somebody who may not ask, if he listens; he gets no place. */
static void
turn_away(int fd)
{
	static const char text[] = "only root and the owner of the process may ask";
	struct {
		struct ctl_header header;
		char text[sizeof(text) - 1];
	} out = {.header = {.magic = CTL_MAGIC, .version = CTL_VERSION, .status = CTL_DENIED,
		.length = sizeof(out.text)}};

	memcpy(out.text, text, sizeof(out.text));
	if (send(fd, &out, sizeof(out.header) + sizeof(out.text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* he has gone */
}

/* A free place, or that of the client which has been idle for longest; failing that, of the one whose
 * time is over first. */
static struct client *
find_place(struct ctl_server *s)
{
	struct client *idle = NULL, *busy = NULL;

	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		if (c->fd < 0)
			return c;
		if (!c->writing && c->n_read == 0) {
			if (idle == NULL || c->since_ms < idle->since_ms)
				idle = c;
		} else if (busy == NULL || c->deadline_ms < busy->deadline_ms) {
			busy = c;
		}
	}
	if (idle == NULL)
		idle = busy;
	drop_client(idle);
	return idle;
}

static void
accept_client(struct ctl_server *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			s->rest_until_ms = now_ms() + REST_MS;
		return;
	}
	if (!is_allowed(fd)) {
		turn_away(fd);
		close(fd);
		return;
	}
	c = find_place(s);
	c->fd = fd;
	c->since_ms = now_ms();
	c->deadline_ms = c->since_ms + s->p.timeout_ms;
}

/* Waits for the next event or deadline. Returns the number of polled descriptors. */
static int
poll_all(struct ctl_server *s, struct pollfd *fds, struct client **who)
{
	static const struct timespec rest = {.tv_nsec = REST_MS * 1000000L};
	uint64_t now = now_ms(), next = UINT64_MAX;
	bool is_resting = now < s->rest_until_ms;
	int n = 2;

	if (is_resting)
		next = s->rest_until_ms;
	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		if (c->fd < 0)
			continue;
		fds[n].fd = c->fd;
		fds[n].events = c->writing ? POLLOUT : POLLIN;
		who[n++] = c;
		if (c->deadline_ms != 0 && c->deadline_ms < next)
			next = c->deadline_ms;
	}
	fds[0] = (struct pollfd){.fd = s->stop_fd, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = is_resting ? -1 : s->listen_fd, .events = POLLIN};
	if (poll(fds, n, next == UINT64_MAX ? -1 : next > now ? (int)(next - now) : 0) < 0) {
		if (errno != EINTR) /* fewer descriptors allowed than we have, no memory */
			nanosleep(&rest, NULL);
		for (int i = 0; i < n; i++)
			fds[i].revents = 0;
	}
	return n;
}

static void *
serve(void *arg)
{
	struct ctl_server *s = arg;
	struct pollfd fds[2 + CLIENTS_MAX];
	struct client *who[2 + CLIENTS_MAX];

	for (;;) {
		int n = poll_all(s, fds, who);
		uint64_t now = now_ms();

		if (atomic_load(&s->stops) || fds[0].revents != 0 ||
			(fds[1].revents & (POLLNVAL | POLLERR | POLLHUP)) != 0)
			return NULL;
		for (int i = 2; i < n; i++) {
			struct client *c = who[i];
			bool keep = true;

			if (c->deadline_ms != 0 && c->deadline_ms <= now)
				keep = false;
			else if (fds[i].revents & POLLNVAL) /* closed by the program: not ours */
				c->fd = -1, keep = false;
			else if (fds[i].revents != 0)
				keep = c->writing ? write_client(c) : read_client(s, c);
			if (!keep)
				drop_client(c);
		}
		if (fds[1].revents & POLLIN)
			accept_client(s);
	}
}

static int __attribute__((format(printf, 4, 5)))
fail(int error, char *err, size_t err_len, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(err, err_len, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < err_len)
		snprintf(err + n, err_len - n, ": %s", strerror(-error));
	return error;
}

/* Listen under a hidden name in `dir`, then publish it as s->path. */
static int
open_socket(struct ctl_server *s, const char *dir, char *err, size_t err_len)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n, error;

	n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/.%s_%d", dir, s->p.kind, s->pid);
	if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
		return fail(-ENAMETOOLONG, err, err_len, "control socket in %s", dir);
	n = snprintf(s->path, sizeof(s->path), "%s/%s%s_%d.sock", dir, s->p.prefix, s->p.kind,
		s->pid);
	if (n < 0 || (size_t)n >= sizeof(s->path))
		return fail(-ENAMETOOLONG, err, err_len, "control socket in %s", dir);
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listen_fd < 0)
		return fail(-errno, err, err_len, "control socket");
	unlink(addr.sun_path); /* of an earlier process with our pid */
	/* The mode of the descriptor becomes that of the name: there is no moment with another. */
	if (fchmod(s->listen_fd, 0600) < 0 ||
		bind(s->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return fail(-errno, err, err_len, "control socket %s", addr.sun_path);
	if (chmod(addr.sun_path, 0600) < 0 || listen(s->listen_fd, CLIENTS_MAX) < 0 ||
		rename(addr.sun_path, s->path) < 0) {
		error = -errno;
		unlink(addr.sun_path);
		return fail(error, err, err_len, "control socket %s", s->path);
	}
	return 0;
}

static int
start_thread(struct ctl_server *s, char *err, size_t err_len)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
	pthread_attr_t attr;
	sigset_t all, old;
	int error;

	s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->stop_fd < 0)
		return fail(-errno, err, err_len, "control thread");
	sigfillset(&all);
	/* A fault while its signal is blocked would end the program without its own handler. */
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&s->thread, &attr, serve, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (error != 0)
		return fail(-error, err, err_len, "control thread");
	pthread_setname_np(s->thread, "gz-ctl");
	return 0;
}

static void
free_server(struct ctl_server *s)
{
	for (int i = 0; i < CLIENTS_MAX; i++) {
		if (s->clients[i].fd >= 0)
			drop_client(&s->clients[i]);
	}
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	if (s->stop_fd >= 0)
		close(s->stop_fd);
	free(s);
}

int
ctl_server_start(const struct ctl_server_params *p, struct ctl_server **out, char *err,
	size_t err_len)
{
	struct ctl_server *s = calloc(1, sizeof(*s));
	char dir[PATH_MAX];
	int ret;

	if (s == NULL)
		return fail(-ENOMEM, err, err_len, "control socket");
	s->p = *p;
	snprintf(s->addr, sizeof(s->addr), "%s", p->addr != NULL ? p->addr : "");
	s->p.addr = s->addr;
	s->pid = getpid();
	s->listen_fd = s->stop_fd = -1;
	for (int i = 0; i < CLIENTS_MAX; i++)
		s->clients[i].fd = -1;
	if (s->p.timeout_ms == 0)
		s->p.timeout_ms = CTL_EXCHANGE_MS;
	if (p->dir != NULL)
		ret = snprintf(dir, sizeof(dir), "%s", p->dir) < (int)sizeof(dir) ? 0 : -ENAMETOOLONG;
	else
		ret = ctl_run_dir(dir, sizeof(dir));
	if (ret == 0)
		ret = ctl_run_dir_make(dir);
	if (ret < 0) {
		ctl_run_dir_explain(dir, ret, err, err_len);
	} else {
		ctl_remove_stale(dir, p->kind);
		ret = open_socket(s, dir, err, err_len);
	}
	if (ret == 0) {
		ret = start_thread(s, err, err_len);
		if (ret < 0)
			unlink(s->path);
	}
	if (ret < 0) {
		free_server(s);
		return ret;
	}
	*out = s;
	return 0;
}

void
ctl_server_stop(struct ctl_server *s)
{
	if (s->pid == getpid()) {
		unlink(s->path);
		atomic_store(&s->stops, true);
		eventfd_write(s->stop_fd, 1);
		pthread_join(s->thread, NULL);
	}
	free_server(s);
}

const char *
ctl_server_path(const struct ctl_server *s)
{
	return s->path;
}
