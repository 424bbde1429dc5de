/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * States that a socket can be in, and what calls and events say then; calls that are made twice or with
 * nothing; messages and datagrams. See tests/probe.h for how it is used.
 *
 *	state_probe ADDRESS
 */
#include "tests/probe.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>

static char buf[64];
static void *const nowhere = (void *)16;

static void nap(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err;
}

/* All that can be asked for, now. */
static void all_events(const char *what, int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI | POLLRDNORM | POLLWRNORM, 0};
	int r = poll(&p, 1, 0);
	uint32_t e = (uint16_t)p.revents;

	printf("%s: %d%s%s%s%s\n", what, r, e & POLLRDNORM ? " RDNORM" : "",
		e & POLLWRNORM ? " WRNORM" : "", e & POLLPRI ? " PRI" : "",
		e & POLLNVAL ? " NVAL" : "");
	show_events(what, e);
}

static void by_epoll(const char *what, int fd)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI};
	int ep = epoll_create1(0), r;

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	r = epoll_wait(ep, &e, 1, 0);
	printf("%s by epoll: %d\n", what, r);
	if (r > 0)
		show_events(what, e.events);
	close(ep);
}

static void by_select(const char *what, int fd)
{
	struct timeval t = {0, 0};
	fd_set rd, wr, ex;
	int r;

	FD_ZERO(&rd);
	FD_ZERO(&wr);
	FD_ZERO(&ex);
	FD_SET(fd, &rd);
	FD_SET(fd, &wr);
	FD_SET(fd, &ex);
	r = select(fd + 1, &rd, &wr, &ex, &t);
	printf("%s by select: %d %d%d%d\n", what, r, !!FD_ISSET(fd, &rd), !!FD_ISSET(fd, &wr),
		!!FD_ISSET(fd, &ex));
}

static void events(const char *what, int fd)
{
	all_events(what, fd);
	by_epoll(what, fd);
	by_select(what, fd);
}

/* What the calls say of a connection as it is. */
static void calls(const char *what, int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int n = -1;

	title(what);
	events(what, fd);
	SHOW(fcntl(fd, F_GETFD));
	SHOW(recv(fd, buf, 4, MSG_DONTWAIT | MSG_PEEK));
	SHOW(ioctl(fd, FIONREAD, &n));
	printf("%d to read\n", n);
	SHOW(getpeername(fd, (struct sockaddr *)&a, &len));
	len = sizeof(a);
	SHOW(getsockname(fd, (struct sockaddr *)&a, &len));
	SHOW(send(fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT));
	SHOW(recv(fd, buf, 0, MSG_DONTWAIT));
	SHOW(read(fd, buf, 0));
	SHOW(write(fd, buf, 0));
	SHOW(recv(fd, buf, 4, MSG_DONTWAIT));
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
	SHOW(listen(fd, 1));
	SHOW(shutdown(fd, SHUT_RD));
	SHOW(so_error(fd));
	SHOW(accept(fd, NULL, NULL));
}

static void settle_rdhup(int fd)
{
	settle(fd, POLLRDHUP);
}

static void reset(int fd)
{
	struct linger l = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

static void probe_fresh(void)
{
	struct sockaddr_in a = address(0), b;
	socklen_t len = sizeof(b);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	title("fresh");
	SHOW(getsockname(fd, (struct sockaddr *)&b, &len));
	printf("%x %d %d %d\n", b.sin_addr.s_addr, b.sin_port, b.sin_family, len);
	SHOW(getpeername(fd, (struct sockaddr *)&b, &len));
	events("fresh", fd);
	SHOW(read(fd, buf, 0));
	SHOW(write(fd, buf, 0));
	SHOW(recv(fd, buf, 0, 0));
	SHOW(send(fd, buf, 0, MSG_NOSIGNAL));
	SHOW(shutdown(fd, 3));
	SHOW(shutdown(fd, -1));
	SHOW(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	SHOW(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	a.sin_addr.s_addr = htonl(INADDR_ANY);
	SHOW(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	len = sizeof(b);
	SHOW(getsockname(fd, (struct sockaddr *)&b, &len));
	printf("a port: %d\n", b.sin_port != 0);
	events("bound", fd);
	SHOW(accept(fd, NULL, NULL));
	SHOW(recv(fd, buf, 1, MSG_DONTWAIT));
	SHOW(send(fd, buf, 1, MSG_NOSIGNAL));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(listen(fd, 2)); /* without bind() */
	len = sizeof(b);
	SHOW(getsockname(fd, (struct sockaddr *)&b, &len));
	printf("a port: %d\n", b.sin_port != 0);
	SHOW(connect_port(fd, 1));
	a = address(0);
	SHOW(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	a.sin_addr.s_addr = htonl(INADDR_ANY);
	SHOW(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	SHOW(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	SHOW(listen(fd, -1));
	SHOW(listen(fd, 0));
	SHOW(listen(fd, 1 << 30));
	close(fd);
}

static void probe_listener(void)
{
	int l = listen_any_port(), c, n = -1, s;
	uint16_t port = port_of(l);

	title("a listener");
	events("quiet", l);
	SHOW(connect_port(l, port));
	SHOW(connect_port(l, 1));
	SHOW(send(l, "x", 1, MSG_NOSIGNAL));
	SHOW(recv(l, buf, 1, 0));
	SHOW(read(l, buf, 0));
	SHOW(write(l, buf, 0));
	SHOW(ioctl(l, FIONREAD, &n));
	SHOW(ioctl(l, SIOCOUTQ, &n));
	SHOW(ioctl(l, SIOCATMARK, &n));
	SHOW(shutdown(l, SHUT_WR));
	SHOW(listen(l, 3));
	SHOW(listen(l, 0));
	SHOW(listen(l, 5));
	c = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect_port(c, port));
	settle(l, POLLIN);
	events("one waits", l);
	SHOW(listen(l, 8));
	events("one waits", l);
	s = accept(l, NULL, NULL);
	printf("accepted: %d\n", s >= 0);
	SHOW(shutdown(l, SHUT_RD));
	events("shut", l);
	SHOW(accept(l, NULL, NULL));
	SHOW(listen(l, 4));
	events("again", l);
	close(c);
	close(s);
	close(l);
}

struct waiting {
	int listener, err; /* err: what accept() ended with, 0 when it accepted somebody */
};

static void *in_accept(void *arg)
{
	struct waiting *w = arg;

	w->err = accept(w->listener, NULL, NULL) >= 0 ? 0 : errno;
	return NULL;
}

static void probe_stopped_accept(void)
{
	const int ways[] = {SHUT_RD, SHUT_RDWR};
	struct waiting w;
	pthread_t thread;

	title("a listener stops while threads wait");
	for (int i = 0; i < 2; i++) {
		w = (struct waiting){listen_any_port(), 0};
		pthread_create(&thread, NULL, in_accept, &w);
		nap(30);
		SHOW(shutdown(w.listener, ways[i]));
		pthread_join(thread, NULL);
		/* Here, and not in the thread: who of the two prints first would be chance. */
		printf("accept ended: %s\n", w.err ? strerrorname_np(w.err) : "accepted somebody");
		close(w.listener);
	}
}

static void probe_ends(void)
{
	struct pair p = pair_open();

	calls("established", p.client);
	pair_close(p);

	p = pair_open();
	send(p.client, "abcdef", 6, 0);
	settle(p.server, POLLIN);
	calls("data is there", p.server);
	pair_close(p);

	p = pair_open();
	shutdown(p.client, SHUT_WR);
	settle_rdhup(p.server);
	calls("the peer has shut", p.server);
	pair_close(p);

	p = pair_open();
	send(p.client, "abc", 3, 0);
	shutdown(p.client, SHUT_WR);
	settle_rdhup(p.server);
	calls("the peer has shut, data is there", p.server);
	pair_close(p);

	p = pair_open();
	SHOW(shutdown(p.client, SHUT_WR));
	SHOW(shutdown(p.client, SHUT_WR));
	settle_rdhup(p.server);
	calls("we have shut", p.client);
	pair_close(p);

	p = pair_open();
	SHOW(shutdown(p.client, SHUT_RD));
	calls("we do not read", p.client);
	pair_close(p);

	p = pair_open();
	SHOW(shutdown(p.client, SHUT_RDWR));
	settle_rdhup(p.server);
	calls("we have shut both", p.client);
	pair_close(p);

	p = pair_open();
	shutdown(p.client, SHUT_WR);
	settle_rdhup(p.server);
	shutdown(p.server, SHUT_WR);
	settle(p.client, POLLHUP);
	settle_end(p.server);
	calls("both have shut", p.server); /* the client is in TIME_WAIT */
	pair_close(p);

}

static void probe_resets(void)
{
	struct pair p;
	int n = -1;

	p = pair_open();
	reset(p.client);
	settle_rdhup(p.server);
	events("reset", p.server);
	SHOW(ioctl(p.server, FIONREAD, &n));
	calls("after a reset", p.server);
	SHOW(getpeername(p.server, (struct sockaddr *)buf, &(socklen_t){sizeof(buf)}));
	SHOW(connect_port(p.server, port_of(p.listener)));
	close(p.server);
	close(p.listener);

	p = pair_open();
	send(p.client, "abc", 3, 0);
	settle(p.server, POLLIN);
	reset(p.client);
	settle_rdhup(p.server);
	calls("a reset behind data", p.server);
	close(p.server);
	close(p.listener);
}

static void show_message(const struct msghdr *m)
{
	printf("control %zu, flags %x, name %u\n", m->msg_controllen, m->msg_flags, m->msg_namelen);
}

static void probe_messages(void)
{
	struct pair p = pair_open();
	char control[64];
	struct sockaddr_in from;
	struct iovec iov[2] = {{buf, 2}, {buf + 2, 2}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = control,
		.msg_controllen = sizeof(control), .msg_name = &from, .msg_namelen = sizeof(from),
		.msg_flags = 0x5555};

	title("recvmsg");
	send(p.client, "abcdefghij", 10, 0);
	settle(p.server, POLLIN);
	SHOW(recvmsg(p.server, &m, MSG_PEEK));
	show_message(&m);
	SHOW(recvmsg(p.server, &m, MSG_TRUNC));
	show_message(&m);
	SHOW(recv(p.server, NULL, 2, MSG_TRUNC));
	SHOW(recv(p.server, nowhere, 2, MSG_TRUNC));
	SHOW(recvmsg(p.server, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
	show_message(&m);
	m.msg_iovlen = 0;
	SHOW(recvmsg(p.server, &m, MSG_DONTWAIT));
	show_message(&m);
	SHOW(sendmsg(p.server, &m, MSG_DONTWAIT));
	m = (struct msghdr){.msg_iov = iov, .msg_iovlen = 2};
	SHOW(recvmsg(p.server, &m, MSG_DONTWAIT));
	SHOW(recvmsg(p.server, &m, MSG_ERRQUEUE));
	SHOW(recvmsg(p.server, &m, MSG_OOB));
	SHOW(recv(p.server, buf, 4, MSG_ERRQUEUE));
	SHOW(recv(p.server, buf, 4, MSG_WAITALL | MSG_DONTWAIT));
	SHOW(recv(p.server, buf, 0, MSG_OOB));
	SHOW(recv(p.server, buf, 0, MSG_ERRQUEUE));
	SHOW(recv(p.server, buf, 0, MSG_PEEK | MSG_DONTWAIT));
	pair_close(p);
}

static void probe_datagrams(void)
{
	int x = socket(AF_INET, SOCK_DGRAM, 0), y = socket(AF_INET, SOCK_DGRAM, 0), n;
	struct sockaddr_in a = address(0), from;
	struct iovec iov = {buf, 2}, none = {nowhere, 2};
	struct mmsghdr v[4] = {0};
	struct timespec limit = {5, 0};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &from,
		.msg_namelen = sizeof(from)};

	title("datagrams");
	bind(x, (struct sockaddr *)&a, sizeof(a));
	connect_port(y, port_of(x));
	for (int i = 0; i < 4; i++)
		v[i].msg_hdr = (struct msghdr){.msg_iov = i == 2 ? &none : &iov, .msg_iovlen = 1};
	SHOW(sendmmsg(y, v, 4, 0));
	SHOW(sendmmsg(y, v + 2, 2, 0));
	SHOW(sendmmsg(y, v, 0, 0));
	SHOW(sendmmsg(y, nowhere, 2, 0));
	send(y, "abcdef", 6, 0);
	send(y, "ABCDEF", 6, 0);
	send(y, "", 0, 0);
	nap(200);
	SHOW(recvmmsg(x, v, 4, 0, &limit));
	printf("what is left was written: %d\n", limit.tv_sec < 5);
	so_error(x); /* Linux: EFAULT, of the datagram that is lost */
	SHOW(recvmmsg(x, v + 3, 1, MSG_DONTWAIT, NULL));
	SHOW(recvmmsg(x, v, 0, 0, NULL));
	n = -1;
	SHOW(ioctl(x, FIONREAD, &n));
	printf("%d to read\n", n);
	SHOW(recvmsg(x, &m, MSG_PEEK | MSG_TRUNC));
	show_message(&m);
	SHOW(recvmsg(x, &m, 0));
	show_message(&m);
	n = -1;
	SHOW(ioctl(x, FIONREAD, &n));
	printf("%d to read\n", n);
	SHOW(recv(x, buf, 4, MSG_DONTWAIT));
	SHOW(recv(x, buf, 4, MSG_DONTWAIT));
	limit = (struct timespec){0, 0};
	send(y, "a", 1, 0);
	send(y, "b", 1, 0);
	nap(200);
	SHOW(recvmmsg(x, v, 2, 0, &limit));
	limit.tv_nsec = -1;
	SHOW(recvmmsg(x, v, 2, 0, &limit));
	limit.tv_nsec = 1000000000;
	SHOW(recvmmsg(x, v, 2, 0, &limit));
	SHOW(recvmmsg(x, v, 2, MSG_DONTWAIT, NULL));
	SHOW(shutdown(y, SHUT_WR));
	events("shut", y);
	SHOW(send(y, "a", 1, MSG_NOSIGNAL));
	SHOW(shutdown(y, SHUT_RD));
	events("shut both", y);
	SHOW(recv(y, buf, 4, 0));
	SHOW(listen(y, 1));
	SHOW(accept(y, NULL, NULL));
	SHOW(shutdown(x, SHUT_RD));
	close(x);
	close(y);
}

int main(int argc, char **argv)
{
	probe_begin(argc, argv);
	probe_never_waits();
	probe_fresh();
	probe_listener();
	probe_stopped_accept();
	probe_ends();
	probe_resets();
	probe_messages();
	probe_datagrams();
	return 0;
}
