/* SPDX-License-Identifier: BSD-3-Clause */
/* Find a Gazelle process by pid or address, and ask it. */
#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ctl/client.h"
#include "ctl/messages.h"

#define ANSWER_TIMEOUT_MS 10000

static int __attribute__((format(printf, 4, 5)))
fail(int ret, char *err, size_t err_len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, err_len, fmt, ap);
	va_end(ap);
	return ret;
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Move `len` bytes one way before `deadline`. 0 or -errno. */
static int
transfer(int fd, bool out, void *buf, size_t len, int64_t deadline)
{
	size_t done = 0;

	while (done < len) {
		struct pollfd p = {.fd = fd, .events = out ? POLLOUT : POLLIN};
		char *at = (char *)buf + done;
		int64_t left = deadline - now_ms();
		ssize_t n;

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, left) < 0 && errno != EINTR)
			return -errno;
		n = out ? send(fd, at, len - done, MSG_NOSIGNAL) : recv(fd, at, len - done, 0);
		if (n == 0)
			return -ECONNRESET;
		if (n > 0)
			done += n;
		else if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return 0;
}

/* The body behind an answer's header. */
static int
take_body(int fd, const struct ctl_header *h, char **body, int64_t deadline)
{
	int ret;

	*body = malloc((size_t)h->length + 1);
	if (*body == NULL)
		return -ENOMEM;
	ret = transfer(fd, false, *body, h->length, deadline);
	(*body)[ret == 0 ? h->length : 0] = '\0';
	return ret;
}

int
ctl_client_ask(int fd, enum ctl_command command, const void *request, char **body, size_t *len,
	char *err, size_t err_len)
{
	const struct ctl_message *m = ctl_message_find(command);
	struct ctl_header h = {.magic = CTL_MAGIC, .version = CTL_VERSION, .command = command};
	int64_t deadline = now_ms() + ANSWER_TIMEOUT_MS;
	char *ask = NULL;
	size_t n = 0;
	int ret = 0;

	*body = NULL;
	if (m->request != NULL)
		ret = ctl_message_encode(m->request, request, &ask, &n);
	h.length = n;
	if (ret == 0)
		ret = transfer(fd, true, &h, sizeof(h), deadline);
	if (ret == 0)
		ret = transfer(fd, true, ask, n, deadline);
	free(ask);
	if (ret == 0)
		ret = transfer(fd, false, &h, sizeof(h), deadline);
	if (ret == 0 && (h.magic != CTL_MAGIC || h.length > CTL_ANSWER_MAX))
		return fail(-EPROTO, err, err_len, "the other side does not speak our protocol");
	if (ret == 0)
		ret = take_body(fd, &h, body, deadline);
	if (ret == 0 && h.status == CTL_OK) {
		*len = h.length;
		return 0;
	}
	if (ret == 0)
		fail(0, err, err_len, "%s", *body);
	else
		fail(0, err, err_len, "no answer: %s", strerror(-ret));
	free(*body);
	*body = NULL;
	return ret == 0 ? -EREMOTEIO : ret;
}

/* Add the places of one kind: root also sees those of other users. */
static int
add_places(const struct ctl_client *c, const char *kind, struct ctl_place **out, int n)
{
	char dir[PATH_MAX];
	glob_t others = {0};
	int ret;

	if (c->dir != NULL)
		return ctl_places_add(c->dir, kind, out, n);
	ret = ctl_run_dir(dir, sizeof(dir));
	n = ret < 0 ? ret : ctl_places_add(dir, kind, out, n);
	if (n < 0 || geteuid() != 0)
		return n;
	glob("/tmp/gazelle-*", GLOB_ONLYDIR, NULL, &others);
	glob("/run/user/*/gazelle", GLOB_ONLYDIR | GLOB_APPEND, NULL, &others);
	for (size_t i = 0; i < others.gl_pathc && n >= 0; i++) {
		if (ctl_run_dir_is_private(others.gl_pathv[i]))
			n = ctl_places_add(others.gl_pathv[i], kind, out, n);
	}
	globfree(&others);
	return n;
}

/* All places of this kind, or of every kind. */
static int
find_places(const struct ctl_client *c, const char *kind, struct ctl_place **out)
{
	static const char *const kinds[] = {CTL_KIND_LSTACK, CTL_KIND_LTRAN};
	int n = 0;

	*out = NULL;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && n >= 0; i++) {
		if (kind == NULL || strcmp(kind, kinds[i]) == 0)
			n = add_places(c, kinds[i], out, n);
	}
	return n;
}

/* Connect, waiting a while where many others are in line. */
static int
dial_patiently(const char *path)
{
	const struct timespec step = {.tv_nsec = 10000000};
	int64_t deadline = now_ms() + ANSWER_TIMEOUT_MS / 5;
	int fd;

	while ((fd = ctl_dial(path)) == -EAGAIN && now_ms() < deadline)
		nanosleep(&step, NULL);
	return fd;
}

/* Connect and ask who it is. A descriptor or -errno. */
static int
meet(const struct ctl_place *place, struct ctl_identity *id)
{
	const struct ctl_message *m = ctl_message_find(CTL_IDENTITY);
	char *body, err[CTL_TEXT_MAX];
	void *answer;
	size_t len;
	int fd = dial_patiently(place->path), ret;

	if (fd == -ECONNREFUSED)
		unlink(place->path);
	if (fd < 0)
		return fd;
	ret = ctl_client_ask(fd, CTL_IDENTITY, NULL, &body, &len, err, sizeof(err));
	if (ret == 0) {
		ret = ctl_message_decode(m->answer, body, len, &answer);
		free(body);
	}
	if (ret < 0) {
		close(fd);
		return ret;
	}
	*id = *(struct ctl_identity *)answer;
	ctl_message_free(m->answer, answer);
	return fd;
}

struct search {
	const struct ctl_client *c;
	const char *kind, *what;
	struct ctl_target *out;
	unsigned int n_found;
	int last_error;
	char found[CTL_TEXT_MAX];   /* "12 (redis-server), 13 (nginx)" */
	char prefixes[CTL_TEXT_MAX]; /* what matched under another prefix */
};

static void
append(char *list, size_t len, const char *fmt, unsigned int pid, const char *text)
{
	size_t at = strlen(list);

	if (at > 0 && at < len)
		at += snprintf(list + at, len - at, ", ");
	if (at < len)
		snprintf(list + at, len - at, fmt, pid, text);
}

static void
consider(struct search *s, const struct ctl_place *place)
{
	bool by_addr = s->what != NULL && strpbrk(s->what, ".:") != NULL;
	struct ctl_identity id;
	int fd;

	if (s->what != NULL && !by_addr && strtol(s->what, NULL, 10) != place->pid)
		return;
	fd = meet(place, &id);
	if (fd < 0) {
		if (fd != -ECONNREFUSED && fd != -ENOENT)
			s->last_error = fd;
		return;
	}
	if (by_addr && strcmp(id.addr, s->what) != 0) {
		close(fd);
		return;
	}
	if (strcmp(place->prefix, s->c->prefix) != 0) {
		append(s->prefixes, sizeof(s->prefixes), "pid %u with \"%s\"", place->pid,
			place->prefix);
		close(fd);
		return;
	}
	append(s->found, sizeof(s->found), "%u (%s)", place->pid, id.program);
	if (s->n_found++ > 0) {
		close(fd);
		return;
	}
	s->out->id = id;
	s->out->fd = fd;
}

static bool
is_target(const char *what)
{
	size_t digits = strspn(what, "0123456789");

	return strpbrk(what, ".:") != NULL || (digits > 0 && what[digits] == '\0');
}

int
ctl_client_find(const struct ctl_client *c, const char *kind, const char *what,
	struct ctl_target *out, char *err, size_t err_len)
{
	struct search s = {.c = c, .kind = kind, .what = what, .out = out};
	struct ctl_place *places;
	char name[CTL_ADDR_MAX + 16];
	int n;

	if (what != NULL && !is_target(what))
		return fail(CTL_EXIT_USAGE, err, err_len, "\"%s\" is neither a pid nor an address",
			what);
	snprintf(name, sizeof(name), "%s%sprocess%s%s", kind != NULL ? kind : "",
		kind != NULL ? " " : "", what != NULL ? " " : "", what != NULL ? what : "");
	n = find_places(c, kind, &places);
	for (int i = 0; i < n; i++)
		consider(&s, &places[i]);
	free(places);
	if (s.n_found == 1)
		return CTL_EXIT_OK;
	if (s.n_found > 1) {
		close(out->fd);
		return fail(CTL_EXIT_USAGE, err, err_len, "there are several, name a pid: %s",
			s.found);
	}
	if (n < 0)
		return fail(CTL_EXIT_FAILED, err, err_len, "run directory: %s", strerror(-n));
	if (s.prefixes[0] != '\0')
		return fail(CTL_EXIT_FAILED, err, err_len,
			"no %s with unix_prefix \"%s\", but %s (option -u)", name, c->prefix,
			s.prefixes);
	if (s.last_error != 0)
		return fail(CTL_EXIT_FAILED, err, err_len, "%s: %s", name,
			strerror(-s.last_error));
	return fail(CTL_EXIT_FAILED, err, err_len, "no %s on Gazelle", name);
}
