/* SPDX-License-Identifier: BSD-3-Clause */
/* mixed: a bulk stream and a ping-pong in one event loop, each alone and both at once. */
/*
 * Both ends are one thread with epoll, as servers are: each turn of the loop writes or reads at most
 * a chunk of the stream and answers the ping, if there is one. The client has two connections; a
 * connection says with its first byte what it is. The bulk rate is the receiver's: the server says
 * how much it has got when it is asked on the other connection.
 *
 * The chunk decides how the two share a core: a ping waits for about one chunk on each side. With
 * x us for a chunk and a round trip of r us alone, both together have r + 2 x; so each keeps half
 * of its own figure only if x is about r / 2. For r = 2.2 us that is 2.7 KB at 20 Gbit/s, 8 KB at 60.
 * 4 KB, a page, is what a program takes that wants to answer quickly while it streams.
 *
 * Prints one JSON line; share_bulk and share_ping are the figures of both at once by those alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perf/hist.h"

#define CHUNK 4096 /* unless -k says otherwise */
#define CHUNK_MAX (1u << 20)
#define PING_BYTES 64
#define EVENTS 16
#define BULK 'b'
#define PING 'p'
#define COUNT 'c' /* a ping that comes back with the number of bulk bytes received */
#define CONNECT_TRIES 100
#define WARMUP_S 0.3
#define SILENCE_MS 5000

struct client {
	int epfd, bulk, ping;
	bool asked;      /* a ping is on its way */
	size_t have;     /* bytes of its answer */
	uint64_t sent_ns;
	char answer[PING_BYTES];
	struct hist latency;
	uint64_t n_pings;
};

struct figures {
	double gbps, pings_per_s, p50_us, p99_us;
};

static char chunk[CHUNK_MAX];
static size_t chunk_bytes = CHUNK;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void
watch(int epfd, int operation, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	if (epoll_ctl(epfd, operation, fd, &ev) < 0)
		die("epoll_ctl");
}

/* --- server ----------------------------------------------------------------------------------- */

/* What arrived: a ping goes back, with the count where it is asked for; the rest is counted. */
static void
take(int fd, uint64_t *n_bulk)
{
	ssize_t n = read(fd, chunk, chunk_bytes);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close(fd);
		return;
	}
	if (chunk[0] == BULK) {
		*n_bulk += (uint64_t)n;
		return;
	}
	if (chunk[0] == COUNT && n == PING_BYTES)
		memcpy(chunk + 8, n_bulk, sizeof(*n_bulk));
	if (write(fd, chunk, (size_t)n) != n)
		close(fd);
}

static void
serve(const struct sockaddr_in *addr)
{
	int one = 1, epfd = epoll_create1(0), l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct epoll_event ev[EVENTS];
	uint64_t n_bulk = 0;

	if (l < 0 || setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(l, (const struct sockaddr *)addr, sizeof(*addr)) < 0 || listen(l, 8) < 0)
		die("listen");
	watch(epfd, EPOLL_CTL_ADD, l, EPOLLIN);
	for (;;) {
		int n = epoll_wait(epfd, ev, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd != l) {
				take(ev[i].data.fd, &n_bulk);
				continue;
			}
			int fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);

			if (fd < 0)
				continue;
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			watch(epfd, EPOLL_CTL_ADD, fd, EPOLLIN);
		}
	}
}

/* --- client ----------------------------------------------------------------------------------- */

static int
open_connection(const struct sockaddr_in *addr)
{
	int one = 1;

	for (int i = 0; i < CONNECT_TRIES; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (fd < 0)
			die("socket");
		if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0) {
			int on = 1;

			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			if (ioctl(fd, FIONBIO, &on) < 0)
				die("FIONBIO");
			return fd;
		}
		close(fd);
		usleep(50000);
	}
	die("connect");
	return -1;
}

static void
send_ping(struct client *c, char kind)
{
	char message[PING_BYTES] = {kind};

	c->sent_ns = clock_ns();
	c->asked = true;
	c->have = 0;
	if (write(c->ping, message, sizeof(message)) != sizeof(message))
		die("write");
}

static void
take_ping(struct client *c)
{
	ssize_t n = read(c->ping, c->answer + c->have, sizeof(c->answer) - c->have);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		die("the server closed");
	c->have += (size_t)n;
	if (c->have < sizeof(c->answer))
		return;
	c->asked = false;
	c->n_pings++;
	hist_add(&c->latency, clock_ns() - c->sent_ns);
}

static void
send_bulk(struct client *c)
{
	if (write(c->bulk, chunk, chunk_bytes) < 0 && errno != EAGAIN && errno != EINTR)
		die("write");
}

/* One turn of the loop. */
static void
turn(struct client *c)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(c->epfd, ev, EVENTS, SILENCE_MS);

	if (n == 0) {
		errno = ETIMEDOUT;
		die("the server");
	}
	for (int i = 0; i < n; i++) {
		if (ev[i].data.fd == c->ping)
			take_ping(c);
		else
			send_bulk(c);
	}
}

/* Bulk bytes that the server has got so far. */
static uint64_t
ask_count(struct client *c)
{
	uint64_t n;

	while (c->asked)
		turn(c);
	send_ping(c, COUNT);
	while (c->asked)
		turn(c);
	memcpy(&n, c->answer + 8, sizeof(n));
	return n;
}

static void
run_for(struct client *c, double seconds, bool ping)
{
	uint64_t end = clock_ns() + (uint64_t)(seconds * 1e9);

	while (clock_ns() < end) {
		if (ping && !c->asked)
			send_ping(c, PING);
		turn(c);
	}
}

/* The stream, the ping-pong, or both, for `seconds`. */
static struct figures
phase(struct client *c, double seconds, bool bulk, bool ping)
{
	struct figures f;
	uint64_t bytes, pings, start;
	double took;

	watch(c->epfd, EPOLL_CTL_MOD, c->bulk, bulk ? EPOLLOUT : 0);
	run_for(c, WARMUP_S, ping);
	bytes = ask_count(c);
	memset(&c->latency, 0, sizeof(c->latency));
	pings = c->n_pings;
	start = clock_ns();
	run_for(c, seconds, ping);
	pings = c->n_pings - pings;
	f = (struct figures){.p50_us = hist_percentile_us(&c->latency, .5),
		.p99_us = hist_percentile_us(&c->latency, .99)};
	bytes = ask_count(c) - bytes;
	took = (double)(clock_ns() - start);
	f.gbps = (double)bytes * 8 / took;
	f.pings_per_s = (double)pings * 1e9 / took;
	return f;
}

static void
ask(const struct sockaddr_in *addr, double seconds)
{
	static struct client c;
	struct figures bulk, ping, both;
	double share_bulk, share_ping;

	memset(chunk, BULK, sizeof(chunk));
	c.ping = open_connection(addr);
	c.bulk = open_connection(addr);
	c.epfd = epoll_create1(0);
	watch(c.epfd, EPOLL_CTL_ADD, c.ping, EPOLLIN);
	watch(c.epfd, EPOLL_CTL_ADD, c.bulk, 0);
	ping = phase(&c, seconds, false, true);
	bulk = phase(&c, seconds, true, false);
	both = phase(&c, seconds, true, true);
	share_bulk = both.gbps / bulk.gbps;
	share_ping = both.pings_per_s / ping.pings_per_s;
	printf("{\"share\":%.3f,\"share_bulk\":%.3f,\"share_ping\":%.3f,\"alone_gbps\":%.3f,"
	       "\"both_gbps\":%.3f,\"alone_pings_per_s\":%.0f,\"both_pings_per_s\":%.0f,"
	       "\"alone_p50_us\":%.2f,\"both_p50_us\":%.2f,\"alone_p99_us\":%.2f,\"both_p99_us\":%.2f,"
	       "\"chunk\":%zu}\n",
		share_bulk < share_ping ? share_bulk : share_ping, share_bulk, share_ping, bulk.gbps,
		both.gbps, ping.pings_per_s, both.pings_per_s, ping.p50_us, both.p50_us, ping.p99_us,
		both.p99_us, chunk_bytes);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(7950)};
	const char *server = NULL;
	bool is_server = false;
	double seconds = 2;
	int c;

	while ((c = getopt(argc, argv, "sc:p:t:k:")) != -1) {
		switch (c) {
		case 's': is_server = true; break;
		case 'c': server = optarg; break;
		case 'p': addr.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10)); break;
		case 'k': chunk_bytes = strtoul(optarg, NULL, 10); break;
		case 't': seconds = strtod(optarg, NULL); break;
		default: goto usage;
		}
	}
	if (is_server == (server != NULL) || chunk_bytes < PING_BYTES || chunk_bytes > CHUNK_MAX)
		goto usage;
	if (server != NULL && inet_pton(AF_INET, server, &addr.sin_addr) != 1)
		goto usage;
	signal(SIGPIPE, SIG_IGN);
	if (is_server)
		serve(&addr);
	ask(&addr, seconds);
	return 0;
usage:
	fprintf(stderr, "usage: mixed -s | -c ADDRESS  [-p PORT] [-t SECONDS of each phase]\n"
			"  [-k BYTES of the stream at a time, on both ends]\n");
	return 2;
}
