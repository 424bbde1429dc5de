/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ltran tells its operator, one line each; any thread. To stderr, or to syslog after
 * log_use_syslog(). Never on the packet path: packets have counters.
 */
#ifndef DISPATCHER_LOG_H
#define DISPATCHER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum log_level {
	LOG_LEVEL_ERROR, /* something is lost, somebody should look */
	LOG_LEVEL_INFO,  /* instances and links come and go */
	LOG_LEVEL_DEBUG, /* why */
	LOG_LEVELS
};

/* `facility` is a name such as "daemon". False: there is none of that name. */
bool log_use_syslog(const char *facility);

/* From here on nobody waits for whoever reads the lines (log.c): they are written by a thread. 0 or -errno. */
int log_start(void);
/* Gives the thread `ms` to write what there is. False: nobody reads; it goes on as it was. */
bool log_stop(unsigned int ms);

/* Lines above `level` are not written. INFO at start. */
void log_set_level(enum log_level level);
enum log_level log_level(void);
const char *log_level_name(enum log_level level); /* "error", "info", "debug" */

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* A line that is complete already, of a library: say_writer of common/say.h. */
void log_text(const char *text, size_t n);

#define LOG_LINES_PER_S 50 /* of one level; log_line() says how many it has left out */

/* For log_line() and its test: one line more in this second, is it too much? The first one of a second
 * that is not has the number of those before in *n_left_out. */
bool log_is_too_much(enum log_level level, time_t now_s, unsigned int *n_left_out);

#endif
