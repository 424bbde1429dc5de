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
 * SIGSEGV and SIGBUS have the trampoline always, also where the program wants SIG_DFL: a bad pointer in
 * a call of ours is EFAULT (stack/user.h). Everything else is passed on as if it were not there: to the
 * program's handler, or to the kernel, which then ends the program at the same instruction. They are
 * never blocked, for then the kernel would end the program at once; a thread that blocks them is told
 * that it does, and one that was sent to it stays pending.
 *
 * A child that shares the memory (clone(CLONE_VM)) has handlers of its own, so what it installs goes to the
 * kernel as it is and leaves the table alone. So it is in a child that came past fork() (process.h).
 *
 * SA_RESETHAND is done here, when the handler really runs: the kernel would have removed a handler
 * that was only put off.
 */
#include "preload/signals.h"
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/fd_table.h"
#include "preload/guard.h"
#include "preload/put_off.h"
#include "preload/thread_room.h"
#include "stack/user.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

typedef void (*action_fn)(int, siginfo_t *, void *);

static struct {
	_Atomic(action_fn) handler;
	_Atomic int flags;       /* as the program gave them */
	_Atomic bool is_oneshot; /* SA_RESETHAND, and it has not run yet */
	_Atomic uint32_t masks;  /* SIGSEGV and SIGBUS in sa_mask, as the program gave it */
} signals[NSIG];

static sigset_t interrupting; /* siginterrupt(): signal() installs these without SA_RESTART */

/* Per thread. */
static THREAD_LOCAL struct signals_seen seen;
static THREAD_LOCAL volatile int sleep_fd = -1;
static THREAD_LOCAL uint32_t hidden_mask; /* of SIGSEGV and SIGBUS: blocked, as the thread believes */

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

static bool is_default(action_fn handler)
{
	return handler == NULL;
}

static bool is_code(action_fn handler)
{
	return !is_default(handler) && (uintptr_t)handler != (uintptr_t)SIG_IGN;
}

static bool is_guarded(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS;
}

static uint32_t mask_bit(int sig)
{
	return UINT32_C(1) << sig;
}

static bool is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP ||
		sig == SIGABRT || sig == SIGSYS;
}

/* What cannot be kept runs at once rather than get lost. */
static bool put_off(int sig, const siginfo_t *info)
{
	if (signals_depth(0) == 0 || is_fault(sig) || !put_off_add(sig, info))
		return false;
	atomic_fetch_or(&signals_attention, ATTEND_SIGNALS);
	return true;
}

/* Oldest first. Each may end in a jump: what is left then runs at the end of the next section. */
void signals_deliver(void)
{
	sigset_t all, old;

	while (signals_depth(0) == 0 && !put_off_is_empty()) {
		siginfo_t info;
		bool is_taken;

		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		is_taken = put_off_take(&info); /* false: a handler that came in between has delivered it */
		if (put_off_is_empty())
			atomic_fetch_and(&signals_attention, ~(uint32_t)ATTEND_SIGNALS);
		if (is_taken && syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), info.si_signo, &info) < 0)
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
	if (is_guarded(sig)) {
		atomic_store(&signals[sig].handler, NULL); /* SIG_DFL */
		return true;
	}
	none.sa_flags |= atomic_load(&signals[sig].flags) & ~SA_SIGINFO;
	libc.sigaction(sig, &none, NULL);
	return true;
}

static void send_again(int sig, siginfo_t *info)
{
	info->si_signo = sig;
	if (syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), sig, info) < 0)
		raise(sig);
}

/* What the kernel does without a handler. */
static void by_default(int sig, siginfo_t *info)
{
	struct sigaction none = {.sa_handler = SIG_DFL};
	bool was_sent = info->si_code <= 0;

	if (was_sent && !is_default(atomic_load(&signals[sig].handler)))
		return;
	libc.sigaction(sig, &none, NULL);
	if (was_sent)
		send_again(sig, info);
	/* else the instruction fails once more */
}

/* A fault of a copy, or one that the thread believes to have blocked: true, it is dealt with. */
static bool take_guarded(int sig, siginfo_t *info, void *context)
{
	if (user_fault(info, context))
		return true;
	if (info->si_code > 0 || !(hidden_mask & mask_bit(sig)))
		return false;
	sigaddset(&((ucontext_t *)context)->uc_sigmask, sig);
	send_again(sig, info);
	return true;
}

static void trampoline(int sig, siginfo_t *info, void *context)
{
	action_fn handler = atomic_load(&signals[sig].handler);
	int flags = atomic_load(&signals[sig].flags);
	int saved_errno = errno;
	const uint64_t one = 1;

	if (is_guarded(sig)) {
		if (take_guarded(sig, info, context)) {
			errno = saved_errno;
			return;
		}
		if (!is_code(handler)) {
			by_default(sig, info);
			return;
		}
	}
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
	struct narrow_range before = thread_room_enter(context);
	void *copy = user_suspend();

	handler(sig, info, context); /* a one-argument handler ignores the rest */
	user_resume(copy);
	thread_room_leave(before);
	call_handler_end(note);
}

/* Take SIGSEGV and SIGBUS out of a mask: those that were in, to be put back with show_hidden(). */
static uint32_t hide_both(sigset_t *mask)
{
	uint32_t bits = 0;

	if (sigismember(mask, SIGSEGV) == 1)
		bits |= mask_bit(SIGSEGV);
	if (sigismember(mask, SIGBUS) == 1)
		bits |= mask_bit(SIGBUS);
	sigdelset(mask, SIGSEGV);
	sigdelset(mask, SIGBUS);
	return bits;
}

static void show_hidden(sigset_t *mask, uint32_t bits)
{
	if (bits & mask_bit(SIGSEGV))
		sigaddset(mask, SIGSEGV);
	if (bits & mask_bit(SIGBUS))
		sigaddset(mask, SIGBUS);
}

static bool is_function(const struct sigaction *act)
{
	return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN && act->sa_handler != SIG_ERR;
}

/* What the kernel reports, as the program installed it. */
static void restore_action(struct sigaction *old, action_fn handler, int flags, uint32_t masks)
{
	const int ours = SA_SIGINFO | SA_RESETHAND;

	if (!(old->sa_flags & SA_SIGINFO) || old->sa_sigaction != trampoline)
		return;
	old->sa_sigaction = handler;
	show_hidden(&old->sa_mask, masks);
	if (!is_code(handler))
		old->sa_flags &= ~(SA_ONSTACK | SA_RESTART);
	old->sa_flags = (old->sa_flags & ~ours) | (flags & ours);
}

static void store_action(int sig, action_fn handler, int flags)
{
	atomic_store(&signals[sig].flags, flags);
	atomic_store(&signals[sig].is_oneshot, (flags & SA_RESETHAND) != 0);
	atomic_store(&signals[sig].handler, handler);
}

static long act_in_child(int sig, const struct sigaction *act, struct sigaction *old)
{
	if (libc.sigaction(sig, act, old) < 0)
		return -errno;
	if (old)
		restore_action(old, atomic_load(&signals[sig].handler), atomic_load(&signals[sig].flags),
			atomic_load(&signals[sig].masks));
	return 0;
}

long on_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction ours, without;
	action_fn handler;
	uint32_t masks;
	int flags, r = 0;

	if (sig <= 0 || sig >= NSIG)
		return libc_result(libc.sigaction(sig, act, old));
	/* Its handlers are its own, the table of them is its parent's: it has them without the trampoline. */
	if ((act && fd_table_has_own_handlers()) || !process_is_own())
		return act_in_child(sig, act, old);
	if (sig == SIGSYS && atomic_load(&guard_is_on))
		return guard_set_action(act, old);

	if (is_guarded(sig) && boot_state() != BOOT_INACTIVE && act && !is_function(act) &&
		act->sa_handler != SIG_ERR) {
		without = *act;
		without.sa_flags |= SA_ONSTACK | SA_RESTART;
		act = &without;
	}
	signals_hold(); /* the handler that is replaced does not run with the flags of the new one */
	handler = atomic_load(&signals[sig].handler);
	flags = atomic_load(&signals[sig].flags);
	masks = atomic_load(&signals[sig].masks);
	if (act && (is_function(act) || act == &without) &&
		boot_state() != BOOT_INACTIVE) {
		ours = *act;
		ours.sa_flags = (act->sa_flags | SA_SIGINFO) & ~SA_RESETHAND;
		ours.sa_sigaction = trampoline;
		guard_unblock(&ours.sa_mask);
		atomic_store(&signals[sig].masks, hide_both(&ours.sa_mask));
		store_action(sig, act->sa_sigaction, act->sa_flags);
		act = &ours;
	}
	if (libc.sigaction(sig, act, old) < 0) {
		r = -errno;
		if (act == &ours) {
			atomic_store(&signals[sig].masks, masks);
			store_action(sig, handler, flags);
		}
	} else if (old) {
		restore_action(old, handler, flags, masks);
	}
	signals_release();
	return r;
}

/* The trampoline for SIGSEGV and SIGBUS, in front of whatever is there. */
void signals_init(void)
{
	const int guarded[] = {SIGSEGV, SIGBUS};
	struct sigaction act;

	for (int i = 0; i < 2; i++)
		if (libc.sigaction(guarded[i], NULL, &act) == 0)
			on_sigaction(guarded[i], &act, NULL);
}

/* --- masks --------------------------------------------------------------------------------------------- */

/* An error number, as pthread_sigmask() returns it. */
static int set_mask(int how, const sigset_t *set, sigset_t *old)
{
	uint32_t hidden = hidden_mask;
	sigset_t real;
	int r;

	if (set)
		real = *set;
	if (boot_state() == BOOT_INACTIVE ||
		(how != SIG_BLOCK && how != SIG_UNBLOCK && how != SIG_SETMASK))
		return libc.pthread_sigmask(how, set, old);
	if (set) {
		uint32_t bits = hide_both(&real);

		hidden_mask = how == SIG_BLOCK ? hidden | bits :
			how == SIG_UNBLOCK     ? hidden & ~bits :
						 bits;
		if (how == SIG_UNBLOCK)
			show_hidden(&real, bits);
		else
			guard_unblock(&real);
	}
	r = libc.pthread_sigmask(how, set ? &real : NULL, old);
	if (r == 0 && old)
		show_hidden(old, hidden);
	return r;
}

long on_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return set_mask(how, set, old);
}

long on_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return -set_mask(how, set, old);
}

const sigset_t *guard_mask(const sigset_t *mask, sigset_t *room)
{
	if (mask == NULL || !atomic_load(&guard_is_on))
		return mask;
	sigemptyset(room);
	if (!user_copy(room, mask, NSIG / 8))
		return mask;
	sigdelset(room, SIGSYS);
	return room;
}

long on_sigsuspend(const sigset_t *mask)
{
	sigset_t room;

	return libc_result(libc.sigsuspend(guard_mask(mask, &room)));
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
