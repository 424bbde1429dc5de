/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers that were closed and handed out again by system calls that nobody sees. */
#include "preload/fd_check.h"
#include "preload/fd.h"
#include "tests/preload_pair.h"
#include "tests/raw_syscall.h"

#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { ROOM = 64 };

/* `fd` becomes a file in memory, as if it had been the lowest free number. */
static void becomes_a_file(int fd)
{
	int file = (int)raw_syscall(SYS_memfd_create, (long)"file", 0, 0, 0, 0);

	CU_ASSERT_EQUAL(raw_syscall(SYS_close, fd, 0, 0, 0, 0), 0);
	if (file != fd) {
		CU_ASSERT_EQUAL(raw_syscall(SYS_dup3, file, fd, 0, 0, 0), fd);
		CU_ASSERT_EQUAL(raw_syscall(SYS_close, file, 0, 0, 0, 0), 0);
	}
}

static long size_of(int fd)
{
	struct stat st = {0};

	fstat(fd, &st);
	return (long)st.st_size;
}

/* The connection was closed, and nothing was sent on it. */
static void peer_sees_the_end_only(int fd)
{
	char c;

	CU_ASSERT_EQUAL(recv(fd, &c, 1, MSG_DONTWAIT), 0);
}

static ssize_t by_write(int fd)
{
	return write(fd, "secret", 6);
}

static ssize_t by_writev(int fd)
{
	struct iovec iov[] = {{"sec", 3}, {"ret", 3}};

	return writev(fd, iov, 2);
}

static ssize_t by_pwritev2(int fd)
{
	struct iovec iov = {"secret", 6};

	return pwritev2(fd, &iov, 1, -1, 0);
}

static ssize_t by_syscall(int fd)
{
	return syscall(SYS_write, fd, "secret", 6);
}

static ssize_t by_dprintf(int fd)
{
	return dprintf(fd, "%s", "secret");
}

static ssize_t by_stream(int fd)
{
	FILE *stream = fdopen(dup(fd), "w");
	int n = fprintf(stream, "secret");

	fclose(stream);
	return n;
}

static ssize_t by_copy(int fd)
{
	int copy = dup(fd);
	ssize_t n = write(copy, "secret", 6);

	close(copy);
	return n;
}

static ssize_t by_sendfile(int fd)
{
	int from = memfd_create("from", 0);
	ssize_t n;

	CU_ASSERT_EQUAL(write(from, "secret", 6), 6);
	lseek(from, 0, SEEK_SET);
	n = sendfile(fd, from, NULL, 6);
	close(from);
	return n;
}

static ssize_t (*const writers[])(int fd) = {by_write, by_writev, by_pwritev2, by_syscall, by_dprintf,
	by_stream, by_copy, by_sendfile};

/* The old connection's client must not get it. */
BOTH_MODES(what_is_written_into_the_new_file_is_in_the_file)
{
	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
		struct pair p = pair_open();

		becomes_a_file(p.server);
		CU_ASSERT_EQUAL(writers[i](p.server), 6);
		CU_ASSERT_EQUAL(size_of(p.server), 6);
		peer_sees_the_end_only(p.client);
		pair_close(p);
	}
}

BOTH_MODES(what_is_sent_on_the_new_file_is_an_error)
{
	struct iovec iov = {"secret", 6};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct mmsghdr many = {.msg_hdr = msg};

	for (int i = 0; i < 5; i++) {
		struct pair p = pair_open();
		ssize_t n;

		becomes_a_file(p.server);
		n = i == 0 ? send(p.server, "secret", 6, 0) :
			i == 1 ? sendto(p.server, "secret", 6, 0, NULL, 0) :
			i == 2 ? sendmsg(p.server, &msg, 0) :
			i == 3 ? sendmmsg(p.server, &many, 1, 0) :
				 shutdown(p.server, SHUT_WR);
		CU_ASSERT_EQUAL(n, -1);
		CU_ASSERT_EQUAL(errno, ENOTSOCK);
		peer_sees_the_end_only(p.client);
		pair_close(p);
	}
}

BOTH_MODES(what_is_read_is_the_new_files)
{
	struct pair p = pair_open();
	char got[ROOM] = "";
	int out;

	CU_ASSERT_EQUAL(write(p.client, "of the client", 13), 13);
	becomes_a_file(p.server);
	CU_ASSERT_EQUAL(raw_syscall(SYS_pwrite64, p.server, (long)"of the file", 11, 0, 0), 11);
	CU_ASSERT_EQUAL(read(p.server, got, sizeof(got)), 11);
	CU_ASSERT_STRING_EQUAL(got, "of the file");
	CU_ASSERT_EQUAL(recv(p.server, got, sizeof(got), 0), -1);
	/* sendfile() takes files, not sockets. */
	out = memfd_create("out", 0);
	lseek(p.server, 0, SEEK_SET);
	CU_ASSERT_EQUAL(sendfile(out, p.server, NULL, 11), 11);
	close(out);
	pair_close(p);
}

/* Not handed out again: as on the kernel. */
BOTH_MODES(a_number_that_was_only_closed_is_closed)
{
	struct pair p = pair_open();
	struct pollfd pfd = {.fd = p.server, .events = POLLOUT};

	CU_ASSERT_EQUAL(raw_syscall(SYS_close, p.server, 0, 0, 0, 0), 0);
	CU_ASSERT_EQUAL(poll(&pfd, 1, 0), 1);
	CU_ASSERT_EQUAL(pfd.revents, POLLNVAL);
	CU_ASSERT_EQUAL(write(p.server, "x", 1), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	CU_ASSERT_EQUAL(close(p.server), -1);
	CU_ASSERT_EQUAL(errno, EBADF);
	peer_sees_the_end_only(p.client);
	close(p.client);
	close(p.listener);
}

/* close() closes the new file; its number must not be taken for a placeholder's. */
BOTH_MODES(the_new_file_can_be_closed)
{
	struct pair p = pair_open();
	struct stat st;
	int fd = p.server;

	becomes_a_file(fd);
	CU_ASSERT_EQUAL(close(fd), 0);
	CU_ASSERT_EQUAL(fstat(fd, &st), -1);
	CU_ASSERT_PTR_NULL(fd_peek(fd));
	peer_sees_the_end_only(p.client);
	close(p.client);
	close(p.listener);
}

BOTH_MODES(poll_and_select_ask_the_new_file)
{
	struct pair p = pair_open();
	struct pollfd pfd = {.fd = p.server, .events = POLLIN | POLLHUP};
	fd_set rd;

	becomes_a_file(p.server);
	FD_ZERO(&rd);
	FD_SET(p.server, &rd);
	CU_ASSERT_EQUAL(select(p.server + 1, &rd, NULL, NULL, &(struct timeval){0}), 1);
	CU_ASSERT_EQUAL(poll(&pfd, 1, 0), 1); /* files are always ready; the connection had nothing */
	CU_ASSERT_EQUAL(pfd.revents, POLLIN);
	pair_close(p);
}

/* The program may have freed what the event's data leads to. */
BOTH_MODES(an_epoll_set_says_nothing_of_a_closed_number)
{
	struct pair p = pair_open();
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 5}, got[2];
	int ep = epoll_create1(0);

	CU_ASSERT_EQUAL(epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &ev), 0);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(epoll_wait(ep, got, 2, 0), 1);
	CU_ASSERT_EQUAL(got[0].data.u64, 5);
	becomes_a_file(p.server);
	CU_ASSERT_EQUAL(epoll_wait(ep, got, 2, 0), 0);
	CU_ASSERT_PTR_NULL(fd_peek(p.server));
	close(ep);
	pair_close(p);
}

BOTH_MODES(a_copy_keeps_the_connection)
{
	struct pair p = pair_open();
	int copy = dup(p.server);
	char c;

	becomes_a_file(p.server);
	CU_ASSERT_EQUAL(write(p.server, "secret", 6), 6);
	CU_ASSERT_EQUAL(write(copy, "x", 1), 1);
	CU_ASSERT_EQUAL(read(p.client, &c, 1), 1);
	CU_ASSERT_EQUAL(c, 'x');
	CU_ASSERT_EQUAL(recv(p.client, &c, 1, MSG_DONTWAIT), -1);
	close(copy);
	peer_sees_the_end_only(p.client);
	pair_close(p);
}

/* A new set under the number of an old one knows nothing of the old one's watches. */
BOTH_MODES(a_new_epoll_object_is_not_the_old_one)
{
	struct pair p = pair_open();
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 5}, got[2];
	int ep = epoll_create1(0), other;

	CU_ASSERT_EQUAL(epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &ev), 0);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT_EQUAL(epoll_wait(ep, got, 2, 0), 1);
	CU_ASSERT_EQUAL(raw_syscall(SYS_close, ep, 0, 0, 0, 0), 0);
	other = (int)raw_syscall(SYS_epoll_create1, 0, 0, 0, 0, 0);
	if (other != ep) {
		raw_syscall(SYS_dup3, other, ep, 0, 0, 0);
		raw_syscall(SYS_close, other, 0, 0, 0, 0);
	}
	CU_ASSERT_EQUAL(epoll_wait(ep, got, 2, 0), 0);
	close(ep);
	pair_close(p);
}

/* Listeners and sockets that the kernel serves, too, have a kernel's socket of their own. */
BOTH_MODES(sockets_of_both_worlds_are_told_apart)
{
	int udp = socket(AF_INET, SOCK_DGRAM, 0), listener = listen_on("0.0.0.0"), fd;
	struct sockaddr_in to = address("198.18.0.9", 9);

	CU_ASSERT_EQUAL(bind_to(udp, "0.0.0.0", 0), 0);
	CU_ASSERT_PTR_NOT_NULL(fd_peek(udp)->sock.sock);
	fd = (int)raw_syscall(SYS_socket, AF_UNIX, SOCK_DGRAM, 0, 0, 0);
	raw_syscall(SYS_dup3, fd, udp, 0, 0, 0);
	raw_syscall(SYS_dup3, fd, listener, 0, 0, 0);
	raw_syscall(SYS_close, fd, 0, 0, 0, 0);
	CU_ASSERT_EQUAL(sendto(udp, "secret", 6, 0, (struct sockaddr *)&to, sizeof(to)), -1);
	CU_ASSERT_PTR_NULL(fd_peek(udp));
	CU_ASSERT_EQUAL(accept(listener, NULL, NULL), -1);
	CU_ASSERT_EQUAL(errno, EOPNOTSUPP);
	CU_ASSERT_PTR_NULL(fd_peek(listener));
	close(udp);
	close(listener);
}

/* A loop that closes all numbers also takes those that wait in the pool. */
BOTH_MODES(a_waiting_number_that_was_taken_is_not_given_to_a_connection)
{
	struct pair p = pair_open(), q;
	int waiting = 3, file;

	while (waiting < FD_PAGE && fd_peek(waiting) != &fd_free)
		waiting++;
	if (waiting == FD_PAGE) { /* all are in use, and the next socket makes more */
		pair_close(p);
		p = pair_open();
		for (waiting = 3; waiting < FD_PAGE && fd_peek(waiting) != &fd_free;)
			waiting++;
	}
	CU_ASSERT_FATAL(waiting < FD_PAGE);
	becomes_a_file(waiting);
	q = pair_open();
	CU_ASSERT(q.client != waiting && q.server != waiting && q.listener != waiting);
	CU_ASSERT_EQUAL(write(waiting, "secret", 6), 6);
	CU_ASSERT_EQUAL(size_of(waiting), 6);
	file = dup(waiting);
	CU_ASSERT_EQUAL(size_of(file), 6);
	close(file);
	CU_ASSERT_EQUAL(close(waiting), 0);
	CU_ASSERT_PTR_NULL(fd_peek(waiting));
	pair_close(p);
	pair_close(q);
}

/* Whatever a socket has been through, it is not mistaken for a stranger. */
BOTH_MODES(what_is_ours_stays_ours)
{
	struct pair p = pair_open();
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1, copy;
	char c;

	CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)), 0);
	CU_ASSERT_EQUAL(connect_to(fd, FAKE_ADDR, port_of(p.listener)), 0);
	close(p.server);
	p.server = accept(p.listener, NULL, NULL);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	CU_ASSERT_EQUAL(close(fd), 0);
	CU_ASSERT_EQUAL(dup2(copy, fd), fd);
	CU_ASSERT_EQUAL(write(fd, "x", 1), 1);
	CU_ASSERT_EQUAL(write(copy, "y", 1), 1);
	CU_ASSERT_EQUAL(read(p.server, &c, 1), 1);
	CU_ASSERT_EQUAL(read(p.server, &c, 1), 1);
	errno = 0;
	CU_ASSERT_EQUAL(write(fd, "x", 1), 1);
	CU_ASSERT_EQUAL(errno, 0);
	close(copy);
	close(fd);
	pair_close(p);
}

/* It must keep the caller's search path, so it is a jump; what has been loaded is searched. */
static void libraries_are_loaded_as_before(void)
{
	void *math = dlopen("libm.so.6", RTLD_NOW);
	struct pair p = pair_open();

	CU_ASSERT_PTR_NOT_NULL(math);
	CU_ASSERT_PTR_NULL(dlopen("no-such-library.so", RTLD_NOW));
	CU_ASSERT(fd_checks & FD_CHECK_CODE);
	CU_ASSERT_EQUAL(write(p.client, "x", 1), 1);
	CU_ASSERT(!(fd_checks & FD_CHECK_LOADING));
	dlclose(math);
	pair_close(p);
}

static void setup(void)
{
	fd_check_begin();
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(what_is_written_into_the_new_file_is_in_the_file),
	CUNIT_TEST(what_is_sent_on_the_new_file_is_an_error),
	CUNIT_TEST(what_is_read_is_the_new_files),
	CUNIT_TEST(a_number_that_was_only_closed_is_closed),
	CUNIT_TEST(the_new_file_can_be_closed),
	CUNIT_TEST(poll_and_select_ask_the_new_file),
	CUNIT_TEST(an_epoll_set_says_nothing_of_a_closed_number),
	CUNIT_TEST(a_copy_keeps_the_connection),
	CUNIT_TEST(a_new_epoll_object_is_not_the_old_one),
	CUNIT_TEST(sockets_of_both_worlds_are_told_apart),
	CUNIT_TEST(a_waiting_number_that_was_taken_is_not_given_to_a_connection),
	CUNIT_TEST(what_is_ours_stays_ours),
	CUNIT_TEST(libraries_are_loaded_as_before),
};
CUNIT_MAIN("fd_check", tests, setup, NULL)
