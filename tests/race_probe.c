/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls at the very moment at which something else happens to the same socket: a packet that
 * another thread takes in, or a call of another thread. See tests/probe.h for how it is used.
 */
#include "tests/probe.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { TIMES = 1000, PAIRS = 100 };

static int stream_without_waiting(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

/* A port at which nobody listens. */
static uint16_t deaf_port(void)
{
	int fd = listen_any_port();
	uint16_t port = port_of(fd);

	close(fd);
	return port;
}

static void spin(unsigned int n)
{
	for (volatile unsigned int i = 0; i < n; i++)
		;
}

/* Connects still work, and data still comes. */
static void show_that_all_is_well(void)
{
	struct pair p = pair_open();
	char got[8] = "";

	if (write(p.client, "hello", 5) != 5)
		perror("write");
	settle(p.server, POLLIN);
	SHOW(read(p.server, got, sizeof(got)));
	pair_close(p);
}

/* --- a refusal comes ------------------------------------------------------------------------ */

static void closed_while_it_is_refused(void)
{
	uint16_t port = deaf_port();

	title("closed while it is refused");
	for (unsigned int i = 0; i < TIMES; i++) {
		int fd = stream_without_waiting();

		connect_port(fd, port);
		spin(i % 1000 * 20);
		close(fd);
	}
	show_that_all_is_well();
}

static void asked_while_it_is_refused(void)
{
	uint16_t port = deaf_port();
	int wrong = 0;

	title("connect() again while it is refused");
	for (unsigned int i = 0; i < TIMES; i++) {
		int fd = stream_without_waiting();

		/* On the kernel the first call already sees its own host's refusal. */
		for (int n = 1; connect_port(fd, port) < 0 && errno != ECONNREFUSED; n++) {
			wrong += errno != EALREADY && errno != EINPROGRESS;
			if (n % 64 == 0)
				poll(&(struct pollfd){.fd = fd}, 1, 0); /* may be what takes the answer in */
		}
		wrong += errno != ECONNREFUSED;
		close(fd);
	}
	show("answers but ECONNREFUSED", wrong);
	show_that_all_is_well();
}

/* --- two threads use a new socket ----------------------------------------------------------- */

struct race {
	int fd;
	uint16_t port;
	int (*call)(struct race *r);
	int result[2], error[2];
	atomic_int at_start;
};

static void race_run(struct race *r, int who)
{
	atomic_fetch_add(&r->at_start, 1);
	while (atomic_load(&r->at_start) < 2)
		sched_yield();
	r->result[who] = r->call(r);
	r->error[who] = r->result[who] < 0 ? errno : 0;
}

static void *other(void *arg)
{
	race_run(arg, 1);
	return NULL;
}

/* How many of the two were told so. */
static int told(const struct race *r, int error)
{
	return (r->error[0] == error) + (r->error[1] == error);
}

static void race(struct race *r)
{
	pthread_t t;

	atomic_store(&r->at_start, 0);
	pthread_create(&t, NULL, other, r);
	race_run(r, 0);
	pthread_join(t, NULL);
}

static int do_connect(struct race *r)
{
	return connect_port(r->fd, r->port);
}

static void connected_twice(void)
{
	int listener = listen_any_port(), wrong = 0;
	struct race r = {.port = port_of(listener), .call = do_connect};

	title("two threads connect one socket");
	for (int i = 0; i < PAIRS; i++) {
		int server;

		r.fd = socket(AF_INET, SOCK_STREAM, 0);
		race(&r);
		/* Who comes while the other waits may wait with it. */
		wrong += told(&r, 0) < 1 || told(&r, 0) + told(&r, EISCONN) + told(&r, EALREADY) != 2;
		server = accept(listener, NULL, NULL);
		wrong += write(r.fd, "x", 1) != 1;
		wrong += (settle(server, POLLIN) & POLLIN) == 0;
		close(r.fd);
		close(server);
	}
	show("wrong", wrong);
	close(listener);
}

static int do_bind(struct race *r)
{
	struct sockaddr_in a = address(0);

	return bind(r->fd, (struct sockaddr *)&a, sizeof(a));
}

static int do_listen(struct race *r)
{
	return listen(r->fd, 4);
}

/* Who comes second is told `second`. */
static void called_twice(const char *name, int type, int (*call)(struct race *), int second)
{
	struct race r = {.call = call};
	int wrong = 0;

	title(name);
	for (int i = 0; i < PAIRS; i++) {
		r.fd = socket(AF_INET, type, 0);
		race(&r);
		wrong += told(&r, 0) + told(&r, second) != (second == 0 ? 4 : 2) || told(&r, 0) == 0;
		wrong += port_of(r.fd) == 0;
		close(r.fd);
	}
	show("wrong", wrong);
}

static int do_sendto(struct race *r)
{
	struct sockaddr_in a = address(r->port);

	return (int)sendto(r->fd, "datagram", 8, 0, (struct sockaddr *)&a, sizeof(a));
}

/*
 * Linux has one race here: inet_autobind() makes the number known before the port that is sent from, and
 * whoever sees the number does not wait for the lock. About one pair of 60,000 has a datagram from port 0.
 */
static bool race_of_the_kernel(const struct sockaddr_in from[2])
{
	return getenv("LD_PRELOAD") == NULL && (from[0].sin_port == 0 || from[1].sin_port == 0);
}

static void both_send_first(void)
{
	int server = socket(AF_INET, SOCK_DGRAM, 0), wrong = 0;
	struct sockaddr_in a = address(0), from[2];
	struct timeval tv = {.tv_sec = 3};
	struct race r = {.call = do_sendto};

	title("two threads send the first datagram of one socket");
	bind(server, (struct sockaddr *)&a, sizeof(a));
	setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	r.port = port_of(server);
	for (int i = 0; i < PAIRS; i++) {
		r.fd = socket(AF_INET, SOCK_DGRAM, 0);
		race(&r);
		wrong += r.result[0] != 8 || r.result[1] != 8;
		for (int k = 0; k < 2; k++) {
			socklen_t len = sizeof(from[k]);
			char got[16];

			wrong += recvfrom(server, got, sizeof(got), 0, (struct sockaddr *)&from[k], &len) != 8;
		}
		wrong += from[0].sin_port != from[1].sin_port && !race_of_the_kernel(from);
		close(r.fd);
	}
	show("wrong", wrong);
	close(server);
}

int main(int argc, char **argv)
{
	probe_begin(argc, argv);
	closed_while_it_is_refused();
	asked_while_it_is_refused();
	connected_twice();
	called_twice("two threads bind one stream", SOCK_STREAM, do_bind, EINVAL);
	called_twice("two threads bind one datagram socket", SOCK_DGRAM, do_bind, EINVAL);
	called_twice("two threads let one socket listen", SOCK_STREAM, do_listen, 0);
	both_send_first();
	show_that_all_is_well();
	return 0;
}
