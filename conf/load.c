/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lstack.conf into struct conf.
 *
 * The whole file is read and every problem reported before the result is decided: a user mends a
 * file once, not once per error. The file is read by us and not by libconfig, because libconfig's
 * scanner ends the process when it meets a read error (a directory, for example), and this code runs
 * inside programs that are not ours; for the same reason @include is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/schema.h"

#define FILE_BYTES_MAX (1 << 20)
#define LINE_MAX_BYTES 1024

static void __attribute__((format(printf, 3, 4)))
say(struct conf_load *l, bool is_error, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;

	if (is_error)
		l->n_errors++;
	if (l->report == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	l->report(l->arg, is_error, line);
}

void
conf_complain(struct conf_load *l, bool is_error, enum conf_key k, bool legal, const char *fmt, ...)
{
	const config_setting_t *s = l->given[k];
	char why[CONF_WHY_MAX + CONF_WHY_MAX], value[CONF_VALUE_MAX], text[CONF_WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (legal)
		conf_legal_text(&conf_rows[k], text, sizeof(text));
	if (s == NULL) {
		say(l, is_error, "%s: %s: %s%s%s%s", l->path, conf_rows[k].name, why,
			legal ? " (legal: " : "", legal ? text : "", legal ? ")" : "");
		return;
	}
	conf_quote_setting(s, value, sizeof(value));
	say(l, is_error, "%s:%u: %s = %s: %s%s%s%s", l->path, config_setting_source_line(s),
		config_setting_name(s), value, why, legal ? " (legal: " : "", legal ? text : "",
		legal ? ")" : "");
}

static int
find_row(const char *name)
{
	for (int k = 0; k < CONF_KEYS; k++) {
		if (strcmp(conf_rows[k].name, name) == 0 ||
			(conf_rows[k].alias != NULL && strcmp(conf_rows[k].alias, name) == 0))
			return k;
	}
	return -1;
}

static const char *
find_line(const char *text, unsigned int line)
{
	while (text != NULL && --line > 0) {
		text = strchr(text, '\n');
		if (text != NULL)
			text++;
	}
	return text;
}

/*
 * libconfig takes a number beyond 32 bits modulo 2^32 without a word, so compare with the source.
 * False if the number is wrapped; it has been complained about then.
 */
static bool
check_wrapped(struct conf_load *l, const config_setting_t *s)
{
	const char *name = config_setting_name(s);
	const char *p = find_line(l->text, config_setting_source_line(s));
	int n;

	if (config_setting_type(s) != CONFIG_TYPE_INT || p == NULL)
		return true;
	n = strcspn(p, "\n");
	p = memmem(p, n, name, strlen(name));
	if (p == NULL)
		return true;
	p += strlen(name);
	p += strspn(p, " \t=:");
	n = strspn(p, "+-0123456789xXabcdefABCDEF");
	if (n == 0 || strtoll(p, NULL, 0) == config_setting_get_int64(s))
		return true;
	/* Hexadecimal numbers with the top bit set are the same 32 bits. */
	if (strtoll(p, NULL, 0) == (long long)(uint32_t)config_setting_get_int(s))
		return true;
	say(l, true, "%s:%u: %s = %.*s: out of range", l->path, config_setting_source_line(s), name,
		n, p);
	return false;
}

static void
load_row(struct conf_load *l, enum conf_key k, const config_setting_t *s)
{
	char why[CONF_WHY_MAX];

	if (l->given[k] != NULL) {
		say(l, true, "%s:%u: %s: given before as %s in line %u", l->path,
			config_setting_source_line(s), config_setting_name(s),
			config_setting_name(l->given[k]),
			config_setting_source_line(l->given[k]));
		return;
	}
	if (!check_wrapped(l, s)) {
		l->bad[k] = true;
		return;
	}
	l->given[k] = s;
	if (!conf_parse_value(l->c, &conf_rows[k], s, why, sizeof(why))) {
		conf_complain(l, true, k, true, "%s", why);
		l->given[k] = NULL;
		l->bad[k] = true;
	}
}

/* Was the key written at all, right or wrong? */
static bool
is_written(const config_t *cfg, const struct conf_row *row)
{
	return config_lookup(cfg, row->name) != NULL ||
		(row->alias != NULL && config_lookup(cfg, row->alias) != NULL);
}

static void
warn_stranger(struct conf_load *l, const config_setting_t *s)
{
	const char *name = config_setting_name(s), *nearest;
	unsigned int line = config_setting_source_line(s);
	char value[CONF_VALUE_MAX], off[CONF_VALUE_MAX];

	conf_quote_setting(s, value, sizeof(value));
	for (size_t i = 0; i < conf_known_n; i++) {
		const struct conf_known *known = &conf_known[i];

		if (strcmp(known->name, name) != 0)
			continue;
		if (known->off != NULL) {
			snprintf(off, sizeof(off), "\"%s\"", known->off);
			if (strcmp(value, known->off) == 0 || strcmp(value, off) == 0)
				return;
		}
		say(l, false, "%s:%u: %s = %s: %s", l->path, line, name, value, known->text);
		return;
	}
	nearest = conf_nearest(name);
	if (nearest != NULL)
		say(l, false, "%s:%u: %s = %s: unknown key, ignored; did you mean %s?", l->path,
			line, name, value, nearest);
	else
		say(l, false, "%s:%u: %s = %s: unknown key, ignored", l->path, line, name, value);
}

static void
load_settings(struct conf_load *l, const config_t *cfg)
{
	const config_setting_t *root = config_root_setting(cfg);
	int n = config_setting_length(root);

	for (int i = 0; i < n; i++) {
		const config_setting_t *s = config_setting_get_elem(root, i);
		int k = find_row(config_setting_name(s));

		if (k >= 0)
			load_row(l, k, s);
		else
			warn_stranger(l, s);
	}
	for (int k = 0; k < CONF_KEYS; k++) {
		if (conf_rows[k].mandatory && !is_written(cfg, &conf_rows[k]))
			conf_complain(l, true, k, false, "missing; set it to %s",
				conf_rows[k].legal);
	}
}

/* libconfig has kept what it read before the error: on_error may be among it. */
static void
load_syntax_error(struct conf_load *l, const config_t *cfg)
{
	const config_setting_t *s = config_lookup(cfg, conf_rows[KEY_ON_ERROR].name);
	char why[CONF_WHY_MAX];

	say(l, true, "%s:%d: %s near this line (KEY = VALUE; strings in double quotes)", l->path,
		config_error_line(cfg), config_error_text(cfg) ? config_error_text(cfg) : "error");
	if (s != NULL)
		conf_parse_value(l->c, &conf_rows[KEY_ON_ERROR], s, why, sizeof(why));
}

/* The line of an @include directive, or 0. */
static unsigned int
find_include(const char *text)
{
	unsigned int line = 1;

	for (const char *p = text; p != NULL; line++) {
		p += strspn(p, " \t");
		if (strncmp(p, "@include", 8) == 0)
			return line;
		p = strchr(p, '\n');
		if (p != NULL)
			p++;
	}
	return 0;
}

static void
set_defaults(struct conf *c)
{
	memset(c, 0, sizeof(*c));
	for (int k = 0; k < CONF_KEYS; k++)
		conf_set_default(c, &conf_rows[k]);
}

int
conf_load_text(const struct conf_host *host, const char *path, const char *text, struct conf *c,
	conf_report_fn report, void *arg)
{
	struct conf_load l = {.path = path, .text = text, .host = host, .c = c, .report = report,
		.arg = arg};
	unsigned int include = find_include(text);
	enum conf_on_error on_error;
	config_t cfg;

	set_defaults(c);
	if (include != 0) {
		say(&l, true, "%s:%u: @include is not available", path, include);
		return -EINVAL;
	}
	config_init(&cfg);
	if (config_read_string(&cfg, text)) {
		load_settings(&l, &cfg);
		conf_check_relations(&l);
	} else {
		load_syntax_error(&l, &cfg);
	}
	config_destroy(&cfg);
	if (l.n_errors == 0)
		return 0;
	on_error = c->on_error;
	conf_free(c);
	set_defaults(c);
	c->on_error = on_error;
	return -EINVAL;
}

/* The file as a string, to be freed; NULL and the reason in *err. */
static char *
read_file(const char *path, int *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *text = NULL;
	ssize_t n = 0;
	size_t len = 0;

	*err = 0;
	if (fd < 0) {
		*err = -errno;
		return NULL;
	}
	if (fstat(fd, &st) < 0)
		*err = -errno;
	else if (!S_ISREG(st.st_mode))
		*err = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	else if (st.st_size > FILE_BYTES_MAX)
		*err = -EFBIG;
	else if ((text = malloc(FILE_BYTES_MAX + 1)) == NULL)
		*err = -ENOMEM;
	while (*err == 0 && len < FILE_BYTES_MAX &&
		(n = read(fd, text + len, FILE_BYTES_MAX - len)) != 0) {
		if (n > 0)
			len += n;
		else if (errno != EINTR)
			*err = -errno;
	}
	close(fd);
	if (*err == 0 && memchr(text, '\0', len) != NULL)
		*err = -EILSEQ;
	if (*err != 0) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	return text;
}

int
conf_load_on(const struct conf_host *host, const char *path, struct conf *c, conf_report_fn report,
	void *arg)
{
	struct conf_load l = {.path = path, .c = c, .report = report, .arg = arg};
	int err;
	char *text = read_file(path, &err);

	if (text == NULL) {
		set_defaults(c);
		say(&l, true, "%s: cannot be read: %s (LSTACK_CONF_PATH names another file)", path,
			err == -EILSEQ ? "It is not a text file" : strerror(-err));
		return err;
	}
	err = conf_load_text(host, path, text, c, report, arg);
	free(text);
	return err;
}

static void
read_host(struct conf_host *host)
{
	FILE *f = fopen("/sys/devices/system/cpu/online", "re");
	char line[512], *save = NULL;

	host->stacks_max = CONF_STACKS_MAX;
	CPU_ZERO(&host->online);
	if (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		for (char *p = strtok_r(line, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
			unsigned int first, last;

			if (sscanf(p, "%u-%u", &first, &last) != 2)
				last = first = strtoul(p, NULL, 10);
			for (unsigned int cpu = first; cpu <= last && cpu < CPU_SETSIZE; cpu++)
				CPU_SET(cpu, &host->online);
		}
	}
	if (f != NULL)
		fclose(f);
	if (CPU_COUNT(&host->online) == 0) {
		for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++)
			CPU_SET(cpu, &host->online);
	}
}

int
conf_load(const char *path, struct conf *c, conf_report_fn report, void *arg)
{
	struct conf_host host;

	if (path == NULL)
		path = getenv("LSTACK_CONF_PATH");
	if (path == NULL || *path == '\0')
		path = CONF_PATH_DEFAULT;
	read_host(&host);
	return conf_load_on(&host, path, c, report, arg);
}

void
conf_free(struct conf *c)
{
	for (unsigned int i = 0; i < c->n_dpdk_args; i++)
		free(c->dpdk_args[i]);
	memset(c->dpdk_args, 0, sizeof(c->dpdk_args));
	c->n_dpdk_args = 0;
}
