/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linux's syscall user dispatch (5.11): each guarded thread tells the kernel one range of code that may
 * make system calls, libc's. A system call from anywhere else becomes a SIGSYS, whose handler looks the
 * number up in the rows of intercept.def, as syscall() does, and leaves the result where the program's
 * code expects it. So a descriptor that is closed, opened, read or written past libc is still ours.
 *
 * Threads are guarded one by one: the one that reads the settings, and those made by pthread_create();
 * threads of the library and of DPDK are not. A child of fork() is put under guard again. A real vfork()
 * becomes a fork(), as in intercept.c.
 *
 * Some calls cannot be made in the handler, for they are about the very context that it returns to:
 *
 *	rt_sigreturn	the handler returns into libc's code for it, at the program's stack pointer
 *	rt_sigprocmask	the mask that the handler returns to is changed
 *	sigaltstack	it is made, and the alternate stack that the handler returns to is changed
 *	clone with a stack of its own: what it makes begins with the caller's registers, which lie on
 *	its new stack, and is not guarded: its thread-local memory need not be one that our code can
 *	run with. It is said once, and from then on the numbers are checked (fd_check.c)
 *	clone without one: made between our handlers of fork()
 *	arch_prctl	that gives the thread other thread-local memory (Go without cgo): our code cannot run
 *	with it, so the thread is not guarded from then on
 *
 * Where the handler runs is the matter of guard_stack.c.
 *
 * SIGSYS is never blocked: the kernel ends a process whose system call it cannot deliver. It is taken
 * out of every mask that the program sets, by whatever call, also for the time of a wait.
 */
#include "preload/guard.h"
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/fd_check.h"
#include "preload/guard_stack.h"
#include "preload/intercept.h"
#include "preload/fd_table.h"
#include "preload/libc.h"
#include "preload/own_fds.h"
#include "stack/user.h"

#include <asm/prctl.h>
#include <link.h>
#include <linux/sched.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

_Atomic bool guard_is_on;

#if defined(__x86_64__) && defined(PR_SET_SYSCALL_USER_DISPATCH)

enum {
	SYS_USER_DISPATCH_CODE = 2,
	SYS_BIT = SIGSYS - 1,
	KERNEL_RESTORER = 0x04000000,
	SYSCALL_BYTES = 2, /* of the instruction */
};

/* As the kernel has them. */
struct kernel_action {
	void *handler;
	unsigned long flags;
	void *restorer;
	unsigned long mask;
};

static struct {
	uintptr_t from;
	size_t bytes;
	void *restorer; /* libc's code that makes rt_sigreturn */
	struct sigaction program;
} guard;

static char blocked = PR_SYS_DISPATCH_ON; /* the selector: nothing else passes. Never changed */

static int find_libc(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t inside = (uintptr_t)libc.syscall;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || inside - from >= p->p_memsz)
			continue;
		guard.from = from;
		guard.bytes = p->p_memsz;
		return 1;
	}
	return 0;
}

static int guard_thread(void)
{
	int r = prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, guard.from, guard.bytes,
		&blocked);

	return r < 0 ? -errno : 0;
}

void guard_after_fork(void)
{
	if (atomic_load(&guard_is_on))
		guard_thread();
}

/* --- what the handler cannot do itself ---------------------------------------------------------------- */

/* The kernel's mask is 8 bytes at the place of libc's. */
static long change_mask(ucontext_t *uc, int how, const unsigned long *set, unsigned long *old)
{
	unsigned long now, wanted, given;

	memcpy(&now, &uc->uc_sigmask, sizeof(now));
	if (set && user_get(&given, set, sizeof(given)) < 0)
		return -EFAULT;
	if (set) {
		wanted = how == SIG_BLOCK ? now | given : how == SIG_UNBLOCK ? now & ~given : given;
		if (how != SIG_BLOCK && how != SIG_UNBLOCK && how != SIG_SETMASK)
			return -EINVAL;
		/* The others say that a pointer of the program leads nowhere (stack/user.h). */
		wanted &= ~(1ul << SYS_BIT | 1ul << (SIGSEGV - 1) | 1ul << (SIGBUS - 1));
		memcpy(&uc->uc_sigmask, &wanted, sizeof(wanted));
	}
	return old ? user_put(old, &now, sizeof(now)) : 0;
}

static struct sigaction action_of_kernels(const struct kernel_action *k)
{
	struct sigaction act = {.sa_flags = (int)(k->flags & ~(unsigned long)KERNEL_RESTORER)};

	act.sa_handler = (sighandler_t)k->handler;
	memcpy(&act.sa_mask, &k->mask, sizeof(k->mask));
	return act;
}

/* The program's own action for SIGSYS, in the kernel's form. */
static long change_own_action(const struct kernel_action *set, struct kernel_action *old)
{
	struct kernel_action now = {(void *)guard.program.sa_handler,
		(unsigned long)guard.program.sa_flags | KERNEL_RESTORER, guard.restorer, 0};
	struct kernel_action wanted;

	memcpy(&now.mask, &guard.program.sa_mask, sizeof(now.mask));
	if (set && user_get(&wanted, set, sizeof(wanted)) < 0)
		return -EFAULT;
	if (set)
		guard.program = action_of_kernels(&wanted);
	return old ? user_put(old, &now, sizeof(now)) : 0;
}

static long change_action(int sig, const struct kernel_action *set, struct kernel_action *old, long size)
{
	struct kernel_action ours;

	if (sig == SIGSYS && size == sizeof(ours.mask))
		return change_own_action(set, old);
	if (set && size == sizeof(ours.mask)) {
		if (user_get(&ours, set, sizeof(ours)) < 0)
			return -EFAULT;
		ours.mask &= ~(1ul << SYS_BIT);
		set = &ours;
	}
	return libc_result(libc.syscall(SYS_rt_sigaction, sig, set, old, size));
}

struct process_copy {
	long number;
	const greg_t *r;
};

static long copy_by_kernel(void *arg)
{
	const unsigned long shared = CLONE_VM | CLONE_VFORK;
	const struct process_copy *c = arg;
	const greg_t *r = c->r;
	struct clone_args args = {.exit_signal = SIGCHLD};
	size_t n = (size_t)r[REG_RSI];

	if (c->number == SYS_clone)
		return libc_result(libc.syscall(SYS_clone, r[REG_RDI] & ~shared, 0, r[REG_RDX],
			r[REG_R10], r[REG_R8]));
	n = n < sizeof(args) ? n : sizeof(args);
	if (user_get(&args, (const void *)r[REG_RDI], n) < 0)
		return -EFAULT;
	args.flags &= ~shared;
	return libc_result(libc.syscall(SYS_clone3, &args, n));
}

/* A child with the parent's stack, in memory of its own, as fork() makes it; namespaces and the like are
 * the kernel's matter. */
static long copy_process(long number, const greg_t *r)
{
	struct process_copy c = {number, r};

	if (number == SYS_fork || number == SYS_vfork)
		return libc_result(fork());
	return boot_fork(copy_by_kernel, &c);
}

/* The top of it, or 0. */
static uintptr_t own_stack(long number, const greg_t *r)
{
	struct clone_args args = {.stack = 0};
	size_t n = (size_t)r[REG_RSI];

	if (number == SYS_clone)
		return (uintptr_t)r[REG_RSI];
	if (number != SYS_clone3 || n < CLONE_ARGS_SIZE_VER0 ||
		user_get(&args, (const void *)r[REG_RDI], CLONE_ARGS_SIZE_VER0) < 0)
		return 0;
	return args.stack ? args.stack + args.stack_size : 0;
}

/* The system call `number`; what it makes pops its registers from its stack and goes on as the program. */
long guard_clone(long number, long a, long b, long c, long d, long e)
	__attribute__((visibility("hidden")));
__asm__(".pushsection .text\n"
	".hidden guard_clone\n"
	".globl guard_clone\n"
	".type guard_clone, @function\n"
	"guard_clone:\n"
	"	endbr64\n"
	"	movq %rdi, %rax\n"
	"	movq %rsi, %rdi\n"
	"	movq %rdx, %rsi\n"
	"	movq %rcx, %rdx\n"
	"	movq %r8, %r10\n"
	"	movq %r9, %r8\n"
	"	syscall\n"
	"	testq %rax, %rax\n"
	"	jz 1f\n"
	"	ret\n"
	"1:	pop %rdi\n"
	"	pop %rsi\n"
	"	pop %rdx\n"
	"	pop %r10\n"
	"	pop %r8\n"
	"	pop %r9\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	"	pop %r12\n"
	"	pop %r13\n"
	"	pop %r14\n"
	"	pop %r15\n"
	"	pop %rcx\n"
	"	jmp *%rcx\n"
	".size guard_clone, . - guard_clone\n"
	".popsection\n");

static long make_thread(long number, const greg_t *r, uintptr_t top)
{
	const long registers[] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9],
		r[REG_RBX], r[REG_RBP], r[REG_R12], r[REG_R13], r[REG_R14], r[REG_R15], r[REG_RIP]};
	struct clone_args args = {.stack = 0};
	size_t n = (size_t)r[REG_RSI];
	long first = r[REG_RDI], second = r[REG_RSI], made;

	if (number == SYS_clone) {
		second -= (long)sizeof(registers);
	} else {
		n = n < sizeof(args) ? n : sizeof(args);
		if (user_get(&args, (const void *)first, n) < 0)
			return -EFAULT;
		args.stack_size -= sizeof(registers);
		first = (long)&args;
		second = (long)n;
	}
	if (user_put((void *)(top - sizeof(registers)), registers, sizeof(registers)) < 0)
		return -EFAULT;
	boot_say_once("a thread made by a system call in the program's own code: syscall_guard "
		      "does not watch it (said once)");
	fd_check_begin();
	prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0);
	made = guard_clone(number, first, second, r[REG_RDX], r[REG_R10], r[REG_R8]);
	guard_thread();
	return made;
}

/* The call is made by the program's own instruction, once more and without guard. */
static void leave_thread(greg_t *r)
{
	boot_say_once("thread-local memory set by a system call in the program's own code: "
		      "syscall_guard does not watch that thread (said once)");
	fd_check_begin();
	prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0);
	r[REG_RAX] = SYS_arch_prctl;
	r[REG_RIP] -= SYSCALL_BYTES;
}

/* Those of the list above. False: it is not one of them. */
static bool serve_context(ucontext_t *uc, long number)
{
	greg_t *r = uc->uc_mcontext.gregs;
	uintptr_t top;

	switch (number) {
	case SYS_rt_sigreturn:
		r[REG_RIP] = (greg_t)guard.restorer;
		return true;
	case SYS_rt_sigprocmask:
		r[REG_RAX] = change_mask(uc, (int)r[REG_RDI], (const unsigned long *)r[REG_RSI],
			(unsigned long *)r[REG_RDX]);
		return true;
	case SYS_sigaltstack:
		r[REG_RAX] = guard_stack_change(uc, (const stack_t *)r[REG_RDI], (stack_t *)r[REG_RSI]);
		return true;
	case SYS_rt_sigaction:
		r[REG_RAX] = change_action((int)r[REG_RDI], (const struct kernel_action *)r[REG_RSI],
			(struct kernel_action *)r[REG_RDX], r[REG_R10]);
		return true;
	case SYS_clone:
	case SYS_clone3:
		top = own_stack(number, r);
		r[REG_RAX] = top ? make_thread(number, r, top) : copy_process(number, r);
		return true;
	case SYS_fork:
	case SYS_vfork:
		r[REG_RAX] = copy_process(number, r);
		return true;
	case SYS_arch_prctl:
		if (r[REG_RDI] != ARCH_SET_FS)
			return false;
		leave_thread(r);
		return true;
	default:
		return false;
	}
}

/* --- the handler ------------------------------------------------------------------------------------ */

typedef long (*row_fn)(long, long, long, long, long, long);

static long serve(long number, const greg_t *r)
{
	syscall_fn row = number >= 0 && number < SYSCALL_ROWS ? syscall_rows[number] : NULL;
	long result;

	if (number == SYS_io_uring_setup) {
		boot_say_once("io_uring by system calls of the program's own: its operations on "
			      "sockets of the stack fail with ENOTCONN (said once)");
		row = NULL;
	}
	result = row ? ((row_fn)row)(r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8],
			       r[REG_R9]) :
		       libc.syscall(number, r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10],
			       r[REG_R8], r[REG_R9]);
	return libc_result(result);
}

static void call_program(int sig, siginfo_t *info, void *context)
{
	const struct sigaction *p = &guard.program;

	if (p->sa_flags & SA_SIGINFO)
		p->sa_sigaction(sig, info, context);
	else if (p->sa_handler != SIG_DFL && p->sa_handler != SIG_IGN)
		p->sa_handler(sig);
	else if (p->sa_handler == SIG_DFL)
		abort(); /* as SIGSYS by default: the process ends */
}

void guard_serve(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	int saved_errno = errno;

	if (info->si_code != SYS_USER_DISPATCH_CODE)
		call_program(sig, info, context);
	else if (!serve_context(uc, info->si_syscall))
		uc->uc_mcontext.gregs[REG_RAX] =
			serve(info->si_syscall, uc->uc_mcontext.gregs);
	errno = saved_errno;
}

int guard_set_action(const struct sigaction *act, struct sigaction *old)
{
	struct sigaction now = guard.program;

	if (act && user_get(&guard.program, act, sizeof(*act)) < 0)
		return -EFAULT;
	return old ? user_put(old, &now, sizeof(now)) : 0;
}

long guard_kernel_action(int sig, const void *set, void *old, size_t size)
{
	return change_action(sig, set, old, (long)size);
}

int guard_start(const char **why)
{
	struct sigaction act = {.sa_sigaction = guard_stack_enter,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART | SA_ONSTACK};
	struct kernel_action now;
	int r;

	*why = "libc's code was not found";
	if (dl_iterate_phdr(find_libc, NULL) != 1)
		return -ENOENT;
	*why = "no handler for SIGSYS";
	if (libc.sigaction(SIGSYS, &act, &guard.program) < 0 ||
		libc.syscall(SYS_rt_sigaction, SIGSYS, NULL, &now, sizeof(now.mask)) < 0)
		return -errno;
	guard.restorer = now.restorer;
	guard_stack_begin();
	r = guard_thread();
	if (r < 0) {
		*why = "this kernel has no syscall user dispatch (Linux 5.11 on x86)";
		libc.sigaction(SIGSYS, &guard.program, NULL);
		return r;
	}
	atomic_store(&guard_is_on, true);
	return 0;
}

/* --- threads ---------------------------------------------------------------------------------------- */

struct start {
	void *(*fn)(void *);
	void *arg;
};

static void unblock_sigsys(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	libc.pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *guarded_thread(void *arg)
{
	struct start s = *(struct start *)arg;

	free(arg);
	unblock_sigsys(); /* the attributes may have said otherwise */
	guard_stack_begin();
	guard_thread();
	return s.fn(s.arg);
}

long on_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg,
	const void *caller)
{
	struct start *s = NULL;
	int r;

	if (atomic_load_explicit(&guard_is_on, memory_order_relaxed) && !own_fds_calls(caller))
		s = malloc(sizeof(*s));
	else
		return fd_table_create_thread(thread, attr, fn, arg, caller);
	if (s == NULL)
		return EAGAIN;
	*s = (struct start){fn, arg};
	r = fd_table_create_thread(thread, attr, guarded_thread, s, caller);
	if (r != 0)
		free(s);
	return r;
}

#else

int guard_start(const char **why)
{
	*why = "it is made for x86-64";
	return -ENOSYS;
}

void guard_after_fork(void)
{
}

int guard_set_action(const struct sigaction *act, struct sigaction *old)
{
	return (int)libc_result(libc.sigaction(SIGSYS, act, old));
}

long guard_kernel_action(int sig, const void *set, void *old, size_t size)
{
	return libc_result(libc.syscall(SYS_rt_sigaction, sig, set, old, size));
}

long on_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg,
	const void *caller)
{
	return fd_table_create_thread(thread, attr, fn, arg, caller);
}

#endif
