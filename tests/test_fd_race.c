/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What other threads do with a number in the middle of a call that changes what it stands for. The moment is
 * that in which the stack is told that the socket is closed.
 */
#include "conf/conf.h"
#include "preload/calls.h"
#include "preload/fd.h"
#include "tests/few_fds.h"
#include "tests/preload_pair.h"

#include <pthread.h>

static int number, other, opened;

static void *run(void *arg)
{
	((void (*)(void))arg)();
	return NULL;
}

static void (*meanwhile)(void);

/* Another thread does `meanwhile`, and comes to its end. */
static void in_another_thread(void)
{
	pthread_t thread;

	fake_on_close = NULL;
	pthread_create(&thread, NULL, run, (void *)meanwhile);
	pthread_join(thread, NULL);
}

static void when_it_is_closed(void (*fn)(void))
{
	meanwhile = fn;
	fake_on_close = in_another_thread;
}

static void look_at_closed_number(void)
{
	char c;

	CU_ASSERT_EQUAL(close(number), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	CU_ASSERT_EQUAL(read(number, &c, 1), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	CU_ASSERT_EQUAL(fcntl(number, F_GETFL), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	opened = open("/dev/null", O_RDWR);
	CU_ASSERT_NOT_EQUAL(opened, number);
}

BOTH_MODES(a_number_is_closed_to_all_threads_at_once)
{
	struct pair p = pair_open(), q;
	char c = 0;

	number = p.server;
	when_it_is_closed(look_at_closed_number);
	CU_ASSERT_EQUAL(close(number), 0);
	CU_ASSERT_PTR_NULL(fake_on_close);
	q = pair_open(); /* has the number again, and nobody takes it away */
	CU_ASSERT_EQUAL(q.listener == number || q.client == number || q.server == number, true);
	for (int i = 0; i < 40; i++)
		CU_ASSERT_NOT_EQUAL(open("/dev/null", O_RDWR | O_CLOEXEC), number);
	CU_ASSERT_EQUAL(write(q.client, "x", 1), 1);
	CU_ASSERT_EQUAL(read(q.server, &c, 1), 1);
	for (int fd = 0; fd < 200; fd++)
		if (fd_peek(fd) == NULL && fcntl(fd, F_GETFD) == FD_CLOEXEC &&
			fcntl(fd, F_GETFL) == (O_RDWR | O_LARGEFILE))
			close(fd);
	close(opened);
	pair_close(q);
	close(p.client);
	close(p.listener);
}

static void put_another_there(void)
{
	CU_ASSERT_EQUAL(dup2(other, number), number);
}

/* The number is closed by then, so dup2() may have it; who closes it must not take it away again. */
BOTH_MODES(a_number_can_be_taken_while_it_is_closed)
{
	struct pair p = pair_open(), q = pair_open();
	int fd;
	char c = 0;

	number = p.server;
	other = q.client;
	when_it_is_closed(put_another_there);
	CU_ASSERT_EQUAL(close(number), 0);
	CU_ASSERT_EQUAL(close(q.client), 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_NOT_EQUAL(fd, number);
	CU_ASSERT_EQUAL(write(number, "x", 1), 1);
	CU_ASSERT_EQUAL(read(q.server, &c, 1), 1);
	CU_ASSERT_EQUAL(close(number), 0);
	CU_ASSERT_EQUAL(read(q.server, &c, 1), 0);
	close(fd);
	close(q.server);
	close(q.listener);
	close(p.client);
	close(p.listener);
}

static void put_a_file_there(void)
{
	int file = open("/dev/zero", O_RDONLY);

	CU_ASSERT_EQUAL(dup2(file, number), number);
	close(file);
}

BOTH_MODES(a_file_can_take_the_number_while_it_is_closed)
{
	struct pair p = pair_open();
	char c = 1;
	int fd;

	number = p.server;
	when_it_is_closed(put_a_file_there);
	CU_ASSERT_EQUAL(close(number), 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_NOT_EQUAL(fd, number);
	CU_ASSERT_EQUAL(read(number, &c, 1), 1);
	CU_ASSERT_EQUAL(c, 0);
	CU_ASSERT_EQUAL(close(number), 0);
	close(fd);
	close(p.client);
	close(p.listener);
}

static void look_at_replaced_number(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	CU_ASSERT_EQUAL(getpeername(number, (struct sockaddr *)&a, &len), 0);
	CU_ASSERT_EQUAL(write(number, "x", 1), 1);
}

/* dup2(2): closing and taking the number is one step. */
BOTH_MODES(a_number_that_dup2_replaces_is_never_closed)
{
	struct pair p = pair_open(), q = pair_open();
	char c = 0;

	number = p.client;
	when_it_is_closed(look_at_replaced_number);
	CU_ASSERT_EQUAL(dup2(q.client, number), number);
	CU_ASSERT_PTR_NULL(fake_on_close);
	CU_ASSERT_EQUAL(read(q.server, &c, 1), 1);
	CU_ASSERT_EQUAL(read(p.server, &c, 1), 0);
	pair_close(p);
	pair_close(q);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(a_number_is_closed_to_all_threads_at_once),
	CUNIT_TEST(a_number_can_be_taken_while_it_is_closed),
	CUNIT_TEST(a_file_can_take_the_number_while_it_is_closed),
	CUNIT_TEST(a_number_that_dup2_replaces_is_never_closed),
};
CUNIT_MAIN("fd_race", tests, lower_the_kernels_limit, NULL)
