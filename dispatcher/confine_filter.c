/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The filter of system calls: a program of the kernel's classic packet filter (seccomp(2)), built from
 * the lists below.
 *
 * allowed   what packets, rings, control sockets, memory and threads of ltran need. The kernel keeps
 *           the verdicts for calls that do not depend on arguments in a bitmap: they cost nothing
 * quiet     fails with EPERM without a word: libc tries them, or clean-up at the end does
 * limited   allowed with some arguments only; see the functions
 * others    a signal to confine.c, which says so
 *
 * glibc makes threads by clone3() and falls back to clone(), whose flags a filter can read, on ENOSYS.
 */
#include "dispatcher/confine_filter.h"

#include "dispatcher/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0
#endif

#define X32_BIT 0x40000000u /* of the other system call table on x86-64 */
#define TIOCSTI 0x5412      /* types on a terminal */
#define TIOCLINUX 0x541c
#define AT_EMPTY_PATH_FLAG 0x1000
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static const uint32_t allowed[] = {
	/* packets, rings, control sockets */
	SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv2, SYS_pwritev2, SYS_close,
	SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg,
	SYS_accept, SYS_accept4, SYS_bind, SYS_shutdown, SYS_socketpair,
	SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_setsockopt,
	SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2,
	SYS_eventfd2, SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime,
	SYS_dup, SYS_dup3, SYS_fcntl, SYS_pipe2, SYS_fstat, SYS_fstatfs, SYS_lseek,
	SYS_readlinkat, /* what a descriptor is: /proc/self/fd */
	/* time, memory, threads, signals */
	SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday,
	SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk, SYS_mlock, SYS_mlock2, SYS_munlock, SYS_mincore, SYS_msync,
	SYS_get_mempolicy, SYS_set_mempolicy, SYS_mbind, SYS_move_pages,
	SYS_memfd_create, SYS_ftruncate, SYS_fallocate,
	SYS_futex, SYS_futex_waitv, SYS_set_robust_list, SYS_rseq, SYS_set_tid_address, SYS_membarrier,
	SYS_sched_yield, SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_getcpu, SYS_getrandom,
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending,
	SYS_rt_sigtimedwait, SYS_sigaltstack, SYS_restart_syscall,
	SYS_getpid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid,
	SYS_sysinfo, SYS_uname, SYS_getrusage, SYS_times, SYS_getppid, SYS_wait4, SYS_exit, SYS_exit_group,
#ifdef __x86_64__
	SYS_poll, SYS_select, SYS_epoll_create, SYS_epoll_wait, SYS_eventfd, SYS_dup2, SYS_pipe,
	SYS_time, SYS_readlink,
#endif
};

static const uint32_t quiet[] = {
	SYS_openat, SYS_unlinkat, SYS_faccessat, SYS_connect,
#ifdef __x86_64__
	SYS_open, SYS_unlink, SYS_rmdir, SYS_access, SYS_stat, SYS_lstat,
#endif
};

#define PROGRAM_MAX 512

struct program {
	struct sock_filter code[PROGRAM_MAX];
	unsigned short n;
};

static void
add(struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (p->n < PROGRAM_MAX)
		p->code[p->n] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
	p->n++;
}

static void
load(struct program *p, size_t offset)
{
	add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void
verdict(struct program *p, uint32_t action)
{
	add(p, BPF_RET | BPF_K, action, 0, 0);
}

/* `action` where the loaded number is `k`. */
static void
on(struct program *p, uint32_t k, uint32_t action)
{
	add(p, BPF_JMP | BPF_JEQ | BPF_K, k, 0, 1);
	verdict(p, action);
}

/* The lower half of an argument; ours fit, and the upper halves are not looked at by the kernel. */
static size_t
argument(unsigned int i)
{
	return offsetof(struct seccomp_data, args) + i * sizeof(uint64_t);
}

/* Call `nr` is allowed if argument `i` has none of `bits` (`want` 0) or one of them. */
static void
limit_bits(struct program *p, uint32_t nr, unsigned int i, uint32_t bits, int want)
{
	add(p, BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 4);
	load(p, argument(i));
	add(p, BPF_JMP | BPF_JSET | BPF_K, bits, want ? 0 : 1, want ? 1 : 0);
	verdict(p, SECCOMP_RET_ALLOW);
	verdict(p, SECCOMP_RET_TRAP);
}

/* Call `nr` is allowed if argument `i` is one of `n` values; else `other`. */
static void
limit_values(struct program *p, uint32_t nr, unsigned int i, const uint32_t *values, uint8_t n,
	uint32_t other)
{
	add(p, BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 2 * n + 2);
	load(p, argument(i));
	for (uint8_t k = 0; k < n; k++)
		on(p, values[k], SECCOMP_RET_ALLOW);
	verdict(p, other);
}

/* All but the two requests that write what a terminal's user seems to type. */
static void
limit_ioctl(struct program *p)
{
	add(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 6);
	load(p, argument(1));
	on(p, TIOCSTI, SECCOMP_RET_TRAP);
	on(p, TIOCLINUX, SECCOMP_RET_TRAP);
	verdict(p, SECCOMP_RET_ALLOW);
}

static void
add_limits(struct program *p)
{
	static const uint32_t families[] = {AF_UNIX, AF_INET, AF_NETLINK};
	static const uint32_t names[] = {PR_SET_NAME}, null[] = {0};
	static const uint32_t empty[] = {AT_EMPTY_PATH_FLAG};
	const uint32_t self[] = {(uint32_t)getpid()};
	const uint32_t denied = SECCOMP_RET_ERRNO | EPERM;

	limit_bits(p, SYS_mmap, 2, PROT_EXEC, 0);
	limit_bits(p, SYS_mprotect, 2, PROT_EXEC, 0);
	limit_bits(p, SYS_clone, 0, CLONE_THREAD, 1);
	limit_values(p, SYS_socket, 0, families, 3, SECCOMP_RET_TRAP);
	limit_values(p, SYS_kill, 0, self, 1, SECCOMP_RET_TRAP);
	limit_values(p, SYS_tgkill, 0, self, 1, SECCOMP_RET_TRAP);
	limit_values(p, SYS_prctl, 0, names, 1, SECCOMP_RET_TRAP);
	limit_values(p, SYS_prlimit64, 2, null, 1, SECCOMP_RET_TRAP);
	limit_values(p, SYS_newfstatat, 3, empty, 1, denied);
	limit_ioctl(p);
	on(p, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
}

/* Another machine's table of calls is nobody's. */
static void
begin(struct program *p)
{
	p->n = 0;
	load(p, offsetof(struct seccomp_data, arch));
	add(p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	verdict(p, SECCOMP_RET_KILL_PROCESS);
	load(p, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	add(p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	verdict(p, SECCOMP_RET_KILL_PROCESS);
#endif
}

static int
install(struct program *p)
{
	struct sock_fprog prog = {.filter = p->code, .len = p->n};
	long ret;

	if (ARCH == 0)
		return -ENOTSUP;
	if (p->n > PROGRAM_MAX)
		return -E2BIG;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	ret = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
	if (ret > 0)
		return -ESRCH; /* a thread has another filter */
	return ret < 0 ? -errno : 0;
}

static struct program program; /* too large for a small stack */

int
confine_filter(void)
{
	begin(&program);
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		on(&program, allowed[i], SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++)
		on(&program, quiet[i], SECCOMP_RET_ERRNO | EPERM);
	add_limits(&program);
	verdict(&program, SECCOMP_RET_TRAP);
	return install(&program);
}

int
confine_filter_to(const uint32_t *calls, unsigned int n)
{
	if (CONFINE_HAS_SANITIZER)
		return 0;
	begin(&program);
	for (unsigned int i = 0; i < n; i++)
		on(&program, calls[i], SECCOMP_RET_ALLOW);
	verdict(&program, SECCOMP_RET_ERRNO | EPERM);
	return install(&program);
}
