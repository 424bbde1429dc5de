/* SPDX-License-Identifier: BSD-3-Clause */
/* Socket calls over the fake stack: whose socket it is, waiting, errno. */
#include "conf/conf.h"
#include "preload/boot.h"
#include "preload/fd.h"
#include "preload/libc.h"
#include "tests/preload_pair.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

/* First in the list: nothing that can wait for the kernel may start the data path. */
static void nothing_is_attached_before_packets_are_needed(void)
{
	int fd = listen_on("0.0.0.0"), opt = 1, client;

	CU_ASSERT_EQUAL(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &opt, sizeof(opt)), 0);
	CU_ASSERT_EQUAL(fake_attached, 0);
	/* Loopback is the kernel's. */
	client = socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL(connect_to(client, "127.0.0.1", port_of(fd)), 0);
	CU_ASSERT_EQUAL(fake_attached, 0);
	/* accept() needs the stack; the kernel's connection is there all the same. */
	int server = accept(fd, NULL, NULL);
	CU_ASSERT(server >= 0);
	CU_ASSERT_EQUAL(fake_attached, 1);
	CU_ASSERT_PTR_NULL(fd_peek(server));
	CU_ASSERT_EQUAL(fcntl(server, F_GETFL) & O_NONBLOCK, 0);
	close(server);
	close(client);
	close(fd);
}

BOTH_MODES(a_listener_on_any_takes_connections_from_both)
{
	int fd = listen_on("0.0.0.0"), a, b, n_ours = 0;
	int kernel = socket(AF_INET, SOCK_STREAM, 0), ours = socket(AF_INET, SOCK_STREAM, 0);

	CU_ASSERT_EQUAL(connect_to(kernel, "127.0.0.1", port_of(fd)), 0);
	CU_ASSERT_EQUAL(connect_to(ours, FAKE_ADDR, port_of(fd)), 0);
	a = accept(fd, NULL, NULL);
	b = accept(fd, NULL, NULL);
	CU_ASSERT(a >= 0 && b >= 0);
	n_ours = (fd_peek(a) != NULL) + (fd_peek(b) != NULL);
	CU_ASSERT_EQUAL(n_ours, 1);
	nonblock(fd);
	CU_ASSERT_EQUAL(accept(fd, NULL, NULL), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	close(a);
	close(b);
	close(kernel);
	close(ours);
	close(fd);
}

BOTH_MODES(names_and_flags_are_right)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fd = listen_on(FAKE_ADDR), client = socket(AF_INET, SOCK_STREAM, 0), server;

	CU_ASSERT_EQUAL(connect_to(client, FAKE_ADDR, port_of(fd)), 0);
	server = accept4(fd, (struct sockaddr *)&a, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	CU_ASSERT_EQUAL(len, sizeof(a));
	CU_ASSERT_EQUAL(ntohs(a.sin_port), port_of(client));
	CU_ASSERT_EQUAL(fcntl(server, F_GETFL), O_RDWR | O_NONBLOCK);
	CU_ASSERT_EQUAL(accept4(fd, NULL, NULL, 0x40000000), -1);
	CU_ASSERT_EQUAL(errno, EINVAL);
	CU_ASSERT_EQUAL(getpeername(client, (struct sockaddr *)&a, &len), 0);
	CU_ASSERT_EQUAL(ntohs(a.sin_port), port_of(fd));
	CU_ASSERT_EQUAL(getpeername(fd, (struct sockaddr *)&a, &len), -1);
	CU_ASSERT_EQUAL(errno, ENOTCONN);
	CU_ASSERT_EQUAL(getsockname(client, NULL, NULL), -1);
	CU_ASSERT_EQUAL(errno, EFAULT);
	close(server);
	close(client);
	close(fd);
}

BOTH_MODES(connect_to_nobody_is_refused)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), err = 0;
	socklen_t len = sizeof(err);

	CU_ASSERT_EQUAL(connect_to(fd, FAKE_ADDR, 1), -1);
	CU_ASSERT_EQUAL(errno, ECONNREFUSED);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CU_ASSERT_EQUAL(connect_to(fd, FAKE_ADDR, 1), -1);
	CU_ASSERT_EQUAL(errno, EINPROGRESS);
	CU_ASSERT_EQUAL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	CU_ASSERT_EQUAL(err, ECONNREFUSED);
	close(fd);
}

BOTH_MODES(peek_leaves_and_waitall_waits)
{
	struct pair p = pair_open();
	char buf[8] = "";

	CU_ASSERT_EQUAL(send(p.client, "abcd", 4, 0), 4);
	CU_ASSERT_EQUAL(recv(p.server, buf, 8, MSG_PEEK), 4);
	CU_ASSERT_EQUAL(recv(p.server, buf, 2, MSG_WAITALL), 2);
	CU_ASSERT_EQUAL(memcmp(buf, "ab", 2), 0);
	struct timeval tv = {.tv_usec = 30000};
	CU_ASSERT_EQUAL(setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	double start = now_ms();
	CU_ASSERT_EQUAL(recv(p.server, buf, 4, MSG_WAITALL), 2); /* what there is, at the timeout */
	CU_ASSERT(now_ms() - start >= 29);
	CU_ASSERT_EQUAL(recv(p.server, buf, 4, 0), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	CU_ASSERT_EQUAL(read(p.server, buf, 0), 0);
	start = now_ms();
	CU_ASSERT_EQUAL(recv(p.server, buf, 0, 0), 0); /* it waits, and gets 0 whatever ends that */
	CU_ASSERT(now_ms() - start >= 29);
	CU_ASSERT_EQUAL(recv(p.server, buf, 0, MSG_DONTWAIT), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	CU_ASSERT_EQUAL(send(p.client, "e", 1, 0), 1);
	CU_ASSERT_EQUAL(recv(p.server, buf, 0, 0), 0);
	CU_ASSERT_EQUAL(recv(p.server, buf, 1, 0), 1);
	pair_close(p);
}

static void *send_in_parts(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 4; i++) {
		usleep(3000);
		send(fd, "0123456789", 10, 0);
	}
	return NULL;
}

BOTH_MODES(waitall_gathers_over_buffers)
{
	struct pair p = pair_open();
	char a[15], b[25];
	struct iovec iov[2] = {{a, sizeof(a)}, {b, sizeof(b)}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	pthread_t t;

	pthread_create(&t, NULL, send_in_parts, &p.client);
	CU_ASSERT_EQUAL(recvmsg(p.server, &msg, MSG_WAITALL), 40);
	CU_ASSERT_EQUAL(b[24], '9');
	CU_ASSERT_EQUAL(a[14], '4');
	pthread_join(t, NULL);
	pair_close(p);
}

static void *drain(void *arg)
{
	char buf[10000];
	long total = 0;
	ssize_t n;

	while ((n = read(*(int *)arg, buf, sizeof(buf))) > 0)
		total += n;
	return (void *)total;
}

BOTH_MODES(a_blocking_send_takes_all_and_a_nonblocking_one_what_fits)
{
	struct pair p = pair_open();
	size_t size = 1000000;
	char *buf = calloc(1, size);
	pthread_t t;
	void *total;

	CU_ASSERT_EQUAL(send(p.client, buf, size, MSG_DONTWAIT), 65536);
	CU_ASSERT_EQUAL(send(p.client, buf, size, MSG_DONTWAIT), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	pthread_create(&t, NULL, drain, &p.server);
	CU_ASSERT_EQUAL(write(p.client, buf, size), (ssize_t)size);
	CU_ASSERT_EQUAL(shutdown(p.client, SHUT_WR), 0);
	pthread_join(t, &total);
	CU_ASSERT_EQUAL((long)total, 65536 + (long)size);
	struct timeval tv = {.tv_usec = 20000};
	CU_ASSERT_EQUAL(setsockopt(p.server, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	CU_ASSERT_EQUAL(write(p.server, buf, size), 65536); /* nobody reads: what went by then */
	CU_ASSERT_EQUAL(write(p.server, buf, size), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	free(buf);
	pair_close(p);
}

BOTH_MODES(options_are_kept_and_answered)
{
	struct pair p = pair_open();
	struct timeval tv = {.tv_sec = 3, .tv_usec = 500000};
	socklen_t len = sizeof(int);
	int v = 0, n = 0;

	CU_ASSERT_EQUAL(getsockopt(p.server, SOL_SOCKET, SO_TYPE, &v, &len), 0);
	CU_ASSERT_EQUAL(v, SOCK_STREAM);
	CU_ASSERT_EQUAL(getsockopt(p.server, SOL_SOCKET, SO_DOMAIN, &v, &len), 0);
	CU_ASSERT_EQUAL(v, AF_INET);
	CU_ASSERT_EQUAL(getsockopt(p.listener, SOL_SOCKET, SO_ACCEPTCONN, &v, &len), 0);
	CU_ASSERT_EQUAL(v, 1);
	CU_ASSERT_EQUAL(setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	memset(&tv, 0, sizeof(tv));
	len = sizeof(tv);
	CU_ASSERT_EQUAL(getsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &tv, &len), 0);
	CU_ASSERT_EQUAL(tv.tv_sec, 3);
	CU_ASSERT_EQUAL(setsockopt(p.server, IPPROTO_TCP, 9999, &v, sizeof(v)), -1);
	CU_ASSERT_EQUAL(errno, ENOPROTOOPT);
	CU_ASSERT_EQUAL(send(p.client, "abc", 3, 0), 3);
	CU_ASSERT_EQUAL(ioctl(p.server, FIONREAD, &n), 0);
	CU_ASSERT_EQUAL(n, 3);
	n = 1;
	CU_ASSERT_EQUAL(ioctl(p.server, FIONBIO, &n), 0);
	CU_ASSERT_EQUAL(fcntl(p.server, F_GETFL), O_RDWR | O_NONBLOCK);
	pair_close(p);
}

BOTH_MODES(sendfile_copies_and_moves_the_offset)
{
	struct pair p = pair_open();
	char name[] = "/tmp/gz-sendfile-XXXXXX", buf[32];
	int file = mkstemp(name);
	off_t at = 2;

	CU_ASSERT_EQUAL(write(file, "0123456789", 10), 10);
	lseek(file, 5, SEEK_SET);
	CU_ASSERT_EQUAL(sendfile(p.client, file, &at, 3), 3);
	CU_ASSERT_EQUAL(at, 5);
	CU_ASSERT_EQUAL(sendfile(p.client, file, NULL, 100), 5);
	CU_ASSERT_EQUAL(lseek(file, 0, SEEK_CUR), 10);
	CU_ASSERT_EQUAL(sendfile(p.client, file, NULL, 100), 0);
	CU_ASSERT_EQUAL(read(p.server, buf, sizeof(buf)), 8);
	CU_ASSERT_EQUAL(memcmp(buf, "23456789", 8), 0);
	unlink(name);
	close(file);
	pair_close(p);
}

BOTH_MODES(datagrams_go_to_the_half_that_the_address_names)
{
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to, from;
	socklen_t len = sizeof(from);
	char buf[4];

	CU_ASSERT_EQUAL(bind_to(a, "0.0.0.0", 0), 0);
	to = address(FAKE_ADDR, port_of(a));
	CU_ASSERT_EQUAL(sendto(b, "stack", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
	CU_ASSERT_EQUAL(recvfrom(a, buf, 4, MSG_TRUNC, (struct sockaddr *)&from, &len), 4);
	CU_ASSERT_EQUAL(from.sin_addr.s_addr, inet_addr(FAKE_ADDR));
	to = address("127.0.0.1", port_of(a));
	CU_ASSERT_EQUAL(sendto(b, "kern", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
	CU_ASSERT_EQUAL(recvfrom(a, buf, 4, 0, (struct sockaddr *)&from, &len), 4);
	CU_ASSERT_EQUAL(from.sin_addr.s_addr, inet_addr("127.0.0.1"));
	CU_ASSERT_EQUAL(memcmp(buf, "kern", 4), 0);
	CU_ASSERT_EQUAL(recv(a, buf, 4, MSG_DONTWAIT), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	close(a);
	close(b);
}

BOTH_MODES(an_ipv6_listener_takes_ipv4_from_the_stack)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6}, name;
	int fd = socket(AF_INET6, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), server;
	socklen_t len = sizeof(name);

	if (fd < 0)
		return; /* IPv6 may be switched off */
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	CU_ASSERT_EQUAL(listen(fd, 4), 0);
	CU_ASSERT_EQUAL(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	CU_ASSERT_EQUAL(connect_to(client, FAKE_ADDR, ntohs(name.sin6_port)), 0);
	len = sizeof(name);
	server = accept(fd, (struct sockaddr *)&name, &len);
	CU_ASSERT(server >= 0 && fd_peek(server) != NULL);
	CU_ASSERT_EQUAL(len, sizeof(name));
	CU_ASSERT_EQUAL(name.sin6_family, AF_INET6);
	CU_ASSERT(IN6_IS_ADDR_V4MAPPED(&name.sin6_addr));
	close(server);
	close(client);
	/* and connects to a mapped address through it */
	client = socket(AF_INET6, SOCK_STREAM, 0);
	getsockname(fd, (struct sockaddr *)&name, &len);
	inet_pton(AF_INET6, "::ffff:" FAKE_ADDR, &name.sin6_addr);
	CU_ASSERT_EQUAL(connect(client, (struct sockaddr *)&name, sizeof(name)), 0);
	server = accept(fd, NULL, NULL);
	CU_ASSERT(fd_peek(server) != NULL);
	close(server);
	close(client);
	close(fd);
}

/* Behind ltran programs have addresses of their own and share the kernel's. */
BOTH_MODES(port_that_another_program_has_in_the_kernel_is_free_behind_ltran)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	socklen_t len = sizeof(any);
	int taken = libc.socket(AF_INET, SOCK_STREAM, 0), fd, second, client, server;

	libc.bind(taken, (struct sockaddr *)&any, sizeof(any));
	CU_ASSERT_EQUAL(libc.listen(taken, 1), 0);
	libc.getsockname(taken, (struct sockaddr *)&any, &len);
	any.sin_addr.s_addr = INADDR_ANY;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	second = socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&any, sizeof(any)), -1);
	CU_ASSERT_EQUAL(errno, EADDRINUSE);
	((struct conf *)boot_conf())->use_ltran = true;
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	CU_ASSERT_EQUAL(bind(second, (struct sockaddr *)&any, sizeof(any)), -1);
	CU_ASSERT_EQUAL(errno, EADDRINUSE);
	CU_ASSERT_EQUAL(listen(fd, 8), 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL(connect_to(client, FAKE_ADDR, ntohs(any.sin_port)), 0);
	server = accept(fd, NULL, NULL);
	CU_ASSERT(server >= 0);
	((struct conf *)boot_conf())->use_ltran = false;
	close(server);
	close(client);
	close(second);
	close(fd);
	libc.close(taken);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(nothing_is_attached_before_packets_are_needed),
	CUNIT_TEST(a_listener_on_any_takes_connections_from_both),
	CUNIT_TEST(names_and_flags_are_right),
	CUNIT_TEST(connect_to_nobody_is_refused),
	CUNIT_TEST(peek_leaves_and_waitall_waits),
	CUNIT_TEST(waitall_gathers_over_buffers),
	CUNIT_TEST(a_blocking_send_takes_all_and_a_nonblocking_one_what_fits),
	CUNIT_TEST(options_are_kept_and_answered),
	CUNIT_TEST(sendfile_copies_and_moves_the_offset),
	CUNIT_TEST(an_ipv6_listener_takes_ipv4_from_the_stack),
	CUNIT_TEST(datagrams_go_to_the_half_that_the_address_names),
	CUNIT_TEST(port_that_another_program_has_in_the_kernel_is_free_behind_ltran),
};
CUNIT_MAIN("socket", tests, NULL, NULL)
