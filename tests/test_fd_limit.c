/* SPDX-License-Identifier: BSD-3-Clause */
/* How many descriptors there may be: the kernel's limit, ours beyond it, the program's own below it. */
#include "conf/conf.h"
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/low_fds.h"
#include "tests/few_fds.h"
#include "tests/preload_pair.h"
#include "tests/raw_syscall.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* In a child, which has other settings. The parent has not made a socket yet. */
static void without_descriptor_limit_the_kernels_holds(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int bad = 0, fd, n = 0;
		struct pair p;

		((struct conf *)boot_conf())->descriptor_limit = 0;
		p = pair_open(); /* the data path is up */
		while ((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0 && n++ < KERNEL_DESCRIPTORS)
			bad += fd >= KERNEL_DESCRIPTORS || fd <= p.client;
		bad += fd >= 0 || errno != EMFILE;
		_exit(bad);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

static int count_kernel_descriptors(int end)
{
	int n = 0;

	for (int fd = 0; fd < end; fd++)
		n += raw_syscall(SYS_fcntl, fd, F_GETFD, 0, 0, 0) >= 0;
	return n;
}

/* In a child: the hard limit is low, so its last numbers are the library's, and getrlimit() says so. All
 * before are the program's: what waits in the pool is given back before a call fails for want of numbers. */
static void the_last_numbers_are_the_programs(void)
{
	static char name[] = "/tmp/test_fd.XXXXXX"; /* mkstemp() fails, and leaves nothing */
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		const int end = KERNEL_DESCRIPTORS - KERNEL_DESCRIPTORS / 8;
		int bad = 0, fds[2];
		struct rlimit lim;

		((struct conf *)boot_conf())->descriptor_limit = 0;
		pair_open();
		on_getrlimit(RLIMIT_NOFILE, &lim);
		bad |= (lim.rlim_cur != end || lim.rlim_max != end || fake_own_fd < end) << 8;
		bad |= (on_setrlimit(RLIMIT_NOFILE, &lim) != 0) << 9;
		while (open("/dev/null", O_RDWR) >= 0)
			;
		bad |= errno != EMFILE;
		bad |= (count_kernel_descriptors(end) != end) << 1;
		bad |= (pipe(fds) != -1 || errno != EMFILE) << 2;
		bad |= (fopen("/dev/null", "r") != NULL || errno != EMFILE) << 3;
		bad |= (mkstemp(name) != -1 || errno != EMFILE) << 4;
		bad |= (socket(AF_INET, SOCK_STREAM, 0) != -1 || errno != EMFILE) << 5;
		close(100);
		bad |= (open("/dev/null", O_RDWR) != 100) << 6;
		close(101);
		bad |= (socket(AF_INET, SOCK_STREAM, 0) != 101) << 7;
		_exit(bad != 0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

/* Connections beyond the kernel's limit have numbers that no kernel descriptor has. */
static void numbers_beyond_the_kernels_limit_work_as_the_others(void)
{
	enum { N = KERNEL_DESCRIPTORS };
	struct pair pairs[N], *p = &pairs[N - 1];
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 7}, got;
	int ep = epoll_create1(0), copy, file;
	struct pollfd pfd;
	struct rlimit lim;
	char c = 0;

	CU_ASSERT_EQUAL(on_getrlimit(RLIMIT_NOFILE, &lim), 0);
	CU_ASSERT_EQUAL(lim.rlim_max, FAKE_DESCRIPTORS);
	for (int i = 0; i < N; i++)
		pairs[i] = pair_open();
	CU_ASSERT(p->client >= KERNEL_DESCRIPTORS);
	CU_ASSERT(p->server >= KERNEL_DESCRIPTORS);
	file = dup(STDERR_FILENO); /* some are left for the program's files */
	CU_ASSERT(file >= 0 && file < KERNEL_DESCRIPTORS);
	CU_ASSERT_EQUAL(fcntl(p->client, F_SETFD, 0), 0);
	nonblock(p->server);
	CU_ASSERT_EQUAL(epoll_ctl(ep, EPOLL_CTL_ADD, p->server, &ev), 0);
	CU_ASSERT_EQUAL(write(p->client, "x", 1), 1);
	CU_ASSERT_EQUAL(epoll_wait(ep, &got, 1, 1000), 1);
	CU_ASSERT_EQUAL(got.data.u64, 7);
	pfd = (struct pollfd){.fd = p->server, .events = POLLIN};
	CU_ASSERT_EQUAL(poll(&pfd, 1, 1000), 1);
	copy = dup(p->server);
	CU_ASSERT(copy >= KERNEL_DESCRIPTORS);
	CU_ASSERT_EQUAL(close(p->server), 0);
	CU_ASSERT_EQUAL(read(p->server, &c, 1), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	CU_ASSERT_EQUAL(dup2(copy, file), file);
	CU_ASSERT_EQUAL(read(file, &c, 1), 1);
	CU_ASSERT_EQUAL(c, 'x');
	CU_ASSERT_EQUAL(close(copy), 0);
	p->server = file;
	for (int i = 0; i < N; i++)
		pair_close(pairs[i]);
	close(ep);
	CU_ASSERT_EQUAL(fake_live, 0);
}

/* The program's own lower limit holds for them, too, by whichever call it is set or asked for. */
static void a_soft_limit_of_the_program_is_obeyed(void)
{
	struct rlimit before, lim, old;
	int fds[KERNEL_DESCRIPTORS], n = 0;

	CU_ASSERT_EQUAL(on_getrlimit(RLIMIT_NOFILE, &before), 0);
	lim = before;
	lim.rlim_cur = KERNEL_DESCRIPTORS / 2;
	CU_ASSERT_EQUAL(on_prlimit64(0, RLIMIT_NOFILE, &lim, &old), 0);
	CU_ASSERT_EQUAL(old.rlim_cur, before.rlim_cur);
	CU_ASSERT_EQUAL(old.rlim_max, FAKE_DESCRIPTORS);
	CU_ASSERT_EQUAL(on_prlimit64(getpid(), RLIMIT_NOFILE, NULL, &old), 0);
	CU_ASSERT_EQUAL(old.rlim_cur, KERNEL_DESCRIPTORS / 2);
	CU_ASSERT_EQUAL(on_poll(NULL, KERNEL_DESCRIPTORS / 2 + 1, 0), -EINVAL);
	while (n < KERNEL_DESCRIPTORS && (fds[n] = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
		CU_ASSERT(fds[n++] < KERNEL_DESCRIPTORS);
	CU_ASSERT_EQUAL(errno, EMFILE);
	CU_ASSERT_EQUAL(on_setrlimit(RLIMIT_NOFILE, &before), 0);
	while (n > 0)
		close(fds[--n]);
	CU_ASSERT_EQUAL(on_getrlimit(RLIMIT_NOFILE, &lim), 0);
	CU_ASSERT_EQUAL(lim.rlim_cur, before.rlim_cur);
}

static void the_library_leaves_the_low_numbers_to_the_program(void)
{
	static const struct {
		rlim_t soft, hard;
		int floor;
	} cases[] = {
		{1024, 1048576, 1024},
		{1048576, 1048576, 1024},
		{256, 4096, 256},
		{1024, 1024, 512}, /* half each: a few hundred are needed above */
		{1024, 1200, 688},
		{64, 64, 32},
	};
	struct rlimit before, after;
	struct low_fds low;
	int first = dup(STDERR_FILENO), own, next;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(low_fds_floor(cases[i].soft, cases[i].hard), cases[i].floor);
	close(first);
	raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&before, 0);
	low_fds_take(&low);
	own = dup(STDERR_FILENO);
	low_fds_give(&low);
	next = dup(STDERR_FILENO);
	raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&after, 0);
	CU_ASSERT(own >= low_fds_floor(before.rlim_cur, before.rlim_max));
	CU_ASSERT_EQUAL(write(own, "", 0), 0); /* stays open, also above the soft limit */
	CU_ASSERT_EQUAL(next, first);
	CU_ASSERT_EQUAL(after.rlim_cur, before.rlim_cur);
	CU_ASSERT_EQUAL(after.rlim_max, before.rlim_max);
	close(own);
	close(next);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(without_descriptor_limit_the_kernels_holds),
	CUNIT_TEST(the_last_numbers_are_the_programs),
	CUNIT_TEST(numbers_beyond_the_kernels_limit_work_as_the_others),
	CUNIT_TEST(a_soft_limit_of_the_program_is_obeyed),
	CUNIT_TEST(the_library_leaves_the_low_numbers_to_the_program),
};
CUNIT_MAIN("fd_limit", tests, lower_the_kernels_limit, NULL)
