/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every call says of a connection that the peer has reset or closed, and says the second time: each call
 * is the first one once, and all of them follow twice. See tests/probe.h for how it is used.
 */
#include "tests/probe.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/ioctl.h>

static volatile sig_atomic_t n_pipes;

static void on_pipe(int sig)
{
	(void)sig;
	n_pipes = n_pipes + 1;
}

static void show_more(const char *what, long r)
{
	printf("  %s: %ld%s%s%s\n", what, r, r < 0 ? " " : "", r < 0 ? strerrorname_np(errno) : "",
		n_pipes ? " SIGPIPE" : "");
	n_pipes = 0;
}

/* --- the calls ------------------------------------------------------------------------------------------ */

static void do_read(int fd)
{
	char buf[4];

	show_more("read", read(fd, buf, sizeof(buf)));
}

static void do_peek(int fd)
{
	char c;

	show_more("peek", recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT));
}

static void do_write(int fd)
{
	show_more("write", write(fd, "w", 1));
}

static void do_write_nothing(int fd)
{
	show_more("write nothing", write(fd, "", 0));
}

static void do_send(int fd)
{
	show_more("send without signal", send(fd, "s", 1, MSG_NOSIGNAL));
}

static void do_sendmsg(int fd)
{
	struct iovec iov = {(char *)"m", 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	show_more("sendmsg", sendmsg(fd, &m, MSG_DONTWAIT));
}

static void do_error(int fd)
{
	int error = -1;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		show_more("SO_ERROR", -1);
	else
		printf("  SO_ERROR: %s\n", error ? strerrorname_np(error) : "0");
}

static void do_poll(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	poll(&p, 1, 0);
	show_events("  poll", (uint16_t)p.revents);
}

static void do_names(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	show_more("getpeername", getpeername(fd, (struct sockaddr *)&a, &len));
	len = sizeof(a);
	show_more("getsockname", getsockname(fd, (struct sockaddr *)&a, &len));
}

static void do_shutdown_write(int fd)
{
	show_more("shutdown(SHUT_WR)", shutdown(fd, SHUT_WR));
}

static void do_shutdown_read(int fd)
{
	show_more("shutdown(SHUT_RD)", shutdown(fd, SHUT_RD));
}

static void do_unread(int fd)
{
	int n = -1;

	show_more("FIONREAD", ioctl(fd, FIONREAD, &n));
	printf("  %d\n", n);
}

static const struct {
	const char *name;
	void (*fn)(int fd);
} calls[] = {
	{"read", do_read},
	{"peek", do_peek},
	{"write", do_write},
	{"write nothing", do_write_nothing},
	{"send", do_send},
	{"sendmsg", do_sendmsg},
	{"error", do_error},
	{"poll", do_poll},
	{"names", do_names},
	{"unread", do_unread},
	{"shutdown write", do_shutdown_write},
	{"shutdown read", do_shutdown_read},
};
enum { N_CALLS = sizeof(calls) / sizeof(calls[0]) };

/* --- what has happened to the connection ---------------------------------------------------------------- */

static void reset(struct pair *p)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(p->server, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(p->server);
	settle(p->client, POLLERR | POLLRDHUP);
}

static void is_reset(struct pair *p)
{
	reset(p);
}

static void is_reset_with_data_unread(struct pair *p)
{
	send(p->server, "data", 4, 0);
	settle(p->client, POLLIN);
	reset(p);
}

static void is_reset_after_its_own_end(struct pair *p)
{
	shutdown(p->client, SHUT_WR);
	settle(p->server, POLLRDHUP);
	reset(p);
}

/* The peer closes with something unread: the kernel resets then, too. */
static void peer_closes_with_data_unread(struct pair *p)
{
	if (write(p->client, "lost", 4) != 4)
		perror("write");
	settle(p->server, POLLIN);
	close(p->server);
	settle(p->client, POLLERR | POLLRDHUP);
}

static void is_closed(struct pair *p)
{
	close(p->server);
	settle(p->client, POLLRDHUP);
}

static void wait_for_reset(struct pair *p)
{
	struct pollfd f = {.fd = p->client};

	poll(&f, 1, 3000);
}

static void is_closed_then_reset(struct pair *p)
{
	is_closed(p);
	if (write(p->client, "w", 1) != 1)
		perror("write");
	wait_for_reset(p);
}

static void is_closed_with_data_then_reset(struct pair *p)
{
	send(p->server, "data", 4, 0);
	settle(p->client, POLLIN);
	is_closed_then_reset(p);
}

static void ends_and_is_reset_then(struct pair *p)
{
	shutdown(p->server, SHUT_WR);
	settle(p->client, POLLRDHUP);
	reset(p);
	wait_for_reset(p);
}

static void is_closed_at_both_ends(struct pair *p)
{
	is_closed(p);
	shutdown(p->client, SHUT_WR);
	settle_end(p->client);
}

static void ends_first_and_is_closed(struct pair *p)
{
	shutdown(p->client, SHUT_WR);
	settle(p->server, POLLRDHUP);
	is_closed(p);
	settle_end(p->client);
}

static const struct {
	const char *name;
	void (*fn)(struct pair *p);
} ends[] = {
	{"reset", is_reset},
	{"reset with data unread", is_reset_with_data_unread},
	{"reset after its own end", is_reset_after_its_own_end},
	{"peer closes with data unread", peer_closes_with_data_unread},
	{"closed", is_closed},
	{"closed, then reset", is_closed_then_reset},
	{"closed with data, then reset", is_closed_with_data_then_reset},
	{"peer's end, then reset", ends_and_is_reset_then},
	{"closed at both ends", is_closed_at_both_ends},
	{"its own end, then closed", ends_first_and_is_closed},
};

/* After a close() without a reset yet, a write brings one, at a time that nobody knows. */
static void settle_after(int fd, const char *name, bool may_reset)
{
	struct pollfd p = {.fd = fd};

	if (may_reset && strcmp(name, "shutdown write") == 0)
		settle_end(fd);
	if (may_reset && (strcmp(name, "write") == 0 || strncmp(name, "send", 4) == 0))
		poll(&p, 1, 3000);
}

static void look(size_t end, size_t first)
{
	struct pair p = pair_open();
	bool may_reset = ends[end].fn == is_closed;

	printf("# %s: %s\n", ends[end].name, calls[first].name);
	ends[end].fn(&p);
	fcntl(p.client, F_SETFL, O_NONBLOCK);
	n_pipes = 0;
	calls[first].fn(p.client);
	settle_after(p.client, calls[first].name, may_reset);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < N_CALLS - 2; i++) {
			calls[i].fn(p.client);
			settle_after(p.client, calls[i].name, may_reset);
		}
	for (size_t i = N_CALLS - 2; i < N_CALLS; i++)
		calls[i].fn(p.client);
	for (size_t i = 0; i < N_CALLS; i++)
		calls[i].fn(p.client);
	close(p.client);
	close(p.listener);
}

/* Nobody listens. */
static void refused(void)
{
	int listener = listen_any_port();
	uint16_t port = port_of(listener);

	close(listener);
	/* The last, shutdown(SHUT_RD), marks a socket to Linux that is not connected. */
	for (size_t first = 0; first < N_CALLS - 1; first++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		printf("# refused: %s\n", calls[first].name);
		fcntl(fd, F_SETFL, O_NONBLOCK);
		show_more("connect", connect_port(fd, port) < 0 && errno != EINPROGRESS &&
					errno != ECONNREFUSED ? -1 : 0);
		close(fd);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		show_more("connect", connect_port(fd, port));
		fcntl(fd, F_SETFL, O_NONBLOCK);
		calls[first].fn(fd);
		for (size_t i = 0; i < N_CALLS; i++)
			calls[i].fn(fd);
		close(fd);
	}
}

/* A connect() that has failed may be repeated. */
static void repeated(void)
{
	int listener = listen_any_port(), fd = socket(AF_INET, SOCK_STREAM, 0), server;
	uint16_t port = port_of(listener);
	struct sockaddr_in a = address(port);
	char buf[8];

	printf("# connect again\n");
	close(listener);
	for (int i = 0; i < 3; i++)
		show_more("connect", connect_port(fd, port));
	do_poll(fd);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	show_more("bind", bind(listener, (struct sockaddr *)&a, sizeof(a)));
	show_more("listen", listen(listener, 1));
	show_more("connect", connect_port(fd, port));
	show_more("connect", connect_port(fd, port));
	server = accept(listener, NULL, NULL);
	do_names(fd);
	do_write(fd);
	settle(server, POLLIN);
	show_more("server's read", read(server, buf, sizeof(buf)));
	show_more("server's write", write(server, "answer", 6));
	settle(fd, POLLIN);
	do_read(fd);
	do_read(fd);
	close(server);
	settle(fd, POLLRDHUP);
	do_read(fd);
	close(fd);
	close(listener);
}

/* The same without waiting: the second call says what became of the first. */
static void repeated_without_waiting(void)
{
	int listener = listen_any_port(), fd = socket(AF_INET, SOCK_STREAM, 0);
	uint16_t port = port_of(listener);

	printf("# connect again, without waiting\n");
	close(listener);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 3; i++) {
		connect_port(fd, port);
		settle(fd, POLLERR | POLLHUP);
		show_more("connect", connect_port(fd, port));
		do_poll(fd);
	}
	connect_port(fd, port);
	settle(fd, POLLERR | POLLHUP);
	do_error(fd);
	show_more("connect", connect_port(fd, port));
	do_poll(fd);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = on_pipe};

	probe_begin(argc, argv);
	sigaction(SIGPIPE, &act, NULL);
	for (size_t end = 0; end < sizeof(ends) / sizeof(ends[0]); end++)
		for (size_t first = 0; first < N_CALLS; first++)
			look(end, first);
	refused();
	repeated();
	repeated_without_waiting();
	return 0;
}
