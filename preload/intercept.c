/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The exported wrappers: look up the descriptor, call our side or libc, set errno.
 *
 * They carry libc's names through asm labels only, so that libc's own prototypes (transparent
 * unions, nonnull attributes, fortified inlines) do not get in the way.
 */
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/fd.h"
#include "preload/signals.h"
#include "preload/socket.h"

#include <limits.h>
#include <stdarg.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static long returned(long r)
{
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}

#define DECLARE(ret, name, params) EXPORT ret wrap_##name params __asm__(#name)

/* They decide who serves the socket, and may do without a kernel half. */
#define DECIDES(fn)                                                                                \
	((void (*)(void))(fn) == (void (*)(void))on_connect ||                                     \
		(void (*)(void))(fn) == (void (*)(void))on_bind)

#define DISPATCH(ret, name, params, args, number, wanted)                                          \
	DECLARE(ret, name, params);                                                                \
	ret wrap_##name params                                                                     \
	{                                                                                          \
		struct file *f = fd_get(number);                                                   \
		if (__builtin_expect(f == NULL, 1))                                                \
			return libc.name args;                                                     \
		if (f->kind != wanted) {                                                           \
			bool is_free = f->kind == FILE_FREE;                                       \
			file_put(f);                                                               \
			return is_free ? (ret)returned(-EBADF) : libc.name args;                   \
		}                                                                                  \
		long r = 0;                                                                        \
		if (wanted == FILE_SOCK && !DECIDES(on_##name) && socket_is_lazy(f))               \
			r = socket_make_kernel(f);                                                 \
		if (r == 0)                                                                        \
			r = on_##name(f, CALLS_STRIP args);                                        \
		file_put(f);                                                                       \
		return (ret)returned(r);                                                           \
	}

#define SOCK(ret, name, params, args) DISPATCH(ret, name, params, args, fd, FILE_SOCK)
#define EPOLL(ret, name, params, args) DISPATCH(ret, name, params, args, epfd, FILE_EPOLL)
#define ANY(ret, name, params, args)                                                               \
	DECLARE(ret, name, params);                                                                \
	ret wrap_##name params                                                                     \
	{                                                                                          \
		return (ret)returned(on_##name args);                                              \
	}
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EARLY(ret, name, params, args)
#else
#define EARLY ANY
#endif
#define LIBC(ret, name, params, args) DECLARE(ret, name, params);
#include "intercept.def"

int wrap_fcntl(int fd, int cmd, ...)
{
	va_list ap;

	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return (int)returned(on_fcntl(fd, cmd, arg));
}

int wrap_fcntl64(int fd, int cmd, ...)
{
	va_list ap;

	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return (int)returned(on_fcntl(fd, cmd, arg));
}

int wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;

	va_start(ap, request);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return (int)returned(on_ioctl(fd, request, arg));
}

void wrap_closefrom(int first)
{
	on_close_range(first < 0 ? 0 : (unsigned int)first, UINT_MAX, 0);
}

FILE *wrap_fdopen(int fd, const char *mode)
{
	return on_fdopen(fd, mode);
}

sighandler_t wrap_signal(int sig, sighandler_t handler)
{
	return signals_set_handler(sig, handler);
}

/* No destructor runs, but what was sent must arrive as the kernel would let it. */
void wrap__exit(int status)
{
	boot_end();
	libc._exit(status);
	__builtin_unreachable();
}

void wrap__Exit(int status)
{
	wrap__exit(status);
}

/*
 * The child of a real vfork() shares our memory: its close() and dup2() before exec would take
 * sockets from its parent. As fork() it has a descriptor table of its own.
 */
pid_t wrap_vfork(void)
{
	return fork();
}
