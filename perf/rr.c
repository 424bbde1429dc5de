/* SPDX-License-Identifier: BSD-3-Clause */
/* rr: ping-pong over one TCP connection with plain POSIX sockets; prints latency as one JSON line. */
/*
 * With a pause it is the latency of the first request after idle, also of a redis server.
 *
 * Client: write a message, wait until it came back, note the time, again. The times go into a
 * histogram of 1 ns buckets, so percentiles are exact up to LATENCY_MAX_NS. The first WARMUP round
 * trips are not counted. Server: echoes until the client closes, then ends.
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX 65536
#define LATENCY_MAX_NS 2000000u /* everything slower shares the last bucket */
#define WARMUP 1000u
#define WARMUP_PAUSED 3u
#define REDIS_ASK "PING\r\n"
#define REDIS_ANSWER "+PONG\r\n"
#define CONNECT_TRIES 100

struct options {
	bool server, epoll, redis;
	const char *addr;
	uint16_t port;
	size_t bytes, answer_bytes;
	double seconds;
	unsigned int pause_us; /* before each message */
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

/* Wait until `fd` is readable, where the program was asked to use epoll. */
static void
wait_readable(int epfd)
{
	struct epoll_event ev;

	if (epfd < 0)
		return;
	while (epoll_wait(epfd, &ev, 1, -1) <= 0)
		if (errno != EINTR)
			die("epoll_wait");
}

/* Read exactly `len` bytes; false at the end of the stream. */
static bool
read_all(int fd, int epfd, char *buf, size_t len)
{
	size_t have = 0;

	while (have < len) {
		wait_readable(epfd);
		ssize_t n = read(fd, buf + have, len - have);

		if (n == 0)
			return false;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			die("read");
		if (n > 0)
			have += (size_t)n;
	}
	return true;
}

static void
write_all(int fd, const char *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			die("write");
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
	}
}

static int
watch(int fd, const struct options *o)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
	int one = 1, epfd;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		die("TCP_NODELAY");
	if (!o->epoll)
		return -1;
	epfd = epoll_create1(0);
	if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll");
	return epfd;
}

static void
serve(const struct options *o, const struct sockaddr_in *addr, char *buf)
{
	int one = 1, fd, epfd, l = socket(AF_INET, SOCK_STREAM, 0);

	if (l < 0 || setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		die("socket");
	if (bind(l, (const struct sockaddr *)addr, sizeof(*addr)) < 0 || listen(l, 1) < 0)
		die("bind");
	fd = accept(l, NULL, NULL);
	if (fd < 0)
		die("accept");
	epfd = watch(fd, o);
	while (read_all(fd, epfd, buf, o->bytes))
		write_all(fd, buf, o->bytes);
	close(fd);
	close(l);
}

/* The server may still be starting, and its wire coming up: try for a while. */
static int
connect_patiently(const struct sockaddr_in *addr)
{
	for (int i = 0; i < CONNECT_TRIES; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (fd < 0)
			die("socket");
		if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
			return fd;
		close(fd);
		usleep(50000);
	}
	die("connect");
	return -1;
}

static double
percentile_us(const uint32_t *histogram, uint64_t n, double share)
{
	uint64_t below = 0, wanted = (uint64_t)((double)n * share);

	for (uint32_t ns = 0; ns <= LATENCY_MAX_NS; ns++) {
		below += histogram[ns];
		if (below > wanted)
			return ns / 1000.0;
	}
	return LATENCY_MAX_NS / 1000.0;
}

static void
ask(const struct options *o, const struct sockaddr_in *addr, char *buf)
{
	char answer[sizeof(REDIS_ANSWER)];
	uint32_t *histogram = calloc(LATENCY_MAX_NS + 1, sizeof(*histogram));
	uint64_t n = 0, min = UINT64_MAX, max = 0, first = 0, last, end;
	uint64_t warmup = o->pause_us ? WARMUP_PAUSED : WARMUP;
	int fd, epfd;

	if (histogram == NULL)
		die("calloc");
	fd = connect_patiently(addr);
	epfd = watch(fd, o);
	last = now_ns();
	end = UINT64_MAX;
	for (uint64_t i = 0; last < end; i++) {
		if (o->pause_us) {
			usleep(o->pause_us);
			last = now_ns();
		}
		write_all(fd, buf, o->bytes);
		if (!read_all(fd, epfd, o->redis ? answer : buf, o->answer_bytes)) {
			fprintf(stderr, "rr: the server closed\n");
			exit(1);
		}
		uint64_t t = now_ns(), ns = t - last;

		last = t;
		if (i < warmup)
			continue;
		if (i == warmup) {
			first = t;
			end = t + (uint64_t)(o->seconds * 1e9);
			continue;
		}
		n++;
		min = ns < min ? ns : min;
		max = ns > max ? ns : max;
		histogram[ns < LATENCY_MAX_NS ? ns : LATENCY_MAX_NS]++;
	}
	close(fd);
	printf("{\"n\":%" PRIu64 ",\"bytes\":%zu,\"rate\":%.0f,\"min_us\":%.3f,\"p50_us\":%.3f,"
	       "\"p90_us\":%.3f,\"p99_us\":%.3f,\"p999_us\":%.3f,\"max_us\":%.3f}\n",
		n, o->bytes, (double)n * 1e9 / (double)(last - first), (double)min / 1e3,
		percentile_us(histogram, n, .5), percentile_us(histogram, n, .9),
		percentile_us(histogram, n, .99), percentile_us(histogram, n, .999),
		(double)max / 1e3);
	free(histogram);
}

int
main(int argc, char **argv)
{
	struct options o = {.port = 7777, .bytes = 64, .seconds = 5};
	struct sockaddr_in addr = {.sin_family = AF_INET};
	static char buf[MESSAGE_MAX];
	int c;

	while ((c = getopt(argc, argv, "sc:p:b:t:eg:r")) != -1) {
		switch (c) {
		case 's': o.server = true; break;
		case 'c': o.addr = optarg; break;
		case 'p': o.port = (uint16_t)strtoul(optarg, NULL, 10); break;
		case 'b': o.bytes = strtoul(optarg, NULL, 10); break;
		case 't': o.seconds = strtod(optarg, NULL); break;
		case 'e': o.epoll = true; break;
		case 'g': o.pause_us = (unsigned int)strtoul(optarg, NULL, 10) * 1000; break;
		case 'r': o.redis = true; break;
		default: goto usage;
		}
	}
	if (o.server == (o.addr != NULL) || o.bytes == 0 || o.bytes > MESSAGE_MAX)
		goto usage;
	signal(SIGPIPE, SIG_IGN);
	addr.sin_port = htons(o.port);
	if (o.addr != NULL && inet_pton(AF_INET, o.addr, &addr.sin_addr) != 1)
		goto usage;
	memset(buf, 'x', o.bytes);
	if (o.redis)
		o.bytes = (size_t)snprintf(buf, sizeof(buf), REDIS_ASK);
	o.answer_bytes = o.redis ? strlen(REDIS_ANSWER) : o.bytes;
	if (o.server)
		serve(&o, &addr, buf);
	else
		ask(&o, &addr, buf);
	return 0;
usage:
	fprintf(stderr, "usage: rr -s | -c ADDRESS  [-p PORT] [-b BYTES] [-t SECONDS] [-e (epoll)]\n"
			"  [-g PAUSE MS] [-r (PING of redis)]\n");
	return 2;
}
