/* SPDX-License-Identifier: BSD-3-Clause */
/* Signals that are put off: which are kept, their order, and what happens without memory. */
#include "preload/put_off.h"
#include "tests/cunit_main.h"

#include <errno.h>
#include <sys/resource.h>
#include <ucontext.h>

enum { KEPT = 40, WITHOUT_MEMORY = 2 };

static bool add(int sig, int value)
{
	siginfo_t info = {.si_signo = sig};

	info.si_value.sival_int = value;
	return put_off_add(sig, &info);
}

/* Takes the oldest: is it this one? */
static bool next_is(int sig, int value)
{
	siginfo_t info;

	return put_off_take(&info) && info.si_signo == sig && info.si_value.sival_int == value;
}

static void assert_nothing_left(void)
{
	siginfo_t info;

	CU_ASSERT_FALSE(put_off_take(&info));
	CU_ASSERT_TRUE(put_off_is_empty());
	put_off_end();
}

static void a_standard_signal_is_kept_once(void)
{
	CU_ASSERT_TRUE(add(SIGUSR1, 1));
	CU_ASSERT_TRUE(add(SIGUSR2, 2));
	CU_ASSERT_TRUE(add(SIGUSR1, 3));
	CU_ASSERT_FALSE(put_off_is_empty());
	CU_ASSERT_TRUE(next_is(SIGUSR1, 1));
	CU_ASSERT_TRUE(next_is(SIGUSR2, 2));
	assert_nothing_left();
}

static void a_signal_that_was_taken_can_be_put_off_again(void)
{
	for (int i = 0; i < KEPT; i++) {
		CU_ASSERT_TRUE(add(SIGUSR1, i));
		CU_ASSERT_TRUE(next_is(SIGUSR1, i));
	}
	assert_nothing_left();
}

static void realtime_signals_are_all_kept_in_order(void)
{
	for (int i = 0; i < KEPT; i++)
		CU_ASSERT_TRUE(add(SIGRTMIN, i));
	CU_ASSERT_FALSE(add(SIGRTMIN, KEPT));
	CU_ASSERT_FALSE(add(SIGUSR1, KEPT));
	for (int i = 0; i < KEPT; i++)
		CU_ASSERT_TRUE(next_is(SIGRTMIN, i));
	assert_nothing_left();
}

static void without_memory_a_few_are_kept_and_the_rest_is_refused(void)
{
	struct rlimit all, none = {0};

	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_AS, &all), 0);
	none.rlim_max = all.rlim_max;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_AS, &none), 0);
	errno = EDOM;
	for (int i = 0; i < KEPT; i++)
		CU_ASSERT_EQUAL(add(SIGRTMIN, i), i < WITHOUT_MEMORY);
	CU_ASSERT_EQUAL(errno, EDOM);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_AS, &all), 0);
	for (int i = 0; i < WITHOUT_MEMORY; i++)
		CU_ASSERT_TRUE(next_is(SIGRTMIN, i));
	assert_nothing_left();
	CU_ASSERT_TRUE(add(SIGRTMIN, 7));
	CU_ASSERT_TRUE(next_is(SIGRTMIN, 7));
	assert_nothing_left();
}

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define CAN_STEP 1 /* ThreadSanitizer's calls have too many instructions */

/* --- a handler that interrupts another one, at each instruction ---------------------------------------- */

enum { TRAP_FLAG = 0x100 };

static volatile long steps_left; /* until the second handler comes; negative: it has been */

static void on_step(int sig, siginfo_t *info, void *context)
{
	if (--steps_left != 0)
		return;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	add(SIGRTMIN + 1, 2);
}

/* add(SIGRTMIN, 1), and add(SIGRTMIN + 1, 2) from a handler before its instruction `at`. False: it has less. */
static bool add_both(long at)
{
	steps_left = at;
	__asm__ volatile("pushfq\n\torq %0, (%%rsp)\n\tpopfq" : : "i"(TRAP_FLAG) : "memory", "cc");
	add(SIGRTMIN, 1);
	__asm__ volatile("pushfq\n\tandq %0, (%%rsp)\n\tpopfq" : : "i"(~TRAP_FLAG) : "memory", "cc");
	return steps_left <= 0;
}

static void a_handler_that_interrupts_another_loses_no_signal(void)
{
	struct sigaction act = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_NODEFER};
	siginfo_t info;
	long at, sum;

	sigaction(SIGTRAP, &act, NULL);
	for (at = 1; add_both(at); at++) {
		sum = 0;
		for (int i = 0; i < 2; i++)
			sum += put_off_take(&info) ? info.si_value.sival_int : 0;
		CU_ASSERT_EQUAL(sum, 3);
		assert_nothing_left();
	}
	signal(SIGTRAP, SIG_DFL);
	CU_ASSERT(at > 20);
	CU_ASSERT_TRUE(next_is(SIGRTMIN, 1));
	assert_nothing_left();
}

#endif

static const struct cunit_test tests[] = {
	CUNIT_TEST(a_standard_signal_is_kept_once),
	CUNIT_TEST(a_signal_that_was_taken_can_be_put_off_again),
	CUNIT_TEST(realtime_signals_are_all_kept_in_order),
	CUNIT_TEST(without_memory_a_few_are_kept_and_the_rest_is_refused),
#if defined(CAN_STEP)
	CUNIT_TEST(a_handler_that_interrupts_another_loses_no_signal),
#endif
};
CUNIT_MAIN("put_off", tests, NULL, NULL)
