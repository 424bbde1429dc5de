/* SPDX-License-Identifier: BSD-3-Clause */
/* Log lines: whole lines in one write, so that threads do not mix them. */
#include "dispatcher/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 512

static const struct {
	const char *name;
	int code;
} facilities[] = {
	{"auth", LOG_AUTH}, {"authpriv", LOG_AUTHPRIV}, {"cron", LOG_CRON},
	{"daemon", LOG_DAEMON}, {"ftp", LOG_FTP}, {"kern", LOG_KERN}, {"lpr", LOG_LPR},
	{"mail", LOG_MAIL}, {"news", LOG_NEWS}, {"syslog", LOG_SYSLOG}, {"user", LOG_USER},
	{"uucp", LOG_UUCP}, {"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1},
	{"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4},
	{"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7},
};

static const struct {
	const char *name;
	int priority;
} levels[LOG_LEVELS] = {
	[LOG_LEVEL_ERROR] = {"error", LOG_ERR},
	[LOG_LEVEL_INFO] = {"info", LOG_INFO},
	[LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

static _Atomic int limit = LOG_LEVEL_INFO;
static _Atomic bool to_syslog;

bool
log_use_syslog(const char *facility)
{
	for (size_t i = 0; i < sizeof(facilities) / sizeof(facilities[0]); i++) {
		if (strcmp(facilities[i].name, facility) != 0)
			continue;
		openlog("ltran", LOG_PID | LOG_NDELAY, facilities[i].code);
		atomic_store(&to_syslog, true);
		return true;
	}
	return false;
}

void
log_set_level(enum log_level level)
{
	atomic_store(&limit, level);
}

enum log_level
log_level(void)
{
	return atomic_load(&limit);
}

const char *
log_level_name(enum log_level level)
{
	return levels[level].name;
}

/*
 * Instances can make ltran say something, so it says no more than LOG_LINES_PER_S lines of a level a second,
 * and then how many it has left out. Not exact where threads meet at the change of a second.
 */
bool
log_is_too_much(enum log_level level, time_t now_s, unsigned int *n_left_out)
{
	static _Atomic time_t second;
	static _Atomic unsigned int n_said[LOG_LEVELS], n_dropped;

	*n_left_out = 0;
	if (atomic_exchange(&second, now_s) != now_s) {
		for (unsigned int i = 0; i < LOG_LEVELS; i++)
			atomic_store(&n_said[i], 0);
		*n_left_out = atomic_exchange(&n_dropped, 0);
	}
	if (atomic_fetch_add(&n_said[level], 1) < LOG_LINES_PER_S)
		return false;
	atomic_fetch_add(&n_dropped, 1);
	return true;
}

void
log_line(enum log_level level, const char *format, ...)
{
	static const char start[] = "ltran: ";
	char line[LINE_BYTES_MAX];
	size_t n = sizeof(start) - 1, room = sizeof(line) - 1 - n; /* one for the end of line */
	unsigned int n_left_out;
	struct timespec now;
	va_list ap;
	int len;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (level > log_level() || log_is_too_much(level, now.tv_sec, &n_left_out))
		return;
	if (n_left_out > 0)
		log_line(LOG_LEVEL_INFO, "%u lines were left out: too many a second", n_left_out);
	memcpy(line, start, n);
	va_start(ap, format);
	len = vsnprintf(line + n, room, format, ap);
	va_end(ap);
	if (len < 0)
		return;
	if (atomic_load(&to_syslog)) {
		syslog(levels[level].priority, "%s", line + n);
		return;
	}
	n += (size_t)len < room ? (size_t)len : room - 1;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nobody to tell */
}
