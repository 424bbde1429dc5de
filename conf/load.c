/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file into the struct of its schema: lstack.conf, ltran.conf.
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
conf_complain(struct conf_load *l, bool is_error, unsigned int k, bool legal, const char *fmt,
	...)
{
	const struct conf_row *row = &l->schema->rows[k];
	const config_setting_t *s = l->given[k];
	char why[CONF_WHY_MAX + CONF_WHY_MAX], value[CONF_VALUE_MAX], text[CONF_WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (legal)
		conf_legal_text(row, text, sizeof(text));
	if (s == NULL) {
		say(l, is_error, "%s: %s: %s%s%s%s", l->path, row->name, why,
			legal ? " (legal: " : "", legal ? text : "", legal ? ")" : "");
		return;
	}
	conf_quote_setting(s, value, sizeof(value));
	say(l, is_error, "%s:%u: %s = %s: %s%s%s%s", l->path, config_setting_source_line(s),
		config_setting_name(s), value, why, legal ? " (legal: " : "", legal ? text : "",
		legal ? ")" : "");
}

int
conf_find_row(const struct conf_schema *schema, const char *name)
{
	for (unsigned int k = 0; k < schema->n_rows; k++) {
		const struct conf_row *row = &schema->rows[k];

		if (strcmp(row->name, name) == 0 ||
			(row->alias != NULL && strcmp(row->alias, name) == 0))
			return k;
	}
	return -1;
}

static void
load_row(struct conf_load *l, unsigned int k, const config_setting_t *s)
{
	char why[CONF_WHY_MAX];

	if (l->given[k] != NULL) {
		say(l, true, "%s:%u: %s: given before as %s in line %u", l->path,
			config_setting_source_line(s), config_setting_name(s),
			config_setting_name(l->given[k]),
			config_setting_source_line(l->given[k]));
		return;
	}
	l->given[k] = s;
	if (!conf_parse_value(l->c, &l->schema->rows[k], s, why, sizeof(why))) {
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
	for (size_t i = 0; i < l->schema->n_known; i++) {
		const struct conf_known *known = &l->schema->known[i];

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
	nearest = conf_nearest(l->schema, name);
	if (conf_find_row(l->schema->other, name) >= 0)
		say(l, false, "%s:%u: %s = %s: belongs to %s, ignored", l->path, line, name, value,
			l->schema->other->file);
	else if (nearest != NULL)
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
	char legal[CONF_WHY_MAX];

	for (int i = 0; i < n; i++) {
		const config_setting_t *s = config_setting_get_elem(root, i);
		int k = conf_find_row(l->schema, config_setting_name(s));

		if (k >= 0)
			load_row(l, k, s);
		else
			warn_stranger(l, s);
	}
	for (unsigned int k = 0; k < l->schema->n_rows; k++) {
		const struct conf_row *row = &l->schema->rows[k];

		if (!row->mandatory || is_written(cfg, row))
			continue;
		conf_legal_text(row, legal, sizeof(legal));
		conf_complain(l, true, k, false, "missing; set it to %s", legal);
	}
}

/* libconfig has kept what it read before the error: the kept row may be among it. */
static void
load_syntax_error(struct conf_load *l, const config_t *cfg)
{
	const struct conf_row *kept;
	const config_setting_t *s;
	char why[CONF_WHY_MAX];

	say(l, true, "%s:%d: %s near this line (KEY = VALUE; strings in double quotes)", l->path,
		config_error_line(cfg), config_error_text(cfg) ? config_error_text(cfg) : "error");
	if (l->schema->kept < 0)
		return;
	kept = &l->schema->rows[l->schema->kept];
	s = config_lookup(cfg, kept->name);
	if (s != NULL)
		conf_parse_value(l->c, kept, s, why, sizeof(why));
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
set_defaults(const struct conf_schema *schema, void *c)
{
	memset(c, 0, schema->size);
	for (unsigned int k = 0; k < schema->n_rows; k++)
		conf_set_default(c, &schema->rows[k]);
}

/* After an error: defaults, but for the kept row. */
static void
forget(const struct conf_schema *schema, void *c)
{
	int *kept = schema->kept >= 0 ? conf_field(c, &schema->rows[schema->kept]) : NULL;
	int value = kept != NULL ? *kept : 0;

	conf_clear(schema, c);
	set_defaults(schema, c);
	if (kept != NULL)
		*kept = value;
}

int
conf_load_text(const struct conf_schema *schema, const struct conf_host *host, const char *path,
	const char *text, void *c, conf_report_fn report, void *arg)
{
	struct conf_load l = {.schema = schema, .path = path, .host = host, .c = c,
		.report = report, .arg = arg};
	unsigned int include = find_include(text);
	config_t cfg;
	char *wide;

	set_defaults(schema, c);
	if (include != 0) {
		say(&l, true, "%s:%u: @include is not available", path, include);
		return -EINVAL;
	}
	wide = conf_widen_literals(text);
	if (wide == NULL)
		return -ENOMEM;
	config_init(&cfg);
	if (config_read_string(&cfg, wide)) {
		load_settings(&l, &cfg);
		schema->check_relations(&l);
	} else {
		load_syntax_error(&l, &cfg);
	}
	config_destroy(&cfg);
	free(wide);
	if (l.n_errors == 0)
		return 0;
	forget(schema, c);
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
conf_load_file(const struct conf_schema *schema, const struct conf_host *host, const char *path,
	void *c, conf_report_fn report, void *arg)
{
	struct conf_load l = {.schema = schema, .path = path, .report = report, .arg = arg};
	int err;
	char *text = read_file(path, &err);

	if (text == NULL) {
		set_defaults(schema, c);
		say(&l, true, "%s: cannot be read: %s (%s)", path,
			err == -EILSEQ ? "It is not a text file" : strerror(-err),
			schema->other_path);
		return err;
	}
	err = conf_load_text(schema, host, path, text, c, report, arg);
	free(text);
	return err;
}

void
conf_clear(const struct conf_schema *schema, void *c)
{
	for (unsigned int k = 0; k < schema->n_rows; k++) {
		enum conf_type type = schema->rows[k].type;

		if (type == CONF_ARGS || type == CONF_LINE || type == CONF_OWN)
			conf_set_default(c, &schema->rows[k]);
	}
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
	return conf_load_file(&lstack_schema, &host, path, c, report, arg);
}

void
conf_free(struct conf *c)
{
	conf_clear(&lstack_schema, c);
}

int
ltran_conf_load(const char *path, struct ltran_conf *c, conf_report_fn report, void *arg)
{
	return conf_load_file(&ltran_schema, NULL, path != NULL ? path : LTRAN_CONF_PATH_DEFAULT, c,
		report, arg);
}

void
ltran_conf_free(struct ltran_conf *c)
{
	conf_clear(&ltran_schema, c);
}
