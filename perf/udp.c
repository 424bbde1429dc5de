/* SPDX-License-Identifier: BSD-3-Clause */
/* udp: small datagrams there and back, a window of them at a time; prints one JSON line. */
/*
 * Server: recvfrom() and sendto(), blocking, one datagram each; ends with the process. Client: keeps
 * WINDOW datagrams on their way through one connected socket: every answer sends the next one. It
 * takes what is there without waiting and polls when there is nothing. What is not answered within
 * LOST_NS is lost: it is counted, and its place in the window is used again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perf/hist.h"

#define BYTES_MAX 1472
#define WINDOW_MAX 1024
#define LOST_NS 100000000ull
#define POLL_MS 20
#define WARMUP_NS 200000000ull
#define GIVE_UP_NS 5000000000ull /* without any answer, also at the start */

struct options {
	bool server;
	struct sockaddr_in addr;
	size_t bytes;
	unsigned int window;
	double seconds;
};

/* What a datagram begins with. */
struct mark {
	uint32_t place, turn;
};

/* A place in the window. */
struct place {
	uint32_t turn;
	uint64_t sent_ns;
};

struct client {
	const struct options *o;
	int fd;
	uint64_t n_sent, n_answers, n_lost, heard_ns;
	struct place place[WINDOW_MAX];
	struct hist latency;
};

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void
serve(const struct options *o)
{
	char datagram[BYTES_MAX];
	struct sockaddr_in from;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&o->addr, sizeof(o->addr)) < 0)
		die("bind");
	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, datagram, sizeof(datagram), 0, (struct sockaddr *)&from, &len);

		/* An answer that cannot be sent is a lost one: the client notices. */
		if (n >= 0)
			sendto(fd, datagram, (size_t)n, 0, (const struct sockaddr *)&from, len);
		else if (errno != EINTR)
			die("recvfrom");
	}
}

static void
send_one(struct client *c, uint32_t i)
{
	static char datagram[BYTES_MAX];
	struct mark mark = {.place = i, .turn = ++c->place[i].turn};

	memcpy(datagram, &mark, sizeof(mark));
	c->place[i].sent_ns = clock_ns();
	c->n_sent++;
	/* ECONNREFUSED is about an earlier one: the server is not up yet. */
	if (send(c->fd, datagram, c->o->bytes, 0) < 0 && errno != ECONNREFUSED && errno != ENOBUFS &&
		errno != EAGAIN)
		die("send");
}

/* Everything that has arrived, and the next datagram for each. */
static void
take_answers(struct client *c, bool counting)
{
	char datagram[BYTES_MAX];
	struct mark mark;
	ssize_t n;

	while ((n = recv(c->fd, datagram, sizeof(datagram), MSG_DONTWAIT)) >= (ssize_t)sizeof(mark)) {
		struct place *p;

		memcpy(&mark, datagram, sizeof(mark));
		p = &c->place[mark.place % WINDOW_MAX];
		if (mark.turn != p->turn || p->sent_ns == 0)
			continue; /* it was counted as lost */
		c->heard_ns = clock_ns();
		if (counting) {
			c->n_answers++;
			hist_add(&c->latency, c->heard_ns - p->sent_ns);
		}
		p->sent_ns = 0;
		send_one(c, mark.place);
	}
	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
		die("recv");
}

/* Datagrams that were lost make room for new ones. */
static void
find_lost(struct client *c, uint64_t now, bool counting)
{
	for (uint32_t i = 0; i < c->o->window; i++) {
		if (now - c->place[i].sent_ns < LOST_NS)
			continue;
		if (counting)
			c->n_lost++;
		send_one(c, i);
	}
}

static void
run_until(struct client *c, uint64_t end_ns, bool counting)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	uint64_t now, look_ns = 0;

	do {
		take_answers(c, counting);
		now = clock_ns();
		if (now - c->heard_ns > GIVE_UP_NS) {
			fprintf(stderr, "udp: no answers\n");
			exit(1);
		}
		if (now - look_ns > LOST_NS / 2) {
			find_lost(c, now, counting);
			look_ns = now;
		}
		if (poll(&p, 1, POLL_MS) < 0 && errno != EINTR)
			die("poll");
	} while (now < end_ns);
}

static void
ask(const struct options *o)
{
	static struct client c;
	uint64_t start, end;

	c.o = o;
	c.fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (c.fd < 0 || connect(c.fd, (const struct sockaddr *)&o->addr, sizeof(o->addr)) < 0)
		die("connect");
	c.heard_ns = clock_ns();
	/* Until the server answers, and a little longer. */
	for (start = c.heard_ns; c.heard_ns == start;)
		run_until(&c, clock_ns() + WARMUP_NS, false);
	run_until(&c, clock_ns() + WARMUP_NS, false);
	c.n_sent = 0;
	start = clock_ns();
	run_until(&c, start + (uint64_t)(o->seconds * 1e9), true);
	end = clock_ns();
	printf("{\"bytes\":%zu,\"window\":%u,\"sent\":%" PRIu64 ",\"answers\":%" PRIu64
	       ",\"lost\":%" PRIu64 ",\"rate\":%.0f,\"p50_us\":%.2f,\"p99_us\":%.2f,"
	       "\"p999_us\":%.2f,\"max_us\":%.2f}\n",
		o->bytes, o->window, c.n_sent, c.n_answers, c.n_lost,
		(double)c.n_answers * 1e9 / (double)(end - start), hist_percentile_us(&c.latency, .5),
		hist_percentile_us(&c.latency, .99), hist_percentile_us(&c.latency, .999),
		(double)c.latency.max_ns / 1e3);
}

int
main(int argc, char **argv)
{
	struct options o = {.addr = {.sin_family = AF_INET, .sin_port = htons(7900)}, .bytes = 64,
		.window = 32, .seconds = 5};
	const char *server = NULL;
	int c;

	while ((c = getopt(argc, argv, "sc:p:b:w:t:")) != -1) {
		switch (c) {
		case 's': o.server = true; break;
		case 'c': server = optarg; break;
		case 'p': o.addr.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10)); break;
		case 'b': o.bytes = strtoul(optarg, NULL, 10); break;
		case 'w': o.window = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 't': o.seconds = strtod(optarg, NULL); break;
		default: goto usage;
		}
	}
	if (o.server == (server != NULL) || o.bytes < sizeof(struct mark) || o.bytes > BYTES_MAX ||
		o.window == 0 || o.window > WINDOW_MAX)
		goto usage;
	if (server != NULL && inet_pton(AF_INET, server, &o.addr.sin_addr) != 1)
		goto usage;
	if (o.server)
		serve(&o);
	ask(&o);
	return 0;
usage:
	fprintf(stderr, "usage: udp -s | -c ADDRESS  [-p PORT] [-b BYTES] [-w WINDOW] [-t SECONDS]\n");
	return 2;
}
