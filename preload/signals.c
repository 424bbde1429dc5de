/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sigaction() and signal() with a trampoline in front of the program's handlers.
 *
 * The kernel keeps flags and masks; only the handler's address is ours. One word per signal holds
 * the program's, written before the trampoline is installed, so the trampoline never meets an empty
 * one. What sigaction() reports as old is the program's own again.
 *
 * Putting off: the trampoline keeps the siginfo and returns; signals_release() sends it to this
 * thread again, so the kernel delivers it with the right mask. Faults are never put off, nor are
 * one-shot handlers, which the kernel has already removed by then.
 */
#include "preload/signals.h"
#include "preload/boot.h"
#include "preload/calls.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef void (*action_fn)(int, siginfo_t *, void *);

static struct {
	_Atomic(action_fn) handler;
	_Atomic bool wants_info; /* SA_SIGINFO as the program gave it */
	_Atomic bool restarts;
	_Atomic bool is_oneshot; /* SA_RESETHAND */
} signals[NSIG];

enum { DEFERRED_MAX = 8 }; /* per thread; more run at once rather than get lost */

/* initial-exec: a handler must not be the first to allocate this thread's copy. */
static __thread struct signals_seen seen __attribute__((tls_model("initial-exec")));
__thread volatile int signals_held __attribute__((tls_model("initial-exec")));
__thread volatile int signals_deferred __attribute__((tls_model("initial-exec")));
static __thread siginfo_t deferred[DEFERRED_MAX] __attribute__((tls_model("initial-exec")));
static __thread volatile int sleep_fd __attribute__((tls_model("initial-exec"))) = -1;

struct signals_seen signals_seen(void)
{
	atomic_signal_fence(memory_order_acquire);
	return seen;
}

void signals_sleep_begin(int fd)
{
	sleep_fd = fd;
	atomic_signal_fence(memory_order_seq_cst);
}

void signals_sleep_end(void)
{
	sleep_fd = -1;
}

static bool is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP ||
		sig == SIGABRT || sig == SIGSYS;
}

static bool put_off(int sig, const siginfo_t *info)
{
	int n = signals_deferred;

	if (signals_held == 0 || n == DEFERRED_MAX || is_fault(sig) ||
		atomic_load(&signals[sig].is_oneshot))
		return false;
	deferred[n] = *info;
	deferred[n].si_signo = sig;
	atomic_signal_fence(memory_order_seq_cst);
	signals_deferred = n + 1;
	return true;
}

void signals_deliver(void)
{
	int saved_errno = errno;

	while (signals_held == 0 && signals_deferred > 0) {
		siginfo_t info = deferred[signals_deferred - 1];

		signals_deferred--;
		if (syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), info.si_signo, &info) < 0)
			raise(info.si_signo);
	}
	errno = saved_errno;
}

static void trampoline(int sig, siginfo_t *info, void *context)
{
	action_fn handler = atomic_load(&signals[sig].handler);
	int saved_errno = errno;
	const uint64_t one = 1;

	seen.all++;
	if (!atomic_load(&signals[sig].restarts))
		seen.interrupting++;
	if (sleep_fd >= 0 && libc.write(sleep_fd, &one, sizeof(one)) < 0)
		errno = saved_errno; /* the eventfd is full: the sleeper wakes anyway */
	errno = saved_errno;
	if (put_off(sig, info))
		return;
	handler(sig, info, context); /* a one-argument handler ignores the rest */
}

static bool is_function(const struct sigaction *act)
{
	return (act->sa_flags & SA_SIGINFO) ||
		(act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN);
}

/* What the kernel reports, as the program installed it. */
static void restore_action(struct sigaction *old, action_fn handler, bool wants_info)
{
	if (!(old->sa_flags & SA_SIGINFO) || old->sa_sigaction != trampoline)
		return;
	old->sa_sigaction = handler;
	if (!wants_info)
		old->sa_flags &= ~SA_SIGINFO;
}

long on_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	action_fn handler;
	bool wants_info, restarts, is_oneshot;
	struct sigaction ours;

	if (sig <= 0 || sig >= NSIG)
		return libc_result(libc.sigaction(sig, act, old));

	handler = atomic_load(&signals[sig].handler);
	wants_info = atomic_load(&signals[sig].wants_info);
	restarts = atomic_load(&signals[sig].restarts);
	is_oneshot = atomic_load(&signals[sig].is_oneshot);
	if (act && is_function(act) && atomic_load(&boot_state) != BOOT_INACTIVE) {
		ours = *act;
		ours.sa_flags |= SA_SIGINFO;
		ours.sa_sigaction = trampoline;
		atomic_store(&signals[sig].wants_info, (act->sa_flags & SA_SIGINFO) != 0);
		atomic_store(&signals[sig].restarts, (act->sa_flags & SA_RESTART) != 0);
		atomic_store(&signals[sig].is_oneshot, (act->sa_flags & SA_RESETHAND) != 0);
		atomic_store(&signals[sig].handler, act->sa_sigaction);
		act = &ours;
	}
	if (libc.sigaction(sig, act, old) < 0) {
		int err = errno;

		atomic_store(&signals[sig].wants_info, wants_info);
		atomic_store(&signals[sig].restarts, restarts);
		atomic_store(&signals[sig].is_oneshot, is_oneshot);
		atomic_store(&signals[sig].handler, handler);
		return -err;
	}
	if (old)
		restore_action(old, handler, wants_info);
	return 0;
}

/* BSD semantics, as glibc's: the handler stays, calls restart. */
sighandler_t signals_set_handler(int sig, sighandler_t handler)
{
	struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
	long r;

	if (atomic_load(&boot_state) == BOOT_INACTIVE)
		return libc.signal(sig, handler);
	sigemptyset(&act.sa_mask);
	if (sig > 0 && sig < NSIG)
		sigaddset(&act.sa_mask, sig);
	r = on_sigaction(sig, &act, &old);
	if (r < 0) {
		errno = (int)-r;
		return SIG_ERR;
	}
	return old.sa_handler;
}
