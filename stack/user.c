/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies that survive a bad pointer.
 *
 * Asking the kernel before each copy would cost a system call. Instead the copy is made, and the
 * handler of SIGSEGV recognises it: small copies (most of them) by the program counter, for they are
 * made by a few instructions of our own that keep nothing on the stack; all others by a guard, which
 * the thread sets before the copy, with what __builtin_longjmp() needs. The handler does not jump
 * itself: it changes the context that it returns to, so the kernel restores mask and stack.
 *
 * On processors other than x86-64 and aarch64 a bad pointer ends the program.
 */
#include "stack/user.h"

#include <string.h>
#include <ucontext.h>

#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))
#define PAGE 4096

struct guard {
	void *frame[5];
};

static THREAD_LOCAL struct guard *volatile guard;

static void __attribute__((noreturn, noinline)) land(struct guard *g)
{
	__builtin_longjmp(g->frame, 1);
}

/* Not sanitized: memcpy() must not be NULL, and that is what we are here for. */
bool __attribute__((noinline, no_sanitize("undefined"))) user_copy_guarded(void *to, const void *from, size_t n)
{
	struct guard g;

	if (__builtin_setjmp(g.frame) != 0)
		return false;
	guard = &g;
	memcpy(to, from, n);
	guard = NULL;
	return true;
}

bool __attribute__((noinline)) user_try(void (*fn)(void *arg), void *arg)
{
	struct guard g;

	if (__builtin_setjmp(g.frame) != 0)
		return false;
	guard = &g;
	fn(arg);
	guard = NULL;
	return true;
}

/* --- small copies ------------------------------------------------------------------------------------ */

#if USER_SMALL_MAX > 0

extern char user_copy_small_end[] __attribute__((visibility("hidden")));
extern char user_copy_small_failed[] __attribute__((visibility("hidden")));

__asm__(".pushsection .text\n"
	".hidden user_copy_small\n"
	".hidden user_copy_small_end\n"
	".hidden user_copy_small_failed\n"
	".globl user_copy_small\n"
	".globl user_copy_small_end\n"
	".globl user_copy_small_failed\n"
	".type user_copy_small, @function\n"
	".p2align 5\n"
	"user_copy_small:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	cmpq $16, %rdx\n"
	"	jae 3f\n"
	"	cmpq $8, %rdx\n"
	"	jae 2f\n"
	"	cmpq $4, %rdx\n"
	"	jae 1f\n"
	"	testq %rdx, %rdx\n"
	"	je 9f\n"
	"	movq %rdx, %r8\n"
	"	shrq $1, %r8\n"
	"	movzbl (%rsi), %eax\n"
	"	movzbl (%rsi, %r8), %r9d\n"
	"	movzbl -1(%rsi, %rdx), %ecx\n"
	"	movb %al, (%rdi)\n"
	"	movb %r9b, (%rdi, %r8)\n"
	"	movb %cl, -1(%rdi, %rdx)\n"
	"	jmp 9f\n"
	"1:	movl (%rsi), %eax\n"
	"	movl -4(%rsi, %rdx), %ecx\n"
	"	movl %eax, (%rdi)\n"
	"	movl %ecx, -4(%rdi, %rdx)\n"
	"	jmp 9f\n"
	"2:	movq (%rsi), %rax\n"
	"	movq -8(%rsi, %rdx), %rcx\n"
	"	movq %rax, (%rdi)\n"
	"	movq %rcx, -8(%rdi, %rdx)\n"
	"	jmp 9f\n"
	"3:	cmpq $32, %rdx\n"
	"	ja 4f\n"
	"	movups (%rsi), %xmm0\n"
	"	movups -16(%rsi, %rdx), %xmm1\n"
	"	movups %xmm0, (%rdi)\n"
	"	movups %xmm1, -16(%rdi, %rdx)\n"
	"	jmp 9f\n"
	"4:	movups -16(%rsi, %rdx), %xmm2\n"
	"	movups -32(%rsi, %rdx), %xmm3\n"
	"	leaq -32(%rdx), %r8\n"
	"	xorl %ecx, %ecx\n"
	"5:	movups (%rsi, %rcx), %xmm0\n"
	"	movups 16(%rsi, %rcx), %xmm1\n"
	"	movups %xmm0, (%rdi, %rcx)\n"
	"	movups %xmm1, 16(%rdi, %rcx)\n"
	"	addq $32, %rcx\n"
	"	cmpq %r8, %rcx\n"
	"	jb 5b\n"
	"	movups %xmm3, -32(%rdi, %rdx)\n"
	"	movups %xmm2, -16(%rdi, %rdx)\n"
	"9:	movl $1, %eax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".hidden user_touch\n"
	".globl user_touch\n"
	".type user_touch, @function\n"
	"user_touch:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	lock orb $0, (%rdi)\n"
	"	movl $1, %eax\n"
	"	ret\n"
	"user_copy_small_end:\n"
	"user_copy_small_failed:\n"
	"	xorl %eax, %eax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size user_copy_small, . - user_copy_small\n"
	".popsection\n");

static bool small_fault(ucontext_t *uc)
{
	uintptr_t pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];

	if (pc < (uintptr_t)user_copy_small || pc >= (uintptr_t)user_copy_small_end)
		return false;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)user_copy_small_failed;
	return true;
}

#else

bool user_touch(void *p)
{
	return user_extent(p, 1, true) == 1;
}

static bool small_fault(ucontext_t *uc)
{
	return false;
}

#endif

/* --- extent ------------------------------------------------------------------------------------------ */

struct extent {
	volatile char *p;
	size_t n;
	volatile size_t good; /* also right when the next step fails */
	bool writes;
};

/* Whether the memory is there is what shall be found out, also of address 0. */
static void __attribute__((no_sanitize("undefined"))) touch(void *arg)
{
	struct extent *e = arg;

	while (e->good < e->n) {
		volatile char *p = e->p + e->good;
		size_t step = PAGE - ((uintptr_t)p & (PAGE - 1));
		char c = *p;

		if (e->writes)
			*p = c;
		e->good = e->n - e->good < step ? e->n : e->good + step;
	}
}

size_t user_extent(void *p, size_t n, bool writes)
{
	struct extent e = {.p = p, .n = n, .writes = writes};

	user_try(touch, &e);
	return e.good;
}

/* --- the handler's side ------------------------------------------------------------------------------ */

/* The context goes on in land(g), on a stack below what the copy has used. */
static bool go_to_landing(ucontext_t *uc, struct guard *g)
{
#if defined(__x86_64__)
	enum { RED_ZONE = 128, DIRECTION = 0x400 };
	greg_t *r = uc->uc_mcontext.gregs;

	r[REG_RSP] = ((r[REG_RSP] - RED_ZONE) & ~(greg_t)15) - 8;
	r[REG_RIP] = (greg_t)land;
	r[REG_RDI] = (greg_t)g;
	r[REG_EFL] &= ~(greg_t)DIRECTION;
	return true;
#elif defined(__aarch64__)
	uc->uc_mcontext.sp &= ~15ull;
	uc->uc_mcontext.pc = (uintptr_t)land;
	uc->uc_mcontext.regs[0] = (uintptr_t)g;
	return true;
#else
	return false;
#endif
}

bool user_fault(const siginfo_t *info, void *context)
{
	struct guard *g = guard;

	if (info->si_code <= 0) /* somebody has sent it */
		return false;
	if (small_fault(context))
		return true;
	if (g == NULL)
		return false;
	guard = NULL;
	return go_to_landing(context, g);
}

void *user_suspend(void)
{
	void *suspended = guard;

	guard = NULL;
	return suspended;
}

void user_resume(void *suspended)
{
	guard = suspended;
}
