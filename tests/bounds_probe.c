/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls at the bounds of their arguments: receiving no bytes, and what epoll checks. See tests/probe.h for how
 * it is used.
 *
 *	bounds_probe ADDRESS
 */
#include "tests/probe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

static char buf[64];
static void *volatile no_room; /* NULL, which the compiler does not know */

static void nap(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void time_limit(int fd, long us)
{
	struct timeval t = {us / 1000000, us % 1000000};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
}

static int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err;
}

/* --- receiving nothing -------------------------------------------------------------------------------- */

static long message(int fd, int n_buffers, int flags)
{
	struct iovec none[2] = {{buf, 0}, {NULL, 0}};
	struct msghdr m = {.msg_iov = none, .msg_iovlen = (size_t)n_buffers};
	long r = recvmsg(fd, &m, flags);

	if (r >= 0)
		printf("flags %x\n", m.msg_flags);
	return r;
}

static long vector(int fd)
{
	struct iovec none[2] = {{buf, 0}, {NULL, 0}};

	return readv(fd, none, 2);
}

static long several(int fd, int flags)
{
	struct mmsghdr m[2] = {0};

	return recvmmsg(fd, m, 2, flags, NULL);
}

/* Every call that receives, one after the other. With `flags` none of them waits for long. */
static void all_calls(const char *what, int fd, int flags)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	printf("%s, flags %x\n", what, flags);
	SHOW(recv(fd, buf, 0, flags));
	SHOW(recv(fd, NULL, 0, flags));
	SHOW(recvfrom(fd, buf, 0, flags, (struct sockaddr *)&a, &len));
	SHOW(message(fd, 2, flags));
	SHOW(message(fd, 0, flags));
	SHOW(several(fd, flags));
	SHOW(read(fd, buf, 0));
	SHOW(read(fd, NULL, 0));
	SHOW(vector(fd));
	SHOW(readv(fd, NULL, 0));
}

static void all_flags(const char *what, int fd)
{
	const int flags[] = {0, MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_TRUNC, MSG_PEEK | MSG_TRUNC,
		MSG_PEEK | MSG_DONTWAIT, MSG_WAITALL | MSG_DONTWAIT, MSG_WAITALL | MSG_PEEK, MSG_OOB,
		MSG_ERRQUEUE | MSG_DONTWAIT, MSG_CMSG_CLOEXEC};

	title(what);
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		all_calls(what, fd, flags[i]);
}

static void after_a_wait(int fd)
{
	double start = now();
	long r = recv(fd, buf, 0, 0);

	show("after a wait", r);
	printf("it did wait: %d\n", now() - start > 0.15);
}

static void nothing_of_a_stream(void)
{
	const struct linger at_once = {1, 0};
	struct pair p = pair_open();
	int fd;

	time_limit(p.client, 2000);
	all_flags("nothing is there", p.client);
	time_limit(p.client, 200000);
	after_a_wait(p.client);
	time_limit(p.client, 0);
	if (send(p.server, "abc", 3, 0) == 3)
		settle(p.client, POLLIN);
	all_flags("something is there", p.client);
	SHOW(recv(p.client, buf, 9, 0));
	shutdown(p.server, SHUT_WR);
	settle(p.client, POLLRDHUP);
	all_flags("the end", p.client);
	all_flags("the other end", p.listener);
	setsockopt(p.server, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(p.server);
	settle(p.client, POLLHUP);
	SHOW(read(p.client, buf, 0));
	SHOW(recv(p.client, buf, 0, 0));
	SHOW(recv(p.client, buf, 0, 0));
	SHOW(so_error(p.client));
	all_flags("reset", p.client);
	close(p.client);
	close(p.listener);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	all_flags("not connected", fd);
	close(fd);
}

/* What ends a wait for nothing. */

static int waiter = -1;
static long said;
static int said_errno;
static atomic_int begun;
static pthread_t waiting;

static void *wait_for_it(void *arg)
{
	errno = 0;
	atomic_store(&begun, 1);
	said = recv(waiter, buf, 0, (int)(intptr_t)arg);
	said_errno = errno;
	return NULL;
}

static void start_waiting(int fd, int flags)
{
	waiter = fd;
	said = -2;
	atomic_store(&begun, 0);
	pthread_create(&waiting, NULL, wait_for_it, (void *)(intptr_t)flags);
	while (!atomic_load(&begun)) /* it may get a core late */
		nap(1);
	nap(100);
	printf("waits: %d\n", said == -2);
}

static void end_waiting(const char *what)
{
	pthread_join(waiting, NULL);
	errno = said_errno;
	show(what, said);
}

static void waits_for_nothing(int flags)
{
	const struct linger at_once = {1, 0};
	struct sigaction sa = {.sa_handler = probe_wake};
	struct pair p = pair_open();

	title("what ends a wait for nothing");
	printf("flags %x\n", flags);
	start_waiting(p.client, flags);
	SHOW(send(p.server, "abc", 3, 0));
	end_waiting("data");
	SHOW(recv(p.client, buf, 9, MSG_WAITALL | MSG_DONTWAIT));
	for (int i = 0; i < 2; i++) {
		sa.sa_flags = i ? SA_RESTART : 0;
		sigaction(SIGUSR1, &sa, NULL);
		start_waiting(p.client, flags);
		pthread_kill(waiting, SIGUSR1);
		end_waiting(i ? "a handler with SA_RESTART" : "a handler");
	}
	start_waiting(p.client, flags);
	shutdown(p.server, SHUT_WR);
	end_waiting("the end");
	pair_close(p);
	p = pair_open();
	start_waiting(p.client, flags);
	shutdown(p.client, SHUT_RD);
	end_waiting("the own end");
	pair_close(p);
	p = pair_open();
	start_waiting(p.client, flags);
	setsockopt(p.server, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(p.server);
	end_waiting("a reset");
	SHOW(so_error(p.client));
	close(p.client);
	close(p.listener);
}

static void datagrams(const char *what, int from, int to, int last, int flags)
{
	static const char *texts[] = {"abc", "", "de", "f", "ghij", "k", "lm", "no", "p", "q", "r"};
	struct sockaddr_in a = address(port_of(last));

	printf("%s\n", what);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (send(from, texts[i], strlen(texts[i]), 0) < 0)
			perror("send");
	/* What one socket sends comes in order: when `last` has this, `to` has all of them. */
	if (sendto(from, "z", 1, 0, (struct sockaddr *)&a, sizeof(a)) < 0)
		perror("sendto");
	settle(last, POLLIN);
	recv(last, buf, sizeof(buf), MSG_DONTWAIT);
	all_calls(what, to, flags);
	for (int i = 0; i < 12; i++)
		SHOW(recv(to, buf, sizeof(buf), MSG_DONTWAIT));
}

static void nothing_of_datagrams(void)
{
	struct sockaddr_in a = address(0);
	int to = socket(AF_INET, SOCK_DGRAM, 0), from = socket(AF_INET, SOCK_DGRAM, 0);
	int last = socket(AF_INET, SOCK_DGRAM, 0);
	struct sigaction sa = {.sa_handler = probe_wake};

	bind(to, (struct sockaddr *)&a, sizeof(a));
	bind(last, (struct sockaddr *)&a, sizeof(a));
	connect_port(from, port_of(to));
	time_limit(to, 2000);
	all_flags("no datagram", to);
	datagrams("datagrams", from, to, last, 0);
	datagrams("datagrams peeked at", from, to, last, MSG_PEEK);
	datagrams("datagrams, cut", from, to, last, MSG_TRUNC);
	datagrams("datagrams, at once", from, to, last, MSG_DONTWAIT);
	datagrams("datagrams, urgent", from, to, last, MSG_OOB);
	time_limit(to, 0);
	sigaction(SIGUSR1, &sa, NULL);
	start_waiting(to, 0);
	pthread_kill(waiting, SIGUSR1);
	end_waiting("a handler");
	start_waiting(to, 0);
	SHOW(send(from, "abc", 3, 0));
	end_waiting("a datagram");
	SHOW(recv(to, buf, 9, MSG_DONTWAIT));
	close(to);
	close(from);
	close(last);
}

/* --- epoll --------------------------------------------------------------------------------------------- */

static long control(int ep, int op, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events};

	return epoll_ctl(ep, op, fd, &e);
}

/* Every operation with `events`, on a number that is in the set and on one that is not. */
static void with_events(int ep, int fd, uint32_t events)
{
	printf("events %x\n", events);
	SHOW(control(ep, EPOLL_CTL_MOD, fd, events));
	SHOW(control(ep, EPOLL_CTL_ADD, fd, events));
	SHOW(control(ep, EPOLL_CTL_ADD, fd, events));
	SHOW(control(ep, EPOLL_CTL_ADD, fd, EPOLLIN));
	SHOW(control(ep, EPOLL_CTL_MOD, fd, events));
	SHOW(control(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT));
	SHOW(control(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLEXCLUSIVE));
	SHOW(control(ep, EPOLL_CTL_DEL, fd, events));
	SHOW(control(ep, EPOLL_CTL_DEL, fd, events));
}

static void events_that_may_be(const char *what, int fd)
{
	int ep = epoll_create1(0);

	title(what);
	for (int bit = 0; bit < 32; bit++) {
		with_events(ep, fd, UINT32_C(1) << bit);
		with_events(ep, fd, EPOLLEXCLUSIVE | UINT32_C(1) << bit);
	}
	with_events(ep, fd, 0);
	with_events(ep, fd, UINT32_MAX);
	with_events(ep, fd, EPOLLEXCLUSIVE | EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLET);
	with_events(ep, fd, EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLET | EPOLLIN);
	with_events(ep, fd, EPOLLEXCLUSIVE | EPOLLONESHOT | EPOLLIN);
	close(ep);
}

static void numbers_that_may_be(int fd)
{
	const int ops[] = {0, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, 4, -1};
	void *const nowhere = (void *)16;
	int ep = epoll_create1(0), inner = epoll_create1(0), closed = dup(fd);
	int numbers[] = {fd, -1, closed, ep, inner, 100000};

	close(closed);
	title("numbers");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		for (size_t j = 0; j < sizeof(ops) / sizeof(*ops); j++) {
			struct epoll_event e = {.events = EPOLLIN};

			printf("number %zu, operation %d\n", i, ops[j]);
			SHOW(epoll_ctl(ep, ops[j], numbers[i], &e));
			SHOW(epoll_ctl(ep, ops[j], numbers[i], NULL));
			SHOW(epoll_ctl(ep, ops[j], numbers[i], nowhere));
			SHOW(control(ep, ops[j], numbers[i], EPOLLIN | EPOLLEXCLUSIVE));
			SHOW(control(fd, ops[j], numbers[i], EPOLLIN));
			SHOW(control(-1, ops[j], numbers[i], EPOLLIN));
		}
	close(inner);
	close(ep);
}

static long wait2(int ep, struct epoll_event *evs, int max, long sec, long nsec, const sigset_t *mask)
{
	struct timespec t = {sec, nsec};

	return epoll_pwait2(ep, evs, max, &t, mask);
}

/* Each kind of wait, none of which waits for long. */
static void waits(int ep, struct epoll_event *evs, int max)
{
	sigset_t none;

	sigemptyset(&none);
	SHOW(epoll_wait(ep, evs, max, 0));
	SHOW(epoll_wait(ep, evs, max, 2));
	SHOW(epoll_pwait(ep, evs, max, 0, &none));
	SHOW(epoll_pwait(ep, evs, max, 0, (sigset_t *)16));
	SHOW(wait2(ep, evs, max, 0, 0, NULL));
	SHOW(wait2(ep, evs, max, 0, 1000, &none));
	SHOW(wait2(ep, evs, max, 0, 1000000000, NULL));
	SHOW(wait2(ep, evs, max, -1, 0, (sigset_t *)16));
	SHOW(epoll_pwait2(ep, evs, max, (struct timespec *)16, (sigset_t *)16));
	SHOW(syscall(SYS_epoll_wait, ep, evs, max, 0));
}

static void rooms(const char *what, int ep)
{
	static struct epoll_event evs[8];
	const int most = (int)(INT32_MAX / sizeof(*evs));
	void *const places[] = {evs, NULL, (void *)16, (void *)-1, (void *)-4096, (void *)(1L << 47),
		(void *)((1L << 47) - 4096 - 12)};
	const int sizes[] = {1, 2, 8, 0, -1, INT32_MIN, most, most + 1, INT32_MAX};

	title(what);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		for (size_t j = 0; j < sizeof(sizes) / sizeof(*sizes); j++) {
			printf("place %zu, room for %d\n", i, sizes[j]);
			waits(ep, places[i], sizes[j]);
		}
}

static void room_of_epoll(int fd, int peer)
{
	int ep = epoll_create1(0), counter = eventfd(0, 0);
	struct epoll_event e;

	rooms("an empty set", ep);
	control(ep, EPOLL_CTL_ADD, fd, EPOLLIN);
	rooms("nothing is ready", ep);
	control(ep, EPOLL_CTL_ADD, counter, EPOLLIN);
	rooms("nothing is ready, two kinds", ep);
	if (send(peer, "x", 1, 0) == 1)
		settle(fd, POLLIN);
	rooms("something is ready", ep);
	SHOW(recv(fd, buf, 1, 0));
	rooms("it was", ep);
	control(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET);
	if (send(peer, "x", 1, 0) == 1)
		settle(fd, POLLIN);
	SHOW(epoll_wait(ep, no_room, 1, 3000));
	SHOW(epoll_wait(ep, &e, 1, 3000));
	SHOW(epoll_wait(ep, no_room, 1, 0));
	control(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT);
	SHOW(epoll_wait(ep, no_room, 1, 3000));
	SHOW(epoll_wait(ep, &e, 1, 3000));
	SHOW(epoll_wait(ep, no_room, 1, 0));
	close(counter);
	close(ep);
}

int main(int argc, char **argv)
{
	struct pair p;
	int ends[2];

	probe_begin(argc, argv);
	nothing_of_a_stream();
	waits_for_nothing(0);
	waits_for_nothing(MSG_PEEK);
	waits_for_nothing(MSG_WAITALL);
	nothing_of_datagrams();
	p = pair_open();
	events_that_may_be("events of a connection", p.client);
	events_that_may_be("events of a listener", p.listener);
	if (pipe(ends) == 0)
		events_that_may_be("events of a pipe", ends[0]);
	events_that_may_be("events of an epoll object", epoll_create1(0));
	numbers_that_may_be(p.client);
	room_of_epoll(p.client, p.server);
	pair_close(p);
	return 0;
}
