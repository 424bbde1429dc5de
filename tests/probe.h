/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Helpers of the probes: programs that print one line per observation, run on the kernel and under the
 * library, whose lines must be equal. Only facts that must be the same are printed: results, errno
 * names, events, never times or ports.
 */
#ifndef TESTS_PROBE_H
#define TESTS_PROBE_H

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char *host;

struct pair {
	int listener, client, server;
};

static inline void show(const char *what, long result)
{
	printf("%s: %ld%s%s\n", what, result, result < 0 ? " " : "",
		result < 0 ? strerrorname_np(errno) : "");
}

#define SHOW(call) show(#call, (long)(call))

static inline void show_events(const char *what, uint32_t e)
{
	printf("%s:%s%s%s%s%s%s\n", what, e & EPOLLIN ? " IN" : "", e & EPOLLOUT ? " OUT" : "",
		e & EPOLLRDHUP ? " RDHUP" : "", e & EPOLLHUP ? " HUP" : "",
		e & EPOLLERR ? " ERR" : "", e ? "" : " none");
}

static inline struct sockaddr_in address(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, host, &a.sin_addr);
	return a;
}

static inline uint16_t port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &len);
	return ntohs(a.sin_port);
}

static inline int listen_any_port(void)
{
	struct sockaddr_in a = address(0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	bind(fd, (struct sockaddr *)&a, sizeof(a));
	listen(fd, 8);
	return fd;
}

static inline int connect_port(int fd, uint16_t port)
{
	struct sockaddr_in a = address(port);

	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static inline struct pair pair_open(void)
{
	struct pair p = {.listener = listen_any_port()};

	p.client = socket(AF_INET, SOCK_STREAM, 0);
	if (connect_port(p.client, port_of(p.listener)) < 0) {
		perror("connect");
		exit(1);
	}
	p.server = accept(p.listener, NULL, NULL);
	return p;
}

static inline void pair_close(struct pair p)
{
	close(p.client);
	close(p.server);
	close(p.listener);
}

/* Until `fd` has one of `events`, so that nothing below depends on how long a packet takes. */
static inline uint32_t settle(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 3000) > 0 ? (uint16_t)p.revents : 0;
}

/* Until the peer has everything that was sent. */
static inline void drain(int fd)
{
	int unsent = 1;

	for (int ms = 0; ms < 3000 && ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent > 0; ms++)
		usleep(1000);
}

/* Nothing says that the last FIN has been acknowledged but this. */
static inline void settle_end(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	for (int ms = 0; ms < 3000 && getpeername(fd, (struct sockaddr *)&a, &len) == 0; ms += 5) {
		usleep(5000);
		recv(fd, &a, 1, MSG_DONTWAIT | MSG_PEEK);
	}
}

static inline void title(const char *name)
{
	printf("# %s\n", name);
}

/* The first argument is one of the program's own addresses. */
static inline void probe_begin(int argc, char **argv)
{
	host = argc > 1 ? argv[1] : "127.0.0.1";
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
}

static inline void probe_wake(int sig)
{
	(void)sig;
}

/* A call that waits where it must not says EINTR. */
static inline void probe_never_waits(void)
{
	const struct itimerval often = {{2, 0}, {4, 0}};
	struct sigaction sa = {.sa_handler = probe_wake};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

#endif
