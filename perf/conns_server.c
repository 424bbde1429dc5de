/* SPDX-License-Identifier: BSD-3-Clause */
/* conns, server: echoes, with no state of its own per connection, so that its memory is the stack's. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perf/conns.h"

#define EVENTS 64
#define BACKLOG 4096
#define LISTENER (1ull << 32) /* in an event's data, beside the descriptor */

struct server {
	int epfd;
	uint64_t n_open;
	struct loop_watch watch;
};

static void
watch_fd(struct server *s, int fd, uint64_t kind)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint64_t)fd | kind};

	if (epoll_ctl(s->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
}

static void
open_listeners(struct server *s, const struct conns_options *o)
{
	struct sockaddr_in addr = o->addr;
	int one = 1;

	for (unsigned int i = 0; i < o->n_ports; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

		addr.sin_port = htons((uint16_t)(ntohs(o->addr.sin_port) + i));
		if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
			bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
			listen(fd, BACKLOG) < 0)
			die("listen");
		watch_fd(s, fd, LISTENER);
	}
}

static void
accept_all(struct server *s, int listener)
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		watch_fd(s, fd, 0);
		s->n_open++;
	}
	if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
		die("accept4");
}

static void
tell_state(struct server *s, char *message)
{
	struct rusage used;
	struct conns_state state;

	getrusage(RUSAGE_SELF, &used);
	state = (struct conns_state){.command = CONNS_STATE, .n_open = s->n_open,
		.memory_bytes = memory_bytes(),
		.cpu_ns = (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000u +
			(uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000u,
		.n_loops = s->watch.n, .gap_max_ns = s->watch.gap_max_ns,
		.gap_cpu_max_ns = s->watch.gap_cpu_max_ns};
	memcpy(message, &state, sizeof(state));
	loop_watch_start(&s->watch);
}

static void
answer(struct server *s, int fd)
{
	char message[CONNS_MESSAGE_BYTES];
	ssize_t n = read(fd, message, sizeof(message));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close(fd);
		s->n_open--;
		return;
	}
	if (n == sizeof(message) && message[0] == CONNS_STATE)
		tell_state(s, message);
	if (write(fd, message, (size_t)n) != n) {
		close(fd);
		s->n_open--;
	}
}

void
conns_serve(const struct conns_options *o)
{
	struct server s = {.epfd = epoll_create1(0)};
	struct epoll_event ev[EVENTS];

	if (s.epfd < 0)
		die("epoll_create1");
	open_listeners(&s, o);
	loop_watch_start(&s.watch);
	for (;;) {
		int n = epoll_wait(s.epfd, ev, EVENTS, o->busy ? 0 : -1);

		for (int i = 0; i < n; i++) {
			int fd = (int)(ev[i].data.u64 & ~LISTENER);

			if (ev[i].data.u64 & LISTENER)
				accept_all(&s, fd);
			else
				answer(&s, fd);
		}
		if (o->busy)
			loop_watch_turn(&s.watch);
	}
}
