/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sigaction(), signal() and their relatives, with a trampoline in front of the program's handlers.
 *
 * The kernel keeps flags and masks; only the handler's address is ours. Per signal there is the
 * program's handler and its flags, written before the trampoline is installed, so the trampoline
 * never meets an empty one. What sigaction() reports as old is the program's own again. SIG_DFL,
 * SIG_IGN and SIG_ERR are no functions, whatever the flags say: they go to the kernel as they are.
 *
 * Putting off, in a section (thread.h): the trampoline keeps the siginfo and returns; at the end of
 * the section it is sent to this thread again, so the kernel delivers it with the right mask.
 * Faults are never put off.
 *
 * SA_RESETHAND is done here, when the handler really runs: the kernel would have removed a handler
 * that was only put off.
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
	_Atomic int flags;       /* as the program gave them */
	_Atomic bool is_oneshot; /* SA_RESETHAND, and it has not run yet */
} signals[NSIG];

static sigset_t interrupting; /* siginterrupt(): signal() installs these without SA_RESTART */

/* Per thread. A standard signal is kept once, as the kernel does; of real-time signals, those beyond
 * run at once rather than get lost. */
enum { DEFERRED_MAX = 40, FIRST_REALTIME = 32 };

static THREAD_LOCAL struct signals_seen seen;
static THREAD_LOCAL siginfo_t deferred[DEFERRED_MAX];
static THREAD_LOCAL volatile int n_deferred;
static THREAD_LOCAL volatile int sleep_fd = -1;

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
	int n = n_deferred;

	if (signals_depth(0) == 0 || is_fault(sig))
		return false;
	for (int i = 0; i < n && sig < FIRST_REALTIME; i++)
		if (deferred[i].si_signo == sig)
			return true;
	if (n == DEFERRED_MAX)
		return false;
	deferred[n] = *info;
	deferred[n].si_signo = sig;
	n_deferred = n + 1;
	atomic_fetch_or(&signals_attention, ATTEND_SIGNALS);
	return true;
}

/* Oldest first. Each may end in a jump: what is left then runs at the end of the next section. */
void signals_deliver(void)
{
	sigset_t all, old;

	while (signals_depth(0) == 0 && n_deferred > 0) {
		siginfo_t info;

		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		info = deferred[0];
		n_deferred = n_deferred - 1;
		memmove(deferred, deferred + 1, (size_t)n_deferred * sizeof(deferred[0]));
		if (n_deferred == 0)
			atomic_fetch_and(&signals_attention, ~(uint32_t)ATTEND_SIGNALS);
		if (syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), info.si_signo, &info) < 0)
			raise(info.si_signo);
		pthread_sigmask(SIG_SETMASK, &old, NULL); /* it runs here */
	}
}

/* True: the handler may run. Else another thread was first, and this signal meets SIG_DFL. */
static bool use_up(int sig)
{
	struct sigaction none = {.sa_handler = SIG_DFL, .sa_flags = SA_RESETHAND};

	if (!atomic_exchange(&signals[sig].is_oneshot, false))
		return false;
	none.sa_flags |= atomic_load(&signals[sig].flags) & ~SA_SIGINFO;
	libc.sigaction(sig, &none, NULL);
	return true;
}

static void trampoline(int sig, siginfo_t *info, void *context)
{
	action_fn handler = atomic_load(&signals[sig].handler);
	int flags = atomic_load(&signals[sig].flags);
	int saved_errno = errno;
	const uint64_t one = 1;

	seen.all++;
	if (!(flags & SA_RESTART))
		seen.interrupting++;
	if (sleep_fd >= 0 && libc.write(sleep_fd, &one, sizeof(one)) < 0)
		errno = saved_errno; /* the eventfd is full: the sleeper wakes anyway */
	errno = saved_errno;
	if (put_off(sig, info))
		return;
	if ((flags & SA_RESETHAND) && !use_up(sig)) {
		raise(sig);
		return;
	}
	uint32_t note = call_handler_begin(context);

	handler(sig, info, context); /* a one-argument handler ignores the rest */
	call_handler_end(note);
}

static bool is_function(const struct sigaction *act)
{
	return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN && act->sa_handler != SIG_ERR;
}

/* What the kernel reports, as the program installed it. */
static void restore_action(struct sigaction *old, action_fn handler, int flags)
{
	const int ours = SA_SIGINFO | SA_RESETHAND;

	if (!(old->sa_flags & SA_SIGINFO) || old->sa_sigaction != trampoline)
		return;
	old->sa_sigaction = handler;
	old->sa_flags = (old->sa_flags & ~ours) | (flags & ours);
}

static void store_action(int sig, action_fn handler, int flags)
{
	atomic_store(&signals[sig].flags, flags);
	atomic_store(&signals[sig].is_oneshot, (flags & SA_RESETHAND) != 0);
	atomic_store(&signals[sig].handler, handler);
}

long on_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction ours;
	action_fn handler;
	int flags, r = 0;

	if (sig <= 0 || sig >= NSIG)
		return libc_result(libc.sigaction(sig, act, old));

	signals_hold(); /* the handler that is replaced does not run with the flags of the new one */
	handler = atomic_load(&signals[sig].handler);
	flags = atomic_load(&signals[sig].flags);
	if (act && is_function(act) && atomic_load(&boot_state) != BOOT_INACTIVE) {
		ours = *act;
		ours.sa_flags = (act->sa_flags | SA_SIGINFO) & ~SA_RESETHAND;
		ours.sa_sigaction = trampoline;
		store_action(sig, act->sa_sigaction, act->sa_flags);
		act = &ours;
	}
	if (libc.sigaction(sig, act, old) < 0) {
		r = -errno;
		if (act == &ours)
			store_action(sig, handler, flags);
	} else if (old) {
		restore_action(old, handler, flags);
	}
	signals_release();
	return r;
}

/* --- the relatives, as glibc has them ---------------------------------------------------------------- */

static bool is_possible(int sig, sighandler_t handler)
{
	return sig > 0 && sig < NSIG && handler != SIG_ERR;
}

/* The old handler, or -errno: addresses of functions are positive numbers. */
static long install(int sig, sighandler_t handler, int flags, bool masks_itself)
{
	struct sigaction act = {.sa_handler = handler, .sa_flags = flags}, old;
	long r;

	if (!is_possible(sig, handler))
		return -EINVAL;
	sigemptyset(&act.sa_mask);
	if (masks_itself)
		sigaddset(&act.sa_mask, sig);
	r = on_sigaction(sig, &act, &old);
	return r < 0 ? r : (long)old.sa_handler;
}

/* BSD semantics: the handler stays, calls restart. */
long on_signal(int sig, sighandler_t handler)
{
	bool interrupts = sig > 0 && sig < NSIG && sigismember(&interrupting, sig) == 1;

	return install(sig, handler, interrupts ? 0 : SA_RESTART, true);
}

long on_bsd_signal(int sig, sighandler_t handler)
{
	return on_signal(sig, handler);
}

long on_ssignal(int sig, sighandler_t handler)
{
	return on_signal(sig, handler);
}

/* System V semantics: once, not masked, interrupting. */
long on_sysv_signal(int sig, sighandler_t handler)
{
	return install(sig, handler, SA_RESETHAND | SA_NODEFER, false);
}

long on___sysv_signal(int sig, sighandler_t handler)
{
	return on_sysv_signal(sig, handler);
}

long on_sigset(int sig, sighandler_t handler)
{
	struct sigaction act;
	sigset_t set, old;
	long r;

	if (!is_possible(sig, handler))
		return -EINVAL;
	sigemptyset(&set);
	sigaddset(&set, sig);
	if (handler == SIG_HOLD) {
		pthread_sigmask(SIG_BLOCK, &set, &old);
		r = on_sigaction(sig, NULL, &act);
		r = r < 0 ? r : (long)act.sa_handler;
	} else {
		r = install(sig, handler, 0, false);
		if (r >= 0)
			pthread_sigmask(SIG_UNBLOCK, &set, &old);
	}
	return r >= 0 && sigismember(&old, sig) ? (long)SIG_HOLD : r;
}

long on_siginterrupt(int sig, int flag)
{
	struct sigaction act;
	long r = on_sigaction(sig, NULL, &act);

	if (r < 0)
		return r;
	if (flag) {
		sigaddset(&interrupting, sig);
		act.sa_flags &= ~SA_RESTART;
	} else {
		sigdelset(&interrupting, sig);
		act.sa_flags |= SA_RESTART;
	}
	return on_sigaction(sig, &act, NULL);
}
