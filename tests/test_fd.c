/* SPDX-License-Identifier: BSD-3-Clause */
/* The descriptor table: numbers, references, dup, close, the pool, fork. */
#include "conf/conf.h"
#include "preload/boot.h"
#include "preload/calls.h"
#include "preload/fd.h"
#include "preload/thread.h"
#include "tests/few_fds.h"
#include "tests/preload_pair.h"
#include "tests/raw_syscall.h"

#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <wchar.h>

static void only_ipv4_streams_and_datagrams_are_ours(void)
{
	static const struct {
		int domain, type, protocol;
		bool is_ours;
	} cases[] = {
		{AF_INET, SOCK_STREAM, 0, true},
		{AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP, true},
		{AF_INET, SOCK_DGRAM, 0, true},
		{AF_INET, SOCK_DGRAM, IPPROTO_ICMP, false},
		{AF_INET6, SOCK_STREAM, 0, true}, /* it can carry IPv4 */
		{AF_INET6, SOCK_RAW, IPPROTO_TCP, false},
		{AF_UNIX, SOCK_STREAM, 0, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = socket(cases[i].domain, cases[i].type, cases[i].protocol);

		if (fd < 0)
			continue; /* ping sockets and IPv6 may be switched off */
		CU_ASSERT_EQUAL(fd_peek(fd) != NULL, cases[i].is_ours);
		close(fd);
		CU_ASSERT_PTR_NULL(fd_peek(fd));
	}
}

static void dup_shares_the_socket_until_the_last_close(void)
{
	struct pair p = pair_open();
	int copy = dup(p.client), far = fcntl(p.client, F_DUPFD_CLOEXEC, 100);
	char c = 0;

	CU_ASSERT(far >= 100);
	CU_ASSERT_EQUAL(close(p.client), 0);
	CU_ASSERT_EQUAL(write(copy, "x", 1), 1);
	CU_ASSERT_EQUAL(dup2(copy, p.listener), p.listener); /* replaces the listener */
	CU_ASSERT_EQUAL(close(copy), 0);
	CU_ASSERT_EQUAL(close(far), 0);
	CU_ASSERT_EQUAL(write(p.listener, "y", 1), 1);
	CU_ASSERT_EQUAL(read(p.server, &c, 1), 1);
	CU_ASSERT_EQUAL(c, 'x');
	CU_ASSERT_EQUAL(fake_live, 2);
	CU_ASSERT_EQUAL(close(p.listener), 0);
	CU_ASSERT_EQUAL(read(p.server, &c, 1), 1);
	CU_ASSERT_EQUAL(read(p.server, &c, 1), 0);
	close(p.server);
	CU_ASSERT_EQUAL(fake_live, 0);
}

static void an_accepted_number_is_a_socket_and_closed_after_close(void)
{
	struct pair p = pair_open();
	struct stat st;
	char c;

	CU_ASSERT_EQUAL(fstat(p.server, &st), 0);
	CU_ASSERT(S_ISSOCK(st.st_mode));
	CU_ASSERT_EQUAL(close(p.server), 0);
	errno = 0;
	CU_ASSERT_EQUAL(close(p.server), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	CU_ASSERT_EQUAL(read(p.server, &c, 1), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	CU_ASSERT_EQUAL(fcntl(p.server, F_GETFL), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	close(p.client);
	close(p.listener);
}

static void a_pool_number_can_be_taken_by_dup2(void)
{
	struct pair p = pair_open();
	int kernel = socket(AF_UNIX, SOCK_STREAM, 0), free_number = p.server;

	close(p.server);
	CU_ASSERT_PTR_EQUAL(fd_peek(free_number), &fd_free);
	CU_ASSERT_EQUAL(dup2(kernel, free_number), free_number);
	CU_ASSERT_PTR_NULL(fd_peek(free_number));
	close(kernel);
	CU_ASSERT_EQUAL(close(free_number), 0);
	p.server = socket(AF_UNIX, SOCK_STREAM, 0);
	pair_close(p);
}

static void close_range_takes_ours_and_leaves_the_pool(void)
{
	struct pair p = pair_open(), q;
	int high = fcntl(p.client, F_DUPFD, 200);
	int kernel = fcntl(p.listener, F_DUPFD, 201);

	CU_ASSERT_EQUAL(close_range(200, 300, 0), 0);
	CU_ASSERT_PTR_NULL(fd_peek(high));
	CU_ASSERT_PTR_NULL(fd_peek(kernel));
	CU_ASSERT_EQUAL(fcntl(high, F_GETFD), -1);
	pair_close(p);
	/* The placeholders are still there: the next connection works. */
	closefrom(150);
	q = pair_open();
	CU_ASSERT_EQUAL(write(q.client, "x", 1), 1);
	pair_close(q);
}

static void every_way_to_write_and_read_reaches_the_stack(void)
{
	struct pair p = pair_open();
	struct iovec in, out = {"cd", 2};
	char buf[64] = "";

	in = (struct iovec){buf, sizeof(buf)};
	CU_ASSERT_EQUAL(dprintf(p.client, "%s-%d", "ab", 1), 4);
	CU_ASSERT_EQUAL(preadv2(p.server, &in, 1, -1, 0), 4);
	CU_ASSERT_STRING_EQUAL(buf, "ab-1");
	CU_ASSERT_EQUAL(pwritev2(p.client, &out, 1, -1, 0), 2);
	CU_ASSERT_EQUAL(pwritev2(p.client, &out, 1, 5, 0), -1);
	CU_ASSERT_EQUAL(errno, ESPIPE);
	CU_ASSERT_EQUAL(pwritev2(p.client, &out, 1, -1, 0x4000), -1);
	CU_ASSERT_EQUAL(errno, EOPNOTSUPP);
	CU_ASSERT_EQUAL(read(p.server, buf, sizeof(buf)), 2);
	CU_ASSERT_EQUAL(preadv2(p.server, &in, 1, -1, RWF_NOWAIT), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	CU_ASSERT_EQUAL(sockatmark(p.server), 0);
	close(p.server);
	CU_ASSERT_EQUAL(dprintf(STDERR_FILENO, "%s", ""), 0);
	close(p.client);
	close(p.listener);
}

static void in_a_child_of_fork_the_stack_is_gone_and_close_is_harmless(void)
{
	struct pair p = pair_open();
	int any = listen_on("0.0.0.0"), status = -1, fresh;
	pid_t pid = fork();
	char c;

	if (pid == 0) {
		int bad = 0;

		bad |= read(p.client, &c, 1) != -1 || errno != EIO;
		bad |= (write(p.client, "x", 1) != -1 || errno != EIO) << 1;
		bad |= (close(p.client) != 0) << 2;
		/* The kernel half of a listener goes on. */
		fresh = socket(AF_INET, SOCK_STREAM, 0);
		bad |= (connect_to(fresh, "127.0.0.1", port_of(any)) != 0) << 3;
		bad |= (accept(any, NULL, NULL) < 0) << 4;
		bad |= (fd_peek(fresh) != NULL) << 5;
		_exit(bad);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(read(p.server, &c, 1), 1);
	pair_close(p);
	close(any);
}

/* The library's own descriptors are out of the program's reach. */
static void closing_every_number_leaves_the_librarys_own(void)
{
	struct pair p = pair_open();
	int copy = dup(p.client), own = fake_own_fd;
	uint64_t one = 1;

	CU_ASSERT(own >= 3);
	for (int fd = 3; fd < KERNEL_DESCRIPTORS; fd++)
		if (fd != p.client && fd != p.server && fd != p.listener)
			close(fd);
	CU_ASSERT_PTR_NULL(fd_peek(copy));
	errno = 0;
	CU_ASSERT_EQUAL(close(own), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	CU_ASSERT_EQUAL(syscall(SYS_close, own), -1);
	CU_ASSERT_EQUAL(dup2(p.client, own), -1);
	CU_ASSERT_EQUAL(errno, EBUSY);
	CU_ASSERT_EQUAL(close_range(p.server + 1, ~0u, 0), 0);
	CU_ASSERT_EQUAL(close_range(p.server + 1, ~0u, CLOSE_RANGE_UNSHARE), 0);
	closefrom(p.server + 1);
	CU_ASSERT_EQUAL(raw_syscall(SYS_write, own, (long)&one, sizeof(one), 0, 0), sizeof(one));
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	pair_close(p);
	p = pair_open();
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	pair_close(p);
	CU_ASSERT_EQUAL(fake_live, 0);
}

/* In a child: 0 to 2 are the program's, so a connection gets one exactly when the kernel would. */
static void the_lowest_numbers_come_and_go_as_in_the_kernel(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct pair p;
		int bad = 0;

		for (int fd = 0; fd <= STDERR_FILENO; fd++)
			close(fd);
		p = pair_open();
		bad |= p.listener != 0 || p.client != 1 || p.server != 2;
		bad |= (close(1) != 0) << 1;
		bad |= (open("/dev/null", O_RDWR) != 1) << 2;
		bad |= (close(0) != 0) << 3;
		bad |= (close(1) != 0) << 4;
		bad |= (open("/dev/null", O_RDWR) != 0) << 5;
		bad |= (socket(AF_INET, SOCK_STREAM, 0) != 1) << 6;
		_exit(bad);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

/* What a line of the library leaves in the file under `fd`. */
static off_t said_into(int fd)
{
	off_t before = lseek(fd, 0, SEEK_END);

	boot_say("a line");
	return lseek(fd, 0, SEEK_END) - before;
}

/* In a child: number 2 may be anybody's file or connection. */
static void lines_go_to_standard_error_and_nowhere_else(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int bad = 0, log = memfd_create("log", 0), data;
		struct pair p;
		char c;

		dup2(log, STDERR_FILENO); /* the program's choice */
		bad |= said_into(log) != 16;
		close(STDERR_FILENO);
		data = memfd_create("data", 0);
		bad |= (data != STDERR_FILENO) << 1;
		bad |= (said_into(data) != 0) << 2;
		bad |= (said_into(log) != 0) << 3;
		close(data);
		close(log);
		p = pair_open();
		dup2(p.client, STDERR_FILENO);
		boot_say("a line");
		bad |= (recv(p.server, &c, 1, MSG_DONTWAIT) != -1 || errno != EAGAIN) << 4;
		_exit(bad);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

static _Atomic bool stop;

static void *open_and_close(void *arg)
{
	int fd = *(int *)arg;

	while (!stop) {
		int copy = dup(fd);

		if (copy >= 0)
			close(copy);
	}
	return NULL;
}

static void *use_all_numbers(void *arg)
{
	char c;

	while (!stop)
		for (int fd = 3; fd < 60; fd++) {
			struct file *f = fd_get_sock(fd);

			if (f && f != &fd_free) {
				recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);
				file_put(f);
			}
		}
	return NULL;
}

struct reader {
	int fd;
	_Atomic unsigned int calls;
};

static void *read_for_ever(void *arg)
{
	struct reader *r = arg;
	char c;

	for (;;) {
		recv(r->fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);
		r->calls++;
	}
	return NULL;
}

static void *wait_for_data(void *arg)
{
	struct reader *r = arg;
	char c;

	r->calls++;
	recv(r->fd, &c, 1, 0);
	r->calls++;
	return NULL;
}

/* The last test: those threads stay where they are. */
static void at_the_end_no_thread_is_in_a_call(void)
{
	static struct reader busy[2], waiting;
	struct pair p = pair_open();
	unsigned int calls[2];
	pthread_t thread;

	waiting.fd = p.server;
	CU_ASSERT_EQUAL(pthread_create(&thread, NULL, wait_for_data, &waiting), 0);
	for (int i = 0; i < 2; i++) {
		busy[i].fd = p.client;
		CU_ASSERT_EQUAL(pthread_create(&thread, NULL, read_for_ever, &busy[i]), 0);
	}
	while (busy[0].calls < 1000 || busy[1].calls < 1000 || waiting.calls == 0)
		sched_yield();
	CU_ASSERT_TRUE(thread_stop(10000000));
	for (int i = 0; i < 2; i++)
		calls[i] = busy[i].calls;
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1); /* who has stopped the others goes on */
	for (int i = 0; i < 1000; i++)
		sched_yield();
	/* Each may come back from the call that it was in. */
	CU_ASSERT(busy[0].calls <= calls[0] + 1 && busy[1].calls <= calls[1] + 1);
	CU_ASSERT_EQUAL(waiting.calls, 1);
	close(p.client);
	close(p.listener);
}

static void lookups_survive_closing_in_other_threads(void)
{
	pthread_t closers[2], user;

	fake_spins = false;
	struct pair p = pair_open();
	stop = false;
	pthread_create(&closers[0], NULL, open_and_close, &p.client);
	pthread_create(&closers[1], NULL, open_and_close, &p.server);
	pthread_create(&user, NULL, use_all_numbers, NULL);
	for (int i = 0; i < 2000; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		CU_ASSERT_FATAL(fd >= 0);
		close(fd);
	}
	stop = true;
	pthread_join(closers[0], NULL);
	pthread_join(closers[1], NULL);
	pthread_join(user, NULL);
	pair_close(p);
	CU_ASSERT_EQUAL(fake_live, 0);
}

/* What was set before the kernel half was made holds for it, and it is a socket of the right kind. */
static void the_kernel_half_is_made_when_it_is_needed(void)
{
	struct pair p = pair_open(); /* the data path is up */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, got = 0;
	int plain = socket(AF_INET, SOCK_STREAM, 0), domain = 0;
	socklen_t len = sizeof(got);
	struct file *f = fd_peek(fd);

	CU_ASSERT(f->sock.is_lazy);
	CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	CU_ASSERT(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CU_ASSERT(f->sock.is_lazy);
	CU_ASSERT_EQUAL(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &got, &len), 0);
	CU_ASSERT_EQUAL(got, 1);
	CU_ASSERT(!f->sock.is_lazy);
	CU_ASSERT_EQUAL(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &len), 0);
	CU_ASSERT_EQUAL(domain, AF_INET);
	CU_ASSERT(syscall(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK);
	CU_ASSERT_EQUAL(syscall(SYS_fcntl, fd, F_GETFD), FD_CLOEXEC);
	CU_ASSERT_EQUAL(connect_to(plain, "127.0.0.1", 1), -1);
	CU_ASSERT_EQUAL(errno, ECONNREFUSED);
	CU_ASSERT_EQUAL(syscall(SYS_fcntl, plain, F_GETFD), 0);
	close(fd);
	close(plain);
	pair_close(p);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(the_lowest_numbers_come_and_go_as_in_the_kernel),
	CUNIT_TEST(lines_go_to_standard_error_and_nowhere_else),
	CUNIT_TEST(only_ipv4_streams_and_datagrams_are_ours),
	CUNIT_TEST(dup_shares_the_socket_until_the_last_close),
	CUNIT_TEST(an_accepted_number_is_a_socket_and_closed_after_close),
	CUNIT_TEST(a_pool_number_can_be_taken_by_dup2),
	CUNIT_TEST(close_range_takes_ours_and_leaves_the_pool),
	CUNIT_TEST(closing_every_number_leaves_the_librarys_own),
	CUNIT_TEST(every_way_to_write_and_read_reaches_the_stack),
	CUNIT_TEST(in_a_child_of_fork_the_stack_is_gone_and_close_is_harmless),
	CUNIT_TEST(lookups_survive_closing_in_other_threads),
	CUNIT_TEST(the_kernel_half_is_made_when_it_is_needed),
	CUNIT_TEST(at_the_end_no_thread_is_in_a_call),
};
CUNIT_MAIN("fd", tests, lower_the_kernels_limit, NULL)
