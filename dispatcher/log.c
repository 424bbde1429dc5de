/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines: whole lines in one write, so that threads do not mix them.
 *
 * Whoever reads standard error (a pipe, the journal's socket) or syslog's socket may have stopped to do so,
 * and a write waits then. So between log_start() and log_stop() a thread of its own does nothing but write: the
 * others put their lines into a queue, and a line that finds it full is left out and counted. Before and after
 * that lines are written by whoever has them.
 */
#include "dispatcher/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 512
#define QUEUE_LINES 256
#define START "ltran: "

struct line {
	enum log_level level;
	unsigned int at, n; /* bytes before the text proper, all bytes with the end of line */
	char text[LINE_BYTES_MAX];
};

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

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool is_open, is_writing; /* lines go into the queue; the thread has one of them */
	unsigned int first, n, n_lost;
	struct line lines[QUEUE_LINES];
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

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

/* May wait. */
static void
write_line(const struct line *l)
{
	if (atomic_load(&to_syslog)) {
		syslog(levels[l->level].priority, "%.*s", (int)(l->n - l->at - 1), l->text + l->at);
		return;
	}
	if (write(STDERR_FILENO, l->text, l->n) < 0)
		return; /* nobody to tell */
}

static void
put(const struct line *l)
{
	bool is_open;

	pthread_mutex_lock(&queue.lock);
	is_open = queue.is_open;
	if (is_open && queue.n < QUEUE_LINES) {
		queue.lines[(queue.first + queue.n++) % QUEUE_LINES] = *l;
		pthread_cond_broadcast(&queue.changed);
	} else if (is_open) {
		queue.n_lost++;
	}
	pthread_mutex_unlock(&queue.lock);
	if (!is_open)
		write_line(l);
}

static void __attribute__((format(printf, 2, 0)))
make_line(struct line *l, const char *format, va_list ap)
{
	const size_t at = sizeof(START) - 1, room = sizeof(l->text) - 1 - at; /* one for the end of line */
	int len;

	memcpy(l->text, START, at);
	l->at = at;
	len = vsnprintf(l->text + at, room, format, ap);
	if (len < 0)
		len = 0;
	l->n = at + ((size_t)len < room ? (size_t)len : room - 1);
	l->text[l->n++] = '\n';
}

static void
say(enum log_level level, const char *format, ...)
{
	struct line l = {.level = level};
	va_list ap;

	va_start(ap, format);
	make_line(&l, format, ap);
	va_end(ap);
	put(&l);
}

static void
say_left_out(unsigned int n)
{
	say(LOG_LEVEL_INFO, "%u lines were left out: too many a second", n);
}

void
log_line(enum log_level level, const char *format, ...)
{
	struct line l = {.level = level};
	unsigned int n_left_out;
	struct timespec now;
	va_list ap;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (level > log_level() || log_is_too_much(level, now.tv_sec, &n_left_out))
		return;
	if (n_left_out > 0)
		say_left_out(n_left_out);
	va_start(ap, format);
	make_line(&l, format, ap);
	va_end(ap);
	put(&l);
}

void
log_text(const char *text, size_t n)
{
	struct line l = {.level = LOG_LEVEL_INFO, .n = n < LINE_BYTES_MAX ? (unsigned int)n : LINE_BYTES_MAX};
	unsigned int n_left_out;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (log_is_too_much(l.level, now.tv_sec, &n_left_out))
		return;
	if (n_left_out > 0)
		say_left_out(n_left_out);
	memcpy(l.text, text, l.n);
	put(&l);
}

/* --- the thread ------------------------------------------------------------------------------------ */

static void *
write_lines(void *arg)
{
	struct line l;
	unsigned int n_lost;

	pthread_mutex_lock(&queue.lock);
	while (queue.is_open || queue.n > 0) {
		if (queue.n == 0) {
			pthread_cond_wait(&queue.changed, &queue.lock);
			continue;
		}
		l = queue.lines[queue.first];
		queue.first = (queue.first + 1) % QUEUE_LINES;
		queue.n--;
		n_lost = queue.n_lost;
		queue.n_lost = 0;
		queue.is_writing = true;
		pthread_mutex_unlock(&queue.lock);
		write_line(&l);
		if (n_lost > 0)
			say(LOG_LEVEL_INFO, "%u lines were left out: nobody read them", n_lost);
		pthread_mutex_lock(&queue.lock);
		queue.is_writing = false;
		pthread_cond_broadcast(&queue.changed);
	}
	pthread_mutex_unlock(&queue.lock);
	return NULL;
}

int
log_start(void)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* confine.c */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	queue.is_open = true;
	ret = pthread_create(&queue.thread, NULL, write_lines, NULL);
	if (ret != 0)
		queue.is_open = false;
	else
		pthread_setname_np(queue.thread, "ltran-log");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -ret;
}

bool
log_stop(unsigned int ms)
{
	struct timespec until;
	bool is_done, had_thread;
	int ret = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&queue.lock);
	while ((queue.n > 0 || queue.is_writing) && ret == 0)
		ret = pthread_cond_timedwait(&queue.changed, &queue.lock, &until);
	is_done = queue.n == 0 && !queue.is_writing;
	had_thread = queue.is_open;
	queue.is_open = had_thread && !is_done; /* where nobody reads, nobody shall write */
	pthread_cond_broadcast(&queue.changed);
	pthread_mutex_unlock(&queue.lock);
	if (is_done && had_thread)
		pthread_join(queue.thread, NULL);
	return is_done;
}
