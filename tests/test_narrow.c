/* SPDX-License-Identifier: BSD-3-Clause */
/* Leaving a small stack: which stacks are small, what a call on other memory sees, and what it leaves. */
#include "common/narrow.h"
#include "tests/cunit_main.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALTERNATE = 16384, PAINT = 0x5a };

static char *room, *alternate;
static uintptr_t seen; /* the stack pointer in the function */

static bool is_in_room(uintptr_t at)
{
	return at - (uintptr_t)room < (320 << 10);
}

static uintptr_t stack_pointer(void)
{
	return (uintptr_t)__builtin_frame_address(0);
}

static void look(void *arg)
{
	seen = stack_pointer();
	*(int *)arg += 1;
}

static void setup(void)
{
	room = narrow_room_make();
	alternate = mmap(NULL, ALTERNATE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	seen = 0;
}

static void teardown(void)
{
	const stack_t none = {.ss_flags = SS_DISABLE};

	sigaltstack(&none, NULL);
	signal(SIGUSR1, SIG_DFL);
	narrow_note_own((struct narrow_range){0});
	narrow_note_alternate((struct narrow_range){0});
	munmap(alternate, ALTERNATE);
	narrow_room_free(room);
}

static void without_room_the_function_runs_here(void)
{
	int n = 0;

	narrow_call(NULL, look, &n);
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_FALSE(is_in_room(seen));
}

#if NARROW_SWITCHES

static bool is_on_alternate(uintptr_t at)
{
	return at - (uintptr_t)alternate < ALTERNATE;
}

static void use_alternate(void (*handler)(int sig))
{
	const stack_t on = {.ss_sp = alternate, .ss_size = ALTERNATE};
	struct sigaction act = {.sa_handler = handler, .sa_flags = SA_ONSTACK};

	CU_ASSERT_EQUAL(sigaltstack(&on, NULL), 0);
	sigaction(SIGUSR1, &act, NULL);
}

static void a_stack_is_narrow_where_it_was_noted(void)
{
	uintptr_t here = stack_pointer();

	CU_ASSERT_FALSE(narrow_is_here());
	narrow_note_own((struct narrow_range){here - 4096, 8192});
	CU_ASSERT_TRUE(narrow_is_here());
	narrow_note_own((struct narrow_range){here + 4096, 8192});
	CU_ASSERT_FALSE(narrow_is_here());
	narrow_note_own((struct narrow_range){here - 8192, 4096});
	CU_ASSERT_FALSE(narrow_is_here());
}

/* A handler that jumps away leaves the note of its alternate stack behind. */
static void a_note_of_a_handler_hides_none_of_the_thread(void)
{
	struct narrow_range here = {stack_pointer() - 4096, 8192}, elsewhere = {4096, 8192};

	narrow_note_own(here);
	CU_ASSERT_EQUAL(narrow_note_alternate(elsewhere).bytes, 0);
	CU_ASSERT_TRUE(narrow_is_here());
	narrow_note_own((struct narrow_range){0});
	CU_ASSERT_FALSE(narrow_is_here());
	CU_ASSERT_EQUAL(narrow_note_alternate(here).low, elsewhere.low);
	CU_ASSERT_TRUE(narrow_is_here());
	narrow_note_alternate((struct narrow_range){0});
	CU_ASSERT_FALSE(narrow_is_here());
}

static void the_function_runs_in_the_room(void)
{
	int n = 0;

	for (int i = 0; i < 3; i++)
		narrow_call(room, look, &n);
	CU_ASSERT_EQUAL(n, 3);
	CU_ASSERT_TRUE(is_in_room(seen));
	CU_ASSERT_EQUAL(seen % 16, 0); /* as the System V ABI has it for a frame */
}

static void use_much(void *arg)
{
	volatile char much[200 << 10];

	for (size_t i = 0; i < sizeof(much); i += 512)
		much[i] = (char)i;
	*(int *)arg = much[512];
}

static void the_room_has_two_hundred_kilobytes(void)
{
	int n = 1;

	narrow_call(room, use_much, &n);
	CU_ASSERT_EQUAL(n, 0);
}

/* --- signals --------------------------------------------------------------------------------------- */

static sigset_t mask_inside;
static stack_t alternate_inside;

static void look_at_signals(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, &mask_inside);
	sigaltstack(NULL, &alternate_inside);
	look(arg);
}

static void on_alternate(int sig)
{
	stack_t after;
	int n = 0;

	CU_ASSERT_TRUE(is_on_alternate(stack_pointer()));
	narrow_call(room, look_at_signals, &n);
	CU_ASSERT_TRUE(is_in_room(seen));
	CU_ASSERT_TRUE(alternate_inside.ss_flags & SS_DISABLE);
	sigaltstack(NULL, &after);
	CU_ASSERT_PTR_EQUAL(after.ss_sp, alternate);
	CU_ASSERT_EQUAL(after.ss_size, ALTERNATE);
	CU_ASSERT_EQUAL(after.ss_flags, SS_ONSTACK);
}

static void the_alternate_stack_is_away_inside_and_back_after(void)
{
	use_alternate(on_alternate);
	raise(SIGUSR1);
	CU_ASSERT_NOT_EQUAL(seen, 0);
}

static sigset_t block_one(int sig)
{
	sigset_t one, before;

	sigemptyset(&one);
	sigaddset(&one, sig);
	pthread_sigmask(SIG_SETMASK, &one, &before);
	return before;
}

static void call_and_look_at_mask(int sig)
{
	sigset_t before = block_one(SIGUSR2), after;
	int n = 0;

	narrow_call(room, look_at_signals, &n);
	pthread_sigmask(SIG_SETMASK, &before, &after);
	CU_ASSERT_EQUAL(sigismember(&after, SIGALRM), 0);
	CU_ASSERT_EQUAL(sigismember(&after, SIGUSR2), 1);
}

static void from_an_alternate_stack_only_faults_are_let_through(void)
{
	use_alternate(call_and_look_at_mask);
	raise(SIGUSR1);
	CU_ASSERT_EQUAL(sigismember(&mask_inside, SIGALRM), 1);
	CU_ASSERT_EQUAL(sigismember(&mask_inside, SIGABRT), 1);
	CU_ASSERT_EQUAL(sigismember(&mask_inside, SIGSEGV), 0);
	CU_ASSERT_EQUAL(sigismember(&mask_inside, SIGSYS), 0);
}

static void from_another_stack_signals_and_the_alternate_stack_stay(void)
{
	use_alternate(on_alternate);
	call_and_look_at_mask(0);
	CU_ASSERT_EQUAL(sigismember(&mask_inside, SIGALRM), 0);
	CU_ASSERT_EQUAL(sigismember(&mask_inside, SIGUSR2), 1);
	CU_ASSERT_EQUAL(alternate_inside.ss_flags, 0);
	CU_ASSERT_PTR_EQUAL(alternate_inside.ss_sp, alternate);
}

static uintptr_t fault_at;

static void on_fault(int sig)
{
	fault_at = stack_pointer();
}

static void raise_fault(void *arg)
{
	raise(SIGTRAP);
	look(arg);
}

/* What the handler of SIGUSR1 has on the alternate stack is above it: paint shows a second handler there. */
static void fault_inside(int sig)
{
	struct sigaction act = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};
	volatile char paint[1024];
	int n = 0;

	sigaction(SIGTRAP, &act, NULL);
	for (size_t i = 0; i < sizeof(paint); i++)
		paint[i] = PAINT;
	narrow_call(room, raise_fault, &n);
	for (size_t i = 0; i < sizeof(paint); i++)
		CU_ASSERT_EQUAL(paint[i], PAINT);
	CU_ASSERT_EQUAL(n, 1);
	signal(SIGTRAP, SIG_DFL);
}

static void a_fault_inside_does_not_begin_on_the_alternate_stack(void)
{
	use_alternate(fault_inside);
	raise(SIGUSR1);
	CU_ASSERT_TRUE(is_in_room(fault_at));
}

/* Unwinding, as of a thread that ends inside, finds the way back to the thread's stack. */
static bool was_cleaned;

static void clean(void *arg)
{
	was_cleaned = true;
}

static void end_thread(void *arg)
{
	pthread_exit(arg);
}

static void *thread_that_ends_inside(void *arg)
{
	pthread_cleanup_push(clean, NULL);
	narrow_call(room, end_thread, arg);
	pthread_cleanup_pop(0);
	return NULL;
}

static void the_stack_can_be_unwound_from_inside(void)
{
	pthread_t thread;
	void *r = NULL;

	was_cleaned = false;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, thread_that_ends_inside, &was_cleaned), 0);
	pthread_join(thread, &r);
	CU_ASSERT_PTR_EQUAL(r, &was_cleaned);
	CU_ASSERT_TRUE(was_cleaned);
}

#endif

static const struct cunit_test tests[] = {
	CUNIT_TEST(without_room_the_function_runs_here),
#if NARROW_SWITCHES
	CUNIT_TEST(a_stack_is_narrow_where_it_was_noted),
	CUNIT_TEST(a_note_of_a_handler_hides_none_of_the_thread),
	CUNIT_TEST(the_function_runs_in_the_room),
	CUNIT_TEST(the_room_has_two_hundred_kilobytes),
	CUNIT_TEST(the_alternate_stack_is_away_inside_and_back_after),
	CUNIT_TEST(from_an_alternate_stack_only_faults_are_let_through),
	CUNIT_TEST(from_another_stack_signals_and_the_alternate_stack_stay),
	CUNIT_TEST(a_fault_inside_does_not_begin_on_the_alternate_stack),
	CUNIT_TEST(the_stack_can_be_unwound_from_inside),
#endif
};
CUNIT_MAIN("narrow", tests, setup, teardown)
