/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * syscall(): libuv closes its sockets with syscall(SYS_close, fd), others read, write or open so.
 * A number that is a row of intercept.def is served by the row; every other one reaches libc's
 * syscall() as the caller made it: a jump, with all registers and the stack untouched, so that
 * syscall(SYS_clone, ...) returns twice to the program and never through a frame of ours.
 *
 * Until libc's functions are known the system call is made right here: allocators use syscall() while
 * they set themselves up (jemalloc does), and looking functions up would call them.
 *
 * Also here are the NUMBER rows: system calls with other arguments than libc's function. A signal
 * mask of the kernel's is 8 bytes, libc's 128.
 */
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/fd_check.h"
#include "preload/fd_table.h"
#include "preload/guard.h"
#include "preload/intercept.h"
#include "preload/libc.h"
#include "stack/user.h"

#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(offsetof(struct libc_calls, syscall) == 0 && offsetof(struct libc_calls, dlopen) == 8 &&
		offsetof(struct libc_calls, dlmopen) == 16,
	"the code below jumps to the first members");
_Static_assert((FD_CHECK_CODE | FD_CHECK_LOADING) == 6, "the code below sets them");
_Static_assert(SYSCALL_ROWS == 512, "the code below compares with 511");

#if defined(__x86_64__)

_Static_assert(SYS_clone == 56 && SYS_vfork == 58 && SYS_clone3 == 435, "the code below compares with them");

long syscall_failed(long err) __attribute__((visibility("hidden"), used));

long syscall_failed(long err)
{
	errno = (int)err;
	return -1;
}

__asm__(".pushsection .text\n"
	".globl syscall\n"
	".type syscall, @function\n"
	".p2align 4\n"
	"syscall:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	cmpb $0, libc_is_known(%rip)\n"
	"	je 2f\n"
	"	cmpq $511, %rdi\n"
	"	ja 1f\n"
	"	leaq syscall_rows(%rip), %rax\n"
	"	movq (%rax, %rdi, 8), %rax\n"
	"	testq %rax, %rax\n"
	"	jz 1f\n"
	"	movq %rsi, %rdi\n"
	"	movq %rdx, %rsi\n"
	"	movq %rcx, %rdx\n"
	"	movq %r8, %rcx\n"
	"	movq %r9, %r8\n"
	"	movq 8(%rsp), %r9\n"
	"	jmp *%rax\n"
	"1:	cmpq $56, %rdi\n"
	"	je 4f\n"
	"	cmpq $58, %rdi\n"
	"	je 4f\n"
	"	cmpq $435, %rdi\n"
	"	je 4f\n"
	"5:	jmp *libc(%rip)\n"
	"4:	push %rdi\n"
	"	push %rsi\n"
	"	push %rdx\n"
	"	push %rcx\n"
	"	push %r8\n"
	"	push %r9\n"
	"	subq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset 56\n"
	"	call fd_table_before\n"
	"	addq $8, %rsp\n"
	"	pop %r9\n"
	"	pop %r8\n"
	"	pop %rcx\n"
	"	pop %rdx\n"
	"	pop %rsi\n"
	"	pop %rdi\n"
	"	.cfi_adjust_cfa_offset -56\n"
	"	jmp 5b\n"
	"2:	movq %rdi, %rax\n"
	"	movq %rsi, %rdi\n"
	"	movq %rdx, %rsi\n"
	"	movq %rcx, %rdx\n"
	"	movq %r8, %r10\n"
	"	movq %r9, %r8\n"
	"	movq 8(%rsp), %r9\n"
	"	syscall\n"
	"	cmpq $-4095, %rax\n"
	"	jae 3f\n"
	"	ret\n"
	"3:	negq %rax\n"
	"	movq %rax, %rdi\n"
	"	jmp syscall_failed\n"
	"	.cfi_endproc\n"
	".size syscall, . - syscall\n"
	".popsection\n");

/*
 * dlopen() and dlmopen() may bring code that makes system calls. libc's functions look at the address
 * that they return to for the search path, so it stays the program's.
 */
#define LOADS(name, member)                                                                        \
	__asm__(".pushsection .text\n"                                                             \
		".globl " name "\n"                                                                \
		".type " name ", @function\n"                                                      \
		".p2align 4\n" name ":\n"                                                          \
		"	.cfi_startproc\n"                                                          \
		"	endbr64\n"                                                                 \
		"	lock orb $6, fd_checks(%rip)\n"                                            \
		"	jmp *libc+" member "(%rip)\n"                                              \
		"	.cfi_endproc\n"                                                            \
		".size " name ", . - " name "\n"                                                   \
		".popsection\n")
LOADS("dlopen", "8");
LOADS("dlmopen", "16");

#else

__attribute__((visibility("default"))) void *wrap_dlopen(const char *path, int mode) __asm__("dlopen");
__attribute__((visibility("default"))) void *wrap_dlmopen(long space, const char *path, int mode)
	__asm__("dlmopen");

void *wrap_dlopen(const char *path, int mode)
{
	atomic_fetch_or(&fd_checks, FD_CHECK_CODE | FD_CHECK_LOADING);
	return libc.dlopen(path, mode);
}

void *wrap_dlmopen(long space, const char *path, int mode)
{
	atomic_fetch_or(&fd_checks, FD_CHECK_CODE | FD_CHECK_LOADING);
	return libc.dlmopen(space, path, mode);
}

/* In C the other numbers pass through a frame of ours: a clone() that gives the child another stack
 * must use libc's clone(). */
__attribute__((visibility("default"))) long wrap_syscall(long number, ...) __asm__("syscall");

long wrap_syscall(long number, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number >= 0 && number < SYSCALL_ROWS && syscall_rows[number])
		return ((long (*)(long, long, long, long, long, long))syscall_rows[number])(
			a[0], a[1], a[2], a[3], a[4], a[5]);
	if (number == SYS_clone || number == SYS_clone3)
		fd_table_before(number, a[0]);
	return libc.syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#endif

/* --- system calls with other arguments --------------------------------------------------------------- */

/* The kernel's mask as libc's; false: not there or not of the size that the kernel wants, so it shall
 * refuse it. */
static bool read_mask(sigset_t *room, const sigset_t **mask, const void *kernel_mask, size_t size)
{
	*mask = NULL;
	if (kernel_mask == NULL)
		return true;
	if (size != NSIG / 8)
		return false;
	sigemptyset(room);
	if (!user_copy(room, kernel_mask, NSIG / 8))
		return false;
	*mask = room;
	return true;
}

long number_epoll_pwait(int epfd, struct epoll_event *evs, int max, int timeout_ms, const void *mask,
	size_t size)
{
	const sigset_t *set;
	sigset_t room;

	if (!read_mask(&room, &set, mask, size))
		return libc.syscall(SYS_epoll_pwait, epfd, evs, max, timeout_ms, mask, size);
	return epoll_pwait(epfd, evs, max, timeout_ms, set);
}

long number_epoll_pwait2(int epfd, struct epoll_event *evs, int max, const struct timespec *timeout,
	const void *mask, size_t size)
{
	const sigset_t *set;
	sigset_t room;

	if (!read_mask(&room, &set, mask, size))
		return libc.syscall(SYS_epoll_pwait2, epfd, evs, max, timeout, mask, size);
	return epoll_pwait2(epfd, evs, max, timeout, set);
}

/* The kernel also writes what is left of the time; nobody can rely on it, for libc hides it. */
long number_ppoll(struct pollfd *fds, nfds_t n, struct timespec *timeout, const void *mask, size_t size)
{
	const sigset_t *set;
	sigset_t room;

	if (!read_mask(&room, &set, mask, size))
		return libc.syscall(SYS_ppoll, fds, n, timeout, mask, size);
	return ppoll(fds, n, timeout, set);
}

long number_pselect6(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timespec *timeout,
	const void *mask)
{
	struct {
		const void *mask;
		size_t size;
	} packed = {.mask = NULL};
	const sigset_t *set;
	sigset_t room;

	if ((mask && !user_copy(&packed, mask, sizeof(packed))) ||
		!read_mask(&room, &set, packed.mask, packed.size))
		return libc.syscall(SYS_pselect6, n, rd, wr, ex, timeout, mask);
	return pselect(n, rd, wr, ex, timeout, set);
}

/* The guard's signal stays as it is; without a guard it is the kernel's call. */
long number_rt_sigaction(int sig, const void *act, void *old, size_t size)
{
	long r;

	if (!atomic_load(&guard_is_on))
		return libc.syscall(SYS_rt_sigaction, sig, act, old, size);
	r = guard_kernel_action(sig, act, old, size);
	if (r < 0)
		errno = (int)-r;
	return r < 0 ? -1 : r;
}

long number_rt_sigprocmask(int how, const void *set, void *old, size_t size)
{
	sigset_t room, was;
	const sigset_t *wanted;
	int r;

	if (!read_mask(&room, &wanted, set, size) || size != NSIG / 8)
		return libc.syscall(SYS_rt_sigprocmask, how, set, old, size);
	r = sigprocmask(how, wanted, &was);
	if (r == 0 && old && !user_copy(old, &was, NSIG / 8)) {
		errno = EFAULT;
		return -1;
	}
	return r;
}

long number_rt_sigsuspend(const void *mask, size_t size)
{
	const sigset_t *set;
	sigset_t room;

	if (mask == NULL || !read_mask(&room, &set, mask, size))
		return libc.syscall(SYS_rt_sigsuspend, mask, size);
	return sigsuspend(set);
}

/* On a machine of 64 bits the position is in one argument, and the other is not looked at. */
long number_preadv2(int fd, const struct iovec *iov, long n, long at, long at_high, int flags)
{
	return preadv2(fd, iov, (int)n, at, flags);
}

long number_pwritev2(int fd, const struct iovec *iov, long n, long at, long at_high, int flags)
{
	return pwritev2(fd, iov, (int)n, at, flags);
}

long number_eventfd(unsigned int n)
{
	return eventfd(n, 0);
}

/*
 * A ring takes descriptors past every function of libc: what it does to a socket of the stack can
 * only fail. Whoever asks with syscall() has other ways (libuv: epoll_ctl()) and is made to use them.
 */
long number_io_uring_setup(unsigned int n, void *params)
{
	if (!boot_is_idle() && !boot_is_up())
		return libc.syscall(SYS_io_uring_setup, n, params);
	boot_say_once("io_uring is not available by syscall(): a ring cannot serve sockets of the "
		      "stack (ENOSYS; said once)");
	errno = ENOSYS;
	return -1;
}
