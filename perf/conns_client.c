/* SPDX-License-Identifier: BSD-3-Clause */
/* conns, client: opens the connections, asks, and prints the figures. */
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perf/conns.h"
#include "perf/hist.h"

#define EVENTS 64
#define CONNECTING_MAX 64 /* connections being opened at a time */
#define CONNECT_TRIES 100 /* of the first one: the server may still be starting */
#define SILENCE_NS 5000000000ull /* without an answer, after which a phase has failed */
#define WARMUP_NS 200000000ull
#define STALL_NS 1000000ull

struct connection {
	int fd;              /* -1: lost */
	unsigned int have;   /* bytes of the answer so far */
	uint64_t sent_ns;    /* 0: nothing asked */
};

struct client {
	const struct conns_options *o;
	int epfd;
	unsigned int n_open, n_lost, n_waiting; /* waiting: asked, and no answer yet */
	uint64_t random;
	struct connection *connection;
	struct loop_watch watch;
	struct conns_state state; /* the server's last */
};

/* One phase: which connections are asked, and what came of it. */
struct phase {
	unsigned int first, n;   /* connections asked, at random */
	unsigned int in_flight;
	bool in_turn;            /* each of them once, instead of at random */
	unsigned int cursor;
	uint64_t started_ns, ended_ns, count_from_ns, n_answers, n_stalls;
	struct hist latency;
};

static unsigned int
random_below(struct client *c, unsigned int n)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return (unsigned int)(((c->random >> 32) * n) >> 32);
}

static void
lose(struct client *c, unsigned int i)
{
	struct connection *k = &c->connection[i];

	if (k->sent_ns != 0)
		c->n_waiting--;
	close(k->fd);
	*k = (struct connection){.fd = -1};
	c->n_lost++;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int
start_connect(struct client *c, unsigned int i)
{
	struct sockaddr_in addr = c->o->addr;
	struct epoll_event ev = {.events = EPOLLOUT, .data.u32 = i};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	addr.sin_port = htons((uint16_t)(ntohs(addr.sin_port) + i % c->o->n_ports));
	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 && errno != EINPROGRESS)
		die("connect");
	if (epoll_ctl(c->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
	return fd;
}

/* The connection is there, or will never be. */
static void
end_connect(struct client *c, unsigned int i)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i};
	int error = 0, fd = c->connection[i].fd;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0) {
		errno = error;
		fprintf(stderr, "conns: connection %u of %u\n", i + 1, c->o->n_connections);
		die("connect");
	}
	if (epoll_ctl(c->epfd, EPOLL_CTL_MOD, fd, &ev) < 0)
		die("epoll_ctl");
	c->n_open++;
}

/* Connections until `n` are open. */
static void
open_until(struct client *c, unsigned int n)
{
	struct epoll_event ev[EVENTS];
	unsigned int started = c->n_open;

	while (c->n_open < n) {
		while (started < n && started - c->n_open < CONNECTING_MAX) {
			c->connection[started].fd = start_connect(c, started);
			started++;
		}
		int got = epoll_wait(c->epfd, ev, EVENTS, 10000);

		if (got == 0) {
			errno = ETIMEDOUT;
			die("connect");
		}
		for (int i = 0; i < got; i++)
			end_connect(c, ev[i].data.u32);
	}
}

/* The server may still be starting, and its wire coming up. */
static void
wait_for_server(const struct conns_options *o)
{
	for (int i = 0; i < CONNECT_TRIES; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (fd < 0)
			die("socket");
		int done = connect(fd, (const struct sockaddr *)&o->addr, sizeof(o->addr));

		close(fd);
		if (done == 0)
			return;
		usleep(50000);
	}
	die("connect");
}

/* --- asking ----------------------------------------------------------------------------------- */

static void
ask(struct client *c, unsigned int i, char command)
{
	char message[CONNS_MESSAGE_BYTES] = {command};
	struct connection *k = &c->connection[i];

	k->sent_ns = clock_ns();
	c->n_waiting++;
	if (write(k->fd, message, sizeof(message)) != sizeof(message))
		lose(c, i);
}

/* True when an answer is complete; its time is in *ns. */
static bool
take_answer(struct client *c, unsigned int i, uint64_t *ns)
{
	struct connection *k = &c->connection[i];
	char *to = (char *)&c->state;
	char message[CONNS_MESSAGE_BYTES];
	ssize_t n = read(k->fd, message + k->have, sizeof(message) - k->have);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0 || k->sent_ns == 0) {
		lose(c, i);
		return false;
	}
	/* Only a whole state is kept; echoes that come in pieces are merely counted. */
	if (k->have == 0 && n == sizeof(message) && message[0] == CONNS_STATE)
		memcpy(to, message, sizeof(message));
	k->have += (unsigned int)n;
	if (k->have < sizeof(message))
		return false;
	*ns = clock_ns() - k->sent_ns;
	k->have = 0;
	k->sent_ns = 0;
	c->n_waiting--;
	return true;
}

/* Ask the next connection of the phase that is not busy; false when there is none left. */
static bool
ask_next(struct client *c, struct phase *p)
{
	unsigned int tries = 2 * p->n;

	if (p->in_turn) {
		while (p->cursor < p->n && c->connection[p->first + p->cursor].fd < 0)
			p->cursor++;
		if (p->cursor == p->n)
			return false;
		ask(c, p->first + p->cursor++, CONNS_ECHO);
		return true;
	}
	while (tries-- > 0) {
		unsigned int i = p->first + random_below(c, p->n);

		if (c->connection[i].fd >= 0 && c->connection[i].sent_ns == 0) {
			ask(c, i, CONNS_ECHO);
			return true;
		}
	}
	return false;
}

static void
note_answer(struct phase *p, uint64_t ns, uint64_t now)
{
	if (p->n_answers == 0 && now < p->count_from_ns)
		return; /* still warming up */
	if (p->n_answers++ == 0)
		p->started_ns = now;
	p->ended_ns = now;
	hist_add(&p->latency, ns);
	p->n_stalls += ns > STALL_NS;
}

/* Collect answers, and ask again for each, until `end_ns` or nothing is left to ask. */
static void
run_phase(struct client *c, struct phase *p, uint64_t end_ns)
{
	struct epoll_event ev[EVENTS];
	uint64_t now = clock_ns(), heard_ns = now;
	bool more = true;

	p->count_from_ns = p->in_turn ? 0 : now + WARMUP_NS;
	while (more && c->n_waiting < p->in_flight)
		more = ask_next(c, p);
	while (c->n_waiting > 0) {
		int n = epoll_wait(c->epfd, ev, EVENTS, c->o->busy ? 0 : 1000);

		now = clock_ns();
		if (c->o->busy)
			loop_watch_turn(&c->watch);
		if (now - heard_ns > SILENCE_NS) {
			fprintf(stderr, "conns: %u answers are missing\n", c->n_waiting);
			exit(1);
		}
		for (int i = 0; i < n; i++) {
			uint64_t ns;

			if (!take_answer(c, ev[i].data.u32, &ns))
				continue;
			heard_ns = now;
			note_answer(p, ns, now);
			more = more && now < end_ns && ask_next(c, p);
		}
	}
}

/* The server's state; its longest gaps start anew. */
static void
ask_state(struct client *c)
{
	struct phase p = {.n = 0};

	ask(c, 0, CONNS_STATE);
	run_phase(c, &p, 0);
	if (c->state.command != CONNS_STATE) {
		fprintf(stderr, "conns: the server did not tell its state\n");
		exit(1);
	}
	c->state.command = 0;
}

/* --- phases and figures ----------------------------------------------------------------------- */

/* Runs it for its time and prints the figures as a member of a JSON object. Returns us/request. */
static double
phase(struct client *c, const char *name, unsigned int first, unsigned int n, unsigned int in_flight)
{
	static struct phase p;
	struct conns_state before;
	double us;

	p = (struct phase){.first = first, .n = n, .in_flight = in_flight};
	ask_state(c);
	before = c->state;
	loop_watch_start(&c->watch);
	run_phase(c, &p, clock_ns() + WARMUP_NS + (uint64_t)(c->o->seconds * 1e9));
	ask_state(c);
	us = p.n_answers < 2 ? 0 : (double)(p.ended_ns - p.started_ns) / 1e3 / (double)(p.n_answers - 1);
	printf("\"%s\":{\"open\":%u,\"asked\":%u,\"in_flight\":%u,\"requests\":%" PRIu64
	       ",\"rate\":%.0f,\"us_per_request\":%.4f,\"server_cpu_us_per_request\":%.4f,"
	       "\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f,\"n_over_1ms\":%" PRIu64,
		name, c->n_open - c->n_lost, n, in_flight, p.n_answers, us > 0 ? 1e6 / us : 0, us,
		(double)(c->state.cpu_ns - before.cpu_ns) / 1e3 / (double)(p.n_answers + 1),
		hist_percentile_us(&p.latency, .5), hist_percentile_us(&p.latency, .99),
		hist_percentile_us(&p.latency, .999), (double)p.latency.max_ns / 1e3, p.n_stalls);
	if (c->o->busy)
		printf(",\"server_gap_max_us\":%.1f,\"server_gap_cpu_max_us\":%.1f,"
		       "\"client_gap_max_us\":%.1f,\"client_gap_cpu_max_us\":%.1f",
			(double)c->state.gap_max_ns / 1e3, (double)c->state.gap_cpu_max_ns / 1e3,
			(double)c->watch.gap_max_ns / 1e3, (double)c->watch.gap_cpu_max_ns / 1e3);
	printf("},");
	fflush(stdout);
	return us;
}

/* Ask every connection once. */
static void
sweep(struct client *c)
{
	static struct phase p;

	p = (struct phase){.n = c->n_open, .in_flight = c->o->in_flight, .in_turn = true};
	run_phase(c, &p, UINT64_MAX);
	printf("\"sweep\":{\"answers\":%" PRIu64 ",\"max_us\":%.1f},", p.n_answers,
		(double)p.latency.max_ns / 1e3);
}

int
conns_ask(const struct conns_options *o)
{
	struct client c = {.o = o, .random = 0x9e3779b97f4a7c15u, .epfd = epoll_create1(0)};
	uint64_t own, server, system, started;
	double base, opening, opened = o->n_connections - o->n_base;

	c.connection = malloc(o->n_connections * sizeof(*c.connection));
	if (c.epfd < 0 || c.connection == NULL)
		die("start");
	/* Written now, so that it does not count as memory of connections. */
	memset(c.connection, 0xff, o->n_connections * sizeof(*c.connection));
	for (unsigned int i = 0; i < o->n_connections; i++)
		c.connection[i] = (struct connection){.fd = -1};
	wait_for_server(o);
	open_until(&c, o->n_base);
	printf("{\"connections\":%u,\"ports\":%u,", o->n_connections, o->n_ports);
	base = phase(&c, "base", 0, o->idle ? 1 : o->n_base, o->idle ? 1 : o->in_flight);
	own = memory_bytes();
	server = c.state.memory_bytes;
	system = memory_available_bytes();
	started = clock_ns();
	open_until(&c, o->n_connections);
	opening = (double)(clock_ns() - started) / 1e9;
	printf("\"open_seconds\":%.3f,\"open_rate\":%.0f,\"system_bytes_per_connection\":%.0f,", opening,
		opened / opening, ((double)system - (double)memory_available_bytes()) / opened / 2);
	if (o->idle) {
		phase(&c, "idle", 0, 1, 1);
		sweep(&c);
	} else {
		printf("\"cost_ratio_hot\":%.3f,", phase(&c, "hot", 0, o->n_base, o->in_flight) / base);
		printf("\"cost_ratio\":%.3f,", phase(&c, "full", 0, c.n_open, o->in_flight) / base);
	}
	printf("\"server_bytes_per_connection\":%.0f,\"client_bytes_per_connection\":%.0f,"
	       "\"lost\":%u}\n",
		((double)c.state.memory_bytes - (double)server) / opened,
		((double)memory_bytes() - (double)own) / opened, c.n_lost);
	return c.n_lost != 0;
}
