/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets for the suites of preload/, made with libc's names, so by the wrappers under test. */
#ifndef TESTS_PRELOAD_PAIR_H
#define TESTS_PRELOAD_PAIR_H

#include "tests/cunit_main.h"
#include "tests/fake_sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
	int listener, client, server;
};

static inline struct sockaddr_in address(const char *ip, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_aton(ip, &a.sin_addr);
	return a;
}

static inline int bind_to(int fd, const char *ip, uint16_t port)
{
	struct sockaddr_in a = address(ip, port);

	return bind(fd, (struct sockaddr *)&a, sizeof(a));
}

static inline int connect_to(int fd, const char *ip, uint16_t port)
{
	struct sockaddr_in a = address(ip, port);

	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static inline uint16_t port_of(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	CU_ASSERT_EQUAL(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

/* A listener on `ip` with a port of its own. */
static inline int listen_on(const char *ip)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(bind_to(fd, ip, 0), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 16), 0);
	return fd;
}

/* A connection inside the stack. */
static inline struct pair pair_open(void)
{
	struct pair p;

	p.listener = listen_on(FAKE_ADDR);
	p.client = socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL_FATAL(connect_to(p.client, FAKE_ADDR, port_of(p.listener)), 0);
	p.server = accept(p.listener, NULL, NULL);
	CU_ASSERT_FATAL(p.server >= 0);
	return p;
}

static inline void pair_close(struct pair p)
{
	close(p.client);
	close(p.server);
	close(p.listener);
}

static inline void nonblock(int fd)
{
	CU_ASSERT_EQUAL(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/* Runs a test body in both modes, and looks for sockets left open. */
static inline void both_modes(void (*body)(void))
{
	for (int i = 0; i < 2; i++) {
		fake_spins = i;
		body();
		CU_ASSERT_EQUAL(fake_live, 0);
	}
}

#define BOTH_MODES(name)                                                                           \
	static void name##_body(void);                                                             \
	static void name(void)                                                                     \
	{                                                                                          \
		both_modes(name##_body);                                                           \
	}                                                                                          \
	static void name##_body(void)

#endif
