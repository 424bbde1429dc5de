/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * conn_storm ADDRESS PORT TOTAL IN_FLIGHT: a crowd of clients for the system tests. Connects TOTAL times,
 * IN_FLIGHT at once, and on every connection asks PING and waits for an answer before it resets it.
 * Source addresses are as many as the ports of one do not suffice for: those that the machine has from
 * the first one that it would use itself, upwards. Last line: seconds in all, the longest of one, errors.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PER_ADDRESS 20000
#define EVENTS 512
#define LIMIT_S 120

static struct sockaddr_in server, own;
static unsigned int started, done, errors, open_now;
static double longest;
static double *since; /* by descriptor */
static int set;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
find_own(void)
{
	socklen_t len = sizeof(own);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof(server)) != 0 ||
		getsockname(fd, (struct sockaddr *)&own, &len) != 0) {
		perror("conn_storm: no way there");
		exit(2);
	}
	close(fd);
}

static void
start_one(void)
{
	struct sockaddr_in from = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(ntohl(own.sin_addr.s_addr) + started / PER_ADDRESS)};
	struct linger reset = {1, 0};
	struct epoll_event ev = {.events = EPOLLOUT};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	started++;
	if (fd < 0) {
		errors++;
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
		(connect(fd, (struct sockaddr *)&server, sizeof(server)) != 0 && errno != EINPROGRESS)) {
		errors++;
		close(fd);
		return;
	}
	since[fd] = now();
	ev.data.fd = fd;
	epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev);
	open_now++;
}

static void
finish(int fd, int ok)
{
	double t = now() - since[fd];

	if (t > longest)
		longest = t;
	close(fd);
	open_now--;
	done += ok != 0;
	errors += ok == 0;
}

static void
handle(const struct epoll_event *e)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = e->data.fd};
	char answer[64];

	if ((e->events & EPOLLOUT) != 0 && (e->events & EPOLLERR) == 0) {
		if (send(e->data.fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6)
			epoll_ctl(set, EPOLL_CTL_MOD, e->data.fd, &ev);
		else
			finish(e->data.fd, 0);
		return;
	}
	finish(e->data.fd, recv(e->data.fd, answer, sizeof(answer), 0) > 0);
}

int
main(int argc, char **argv)
{
	struct rlimit files = {60000, 60000};
	struct epoll_event ev[EVENTS];
	unsigned int total, width;
	double start;

	if (argc != 5 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
		fprintf(stderr, "usage: conn_storm ADDRESS PORT TOTAL IN_FLIGHT\n");
		return 2;
	}
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	total = (unsigned int)strtoul(argv[3], NULL, 10);
	width = (unsigned int)strtoul(argv[4], NULL, 10);
	setrlimit(RLIMIT_NOFILE, &files);
	find_own();
	set = epoll_create1(0);
	since = calloc(files.rlim_cur, sizeof(*since));
	start = now();
	while (done + errors < total && now() - start < LIMIT_S) {
		int n;

		while (started < total && open_now < width)
			start_one();
		n = epoll_wait(set, ev, EVENTS, 100);
		for (int i = 0; i < n; i++)
			handle(&ev[i]);
	}
	printf("{\"done\": %u, \"errors\": %u, \"seconds\": %.2f, \"longest_s\": %.2f}\n", done,
		errors + open_now, now() - start, longest);
	return done == total ? 0 : 1;
}
