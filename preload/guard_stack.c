/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel writes a signal's frame (1 to 3 KB, more with AMX) below the stack pointer of the code that it
 * interrupts, unless the handler has SA_ONSTACK and the thread an alternate stack. A runtime with small
 * stacks of its own (Go: a goroutine has 2 KB at first and checks the room of its own functions only)
 * would have its memory overwritten; that is why such runtimes want SA_ONSTACK of every handler. But an
 * alternate stack is too small for what a call of ours may need, and it must be free while the call waits:
 * the next handler of the program begins at its top.
 *
 * So the guard's handler is entered on the alternate stack, where there is one, and moves at once: the
 * frame is copied to where the kernel could have put it, and guard_serve() is entered as if it had. It
 * returns by the copy. Places, by the stack pointer of the code that made the call:
 *
 *	the stack that libc gave the thread	below it, as without SA_ONSTACK: a call of libc would run there
 *	an alternate stack (a handler's call)	the frame stays: it lies below what the handler needs
 *	the reserve (a handler without
 *	SA_ONSTACK, while a call of ours waits)	below it
 *	anything else				at the top of the reserve, which belongs to the thread
 *
 * A call from "anything else" means that the reserve is free: what waited there was left by a jump. The
 * exception is a handler that goes on with another small stack (swapcontext()) while the call that it
 * interrupted waits; such programs are not served.
 */
#include "preload/guard_stack.h"

#if defined(__x86_64__)

#include "preload/calls.h"
#include "preload/libc.h"
#include "preload/thread.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/signal.h, which goes ill with libc's. */
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

enum {
	RESERVE = 512 * 1024, /* bytes of addresses; memory comes page by page, as it is touched */
	RED_ZONE = 128,       /* below the stack pointer, a function's own: System V ABI, 3.2.2 */
	FP_ALIGN = 64,        /* as XRSTOR wants it */
	FRAME_ALIGN = 16,     /* of the address above the return address */
};

/* Where a handler returns to, and the kernel's ucontext and siginfo behind it. */
typedef void *return_address;

struct range {
	uintptr_t low, high;
};

static THREAD_LOCAL struct range libcs; /* the stack that libc gave this thread */
static THREAD_LOCAL struct range reserve;

static pthread_key_t reserve_key;
static pthread_once_t reserve_key_once = PTHREAD_ONCE_INIT;

static void unmap_reserve(void *low)
{
	reserve = (struct range){0, 0};
	munmap(low, RESERVE);
}

static void make_key(void)
{
	if (pthread_key_create(&reserve_key, unmap_reserve) != 0)
		reserve_key = (pthread_key_t)-1;
}

static struct range stack_of_libc(void)
{
	struct range r = {0, 0};
	pthread_attr_t attr;
	void *low;
	size_t bytes;

	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return r;
	if (pthread_attr_getstack(&attr, &low, &bytes) == 0)
		r = (struct range){(uintptr_t)low, (uintptr_t)low + bytes};
	pthread_attr_destroy(&attr);
	return r;
}

void guard_stack_begin(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *low;

	if (reserve.high != 0)
		return;
	libcs = stack_of_libc();
	pthread_once(&reserve_key_once, make_key);
	low = mmap(NULL, RESERVE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (low == MAP_FAILED)
		return;
	if (mprotect(low, page, PROT_NONE) < 0 || pthread_setspecific(reserve_key, low) != 0) {
		munmap(low, RESERVE);
		return;
	}
	reserve = (struct range){(uintptr_t)low + page, (uintptr_t)low + RESERVE};
}

static bool is_in(struct range r, uintptr_t at)
{
	return at > r.low && at <= r.high;
}

/* The top of where the frame at `here` goes to. 0: it stays. */
static uintptr_t place(const ucontext_t *uc, uintptr_t here)
{
	const uintptr_t low = (uintptr_t)uc->uc_stack.ss_sp;
	const struct range alternate = {low, low + uc->uc_stack.ss_size};
	const uintptr_t caller = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];

	if ((uc->uc_stack.ss_flags & SS_DISABLE) || !is_in(alternate, here) ||
		is_in(alternate, caller))
		return 0;
	if (is_in(libcs, caller) || is_in(reserve, caller))
		return caller - RED_ZONE;
	return reserve.high;
}

/* Not memcpy(), which sanitizers watch: this is the kernel's work. */
static void copy(uintptr_t to, uintptr_t from, size_t bytes)
{
	void *destination = (void *)to;
	const void *source = (const void *)from;

	__asm__ volatile("rep movsb" : "+D"(destination), "+S"(source), "+c"(bytes) : : "memory");
}

/* The state of the floating point and vector units, as long as its own header says. */
static size_t fp_bytes(const struct _libc_fpstate *fp)
{
	const struct _fpx_sw_bytes *sw =
		(const void *)((uintptr_t)fp + sizeof(struct _fpstate) - sizeof(*sw));

	return sw->magic1 == FP_XSTATE_MAGIC1 ? sw->extended_size : sizeof(struct _fpstate);
}

/* guard_serve(sig, info, context) with the stack pointer at `frame`. */
void guard_stack_go(int sig, siginfo_t *info, void *context, uintptr_t frame)
	__attribute__((visibility("hidden"), noreturn));
__asm__(".pushsection .text\n"
	".hidden guard_stack_go\n"
	".globl guard_stack_go\n"
	".type guard_stack_go, @function\n"
	"guard_stack_go:\n"
	"	endbr64\n"
	"	movq %rcx, %rsp\n"
	"	jmp guard_serve\n"
	".size guard_stack_go, . - guard_stack_go\n"
	".popsection\n");

void guard_stack_enter(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uintptr_t from = (uintptr_t)context - sizeof(return_address);
	size_t head = (uintptr_t)(info + 1) - from, fp;
	uintptr_t to = place(uc, from), to_fp;

	if (to == 0 || uc->uc_mcontext.fpregs == NULL) {
		guard_serve(sig, info, context);
		return;
	}
	fp = fp_bytes(uc->uc_mcontext.fpregs);
	to_fp = (to - fp) & ~(uintptr_t)(FP_ALIGN - 1);
	copy(to_fp, (uintptr_t)uc->uc_mcontext.fpregs, fp);
	to = ((to_fp - head) & ~(uintptr_t)(FRAME_ALIGN - 1)) - sizeof(return_address);
	copy(to, from, head);
	uc = (ucontext_t *)(to + sizeof(return_address));
	uc->uc_mcontext.fpregs = (struct _libc_fpstate *)to_fp;
	guard_stack_go(sig, (siginfo_t *)(to + head) - 1, uc, to);
}

/* By the kernel itself, for here the stack pointer is on the alternate stack where the caller's is; and into
 * what it puts back when the handler returns. A stack with SS_AUTODISARM is away until then. */
long guard_stack_change(ucontext_t *uc, const stack_t *set, stack_t *old)
{
	long r;

	if ((unsigned int)uc->uc_stack.ss_flags & SS_AUTODISARM)
		libc.syscall(SYS_sigaltstack, &uc->uc_stack, NULL);
	r = libc_result(libc.syscall(SYS_sigaltstack, set, old));
	libc.syscall(SYS_sigaltstack, NULL, &uc->uc_stack);
	return r;
}

#endif
