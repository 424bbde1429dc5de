/* SPDX-License-Identifier: BSD-3-Clause */
/* Log lines of ltran: what is written, and what is not. */
#include "tests/cunit_main.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "dispatcher/log.h"

static char out[4096];

/* What `write_lines` writes to stderr. */
static const char *
captured(void (*write_lines)(void))
{
	int saved = dup(STDERR_FILENO), pipes[2];
	ssize_t n;

	CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
	dup2(pipes[1], STDERR_FILENO);
	write_lines();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipes[1]);
	n = read(pipes[0], out, sizeof(out) - 1);
	out[n > 0 ? n : 0] = '\0';
	close(pipes[0]);
	return out;
}

static void
one_of_each(void)
{
	log_error("lost %d", 1);
	log_info("came");
	log_debug("why");
}

static void
lines_above_the_level_are_left_out(void)
{
	CU_ASSERT_EQUAL(log_level(), LOG_LEVEL_INFO);
	CU_ASSERT_STRING_EQUAL(captured(one_of_each), "ltran: lost 1\nltran: came\n");
	log_set_level(LOG_LEVEL_ERROR);
	CU_ASSERT_STRING_EQUAL(captured(one_of_each), "ltran: lost 1\n");
	log_set_level(LOG_LEVEL_DEBUG);
	CU_ASSERT_STRING_EQUAL(captured(one_of_each), "ltran: lost 1\nltran: came\nltran: why\n");
	CU_ASSERT_EQUAL(log_level(), LOG_LEVEL_DEBUG);
	log_set_level(LOG_LEVEL_INFO);
}

static void
lines_a_second_are_bounded_and_errors_still_come(void)
{
	unsigned int left_out, n = 0;

	for (unsigned int i = 0; i < 3 * LOG_LINES_PER_S; i++)
		n += !log_is_too_much(LOG_LEVEL_INFO, 1000000, &left_out);
	CU_ASSERT_EQUAL(n, LOG_LINES_PER_S);
	CU_ASSERT_FALSE(log_is_too_much(LOG_LEVEL_ERROR, 1000000, &left_out));
	CU_ASSERT_FALSE(log_is_too_much(LOG_LEVEL_INFO, 1000001, &left_out));
	CU_ASSERT_EQUAL(left_out, 2 * LOG_LINES_PER_S);
	CU_ASSERT_FALSE(log_is_too_much(LOG_LEVEL_INFO, 1000001, &left_out));
	CU_ASSERT_EQUAL(left_out, 0);
}

static void
endless_line(void)
{
	char text[3000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_error("%s", text);
}

static void
long_lines_are_cut_and_still_end(void)
{
	const char *line = captured(endless_line);

	CU_ASSERT(strlen(line) > 100 && strlen(line) <= 512);
	CU_ASSERT_EQUAL(line[strlen(line) - 1], '\n');
}

static void
levels_have_the_names_of_gazellectl(void)
{
	CU_ASSERT_STRING_EQUAL(log_level_name(LOG_LEVEL_ERROR), "error");
	CU_ASSERT_STRING_EQUAL(log_level_name(LOG_LEVEL_INFO), "info");
	CU_ASSERT_STRING_EQUAL(log_level_name(LOG_LEVEL_DEBUG), "debug");
}

static void
full_pipe_holds_up_nobody(void)
{
	int pipes[2], saved = dup(STDERR_FILENO), n = 0;
	char page[4096] = "", text[1 << 17];

	CU_ASSERT_EQUAL_FATAL(pipe2(pipes, O_NONBLOCK), 0);
	while (write(pipes[1], page, sizeof(page)) > 0)
		n++;
	fcntl(pipes[1], F_SETFL, 0);
	dup2(pipes[1], STDERR_FILENO);
	alarm(10); /* it would wait for ever */
	CU_ASSERT_EQUAL_FATAL(log_start(), 0);
	one_of_each();
	one_of_each();
	CU_ASSERT_FALSE(log_stop(20));
	while (n > 0) /* somebody reads again */
		n -= (int)(read(pipes[0], page, sizeof(page)) / (ssize_t)sizeof(page));
	CU_ASSERT_TRUE(log_stop(5000));
	alarm(0);
	n = (int)read(pipes[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	CU_ASSERT_STRING_EQUAL(text, "ltran: lost 1\nltran: came\nltran: lost 1\nltran: came\n");
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipes[0]);
	close(pipes[1]);
}

/* Last: there is no way back. */
static void
syslog_takes_known_facilities_only(void)
{
	CU_ASSERT_FALSE(log_use_syslog("nonsense"));
	CU_ASSERT_FALSE(log_use_syslog(""));
	CU_ASSERT_STRING_EQUAL(captured(one_of_each), "ltran: lost 1\nltran: came\n");
	CU_ASSERT_TRUE(log_use_syslog("local7"));
	CU_ASSERT_STRING_EQUAL(captured(one_of_each), "");
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(lines_above_the_level_are_left_out),
	CUNIT_TEST(long_lines_are_cut_and_still_end),
	CUNIT_TEST(levels_have_the_names_of_gazellectl),
	CUNIT_TEST(full_pipe_holds_up_nobody),
	CUNIT_TEST(syslog_takes_known_facilities_only),
	CUNIT_TEST(lines_a_second_are_bounded_and_errors_still_come),
};
CUNIT_MAIN("log", tests, NULL, NULL)
