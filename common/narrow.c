/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stack pointer goes to memory of ours, and comes back when the function returns. Only narrow stacks are
 * left: on a thread's ordinary stack everything stays where debuggers and profilers expect it.
 *
 * The kernel takes an alternate signal stack for free whose addresses the stack pointer has left: a handler
 * with SA_ONSTACK would begin at its top and overwrite the code that waits there for our return. So the
 * thread has no alternate stack meanwhile, and the handler of a fault runs on our memory. All other signals
 * are blocked then: a handler that the program has installed past the library may stop the program because
 * it does not find its alternate stack (Go's runtime does). Where the narrow stack is the thread's own,
 * nothing of this is needed: an alternate stack, if there is one, is really free.
 *
 * The caller's state is on the stack that was left, and nobody else knows that it is to be gone back to. So
 * nothing may jump out of the function; a thread that ends in it is unwound through both stacks.
 *
 * AddressSanitizer and ThreadSanitizer know a thread by its own stack: built with them nothing is switched.
 */
#include "common/narrow.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

enum { END = 64 * 1024 }; /* without access, below the room */

__thread __attribute__((tls_model("initial-exec"))) struct narrow_notes narrow_notes;

static bool is_in(struct narrow_range range, uintptr_t at)
{
	return at - range.low < range.bytes;
}

void narrow_note_own(struct narrow_range range)
{
	narrow_notes.own = range;
	narrow_notes.has_some = range.bytes != 0 || narrow_notes.alternate.bytes != 0;
}

struct narrow_range narrow_note_alternate(struct narrow_range range)
{
	struct narrow_range before = narrow_notes.alternate;

	narrow_notes.alternate = range;
	narrow_notes.has_some = range.bytes != 0 || narrow_notes.own.bytes != 0;
	return before;
}

bool narrow_look(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	return is_in(narrow_notes.own, here) || is_in(narrow_notes.alternate, here);
}

void *narrow_room_make(void)
{
	char *low = mmap(NULL, END + NARROW_ROOM_BYTES, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (low == MAP_FAILED)
		return NULL;
	if (mprotect(low + END, NARROW_ROOM_BYTES, PROT_READ | PROT_WRITE) == 0)
		return low;
	munmap(low, END + NARROW_ROOM_BYTES);
	return NULL;
}

void narrow_room_free(void *room)
{
	if (room != NULL)
		munmap(room, END + NARROW_ROOM_BYTES);
}

#if NARROW_SWITCHES

/* fn(arg) with the stack pointer at `top`. */
void narrow_switch(void (*fn)(void *arg), void *arg, void *top) __attribute__((visibility("hidden")));
__asm__(".pushsection .text\n"
	".hidden narrow_switch\n"
	".globl narrow_switch\n"
	".type narrow_switch, @function\n"
	"narrow_switch:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	pushq %rbp\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset %rbp, -16\n"
	"	movq %rsp, %rbp\n"
	"	.cfi_def_cfa_register %rbp\n"
	"	movq %rdx, %rsp\n"
	"	movq %rdi, %rax\n"
	"	movq %rsi, %rdi\n"
	"	call *%rax\n"
	"	movq %rbp, %rsp\n"
	"	popq %rbp\n"
	"	.cfi_def_cfa %rsp, 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size narrow_switch, . - narrow_switch\n"
	".popsection\n");

struct trip {
	void (*fn)(void *arg);
	void *arg;
	stack_t alternate;
};

/* On the room: here the kernel lets the thread give up its alternate stack. */
static void without_alternate(void *p)
{
	const struct trip *t = p;
	const stack_t none = {.ss_flags = SS_DISABLE};
	stack_t back = t->alternate;

	back.ss_flags &= ~SS_ONSTACK;
	sigaltstack(&none, NULL);
	t->fn(t->arg);
	sigaltstack(&back, NULL);
}

static void call_from_alternate(void *top, struct trip *t)
{
	const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
	sigset_t most, old;

	sigfillset(&most);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&most, faults[i]);
	pthread_sigmask(SIG_BLOCK, &most, &old);
	narrow_switch(without_alternate, t, top);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void narrow_call(void *room, void (*fn)(void *arg), void *arg)
{
	struct trip t = {.fn = fn, .arg = arg};
	char *top = (char *)room + END + NARROW_ROOM_BYTES;

	if (room == NULL)
		fn(arg);
	else if (sigaltstack(NULL, &t.alternate) == 0 && (t.alternate.ss_flags & SS_ONSTACK))
		call_from_alternate(top, &t);
	else
		narrow_switch(fn, arg, top);
}

#else

void narrow_call(void *room, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

#endif
