/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The exported wrappers: look up the descriptor, call our side or libc, set errno. Calls on objects of
 * ours are sections (thread.h); those of the ANY rows that take references see to it themselves.
 *
 * They carry libc's names through asm labels only, so that libc's own prototypes (transparent
 * unions, nonnull attributes, fortified inlines) do not get in the way.
 *
 * Each row makes two functions of one body: wrap_<name>(), which is exported, and sys_<name>(), which
 * syscall() jumps to. Both learn the address that they return to, so it is always the program's.
 */
#include "preload/intercept.h"
#include "common/say.h"
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/fd.h"
#include "preload/fd_new.h"
#include "preload/signals.h"
#include "preload/socket.h"

#include <limits.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

static long returned(long r)
{
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}

#define DECLARE(ret, name, params) EXPORT ret wrap_##name params __asm__(#name)

/* What follows is the body of both functions. */
#define BOTH(ret, name, params, args)                                                              \
	static inline __attribute__((always_inline)) ret body_##name params;                       \
	DECLARE(ret, name, params);                                                                \
	ret wrap_##name params                                                                     \
	{                                                                                          \
		return body_##name args;                                                           \
	}                                                                                          \
	static __attribute__((unused)) long sys_##name params                                      \
	{                                                                                          \
		return (long)body_##name args;                                                     \
	}                                                                                          \
	static inline ret body_##name params

#define IS(name, other) (__builtin_strcmp(name, other) == 0) /* by the compiler, not in the call */

/* They decide who serves the socket, and may do without a kernel half. */
#define DECIDES(name) (IS(name, "connect") || IS(name, "bind"))

/* All others are cancellation points (pthreads(7)). */
#define NEVER_WAITS(name)                                                                          \
	(IS(name, "bind") || IS(name, "listen") || IS(name, "shutdown") ||                         \
		IS(name, "getsockname") || IS(name, "getpeername") || IS(name, "getsockopt") ||    \
		IS(name, "sockatmark") || IS(name, "epoll_ctl"))

/* All others are libc's in a process that is not ours (process.h). These take no lock there: handlers of the
 * program stand behind ours, and threads that are made before our constructor has run are to be known. */
#define SERVES(name)                                                                               \
	(IS(name, "sigaction") || IS(name, "signal") || IS(name, "bsd_signal") ||                  \
		IS(name, "ssignal") || IS(name, "sysv_signal") || IS(name, "__sysv_signal") ||     \
		IS(name, "sigset") || IS(name, "siginterrupt") || IS(name, "pthread_create") ||    \
		process_is_own())

/* The section begins before the reference is taken, see thread.h. */
#define DISPATCH(ret, name, params, args, number, wanted, kernels)                                 \
	BOTH(ret, name, params, args)                                                              \
	{                                                                                          \
		struct file *f = fd_peek(number);                                                  \
		if (__builtin_expect(f == NULL, 1))                                                \
			kernels;                                                                   \
		call_enter(!NEVER_WAITS(#name));                                                   \
		f = fd_get_peeked(number, f);                                                      \
		if (__builtin_expect(f == NULL || f->kind != wanted, 0)) {                         \
			bool is_free = f == &fd_free;                                              \
			call_leave(f);                                                             \
			if (is_free)                                                               \
				return (ret)returned(-EBADF);                                      \
			kernels;                                                                   \
		}                                                                                  \
		long r = 0;                                                                        \
		if (wanted == FILE_SOCK && !DECIDES(#name) && socket_is_lazy(f))                   \
			r = socket_make_kernel(f);                                                 \
		if (r == 0)                                                                        \
			r = on_##name(f, CALLS_STRIP args);                                        \
		call_leave(f);                                                                     \
		return (ret)returned(r);                                                           \
	}

#define SOCK(ret, name, params, args)                                                              \
	DISPATCH(ret, name, params, args, fd, FILE_SOCK, return libc.name args)
#define EPOLL(ret, name, params, args)                                                             \
	DISPATCH(ret, name, params, args, epfd, FILE_EPOLL, return libc.name args)

/* libc's call, once more where numbers could be had for it. */
#define AGAIN(ret, name, args, caller)                                                             \
	ret r = libc.name args;                                                                    \
	if (r < 0 && fd_new_can_retry(errno, caller)) {                                            \
		r = libc.name args;                                                                \
		fd_new_retried();                                                                  \
	}

#define SOCK_NEW(ret, name, params, args, made)                                                    \
	static inline ret kernel_##name(CALLS_STRIP params, const void *caller)                    \
	{                                                                                          \
		bool is_lifted = fd_new_lift_for(caller);                                          \
		AGAIN(ret, name, args, caller)                                                     \
		if (is_lifted)                                                                     \
			fd_new_retried();                                                          \
		if (r >= 0)                                                                        \
			made;                                                                      \
		return r;                                                                          \
	}                                                                                          \
	DISPATCH(ret, name, params, args, fd, FILE_SOCK,                                           \
		return kernel_##name(CALLS_STRIP args, CALLER))

#define ANY(ret, name, params, args)                                                               \
	BOTH(ret, name, params, args)                                                              \
	{                                                                                          \
		if (!SERVES(#name))                                                                \
			return libc.name args;                                                     \
		return (ret)returned(on_##name args);                                              \
	}
#define FROM(ret, name, params, args)                                                              \
	BOTH(ret, name, params, args)                                                              \
	{                                                                                          \
		if (!SERVES(#name))                                                                \
			return libc.name args;                                                     \
		return (ret)returned(on_##name(CALLS_STRIP args, CALLER));                         \
	}
#define DESC(ret, name, params, args)                                                              \
	BOTH(ret, name, params, args)                                                              \
	{                                                                                          \
		if (fd_is_closed(fd))                                                              \
			return (ret)returned(-EBADF);                                              \
		return libc.name args;                                                             \
	}
#define NEW(ret, name, params, args)                                                               \
	BOTH(ret, name, params, args)                                                              \
	{                                                                                          \
		AGAIN(ret, name, args, CALLER)                                                     \
		return fd_new(r, CALLER);                                                          \
	}
#define NEW_ONCE(ret, name, params, args)                                                          \
	BOTH(ret, name, params, args)                                                              \
	{                                                                                          \
		fd_new_make_room();                                                                \
		return fd_new(libc.name args, CALLER);                                             \
	}
#define NEW_PAIR(ret, name, params, args)                                                          \
	BOTH(ret, name, params, args)                                                              \
	{                                                                                          \
		AGAIN(ret, name, args, CALLER)                                                     \
		if (r == 0)                                                                        \
			fd_new_pair(&fds[0], &fds[1], CALLER);                                     \
		return r;                                                                          \
	}
#define NEW_STREAM(ret, name, params, args, number)                                                \
	BOTH(ret, name, params, args)                                                              \
	{                                                                                          \
		ret r = libc.name args;                                                            \
		if (r == NULL && fd_new_can_retry(errno, CALLER)) {                                \
			r = libc.name args;                                                        \
			fd_new_retried();                                                          \
		}                                                                                  \
		if (r)                                                                             \
			fd_new_keep(number(r));                                                    \
		return r;                                                                          \
	}
#define NEW_FILE(ret, name, params, args) NEW_STREAM(ret, name, params, args, fileno)
#define NEW_DIR(ret, name, params, args) NEW_STREAM(ret, name, params, args, dirfd)
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED /* for syscall_rows.h, too */
#define EARLY(ret, name, params, args)
#undef DESC
#define DESC(ret, name, params, args)
#endif
#define LIBC(ret, name, params, args) DECLARE(ret, name, params);
#define ALIAS(ret, name, target)                                                                   \
	EXPORT extern __typeof__(wrap_##target) wrap_##name __asm__(#name)                         \
		__attribute__((alias(#target), copy(wrap_##target)));
#define NEW_NUMBER(name)                                                                           \
	static __attribute__((unused)) long number_##name(                                         \
		long a, long b, long c, long d, long e, long f)                                    \
	{                                                                                          \
		AGAIN(long, syscall, (SYS_##name, a, b, c, d, e, f), CALLER)                       \
		return fd_new((int)r, CALLER);                                                     \
	}
#include "intercept.def"

/* --- written by hand -------------------------------------------------------------------------------- */

int wrap_fcntl(int fd, int cmd, ...)
{
	va_list ap;

	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return (int)returned(on_fcntl(fd, cmd, arg, CALLER));
}

int wrap_fcntl64(int fd, int cmd, ...)
{
	va_list ap;

	va_start(ap, cmd);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return (int)returned(on_fcntl(fd, cmd, arg, CALLER));
}

long number_fcntl(int fd, int cmd, void *arg)
{
	return returned(on_fcntl(fd, cmd, arg, CALLER));
}

int wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;

	va_start(ap, request);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	return (int)returned(on_ioctl(fd, request, arg));
}

long number_ioctl(int fd, unsigned long request, void *arg)
{
	return returned(on_ioctl(fd, request, arg));
}

void wrap_closefrom(int first)
{
	on_close_range(first < 0 ? 0 : (unsigned int)first, UINT_MAX, 0, CALLER);
}

FILE *wrap_fdopen(int fd, const char *mode)
{
	return on_fdopen(fd, mode);
}

int wrap_vdprintf(int fd, const char *format, va_list ap)
{
	return on_vdprintf(fd, 0, format, ap);
}

int wrap___vdprintf_chk(int fd, int flag, const char *format, va_list ap)
{
	return on_vdprintf(fd, flag, format, ap);
}

int wrap_dprintf(int fd, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = on_vdprintf(fd, 0, format, ap);
	va_end(ap);
	return n;
}

int wrap___dprintf_chk(int fd, int flag, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = on_vdprintf(fd, flag, format, ap);
	va_end(ap);
	return n;
}

/* A stream that is opened again keeps its number where it can, and then nothing is new. */
static FILE *reopened(FILE *f)
{
	if (f == NULL)
		return f;
	fd_new_keep(fileno(f));
	if (f == stderr && fileno(f) == STDERR_FILENO)
		say_adopt();
	return f;
}

FILE *wrap_freopen(const char *path, const char *mode, FILE *stream)
{
	return reopened(on_freopen(libc.freopen, path, mode, stream));
}

FILE *wrap_freopen64(const char *path, const char *mode, FILE *stream)
{
	return reopened(on_freopen(libc.freopen64, path, mode, stream));
}

/* --- wide characters ------------------------------------------------------------------------------ */

wint_t wrap_fputwc(wchar_t c, FILE *f)
{
	return on_fputwc(libc.fputwc, c, f);
}

wint_t wrap_fputwc_unlocked(wchar_t c, FILE *f)
{
	return on_fputwc(libc.fputwc_unlocked, c, f);
}

int wrap_fputws(const wchar_t *text, FILE *f)
{
	return on_fputws(libc.fputws, text, f);
}

int wrap_fputws_unlocked(const wchar_t *text, FILE *f)
{
	return on_fputws(libc.fputws_unlocked, text, f);
}

wint_t wrap_fgetwc(FILE *f)
{
	return on_fgetwc(libc.fgetwc, f);
}

wint_t wrap_fgetwc_unlocked(FILE *f)
{
	return on_fgetwc(libc.fgetwc_unlocked, f);
}

wchar_t *wrap_fgetws(wchar_t *buf, int n, FILE *f)
{
	return on_fgetws(libc.fgetws, buf, n, f);
}

wchar_t *wrap_fgetws_unlocked(wchar_t *buf, int n, FILE *f)
{
	return on_fgetws(libc.fgetws_unlocked, buf, n, f);
}

/* Too small a buffer is libc's to find, which ends the program before it looks at the stream. */
wchar_t *wrap___fgetws_chk(wchar_t *buf, size_t size, int n, FILE *f)
{
	if (n > 0 && (size_t)n > size)
		return libc.__fgetws_chk(buf, size, n, f);
	return on_fgetws(libc.fgetws, buf, n, f);
}

wchar_t *wrap___fgetws_unlocked_chk(wchar_t *buf, size_t size, int n, FILE *f)
{
	if (n > 0 && (size_t)n > size)
		return libc.__fgetws_unlocked_chk(buf, size, n, f);
	return on_fgetws(libc.fgetws_unlocked, buf, n, f);
}

wint_t wrap_ungetwc(wint_t c, FILE *f)
{
	return on_ungetwc(c, f);
}

int wrap_fwide(FILE *f, int mode)
{
	return on_fwide(f, mode);
}

int wrap_vfwprintf(FILE *f, const wchar_t *format, va_list ap)
{
	return on_vfwprintf(f, 0, format, ap);
}

int wrap___vfwprintf_chk(FILE *f, int flag, const wchar_t *format, va_list ap)
{
	return on_vfwprintf(f, flag, format, ap);
}

int wrap_vfwscanf(FILE *f, const wchar_t *format, va_list ap)
{
	return on_vfwscanf(f, false, format, ap);
}

int wrap___isoc99_vfwscanf(FILE *f, const wchar_t *format, va_list ap)
{
	return on_vfwscanf(f, true, format, ap);
}

#define WITH_ARGUMENTS(call)                                                                       \
	({                                                                                         \
		va_list ap;                                                                        \
		va_start(ap, format);                                                              \
		int n = (call);                                                                    \
		va_end(ap);                                                                        \
		n;                                                                                 \
	})

int wrap_fwprintf(FILE *f, const wchar_t *format, ...)
{
	return WITH_ARGUMENTS(on_vfwprintf(f, 0, format, ap));
}

int wrap___fwprintf_chk(FILE *f, int flag, const wchar_t *format, ...)
{
	return WITH_ARGUMENTS(on_vfwprintf(f, flag, format, ap));
}

int wrap_fwscanf(FILE *f, const wchar_t *format, ...)
{
	return WITH_ARGUMENTS(on_vfwscanf(f, false, format, ap));
}

int wrap___isoc99_fwscanf(FILE *f, const wchar_t *format, ...)
{
	return WITH_ARGUMENTS(on_vfwscanf(f, true, format, ap));
}

/* --- terminals --------------------------------------------------------------------------------------- */

int wrap_openpty(int *master, int *slave, char *name, const void *termios, const void *size)
{
	AGAIN(int, openpty, (master, slave, name, termios, size), CALLER)

	if (r == 0)
		fd_new_pair(master, slave, CALLER);
	return r;
}

/* What libc puts on the numbers 0 to 2 without asking. */
static void forget_standard(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		fd_new_keep(fd);
}

int wrap_forkpty(int *master, char *name, const void *termios, const void *size)
{
	AGAIN(int, forkpty, (master, name, termios, size), CALLER)

	if (r == 0)
		forget_standard();
	else if (r > 0)
		fd_new_keep(*master);
	return r;
}

int wrap_login_tty(int fd)
{
	int r = libc.login_tty(fd);

	if (r == 0)
		forget_standard();
	return r;
}

int wrap_daemon(int keeps_directory, int keeps_descriptors)
{
	int r = libc.daemon(keeps_directory, keeps_descriptors);

	if (r == 0 && !keeps_descriptors)
		forget_standard();
	return r;
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

long number_exit_group(int status)
{
	wrap__exit(status);
	return 0;
}

/*
 * The child of a real vfork() shares our memory: its close() and dup2() before exec would take
 * sockets from its parent. As fork() it has a descriptor table of its own.
 */
pid_t wrap_vfork(void)
{
	return fork();
}

/* --- system calls by number ------------------------------------------------------------------------- */

const syscall_fn syscall_rows[SYSCALL_ROWS] = {
#include "preload/syscall_rows.h"
};
