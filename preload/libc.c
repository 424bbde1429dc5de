/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Resolves libc's own functions. Every pointer starts at a stub that resolves the whole table and
 * calls on, so that callers never test for it; resolving twice at the same time is harmless.
 */
#include "preload/libc.h"

#include <dlfcn.h>
#include <stdarg.h>

static void resolve_calls(void);

#define STUB(ret, name, params, args)                                                              \
	static ret first_##name params                                                             \
	{                                                                                          \
		resolve_calls();                                                                   \
		return libc.name args;                                                             \
	}
#define ANY STUB
#define EARLY STUB
#define SOCK STUB
#define EPOLL STUB
#define LIBC(ret, name, params, args)
#include "intercept.def"
#undef LIBC

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

static void first_closefrom(int first)
{
	resolve_calls();
	libc.closefrom(first);
}

static FILE *first_fdopen(int fd, const char *mode)
{
	resolve_calls();
	return libc.fdopen(fd, mode);
}

static sighandler_t first_signal(int sig, sighandler_t handler)
{
	resolve_calls();
	return libc.signal(sig, handler);
}

static pid_t first_vfork(void)
{
	resolve_calls();
	return libc.vfork();
}

static void first__exit(int status)
{
	resolve_calls();
	libc._exit(status);
}

#define first__Exit first__exit

#undef ANY
#undef EARLY
#undef SOCK
#undef EPOLL
#define ANY(ret, name, params, args) .name = first_##name,
#define EARLY ANY
#define SOCK ANY
#define EPOLL ANY
#define LIBC ANY
struct libc_calls libc = {
#include "intercept.def"
};

#undef ANY
#define ANY(ret, name, params, args)                                                               \
	do {                                                                                       \
		void *next = dlsym(RTLD_NEXT, #name);                                              \
		if (next)                                                                          \
			libc.name = (__typeof__(libc.name))next;                                   \
	} while (0);

static void resolve_calls(void)
{
#include "intercept.def"
}

static void __attribute__((constructor(101))) libc_init(void)
{
	resolve_calls();
}
