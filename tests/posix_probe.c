/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a program sees of its sockets, one line per observation: run it on the kernel and under the
 * library, and compare the lines.
 *
 *	posix_probe ADDRESS        server and client in this process, on one of its own addresses
 *
 * Only facts that must be the same are printed: results, errno names, events, never times or ports.
 */
#include "tests/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err;
}

static void probe_unconnected(void)
{
	struct sockaddr_in a = address(1);
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char c = 0;

	title("unconnected");
	SHOW(recv(fd, &c, 1, 0));
	SHOW(send(fd, &c, 1, MSG_NOSIGNAL));
	SHOW(shutdown(fd, SHUT_RDWR));
	SHOW(getpeername(fd, (struct sockaddr *)&a, &len));
	SHOW(accept(fd, NULL, NULL));
	SHOW(connect(fd, (struct sockaddr *)&a, 3));
	SHOW(fcntl(fd, F_GETFL));
	show_events("events", settle(fd, POLLIN | POLLOUT));
	close(fd);
	SHOW(recv(fd, &c, 1, 0));
}

static void probe_refused(void)
{
	int l = listen_any_port(), fd;
	uint16_t port = port_of(l);

	title("nobody listens");
	close(l);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect_port(fd, port));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	SHOW(connect_port(fd, port));
	show_events("events", settle(fd, POLLIN | POLLOUT));
	printf("SO_ERROR: %s\n", strerrorname_np(so_error(fd)));
	printf("SO_ERROR again: %d\n", so_error(fd));
	close(fd);
}

static void probe_bind(void)
{
	struct sockaddr_in a = address(0);
	int x = socket(AF_INET, SOCK_STREAM, 0), y = socket(AF_INET, SOCK_STREAM, 0);

	title("bind");
	SHOW(bind(x, (struct sockaddr *)&a, sizeof(a)));
	SHOW(listen(x, 1));
	SHOW(bind(x, (struct sockaddr *)&a, sizeof(a)));
	a = address(port_of(x));
	SHOW(bind(y, (struct sockaddr *)&a, sizeof(a)));
	a.sin_addr.s_addr = inet_addr("203.0.113.9"); /* TEST-NET-3: nobody's */
	SHOW(bind(y, (struct sockaddr *)&a, sizeof(a)));
	SHOW(bind(y, (struct sockaddr *)&a, 4));
	close(x);
	close(y);
}

static void probe_nonblocking(void)
{
	struct pair p = {.listener = listen_any_port()};
	struct sockaddr_in a, b;
	socklen_t len = sizeof(a);
	char buf[8];

	title("non-blocking");
	fcntl(p.listener, F_SETFL, O_NONBLOCK);
	SHOW(accept(p.listener, NULL, NULL));
	p.client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int r = connect_port(p.client, port_of(p.listener));
	printf("connect: %s\n", r == 0 || errno == EINPROGRESS ? "begun" : strerrorname_np(errno));
	show_events("client", settle(p.client, POLLIN | POLLOUT));
	printf("SO_ERROR: %d\n", so_error(p.client));
	SHOW(connect_port(p.client, port_of(p.listener)));
	SHOW(connect_port(p.client, port_of(p.listener)));
	show_events("listener", settle(p.listener, POLLIN | POLLOUT));
	p.server = accept4(p.listener, (struct sockaddr *)&a, &len, SOCK_NONBLOCK);
	len = sizeof(b);
	getsockname(p.client, (struct sockaddr *)&b, &len);
	printf("peer is right: %d\n", memcmp(&a, &b, 8) == 0);
	SHOW(fcntl(p.server, F_GETFL));
	SHOW(recv(p.server, buf, 8, 0));
	SHOW(send(p.server, "x", 1, 0));
	show_events("client", settle(p.client, POLLIN));
	SHOW(recv(p.client, buf, 8, 0));
	SHOW(recv(p.client, buf, 8, 0));
	pair_close(p);
}

static void probe_data(void)
{
	struct pair p = pair_open();
	char buf[16] = "", more[16] = "";
	static struct iovec iov[1025];
	int n = 0;

	title("data");
	iov[0] = (struct iovec){buf, 3};
	iov[1] = (struct iovec){more, 16};
	SHOW(write(p.client, "abcdefgh", 8));
	settle(p.server, POLLIN);
	SHOW(ioctl(p.server, FIONREAD, &n));
	printf("FIONREAD: %d\n", n);
	SHOW(recv(p.server, buf, 4, MSG_PEEK));
	SHOW(recv(p.server, buf, 0, 0));
	SHOW(readv(p.server, iov, 2));
	printf("%.3s|%.5s\n", buf, more);
	SHOW(recv(p.server, buf, 4, MSG_DONTWAIT));
	SHOW(readv(p.server, iov, 1025));
	SHOW(pread(p.server, buf, 1, 0));
	SHOW(lseek(p.server, 0, SEEK_CUR));
	SHOW(write(p.client, "tail", 4));
	SHOW(shutdown(p.client, SHUT_WR));
	SHOW(recv(p.server, buf, 16, MSG_WAITALL));
	SHOW(read(p.server, buf, 1));
	show_events("half closed", settle(p.server, POLLIN | POLLOUT | POLLRDHUP));
	SHOW(send(p.server, "reply", 5, 0));
	SHOW(recv(p.client, buf, 16, 0));
	SHOW(send(p.client, "x", 1, MSG_NOSIGNAL));
	close(p.server);
	settle(p.client, POLLIN);
	SHOW(recv(p.client, buf, 16, 0));
	settle(p.client, POLLHUP);
	show_events("closed both ways", settle(p.client, POLLIN | POLLOUT | POLLRDHUP));
	close(p.client);
	close(p.listener);
}

static void probe_reset(void)
{
	struct pair p = pair_open();
	struct linger now = {.l_onoff = 1};
	char c;

	title("reset");
	SHOW(setsockopt(p.client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	close(p.client);
	settle(p.server, POLLIN | POLLRDHUP);
	show_events("events", settle(p.server, POLLIN | POLLOUT | POLLRDHUP));
	SHOW(recv(p.server, &c, 1, 0));
	SHOW(recv(p.server, &c, 1, 0));
	SHOW(send(p.server, "x", 1, MSG_NOSIGNAL));
	close(p.server);
	close(p.listener);

	/* unread data turns a close into a reset */
	p = pair_open();
	SHOW(send(p.client, "unread", 6, 0));
	settle(p.server, POLLIN);
	close(p.server);
	show_events("events", settle(p.client, POLLIN | POLLRDHUP));
	SHOW(recv(p.client, &c, 1, 0));
	close(p.client);
	close(p.listener);
}

static void count(int sig)
{
	(void)sig;
}

static void probe_timeouts(void)
{
	struct pair p = pair_open();
	struct timeval tv = {.tv_usec = 50000};
	struct sigaction act = {.sa_handler = count};
	/* Again and again: the first may come before the call begins. */
	struct itimerval it = {{.tv_usec = 30000}, {.tv_usec = 30000}}, never = {0};
	char *big = calloc(1, 1 << 20), c;
	long sent = 0, r;

	title("timeouts and signals");
	SHOW(setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	SHOW(recv(p.server, &c, 1, 0));
	SHOW(setsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	while ((r = send(p.client, big, 1 << 20, 0)) > 0 && sent < (64 << 20))
		sent += r;
	show("send into a full pipe", r);
	tv = (struct timeval){0};
	setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	SHOW(recv(p.client, &c, 1, 0));
	setitimer(ITIMER_REAL, &it, NULL);
	SHOW(poll(NULL, 0, 1000));
	setitimer(ITIMER_REAL, &it, NULL);
	SHOW(accept(p.listener, NULL, NULL));
	setitimer(ITIMER_REAL, &never, NULL);
	free(big);
	pair_close(p);
}

static void show_int(int fd, const char *what, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);
	int r = getsockopt(fd, level, name, &v, &len);

	if (r < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %d, %u bytes\n", what, v, len);
}

static void set_int(int fd, const char *what, int level, int name, int v)
{
	if (setsockopt(fd, level, name, &v, sizeof(v)) < 0)
		printf("set %s: %s\n", what, strerrorname_np(errno));
	else
		show_int(fd, what, level, name);
}

static void probe_options(void)
{
	struct pair p = pair_open();
	struct tcp_info info;
	socklen_t len = sizeof(info);

	title("options");
	show_int(p.server, "SO_TYPE", SOL_SOCKET, SO_TYPE);
	show_int(p.server, "SO_DOMAIN", SOL_SOCKET, SO_DOMAIN);
	show_int(p.server, "SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL);
	show_int(p.listener, "SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN);
	set_int(p.server, "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(p.server, "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(p.server, "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set_int(p.server, "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 7);
	set_int(p.server, "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 3);
	set_int(p.server, "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(p.server, "TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 1);
	set_int(p.server, "TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
	set_int(p.server, "TCP_CORK", IPPROTO_TCP, TCP_CORK, 0);
	set_int(p.server, "IP_TOS", IPPROTO_IP, IP_TOS, 16);
	set_int(p.server, "IP_TTL", IPPROTO_IP, IP_TTL, 33);
	show_int(p.server, "SO_ERROR", SOL_SOCKET, SO_ERROR);
	show_int(p.server, "unknown", IPPROTO_TCP, 9999);
	printf("TCP_INFO state: %d\n",
		getsockopt(p.server, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_state : -1);
	pair_close(p);
}

static void probe_copies(void)
{
	struct pair p = pair_open();
	char name[] = "/tmp/posix-probe-XXXXXX", buf[16];
	int copy = dup(p.client), file = mkstemp(name);
	off_t at = 1;

	title("dup and sendfile");
	close(p.client);
	SHOW(write(copy, "one", 3));
	SHOW(recv(p.server, buf, 3, MSG_WAITALL));
	SHOW(write(file, "0123456789", 10));
	SHOW(sendfile(copy, file, &at, 4));
	SHOW(recv(p.server, buf, 4, MSG_WAITALL));
	printf("%.4s %ld\n", buf, (long)at);
	close(copy);
	SHOW(recv(p.server, buf, 1, 0));
	unlink(name);
	close(file);
	close(p.server);
	close(p.listener);
}

ssize_t __read(int fd, void *buf, size_t n);
ssize_t __write(int fd, const void *buf, size_t n);
ssize_t __send(int fd, const void *buf, size_t n, int flags);

/* Calls that few programs make, each of them with data of its own. */
static void probe_other_ways(void)
{
	struct pair p = pair_open();
	struct iovec v = {"abc", 3};
	char buf[64];

	title("dprintf, positions, other names, syscall()");
	fcntl(p.server, F_SETFL, O_NONBLOCK);
	SHOW(dprintf(p.client, "HTTP/1.0 %d %s\r\n", 200, "OK"));
	show_events("dprintf", settle(p.server, POLLIN));
	SHOW(recv(p.server, buf, sizeof(buf), 0));
	SHOW(pwritev2(p.client, &v, 1, -1, 0));
	SHOW(pwritev2(p.client, &v, 1, 0, 0));
	SHOW(pwritev2(p.client, &v, 1, -2, 0));
	SHOW(pwritev2(p.client, &v, 1, -1, 0x4000));
	v = (struct iovec){buf, sizeof(buf)};
	show_events("pwritev2", settle(p.server, POLLIN));
	SHOW(preadv2(p.server, &v, 1, 0, 0));
	SHOW(preadv2(p.server, &v, 1, -1, 0));
	SHOW(preadv2(p.server, &v, 1, -1, RWF_NOWAIT));
	SHOW(pread(p.server, buf, 1, 0));
	SHOW(pwrite(p.client, buf, 1, 0));
	SHOW(__write(p.client, "w", 1));
	SHOW(__send(p.client, "s", 1, 0));
	show_events("__send", settle(p.server, POLLIN));
	SHOW(__read(p.server, buf, 1));
	SHOW(sockatmark(p.server));
	SHOW(syscall(SYS_write, p.client, "y", 1));
	SHOW(syscall(SYS_dup2, p.client, p.client) == p.client);
	SHOW(syscall(SYS_close, p.client));
	SHOW(syscall(SYS_close, p.client));
	SHOW(syscall(SYS_shutdown, p.server, SHUT_WR));
	close(p.server);
	close(p.listener);
}

static void probe_udp(void)
{
	struct sockaddr_in a = address(0), from;
	socklen_t len = sizeof(from);
	int x = socket(AF_INET, SOCK_DGRAM, 0), y = socket(AF_INET, SOCK_DGRAM, 0);
	char buf[8];

	title("UDP");
	SHOW(bind(x, (struct sockaddr *)&a, sizeof(a)));
	SHOW(bind(y, (struct sockaddr *)&a, sizeof(a)));
	a = address(port_of(x));
	SHOW(recv(x, buf, 8, MSG_DONTWAIT));
	SHOW(send(y, "x", 1, 0));
	SHOW(sendto(y, "0123456789", 10, 0, (struct sockaddr *)&a, sizeof(a)));
	settle(x, POLLIN);
	show_events("events", settle(x, POLLIN | POLLOUT));
	SHOW(recvfrom(x, buf, 4, MSG_PEEK | MSG_TRUNC, (struct sockaddr *)&from, &len));
	SHOW(recvfrom(x, buf, 8, 0, (struct sockaddr *)&from, &len));
	printf("from is right: %d\n", ntohs(from.sin_port) == port_of(y));
	SHOW(connect(y, (struct sockaddr *)&a, sizeof(a)));
	SHOW(send(y, "", 0, 0));
	settle(x, POLLIN);
	SHOW(recv(x, buf, 8, 0));
	SHOW(sendto(x, buf, 8, 0, (struct sockaddr *)&a, 3));
	close(x);
	close(y);
}

static void *echo(void *arg)
{
	int fd = accept(*(int *)arg, NULL, NULL);
	static char buf[65536];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(fd, buf, n) != n)
			break;
	close(fd);
	return NULL;
}

static void *feed(void *arg)
{
	static char buf[1 << 20];

	for (int i = 0; i < 8; i++) {
		memset(buf, 'a' + i, sizeof(buf));
		if (write(*(int *)arg, buf, sizeof(buf)) != sizeof(buf))
			break;
	}
	shutdown(*(int *)arg, SHUT_WR);
	return NULL;
}

static void probe_bulk(void)
{
	int l = listen_any_port(), fd = socket(AF_INET, SOCK_STREAM, 0);
	unsigned long total = 0, sum = 0;
	static char buf[65536];
	pthread_t server, writer;
	ssize_t n;

	title("8 MB through an echo thread");
	pthread_create(&server, NULL, echo, &l);
	SHOW(connect_port(fd, port_of(l)));
	pthread_create(&writer, NULL, feed, &fd);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 31 + (unsigned char)buf[i] + total++;
	printf("%lu bytes, sum %lx\n", total, sum);
	pthread_join(writer, NULL);
	pthread_join(server, NULL);
	close(fd);
	close(l);
}

int main(int argc, char **argv)
{
	probe_begin(argc, argv);
	probe_unconnected();
	probe_refused();
	probe_bind();
	probe_nonblocking();
	probe_data();
	probe_reset();
	probe_timeouts();
	probe_options();
	probe_copies();
	probe_other_ways();
	probe_udp();
	probe_bulk();
	return 0;
}
