/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two threads of a program on one socket, number or set at the same time. What is printed does not depend on
 * who comes first. See tests/probe.h for how it is used.
 */
#include "tests/probe.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static pthread_barrier_t both;

static void meet(void)
{
	pthread_barrier_wait(&both);
}

static bool wait_for(sem_t *s)
{
	struct timespec t;
	int r;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += 2;
	do {
		r = sem_timedwait(s, &t);
	} while (r < 0 && errno == EINTR);
	return r == 0;
}

/* --- threads that wait in one set ----------------------------------------------------------------------- */

enum { WAITERS = 2 };

static struct {
	int set;
	sem_t got;  /* a thread has an event */
	sem_t done; /* and may go on */
	_Atomic unsigned int seen;
	_Atomic bool stop;
} crowd;

/* What it has got it works on until it is told that this is done. */
static void *take_events(void *arg)
{
	struct epoll_event e;

	(void)arg;
	while (!atomic_load(&crowd.stop)) {
		if (epoll_wait(crowd.set, &e, 1, -1) != 1)
			continue;
		if (e.data.u32 == 0)
			return NULL;
		atomic_fetch_or(&crowd.seen, 1u << e.data.u32);
		sem_post(&crowd.got);
		sem_wait(&crowd.done);
	}
	return NULL;
}

static void watch(int fd, uint32_t number, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.u32 = number};

	if (epoll_ctl(crowd.set, EPOLL_CTL_ADD, fd, &e) < 0)
		perror("epoll_ctl");
}

static void crowd_begin(pthread_t threads[WAITERS], int n)
{
	crowd.set = epoll_create1(0);
	sem_init(&crowd.got, 0, 0);
	sem_init(&crowd.done, 0, 0);
	atomic_store(&crowd.stop, false);
	for (int i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, take_events, NULL);
}

/* A pipe that everybody hears, for nobody reads it. */
static void crowd_end(pthread_t threads[WAITERS], int n)
{
	int end[2];

	atomic_store(&crowd.stop, true);
	if (pipe(end) < 0)
		perror("pipe");
	watch(end[0], 0, EPOLLIN);
	if (write(end[1], "x", 1) != 1)
		perror("write");
	for (int i = 0; i < n; i++) {
		sem_post(&crowd.done);
		pthread_join(threads[i], NULL);
	}
	close(end[0]);
	close(end[1]);
	close(crowd.set);
}

/* One thread works on what it has got; what comes then is the other's. `at_once`: both come together. */
static void one_works_one_waits(bool at_once)
{
	struct pair first = pair_open(), second = pair_open();
	pthread_t threads[WAITERS];
	int missing = 0;
	char c;

	crowd_begin(threads, WAITERS);
	for (int round = 0; round < 10; round++) {
		struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = 1};

		epoll_ctl(crowd.set, round == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, first.server, &e);
		e.data.u32 = 2;
		epoll_ctl(crowd.set, round == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, second.server, &e);
		usleep(3000); /* both are asleep */
		send(first.client, "1", 1, 0);
		if (!at_once)
			missing += !wait_for(&crowd.got);
		send(second.client, "2", 1, 0);
		missing += !wait_for(&crowd.got);
		if (at_once)
			missing += !wait_for(&crowd.got);
		recv(first.server, &c, 1, 0);
		recv(second.server, &c, 1, 0);
		sem_post(&crowd.done);
		sem_post(&crowd.done);
		if (missing > 0)
			break;
	}
	printf("%s: missing %d, seen %x\n", at_once ? "two events at once" : "one after the other", missing,
		atomic_exchange(&crowd.seen, 0));
	crowd_end(threads, WAITERS);
	pair_close(first);
	pair_close(second);
}

/* The set has had no file of the kernel's until now. */
static void kernel_file_comes_later(void)
{
	struct pair p = pair_open();
	pthread_t thread[WAITERS];
	int end[2];

	if (pipe(end) < 0 || write(end[1], "x", 1) != 1)
		perror("pipe");
	crowd_begin(thread, 1);
	watch(p.server, 1, EPOLLIN);
	usleep(20000);
	watch(end[0], 2, EPOLLIN | EPOLLET);
	printf("a pipe is added while a thread waits: %d", wait_for(&crowd.got));
	printf(", seen %x\n", atomic_exchange(&crowd.seen, 0));
	sem_post(&crowd.done);
	crowd_end(thread, 1);
	close(end[0]);
	close(end[1]);
	pair_close(p);
}

/* --- numbers --------------------------------------------------------------------------------------------- */

enum { CLOSES = 200 };

static _Atomic int number;

static void *close_too(void *arg)
{
	_Atomic int *closed = arg;

	for (int i = 0; i < CLOSES; i++) {
		meet();
		if (close(atomic_load(&number)) == 0)
			atomic_fetch_add(closed, 1);
		else if (errno != EBADF)
			perror("close");
		meet();
	}
	return NULL;
}

static int open_kind(int kind, struct pair *p)
{
	switch (kind) {
	case 0:
		*p = pair_open();
		close(p->listener);
		return p->client;
	case 1:
		return socket(AF_INET, SOCK_STREAM, 0);
	case 2:
		return socket(AF_INET, SOCK_DGRAM, 0);
	default:
		return listen_any_port();
	}
}

static void two_close(const char *what, int kind)
{
	_Atomic int closed = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, close_too, &closed);
	for (int i = 0; i < CLOSES; i++) {
		struct pair p = {.server = -1};

		atomic_store(&number, open_kind(kind, &p));
		meet();
		if (close(atomic_load(&number)) == 0)
			atomic_fetch_add(&closed, 1);
		else if (errno != EBADF)
			perror("close");
		meet();
		if (p.server >= 0)
			close(p.server);
	}
	pthread_join(thread, NULL);
	printf("two threads close %s: closed %d times of %d\n", what, closed, CLOSES);
}

static _Atomic bool stop;

/* A number that is replaced is one of both at any time. */
static void *look_at_it(void *arg)
{
	_Atomic int *wrong = arg;
	struct sockaddr_in a;

	while (!atomic_load(&stop)) {
		socklen_t len = sizeof(a);

		if (getpeername(atomic_load(&number), (struct sockaddr *)&a, &len) < 0)
			atomic_fetch_add(wrong, 1);
	}
	return NULL;
}

static void one_replaces(void)
{
	struct pair first = pair_open(), second = pair_open();
	_Atomic int wrong = 0, failed = 0;
	pthread_t thread;

	atomic_store(&number, dup(first.client));
	atomic_store(&stop, false);
	pthread_create(&thread, NULL, look_at_it, &wrong);
	for (int i = 0; i < 3000; i++)
		failed += dup2(i % 2 ? first.client : second.client, atomic_load(&number)) < 0;
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	printf("dup2() over a number in use: failed %d, calls that saw neither %d\n", failed, wrong);
	close(atomic_load(&number));
	pair_close(first);
	pair_close(second);
}

/* --- one connection ---------------------------------------------------------------------------------------- */

static long send_all(int fd)
{
	static char block[3000];
	long sent = 0, n;

	while ((n = send(fd, block, sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT)) > 0 || errno == EAGAIN)
		sent += n > 0 ? n : 0;
	return sent;
}

static void *send_until_shut(void *arg)
{
	int *fd = arg;

	meet();
	return (void *)send_all(*fd);
}

/* What send() has taken before the end is sent. */
static void one_sends_one_shuts(void)
{
	static char block[65536];
	int lossy = 0;

	for (int round = 0; round < 60; round++) {
		struct pair p = pair_open();
		pthread_t thread;
		long got = 0, n;
		void *sent;

		pthread_create(&thread, NULL, send_until_shut, &p.client);
		meet();
		usleep((useconds_t)(round * 13 % 97));
		shutdown(p.client, SHUT_WR);
		while ((n = recv(p.server, block, sizeof(block), 0)) > 0)
			got += n;
		pthread_join(thread, &sent);
		lossy += got != (long)sent;
		pair_close(p);
	}
	printf("send() against shutdown(): %d times something was lost\n", lossy);
}

/* --- listeners ---------------------------------------------------------------------------------------------- */

enum { STOPS = 200 };

static void *stop_listening(void *arg)
{
	int *fd = arg;

	for (int i = 0; i < STOPS; i++) {
		meet();
		shutdown(*fd, SHUT_RD);
		meet();
	}
	return NULL;
}

static bool can_connect(uint16_t port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool can = connect_port(fd, port) == 0;

	close(fd);
	return can;
}

static void one_listens_one_stops(void)
{
	int fd = listen_any_port(), deaf = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, stop_listening, &fd);
	for (int i = 0; i < STOPS; i++) {
		int listens = 0;
		socklen_t len = sizeof(listens);

		meet();
		listen(fd, 8);
		meet();
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
		deaf += can_connect(port_of(fd)) != listens;
		listen(fd, 8);
		deaf += !can_connect(port_of(fd));
	}
	pthread_join(thread, NULL);
	printf("listen() against shutdown(): %d listeners do not do what they say\n", deaf);
	close(fd);
}

/* --- sockets that fail ---------------------------------------------------------------------------------------- */

/* A socket that has been refused, and of which nobody has asked why, is not to listen. */
static void refused_and_listens(void)
{
	int listener = listen_any_port();
	uint16_t port = port_of(listener);

	close(listener);
	for (int i = 0; i < 3; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		fcntl(fd, F_SETFL, O_NONBLOCK);
		connect_port(fd, port);
		settle(fd, POLLERR | POLLHUP);
		if (i == 0)
			show("listen, refused", listen(fd, 8));
		else if (i == 1)
			show("bind, refused", bind(fd, (struct sockaddr *)&(struct sockaddr_in){.sin_family = AF_INET},
				sizeof(struct sockaddr_in)));
		connect_port(fd, port);
		show("listen, told", listen(fd, 8));
		close(fd);
	}
}

/* Options that a listener has no use for. */
static void listener_is_uncorked(void)
{
	int bad = 0;

	for (int i = 0; i < 50; i++) {
		int fd = listen_any_port(), off = 0;
		uint16_t port = port_of(fd);

		bad += !can_connect(port);
		setsockopt(fd, IPPROTO_TCP, 3 /* TCP_CORK */, &off, sizeof(off));
		if (i % 2)
			shutdown(fd, SHUT_RD);
		close(fd);
	}
	printf("listeners that are uncorked and closed: bad %d\n", bad);
}

/* --- datagrams ------------------------------------------------------------------------------------------------ */

struct receiver {
	int fd;
	char got[16];
	long n;
};

static void *receive_one(void *arg)
{
	struct receiver *r = arg;
	struct timeval limit = {2, 0};

	setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	r->n = recv(r->fd, r->got, sizeof(r->got) - 1, 0);
	return NULL;
}

static void *poll_one(void *arg)
{
	struct receiver *r = arg;

	r->n = settle(r->fd, POLLIN) & POLLIN ? recv(r->fd, r->got, sizeof(r->got) - 1, 0) : 0;
	return NULL;
}

static int datagrams(const char *ip, struct sockaddr_in *a)
{
	socklen_t len = sizeof(*a);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	*a = (struct sockaddr_in){.sin_family = AF_INET};
	inet_pton(AF_INET, ip, &a->sin_addr);
	bind(fd, (struct sockaddr *)a, sizeof(*a));
	getsockname(fd, (struct sockaddr *)a, &len);
	return fd;
}

/* A thread waits for datagrams; then the socket is connected to an address of the machine itself. */
static void connected_while_it_waits(void *(*wait)(void *), const char *name)
{
	struct sockaddr_in any, local;
	int fd = datagrams("0.0.0.0", &any), peer = datagrams("127.0.0.1", &local);
	struct receiver r = {.fd = fd};
	pthread_t thread;

	pthread_create(&thread, NULL, wait, &r);
	usleep(20000);
	show("connect to 127.0.0.1", connect(fd, (struct sockaddr *)&local, sizeof(local)));
	any.sin_addr = local.sin_addr;
	usleep(20000);
	show("sendto", sendto(peer, "local", 5, 0, (struct sockaddr *)&any, sizeof(any)));
	pthread_join(thread, NULL);
	printf("%s, connected meanwhile: %ld %s\n", name, r.n, r.got);
	close(fd);
	close(peer);
}

int main(int argc, char **argv)
{
	probe_begin(argc, argv);
	pthread_barrier_init(&both, NULL, 2);
	one_works_one_waits(false);
	one_works_one_waits(true);
	kernel_file_comes_later();
	two_close("a connection", 0);
	two_close("a new socket", 1);
	two_close("a datagram socket", 2);
	two_close("a listener", 3);
	one_replaces();
	one_sends_one_shuts();
	one_listens_one_stops();
	refused_and_listens();
	listener_is_uncorked();
	connected_while_it_waits(receive_one, "recv");
	connected_while_it_waits(poll_one, "poll");
	return 0;
}
