/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our side of the intercepted calls: on_<name>() for each row of intercept.def. A result or -errno.
 */
#ifndef PRELOAD_CALLS_H
#define PRELOAD_CALLS_H

#include "preload/libc.h"

struct file;

#define CALLS_STRIP(...) __VA_ARGS__
#define SOCK(ret, name, params, args) long on_##name(struct file *f, CALLS_STRIP params);
#define ANY(ret, name, params, args) long on_##name params;
/* `caller` is the address that libc's function was called from; NULL: the program's. */
#define FROM(ret, name, params, args) long on_##name(CALLS_STRIP params, const void *caller);
#define NEW(ret, name, params, args)
#define LIBC(ret, name, params, args)
#define NUMBER(name, params) long number_##name params;
#include "intercept.def"

/* Those whose wrapper is written by hand. `arg` is the third argument as passed. */
long on_fcntl(int fd, int cmd, void *arg, const void *caller);
long on_ioctl(int fd, unsigned long request, void *arg);
FILE *on_fdopen(int fd, const char *mode);
/* freopen() and freopen64(); `reopen` is libc's. NULL and errno: the stream has been closed. */
FILE *on_freopen(FILE *(*reopen)(const char *, const char *, FILE *), const char *path,
	const char *mode, FILE *stream);
/* As vdprintf(): bytes, or -1 and errno. `flag` as __vdprintf_chk() has it; 0: not fortified. */
int on_vdprintf(int fd, int flag, const char *format, va_list ap)
	__attribute__((format(printf, 3, 0)));

/* Wide characters (wide_stream.c), as libc's functions, errno and all; `by_libc` is libc's own for a stream
 * of its own. `flag` as __vfwprintf_chk() has it; 0: not fortified. */
wint_t on_fputwc(wint_t (*by_libc)(wchar_t, FILE *), wchar_t c, FILE *f);
int on_fputws(int (*by_libc)(const wchar_t *, FILE *), const wchar_t *text, FILE *f);
int on_vfwprintf(FILE *f, int flag, const wchar_t *format, va_list ap);
wint_t on_fgetwc(wint_t (*by_libc)(FILE *), FILE *f);
wchar_t *on_fgetws(wchar_t *(*by_libc)(wchar_t *, int, FILE *), wchar_t *buf, int n, FILE *f);
wint_t on_ungetwc(wint_t c, FILE *f);
int on_fwide(FILE *f, int mode);
int on_vfwscanf(FILE *f, bool is_c99, const wchar_t *format, va_list ap);

#endif
