/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * thread_churn ADDRESS PORT SERVERS CLIENTS POLLERS SECONDS: many threads of one program that talk to
 * each other over TCP. Servers accept on one listener, echo one message and close; clients connect, send
 * a message, read the answer and close. Pollers ask epoll_wait(), without waiting, whether the listener
 * has something, again and again, as busy threads do. Prints how many connections there were and how long
 * they took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 128, SAMPLES_MAX = 1 << 18, BACKLOG = 128 };

static struct sockaddr_in to = {.sin_family = AF_INET};
static int listener;
static _Atomic unsigned int n_samples, n_early, n_errors;
static _Atomic uint64_t begin_us = UINT64_MAX; /* what began earlier does not count */
static uint32_t samples_us[SAMPLES_MAX];

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void *
serve(void *unused)
{
	char message[64];

	for (;;) {
		int conn = accept(listener, NULL, NULL);
		ssize_t n;

		if (conn < 0)
			die("accept");
		n = recv(conn, message, sizeof(message), 0);
		if (n > 0)
			send(conn, message, (size_t)n, MSG_NOSIGNAL);
		close(conn);
	}
	return unused;
}

static int
talk(int conn)
{
	char message[64] = "hello";

	if (connect(conn, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -1;
	if (send(conn, message, sizeof(message), MSG_NOSIGNAL) != sizeof(message))
		return -1;
	return recv(conn, message, sizeof(message), MSG_WAITALL) == sizeof(message) ? 0 : -1;
}

static void *
ask(void *unused)
{
	for (;;) {
		int conn = socket(AF_INET, SOCK_STREAM, 0);
		uint64_t start = now_us();

		if (conn < 0)
			die("socket");
		if (talk(conn) < 0) {
			if (n_errors++ == 0)
				perror("client");
		} else if (start > begin_us) {
			samples_us[n_samples++ % SAMPLES_MAX] = (uint32_t)(now_us() - start);
		} else {
			n_early++;
		}
		close(conn);
	}
	return unused;
}

static void *
ask_again_and_again(void *unused)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int set = epoll_create1(0);

	if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, listener, &ev) < 0)
		die("epoll");
	for (;;)
		epoll_wait(set, &ev, 1, 0);
	return unused;
}

static void
start(void *(*fn)(void *), const char *how_many)
{
	long n = strtol(how_many, NULL, 10);

	if (n < 0 || n > THREADS_MAX)
		die("number of threads");
	while (n-- > 0) {
		pthread_t thread;

		errno = pthread_create(&thread, NULL, fn, NULL);
		if (errno != 0)
			die("pthread_create");
	}
}

static int
by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
report(void)
{
	unsigned int n = n_samples, kept = n < SAMPLES_MAX ? n : SAMPLES_MAX;

	if (kept == 0)
		die("no connection");
	qsort(samples_us, kept, sizeof(samples_us[0]), by_size);
	printf("connections %u errors %u median %u p99 %u longest %u us\n", n, n_errors,
		samples_us[kept / 2], samples_us[kept - 1 - kept / 100], samples_us[kept - 1]);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	int one = 1;

	if (argc != 7 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: %s ADDRESS PORT SERVERS CLIENTS POLLERS SECONDS\n", argv[0]);
		return 2;
	}
	to.sin_port = htons((uint16_t)strtol(argv[2], NULL, 10));
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(listener, BACKLOG) < 0)
		die("listen");
	start(serve, argv[3]);
	start(ask, argv[4]);
	start(ask_again_and_again, argv[5]);
	while (n_early == 0 && n_errors == 0)
		usleep(1000); /* the library starts with the first of them */
	begin_us = now_us();
	sleep((unsigned int)strtol(argv[6], NULL, 10));
	report();
	_exit(0);
}
