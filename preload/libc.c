/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Resolves libc's own functions. Every pointer starts at a stub that resolves the whole table and
 * calls on, so that callers never test for it; resolving twice at the same time is harmless.
 */
#include "preload/libc.h"

#include <dlfcn.h>
#include <stdarg.h>

static void resolve_calls(void);

#define ANY(ret, name, params, args)                                                               \
	static ret first_##name params                                                             \
	{                                                                                          \
		resolve_calls();                                                                   \
		return libc.name args;                                                             \
	}
#define VARIADIC(ret, name, params, args)
#include "intercept.def"

static long first_syscall(long number, ...)
{
	long a[6];
	va_list ap;

	resolve_calls();
	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return libc.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static int first_fcntl(int fd, int cmd, ...)
{
	va_list ap;

	resolve_calls();
	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return libc.fcntl(fd, cmd, arg);
}

#define first_fcntl64 first_fcntl

static int first_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;

	resolve_calls();
	va_start(ap, request);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return libc.ioctl(fd, request, arg);
}

static int first_dprintf(int fd, const char *format, ...)
{
	va_list ap;
	int n;

	resolve_calls();
	va_start(ap, format);
	n = libc.vdprintf(fd, format, ap);
	va_end(ap);
	return n;
}

static int first___dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list ap;
	int n;

	resolve_calls();
	va_start(ap, format);
	n = libc.__vdprintf_chk(fd, flag, format, ap);
	va_end(ap);
	return n;
}

static int first_fwprintf(FILE *f, const wchar_t *format, ...)
{
	va_list ap;
	int n;

	resolve_calls();
	va_start(ap, format);
	n = libc.vfwprintf(f, format, ap);
	va_end(ap);
	return n;
}

static int first___fwprintf_chk(FILE *f, int flag, const wchar_t *format, ...)
{
	va_list ap;
	int n;

	resolve_calls();
	va_start(ap, format);
	n = libc.__vfwprintf_chk(f, flag, format, ap);
	va_end(ap);
	return n;
}

static int first_fwscanf(FILE *f, const wchar_t *format, ...)
{
	va_list ap;
	int n;

	resolve_calls();
	va_start(ap, format);
	n = libc.vfwscanf(f, format, ap);
	va_end(ap);
	return n;
}

#define first___isoc99_fwscanf first_fwscanf

static int first_clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	void *parent, *tls, *child;
	va_list ap;

	resolve_calls();
	va_start(ap, arg);
	parent = va_arg(ap, void *);
	tls = va_arg(ap, void *);
	child = va_arg(ap, void *);
	va_end(ap);
	return libc.clone(fn, stack, flags, arg, parent, tls, child);
}

#define ANY(ret, name, params, args) .name = first_##name,
struct libc_calls libc = {
#include "intercept.def"
};
bool libc_is_known;

static long absent(void)
{
	errno = ENOSYS;
	return -1;
}

#define ANY(ret, name, params, args)                                                               \
	do {                                                                                       \
		void *next = dlsym(RTLD_NEXT, #name);                                              \
		libc.name = (__typeof__(libc.name))(next ? next : (void *)absent);                 \
	} while (0);

static void resolve_calls(void)
{
#include "intercept.def"
	libc_is_known = true;
}

static void __attribute__((constructor(101))) libc_init(void)
{
	resolve_calls();
}
