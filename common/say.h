/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines for people on standard error, from a library in somebody else's process: they are written only
 * while descriptor 2 is the standard error that the process was started with, or has given itself since
 * (say_adopt()). A daemon that closes 0 to 2 gets other files and sockets under these numbers; a line
 * that has no other place is dropped.
 *
 * Any thread; not in signal handlers.
 */
#ifndef COMMON_SAY_H
#define COMMON_SAY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/* One line: "gazelle: " and a newline are added. One write, so that lines of several processes do not
 * mix; cut at 512 bytes. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void vsay(const char *format, va_list ap) __attribute__((format(printf, 1, 0)));

/* Whatever descriptor 2 is now is standard error. */
void say_adopt(void);

/* Is descriptor 2 still that? */
bool say_is_heard(void);

/* Lines, those of say_stream() too, go to `w` instead, with their newline. NULL: to standard error again. */
typedef void say_writer(const char *text, size_t n);
void say_write_by(say_writer *w);

/* A stream whose lines are written under the same condition, for DPDK's log. NULL without memory. */
FILE *say_stream(void);

#endif
