/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Find a Gazelle process by pid or address, and ask it.
 *
 * Only the run directories of this user are looked at (path.h). All processes there are asked at the
 * same time who they are, and together they have one second: one that does not answer costs nothing
 * more. Root looks at another user's processes by becoming that user first (user.h).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/clean.h"
#include "ctl/client.h"
#include "ctl/exchange.h"
#include "ctl/messages.h"
#include "ctl/user.h"

static int __attribute__((format(printf, 4, 5)))
fail(int ret, char *err, size_t err_len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, err_len, fmt, ap);
	va_end(ap);
	return ret;
}

int
ctl_client_ask(int fd, enum ctl_command command, const void *request, char **body, size_t *len,
	char *err, size_t err_len)
{
	const struct ctl_message *m = ctl_message_find(command);
	struct ctl_exchange x = {.fd = fd};
	int ret = ctl_exchange_begin(&x, command, request);

	*body = NULL;
	if (ret == 0) {
		ctl_exchange_run(&x, 1, ctl_now_ms() + m->answer_ms);
		ret = x.result;
	}
	if (ret == -EPROTO) {
		fail(0, err, err_len, "the other side does not speak our protocol");
	} else if (ret < 0) {
		fail(0, err, err_len, "no answer: %s", strerror(-ret));
	} else if (x.header.status != CTL_OK) {
		ctl_clean_text(x.body);
		ret = fail(-EREMOTEIO, err, err_len, "%s", x.body);
	} else {
		*body = x.body;
		*len = x.body_done;
		x.body = NULL;
	}
	ctl_exchange_end(&x);
	return ret;
}

/* Add the places of one kind. */
static int
add_places(const struct ctl_client *c, const char *kind, struct ctl_place **out, int n)
{
	char dirs[CTL_RUN_DIRS_MAX][PATH_MAX];
	int n_dirs, error = 0;

	if (c->dir != NULL)
		return ctl_places_add(c->dir, kind, out, n);
	n_dirs = ctl_run_dirs(dirs);
	for (int i = 0; i < n_dirs; i++) {
		int ret = ctl_places_add(dirs[i], kind, out, n);

		/* Others may have made the names in /tmp first: that is no error where ours is another. */
		if (ret >= 0)
			n = ret;
		else if (i == 0)
			error = ret;
	}
	return n == 0 && error < 0 ? error : n;
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

/* What an exchange with the process of `place` has brought. Takes the connection over if it is the one. */
static void
consider(struct search *s, const struct ctl_place *place, struct ctl_exchange *x)
{
	const struct ctl_message *m = ctl_message_find(CTL_IDENTITY);
	bool by_addr = s->what != NULL && strpbrk(s->what, ".:") != NULL;
	int ret = x->result;
	struct ctl_identity *id;
	void *answer = NULL;

	if (ret == 0 && x->header.status != CTL_OK)
		ret = -EREMOTEIO;
	if (ret == 0)
		ret = ctl_message_decode(m->answer, x->body, x->body_done, &answer);
	if (ret < 0) {
		if (ret == -ECONNREFUSED)
			unlink(place->path);
		else if (ret != -ENOENT)
			s->last_error = ret;
		return;
	}
	ctl_clean_answer(m->answer, answer);
	id = answer;
	if (by_addr && strcmp(id->addr, s->what) != 0) {
		;
	} else if (strcmp(place->prefix, s->c->prefix) != 0) {
		append(s->prefixes, sizeof(s->prefixes), "pid %u with \"%s\"", place->pid,
			place->prefix);
	} else {
		append(s->found, sizeof(s->found), "%u (%s)", place->pid, id->program);
		if (s->n_found++ == 0) {
			s->out->id = *id;
			s->out->fd = x->fd;
			x->fd = -1;
		}
	}
	ctl_message_free(m->answer, answer);
}

static bool
is_wanted(const struct search *s, const struct ctl_place *place)
{
	return s->what == NULL || strpbrk(s->what, ".:") != NULL ||
	       strtol(s->what, NULL, 10) == place->pid;
}

/* Ask all of them who they are. */
static int
ask_all(struct search *s, const struct ctl_place *places, int n)
{
	struct ctl_exchange *x = calloc(n + 1, sizeof(*x));
	int n_asked = 0;

	if (x == NULL)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		if (!is_wanted(s, &places[i]))
			continue;
		x[n_asked] = (struct ctl_exchange){.path = places[i].path, .fd = -1};
		ctl_exchange_begin(&x[n_asked++], CTL_IDENTITY, NULL);
	}
	ctl_exchange_run(x, n_asked, ctl_now_ms() + CTL_EXCHANGE_MS);
	for (int i = 0, k = 0; i < n; i++) {
		if (!is_wanted(s, &places[i]))
			continue;
		consider(s, &places[i], &x[k]);
		if (x[k].fd >= 0)
			close(x[k].fd);
		ctl_exchange_end(&x[k++]);
	}
	free(x);
	return n;
}

static bool
is_target(const char *what)
{
	size_t digits = strspn(what, "0123456789");

	return strpbrk(what, ".:") != NULL || (digits > 0 && what[digits] == '\0');
}

static int
explain_dir(const struct ctl_client *c, int error, char *err, size_t err_len)
{
	char dir[PATH_MAX] = "";

	if (c->dir == NULL)
		ctl_run_dir(dir, sizeof(dir));
	ctl_run_dir_explain(c->dir != NULL ? c->dir : dir, error, err, err_len);
	return CTL_EXIT_FAILED;
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
	if (n > 0)
		n = ask_all(&s, places, n);
	free(places);
	if (s.n_found == 1)
		return CTL_EXIT_OK;
	if (s.n_found > 1) {
		close(out->fd);
		return fail(CTL_EXIT_USAGE, err, err_len, "there are several, name a pid: %s",
			s.found);
	}
	if (n < 0)
		return explain_dir(c, n, err, err_len);
	if (s.prefixes[0] != '\0')
		return fail(CTL_EXIT_FAILED, err, err_len,
			"no %s with unix_prefix \"%s\", but %s (option -u)", name, c->prefix,
			s.prefixes);
	if (s.last_error == -ETIMEDOUT)
		return fail(CTL_EXIT_FAILED, err, err_len, "%s does not answer within %d s", name,
			CTL_EXCHANGE_MS / 1000);
	if (s.last_error != 0)
		return fail(CTL_EXIT_FAILED, err, err_len, "%s: %s", name,
			strerror(-s.last_error));
	fail(0, err, err_len, "no %s on Gazelle", name);
	if (c->dir == NULL)
		ctl_user_hint(what, err + strlen(err), err_len - strlen(err));
	return CTL_EXIT_FAILED;
}
