/* SPDX-License-Identifier: BSD-3-Clause */
/* syscall_guard=1: what programs do with masks, handlers, threads and children goes on under guard. */
#include "preload/fd.h"
#include "preload/guard.h"
#include "tests/preload_pair.h"
#include "tests/raw_syscall.h"

#include <asm/prctl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

/* Not in sanitizers' builds: their runtime makes system calls of its own. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

enum { NO_GUARD = 77, STACK = 65536 };

static int wrong;

#define LOOK(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			wrong++;                                                                   \
		}                                                                                  \
	} while (0)

/* In a child: the guard does not end. */
static void under_guard(void (*body)(void))
{
	const char *why;
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(20);
		if (guard_start(&why) < 0) {
			fprintf(stderr, "not tested: %s\n", why);
			_exit(NO_GUARD);
		}
		body();
		_exit(wrong != 0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFEXITED(status));
	CU_ASSERT(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == NO_GUARD);
}

#define UNDER_GUARD(name)                                                                          \
	static void name##_body(void);                                                             \
	static void name(void)                                                                     \
	{                                                                                          \
		under_guard(name##_body);                                                          \
	}                                                                                          \
	static void name##_body(void)

static bool is_served(void)
{
	return raw_syscall(SYS_getpid, 0, 0, 0, 0, 0) == getpid();
}

/* --- masks ------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t n_handled;

/* A system call in a handler, which runs with the mask of the call that it interrupts. */
static void call_in_handler(int sig)
{
	n_handled = n_handled + is_served();
}

/* The timer fires while the call waits, with everything else blocked. */
static void interrupt_soon(sigset_t *all_but_alarm)
{
	struct sigaction act = {.sa_handler = call_in_handler};
	struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec when = {.it_value.tv_nsec = 20000000, .it_interval.tv_nsec = 20000000};
	static timer_t timer;

	sigaction(SIGUSR1, &act, NULL);
	sigfillset(all_but_alarm);
	sigdelset(all_but_alarm, SIGUSR1);
	sigdelset(all_but_alarm, SIGALRM);
	if (n_handled++ == 0 && (timer_create(CLOCK_MONOTONIC, &how, &timer) < 0 ||
					timer_settime(timer, 0, &when, NULL) < 0))
		abort();
	n_handled = 1;
}

UNDER_GUARD(masks_of_waits_let_the_guards_signal_through)
{
	struct pair p = pair_open();
	struct epoll_event ev = {.events = EPOLLIN};
	struct pollfd ours = {.fd = p.server, .events = POLLIN}, none;
	int ep = epoll_create1(0), kernels = epoll_create1(0), pipes[2];
	struct timespec second = {1, 0};
	sigset_t mask;
	fd_set rd;

	LOOK(pipe(pipes) == 0);
	none = (struct pollfd){.fd = pipes[0], .events = POLLIN};
	LOOK(epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &ev) == 0);
	LOOK(epoll_ctl(kernels, EPOLL_CTL_ADD, pipes[0], &ev) == 0);
	interrupt_soon(&mask);
	LOOK(ppoll(&ours, 1, &second, &mask) == -1 && errno == EINTR);
	LOOK(ppoll(&none, 1, &second, &mask) == -1 && errno == EINTR);
	FD_ZERO(&rd);
	FD_SET(p.server, &rd);
	LOOK(pselect(p.server + 1, &rd, NULL, NULL, &second, &mask) == -1 && errno == EINTR);
	LOOK(pselect(0, NULL, NULL, NULL, &second, &mask) == -1 && errno == EINTR);
	LOOK(epoll_pwait(ep, &ev, 1, 1000, &mask) == -1 && errno == EINTR);
	LOOK(epoll_pwait(kernels, &ev, 1, 1000, &mask) == -1 && errno == EINTR);
	LOOK(epoll_pwait2(kernels, &ev, 1, &second, &mask) == -1 && errno == EINTR);
	LOOK(sigsuspend(&mask) == -1 && errno == EINTR);
	LOOK(raw_syscall(SYS_rt_sigsuspend, (long)&mask, NSIG / 8, 0, 0, 0) == -EINTR);
	LOOK(raw_syscall(SYS_ppoll, (long)&none, 1, (long)&second, (long)&mask, NSIG / 8) == -EINTR);
	LOOK(syscall(SYS_rt_sigsuspend, &mask, NSIG / 8) == -1 && errno == EINTR);
	LOOK(n_handled >= 11);
	LOOK(is_served());
}

UNDER_GUARD(masks_set_by_syscall_let_it_through)
{
	unsigned long all = ~0ul, old = 0;

	LOOK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof(all)) == 0);
	LOOK(is_served());
	LOOK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, sizeof(all)) == 0);
	LOOK(is_served());
	LOOK(raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, sizeof(all), 0) == 0);
	LOOK(is_served());
	LOOK(raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, 8, 0, sizeof(all), 0) == -EFAULT);
	LOOK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old)) == 0);
}

static void *look_in_thread(void *arg)
{
	return (void *)(long)is_served();
}

UNDER_GUARD(a_thread_that_is_made_with_a_mask_is_guarded)
{
	pthread_attr_t attr;
	pthread_t thread;
	void *served = NULL;
	sigset_t all;

	sigfillset(&all);
	pthread_attr_init(&attr);
	LOOK(pthread_attr_setsigmask_np(&attr, &all) == 0);
	LOOK(pthread_create(&thread, &attr, look_in_thread, NULL) == 0);
	pthread_join(thread, &served);
	LOOK(served != NULL);
}

/* --- actions for SIGSYS --------------------------------------------------------------------------------- */

static volatile sig_atomic_t n_own;

static void own_handler(int sig)
{
	n_own = n_own + 1;
}

/* As the kernel has it. */
struct action {
	void *handler;
	unsigned long flags;
	void *restorer;
	unsigned long mask;
};

UNDER_GUARD(the_programs_own_handler_of_the_signal_does_not_take_it_from_the_guard)
{
	struct sigaction act = {.sa_handler = own_handler}, old;
	struct action raw = {.handler = (void *)own_handler}, was;

	LOOK(sigaction(SIGSYS, &act, &old) == 0 && old.sa_handler == SIG_DFL);
	LOOK(is_served());
	LOOK(raise(SIGSYS) == 0 && n_own == 1);
	LOOK(signal(SIGSYS, SIG_IGN) == own_handler);
	LOOK(is_served());
	LOOK(raise(SIGSYS) == 0 && n_own == 1);
	LOOK(syscall(SYS_rt_sigaction, SIGSYS, &raw, &was, sizeof(raw.mask)) == 0);
	LOOK(was.handler == (void *)SIG_IGN);
	LOOK(is_served());
	LOOK(raise(SIGSYS) == 0 && n_own == 2);
	LOOK(raw_syscall(SYS_rt_sigaction, SIGSYS, 0, (long)&was, sizeof(raw.mask), 0) == 0);
	LOOK(was.handler == (void *)own_handler);
	LOOK(raw_syscall(SYS_rt_sigaction, SIGSYS, 8, 0, sizeof(raw.mask), 0) == -EFAULT);
	LOOK(sigaction(SIGSYS, NULL, &old) == 0 && old.sa_handler == own_handler);
	LOOK(is_served());
}

/* --- stacks ------------------------------------------------------------------------------------------------ */

enum { ALTERNATE = 32768, SMALL = 2048, BELOW = 256 * 1024, UNTOUCHED = 0x5a, RED_ZONE = 128 };

/* A stack of the program's own with room for its own functions, as a goroutine's; what lies below is
 * somebody else's. */
struct small_stack {
	char *low, *top;
};

static char *alternate;
static volatile sig_atomic_t handler_depth; /* bytes of the alternate stack that were in use above it */

static struct small_stack small_stack_make(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *low = mmap(NULL, BELOW + SMALL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t set = {.ss_size = ALTERNATE};

	memset(low, UNTOUCHED, BELOW + SMALL);
	set.ss_sp = alternate = mmap(NULL, ALTERNATE, PROT_READ | PROT_WRITE, flags, -1, 0);
	LOOK(raw_syscall(SYS_sigaltstack, (long)&set, 0, 0, 0, 0) == 0);
	return (struct small_stack){low, low + BELOW + SMALL};
}

static bool is_untouched(const struct small_stack *s)
{
	for (const char *p = s->low; p < s->top - RED_ZONE; p++)
		if (*p != UNTOUCHED)
			return false;
	return true;
}

/* The call with the stack pointer at the top; -1000: a register was not kept. */
static long call_on(const struct small_stack *s, long number, long a, long b, long c)
{
	const uint64_t kept = UINT64_C(0x0123456789abcdef);
	uint64_t vector = 0;
	long r;

	__asm__ volatile("movq %[kept], %%xmm6\n"
			 "mov %%rsp, %%rbx\n"
			 "mov %[top], %%rsp\n"
			 "syscall\n"
			 "mov %%rbx, %%rsp\n"
			 "movq %%xmm6, %[vector]\n"
			 : "=a"(r), [vector] "=&r"(vector)
			 : "0"(number), "D"(a), "S"(b), "d"(c), [top] "r"(s->top), [kept] "r"(kept)
			 : "rbx", "rcx", "r11", "xmm6", "memory");
	return vector == kept ? r : -1000;
}

UNDER_GUARD(a_call_on_a_small_stack_writes_nothing_below_it)
{
	struct small_stack s = small_stack_make();
	struct pair p = pair_open();
	char c;

	LOOK(call_on(&s, SYS_getpid, 0, 0, 0) == getpid());
	LOOK(call_on(&s, SYS_write, p.client, (long)"x", 1) == 1);
	LOOK(call_on(&s, SYS_read, p.server, (long)&c, 1) == 1 && c == 'x');
	LOOK(is_untouched(&s));
}

static sigjmp_buf out;

static void note_depth(int sig)
{
	char here;

	handler_depth = (int)(alternate + ALTERNATE - &here);
	n_handled = n_handled + is_served();
}

static void jump_out(int sig)
{
	siglongjmp(out, 1);
}

static void interrupt_with(void (*handler)(int), int flags)
{
	struct sigaction act = {.sa_handler = handler, .sa_flags = flags};
	struct itimerval when = {.it_value.tv_usec = 20000, .it_interval.tv_usec = 20000};

	n_handled = 0;
	LOOK(sigaction(SIGVTALRM, &act, NULL) == 0 && sigaction(SIGALRM, &act, NULL) == 0);
	LOOK(setitimer(ITIMER_REAL, &when, NULL) == 0);
}

UNDER_GUARD(the_alternate_stack_is_free_while_a_call_waits)
{
	struct small_stack s = small_stack_make();
	struct pair p = pair_open();
	int pipes[2];
	char c;

	LOOK(pipe(pipes) == 0);
	interrupt_with(note_depth, SA_ONSTACK);
	LOOK(call_on(&s, SYS_read, p.server, (long)&c, 1) == -EINTR);
	LOOK(handler_depth > 0 && handler_depth < ALTERNATE / 4);
	LOOK(call_on(&s, SYS_read, pipes[0], (long)&c, 1) == -EINTR);
	LOOK(handler_depth > 0 && handler_depth < ALTERNATE / 4);
	LOOK(raw_syscall(SYS_read, p.server, (long)&c, 1, 0, 0) == -EINTR);
	LOOK(handler_depth > 0 && handler_depth < ALTERNATE / 4);
	interrupt_with(note_depth, 0);
	LOOK(call_on(&s, SYS_read, p.server, (long)&c, 1) == -EINTR);
	LOOK(call_on(&s, SYS_read, pipes[0], (long)&c, 1) == -EINTR);
	LOOK(n_handled >= 2);
	LOOK(is_untouched(&s));
}

UNDER_GUARD(a_call_on_a_small_stack_may_be_left_by_a_jump)
{
	struct small_stack s = small_stack_make();
	struct pair p = pair_open();
	volatile int n = 0;
	char c;

	interrupt_with(jump_out, SA_ONSTACK | SA_NODEFER);
	sigsetjmp(out, 1);
	if (n < 20) {
		n = n + 1;
		call_on(&s, SYS_read, p.server, (long)&c, 1);
	}
	LOOK(n == 20);
	interrupt_with(SIG_IGN, 0);
	LOOK(call_on(&s, SYS_write, p.client, (long)"x", 1) == 1);
	LOOK(call_on(&s, SYS_read, p.server, (long)&c, 1) == 1 && c == 'x');
	LOOK(is_untouched(&s));
}

static long raw_stack(stack_t *set, stack_t *old)
{
	return raw_syscall(SYS_sigaltstack, (long)set, (long)old, 0, 0, 0);
}

static void look_from_alternate(int sig)
{
	stack_t now, off = {.ss_flags = SS_DISABLE};

	LOOK(raw_stack(NULL, &now) == 0 && now.ss_flags == SS_ONSTACK && now.ss_sp == alternate);
	LOOK(raw_stack(&off, NULL) == -EPERM);
	n_handled = n_handled + 1;
}

UNDER_GUARD(sigaltstack_past_libc_is_the_kernels)
{
	struct sigaction act = {.sa_handler = look_from_alternate, .sa_flags = SA_ONSTACK};
	stack_t now, bad = {.ss_sp = &now, .ss_size = 16};

	LOOK(raw_stack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE && now.ss_size == 0);
	LOOK(raw_stack(&bad, NULL) == -ENOMEM);
	bad.ss_flags = 77;
	LOOK(raw_stack(&bad, NULL) == -EINVAL);
	LOOK(raw_stack((stack_t *)8, NULL) == -EFAULT);
	small_stack_make();
	LOOK(sigaltstack(NULL, &now) == 0 && now.ss_sp == alternate && now.ss_size == ALTERNATE);
	LOOK(raw_stack(NULL, &now) == 0 && now.ss_sp == alternate && now.ss_flags == 0);
	LOOK(sigaction(SIGUSR2, &act, NULL) == 0 && raise(SIGUSR2) == 0 && n_handled == 1);
	now.ss_flags = SS_DISABLE;
	LOOK(raw_stack(&now, NULL) == 0);
	LOOK(sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE);
}

static int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int n = 0, c;

	while (maps && (c = getc(maps)) != EOF)
		n += c == '\n';
	if (maps)
		fclose(maps);
	return n;
}

UNDER_GUARD(ended_threads_leave_no_memory)
{
	enum { MANY = 100 };
	pthread_t thread;
	int before;

	pthread_create(&thread, NULL, look_in_thread, NULL);
	pthread_join(thread, NULL);
	before = count_mappings();
	for (int i = 0; i < MANY; i++) {
		LOOK(pthread_create(&thread, NULL, look_in_thread, NULL) == 0);
		pthread_join(thread, NULL);
	}
	LOOK(count_mappings() < before + MANY / 4);
}

/* With other thread-local memory nothing of libc or of ours can run. */
static long call_with_other_memory(const void *memory)
{
	unsigned long own;
	long pid;

	if (raw_syscall(SYS_arch_prctl, ARCH_GET_FS, (long)&own, 0, 0, 0) != 0)
		return -1;
	raw_syscall(SYS_arch_prctl, ARCH_SET_FS, (long)memory, 0, 0, 0);
	pid = raw_syscall(SYS_getpid, 0, 0, 0, 0, 0);
	raw_syscall(SYS_arch_prctl, ARCH_SET_FS, (long)own, 0, 0, 0);
	return pid;
}

UNDER_GUARD(a_thread_with_thread_local_memory_of_its_own_is_not_guarded)
{
	static const long other[32];
	struct pair p = pair_open();

	LOOK(raw_syscall(SYS_write, p.client, (long)"x", 1, 0, 0) == 1);
	LOOK(call_with_other_memory(&other[16]) == getpid());
	LOOK(raw_syscall(SYS_write, p.client, (long)"x", 1, 0, 0) == -ENOTCONN);
	LOOK(write(p.client, "x", 1) == 1);
}

/* --- threads and children --------------------------------------------------------------------------------- */

static _Atomic int thread_did;

/* Without libc: the thread has no memory of its own there. */
static void raw_thread(void)
{
	thread_did = 1;
	raw_syscall(SYS_exit, 0, 0, 0, 0, 0);
}

/* As a program would in assembler: the function's address lies on the new stack. */
static long make_raw_thread(char *stack, int *tid)
{
	const long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
		CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
	void **top = (void **)(stack + STACK - 64);
	register int *ctid __asm__("r10") = tid;
	long r;

	*top = (void *)raw_thread;
	__asm__ volatile("syscall\n"
			 "test %%rax, %%rax\n"
			 "jnz 1f\n"
			 "xor %%ebp, %%ebp\n"
			 "call *(%%rsp)\n"
			 "1:"
			 : "=a"(r)
			 : "0"(SYS_clone), "D"(flags), "S"(top), "d"(0), "r"(ctid), "r"(0)
			 : "rcx", "r11", "memory");
	return r;
}

static void become_a_file(int fd)
{
	int file = open("/dev/null", O_WRONLY);

	raw_syscall(SYS_dup3, file, fd, 0, 0, 0);
	close(file);
}

static int fd_of_thread;

/* It closes what the maker has, unseen: it is not guarded. */
static int cloned(void *arg)
{
	raw_syscall(SYS_close, fd_of_thread, 0, 0, 0, 0);
	raw_syscall(SYS_openat, AT_FDCWD, (long)"/dev/null", O_WRONLY, 0, 0);
	return 0;
}

UNDER_GUARD(who_makes_a_thread_by_a_raw_call_stays_guarded)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pair p = pair_open();
	int tid = 1;
	char c;

	LOOK(make_raw_thread(stack, &tid) > 0);
	while (*(volatile int *)&tid != 0) /* the kernel clears it at the thread's end */
		sched_yield();
	LOOK(thread_did == 1);
	LOOK(is_served());
	LOOK(raw_syscall(SYS_write, p.client, (long)"x", 1, 0, 0) == 1);
	LOOK(raw_syscall(SYS_read, p.server, (long)&c, 1, 0, 0) == 1);
	become_a_file(p.server);
	LOOK(write(p.server, "secret", 6) == 6);
	LOOK(recv(p.client, &c, 1, MSG_DONTWAIT) == 0);
}

UNDER_GUARD(what_a_thread_without_guard_closes_is_noticed)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pair p = pair_open();
	int tid, status;
	char c;

	fd_of_thread = p.server;
	tid = clone(cloned, stack + STACK, CLONE_FILES | CLONE_VM | SIGCHLD, NULL);
	LOOK(tid > 0 && waitpid(tid, &status, 0) == tid);
	LOOK(write(p.server, "secret", 6) != 0);
	LOOK(recv(p.client, &c, 1, MSG_DONTWAIT) == 0);
	LOOK(is_served());
}

/* Sockets of the stack stay with the parent, whatever the call that made the child. */
static void look_at_child(long pid, struct pair *p, const char *how)
{
	int status = -1;
	char c;

	if (pid == 0) {
		bool good = is_served() && write(p->client, "x", 1) == -1 && errno == EIO;

		raw_syscall(SYS_close, p->client, 0, 0, 0, 0);
		raw_syscall(SYS_exit_group, good ? 7 : 8, 0, 0, 0, 0);
	}
	if (pid < 0 || waitpid((pid_t)pid, &status, 0) != pid || WEXITSTATUS(status) != 7)
		fprintf(stderr, "%s: %ld, %x\n", how, pid, status);
	LOOK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	LOOK(write(p->client, "y", 1) == 1 && read(p->server, &c, 1) == 1 && c == 'y');
}

UNDER_GUARD(children_are_guarded_and_leave_the_sockets_to_their_parent)
{
	struct clone_args args = {.exit_signal = SIGCHLD, .flags = CLONE_CHILD_SETTID};
	struct pair p = pair_open();
	int tid;

	args.child_tid = (uintptr_t)&tid;
	look_at_child(fork(), &p, "fork");
	look_at_child(vfork(), &p, "vfork");
	look_at_child(raw_syscall(SYS_fork, 0, 0, 0, 0, 0), &p, "raw fork");
	look_at_child(raw_syscall(SYS_vfork, 0, 0, 0, 0, 0), &p, "raw vfork");
	look_at_child(raw_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), &p, "raw clone");
	look_at_child(raw_syscall(SYS_clone, SIGCHLD | CLONE_CHILD_SETTID, 0, 0, (long)&tid, 0), &p,
		"raw clone with a place for the id");
	look_at_child(raw_syscall(SYS_clone3, (long)&args, sizeof(args), 0, 0, 0), &p, "raw clone3");
	LOOK(raw_syscall(SYS_clone3, 8, sizeof(args), 0, 0, 0) == -EFAULT);
}

UNDER_GUARD(programs_are_started)
{
	char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"exit 5", NULL};
	char *const env[] = {NULL};
	struct pair p = pair_open();
	posix_spawnattr_t attr;
	int status = -1;
	sigset_t all;
	pid_t pid;
	char c;

	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	LOOK(posix_spawn(&pid, "/bin/sh", NULL, &attr, argv, env) == 0);
	LOOK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);
	pid = vfork();
	if (pid == 0) {
		execve("/bin/sh", argv, env);
		_exit(1);
	}
	LOOK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);
	pid = (pid_t)raw_syscall(SYS_vfork, 0, 0, 0, 0, 0);
	if (pid == 0) {
		raw_syscall(SYS_close, p.client, 0, 0, 0, 0);
		raw_syscall(SYS_execve, (long)"/bin/sh", (long)argv, (long)env, 0, 0);
	}
	LOOK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);
	LOOK((system)("exit 6") == 6 << 8);
	LOOK(is_served());
	LOOK(write(p.client, "y", 1) == 1 && read(p.server, &c, 1) == 1);
}

#endif

static const struct cunit_test tests[] = {
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	CUNIT_TEST(masks_of_waits_let_the_guards_signal_through),
	CUNIT_TEST(masks_set_by_syscall_let_it_through),
	CUNIT_TEST(a_thread_that_is_made_with_a_mask_is_guarded),
	CUNIT_TEST(the_programs_own_handler_of_the_signal_does_not_take_it_from_the_guard),
	CUNIT_TEST(a_call_on_a_small_stack_writes_nothing_below_it),
	CUNIT_TEST(the_alternate_stack_is_free_while_a_call_waits),
	CUNIT_TEST(a_call_on_a_small_stack_may_be_left_by_a_jump),
	CUNIT_TEST(sigaltstack_past_libc_is_the_kernels),
	CUNIT_TEST(ended_threads_leave_no_memory),
	CUNIT_TEST(a_thread_with_thread_local_memory_of_its_own_is_not_guarded),
	CUNIT_TEST(who_makes_a_thread_by_a_raw_call_stays_guarded),
	CUNIT_TEST(what_a_thread_without_guard_closes_is_noticed),
	CUNIT_TEST(children_are_guarded_and_leave_the_sockets_to_their_parent),
	CUNIT_TEST(programs_are_started),
#else
	{0},
#endif
};
CUNIT_MAIN("syscall_guard", tests, NULL, NULL)
