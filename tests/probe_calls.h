/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For stack_probe.c: a call of each kind, on one connection, a datagram socket, an epoll set and a file that
 * stay. `file` is the program's own to open, nine bytes long; one thread at a time makes calls.
 */
#ifndef TESTS_PROBE_CALLS_H
#define TESTS_PROBE_CALLS_H

#include "tests/probe.h"

#include <netinet/tcp.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

static struct pair at;
static int udp, ep, file;
static char buf[64];

static inline void open_all(void)
{
	struct epoll_event e = {.events = EPOLLOUT};
	struct sockaddr_in any = address(0);

	at = pair_open();
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	bind(udp, (struct sockaddr *)&any, sizeof(any));
	ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, at.client, &e);
}

static inline long do_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	long r = connect_port(fd, port_of(at.listener));

	close(accept(at.listener, NULL, NULL));
	close(fd);
	return r;
}

static inline long do_send(void)
{
	return send(at.client, "abc", 3, 0);
}

static inline long do_recv(void)
{
	return recv(at.server, buf, 3, MSG_WAITALL);
}

static inline long do_poll(void)
{
	struct pollfd p = {.fd = at.server, .events = POLLIN | POLLOUT};

	return poll(&p, 1, 20) == 1 ? p.revents : -1;
}

static inline long do_poll_in_vain(void)
{
	struct pollfd p = {.fd = at.server, .events = POLLIN};

	return poll(&p, 1, 5);
}

static inline long do_epoll(void)
{
	struct epoll_event e[4];

	return epoll_wait(ep, e, 4, 1000);
}

static inline long do_epoll_many(void)
{
	static struct epoll_event e[1000];

	return epoll_wait(ep, e, 1000, 1000);
}

static inline long do_udp(void)
{
	struct sockaddr_in to = address(port_of(udp));

	sendto(udp, "uvw", 3, 0, (struct sockaddr *)&to, sizeof(to));
	return recv(udp, buf, 8, 0);
}

static inline long do_select(void)
{
	struct timeval t = {.tv_sec = 1};
	fd_set out;

	FD_ZERO(&out);
	FD_SET(at.client, &out);
	return select(at.client + 1, NULL, &out, NULL, &t);
}

static inline long do_sendmsg(void)
{
	struct iovec v[2] = {{(char[]){"hi"}, 2}, {(char[]){"jkl"}, 3}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};

	return sendmsg(at.client, &m, 0);
}

static inline long do_recvmsg(void)
{
	struct iovec v = {buf, 5};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	return recvmsg(at.server, &m, MSG_WAITALL);
}

static inline long do_sendfile(void)
{
	off_t from = 0;

	return sendfile(at.client, file, &from, 9) + 10 * recv(at.server, buf, 9, MSG_WAITALL);
}

static inline long do_options(void)
{
	int size = 0, one = 1;
	socklen_t len = sizeof(size);

	setsockopt(at.client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return getsockopt(at.client, SOL_SOCKET, SO_RCVBUF, &size, &len) + (size > 0);
}

static inline long do_fork(void)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(write(file, "", 0) == 0 ? 7 : 8);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline long do_vfork(void)
{
	int status = -1;
	pid_t child = vfork();

	if (child == 0)
		_exit(9);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const struct call {
	const char *name;
	long (*make)(void);
} calls[] = {
	{"connect", do_connect},
	{"poll, nothing comes", do_poll_in_vain},
	{"send", do_send},
	{"recv", do_recv},
	{"poll", do_poll},
	{"epoll_wait", do_epoll},
	{"epoll_wait, a thousand", do_epoll_many},
	{"udp", do_udp},
	{"select", do_select},
	{"sendmsg", do_sendmsg},
	{"recvmsg", do_recvmsg},
	{"sendfile", do_sendfile},
	{"options", do_options},
	{"fork", do_fork},
	{"vfork", do_vfork},
};

enum { N_CALLS = sizeof(calls) / sizeof(calls[0]) };

static long result[N_CALLS];

static inline void make_all(void)
{
	for (int i = 0; i < N_CALLS; i++)
		result[i] = calls[i].make();
}

static inline void show_all(void)
{
	for (int i = 0; i < N_CALLS; i++) {
		printf("%s: %ld\n", calls[i].name, result[i]);
		result[i] = -2;
	}
}

#endif
