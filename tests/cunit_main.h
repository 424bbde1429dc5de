/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runner of one unit test program: one file, one suite, one main().
 *
 *	static const struct cunit_test tests[] = {
 *		CUNIT_TEST(syn_to_closed_port_is_reset),
 *	};
 *	CUNIT_MAIN("classify", tests, NULL, NULL)
 *
 * The two last arguments are CUnit's per-test setup and teardown, or NULL. An argument on the
 * command line runs only the tests whose name contains it. The last line is "N passed, N failed";
 * the exit code is non-zero when a test failed or nothing ran.
 */
#ifndef TESTS_CUNIT_MAIN_H
#define TESTS_CUNIT_MAIN_H

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct cunit_test {
	const char *name;
	CU_TestFunc run;
};

#define CUNIT_TEST(fn) { #fn, fn }
#define CUNIT_MAIN(suite, tests, setup, teardown)                                                  \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return cunit_run((suite), (tests), sizeof(tests) / sizeof((tests)[0]), (setup),    \
			(teardown), argc > 1 ? argv[1] : "");                                      \
	}

/* What nohup, a script's background or a mask left to us does not reach the tests' processes. */
static inline void
cunit_default_signals(void)
{
	sigset_t none;
	for (int number = 1; number < NSIG; number++) {
		struct sigaction now;
		if (sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
			signal(number, SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static inline int
cunit_run(const char *suite, const struct cunit_test *tests, size_t n, CU_SetUpFunc setup,
	CU_TearDownFunc teardown, const char *filter)
{
	cunit_default_signals();
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	CU_pSuite s = CU_add_suite_with_setup_and_teardown(suite, NULL, NULL, setup, teardown);
	for (size_t i = 0; s != NULL && i < n; i++) {
		if (strstr(tests[i].name, filter) != NULL)
			CU_add_test(s, tests[i].name, tests[i].run);
	}
	/* A crash must not swallow the name of the test that caused it. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();

	unsigned int run = CU_get_number_of_tests_run();
	unsigned int failed = CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	printf("%u passed, %u failed\n", run - failed, failed);
	return failed != 0 || run == 0;
}

#endif
