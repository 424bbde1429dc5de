/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that wait, and what ends them: handled signals with SA_RESTART and without, SO_RCVTIMEO and
 * SO_SNDTIMEO, data in between. See tests/probe.h for how it is used.
 *
 *	wait_probe ADDRESS
 */
#include "tests/probe.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

enum { STEP_MS = 4, FEW = 4, FULL = 1 << 16 };

static struct pair at;
static int udp, udp_peer, ep, hole; /* `hole`: a socket for an address where nobody answers */
static char page[FULL];

static void nap(void)
{
	struct timespec t = {0, STEP_MS * 1000000};

	nanosleep(&t, NULL);
}

/* --- the calls ----------------------------------------------------------------------------- */

static char buf[16];
static const char *nobody = "198.18.0.77";
static struct iovec iov = {buf, 8};
static struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

static long in_read(void)
{
	return read(at.server, buf, 8);
}

static long in_recv(void)
{
	return recv(at.server, buf, 8, 0);
}

static long in_recv_peek(void)
{
	return recv(at.server, buf, 8, MSG_PEEK);
}

static long in_recv_all(void)
{
	return recv(at.server, buf, 8, MSG_WAITALL);
}

static long in_recvmsg(void)
{
	return recvmsg(at.server, &message, 0);
}

static long in_recvmmsg(void)
{
	struct mmsghdr m = {.msg_hdr = message};

	return recvmmsg(at.server, &m, 1, 0, NULL);
}

static long in_preadv2(void)
{
	return preadv2(at.server, &iov, 1, -1, 0);
}

static long in_udp_recv(void)
{
	return recv(udp, buf, 8, 0);
}

static long in_udp_recvmmsg(void)
{
	struct mmsghdr m[2] = {{.msg_hdr = message}, {.msg_hdr = message}};

	return recvmmsg(udp, m, 2, MSG_WAITFORONE, NULL);
}

static long in_accept(void)
{
	int fd = accept(at.listener, NULL, NULL);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static long in_poll(void)
{
	struct pollfd p[2] = {{.fd = at.server, .events = POLLIN}, {.fd = -1}};

	return poll(p, 2, 1000);
}

static long in_ppoll(void)
{
	struct pollfd p = {.fd = at.server, .events = POLLIN};
	struct timespec t = {1, 0};

	return ppoll(&p, 1, &t, NULL);
}

static long in_select(void)
{
	struct timeval t = {1, 0};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(at.server, &set);
	return select(at.server + 1, &set, NULL, NULL, &t);
}

static long in_pselect(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(at.server, &set);
	return pselect(at.server + 1, &set, NULL, NULL, NULL, NULL);
}

static long in_epoll_wait(void)
{
	struct epoll_event e[2];

	return epoll_wait(ep, e, 2, -1);
}

static long in_epoll_pwait(void)
{
	struct epoll_event e[2];
	sigset_t none;

	sigemptyset(&none);
	return epoll_pwait(ep, e, 2, 1000, &none);
}

/* Sizes of buffers differ; that something was sent does not. */
static long some(long r)
{
	return r > 1 ? 1 : r;
}

static long in_send(void)
{
	return some(send(at.client, page, FULL, MSG_NOSIGNAL));
}

static long in_write(void)
{
	return some(write(at.client, page, FULL));
}

static long in_sendmsg(void)
{
	struct iovec v = {page, FULL};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	return some(sendmsg(at.client, &m, 0));
}

static long in_sendmmsg(void)
{
	struct iovec v = {page, FULL};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};

	return some(sendmmsg(at.client, &m, 1, 0));
}

static long in_sendfile(void)
{
	static int zero;
	off_t from = 0;

	if (zero == 0) {
		zero = memfd_create("zero", 0);
		ftruncate(zero, FULL);
	}
	return some(sendfile(at.client, zero, &from, FULL));
}

static long in_connect(void)
{
	struct sockaddr_in a = address(9);

	a.sin_addr.s_addr = inet_addr(nobody);
	return connect(hole, (struct sockaddr *)&a, sizeof(a));
}

/* --- what ends them ------------------------------------------------------------------------ */

static void send_byte(void)
{
	send(at.client, "x", 1, 0);
}

static void send_eight(void)
{
	send(at.client, "12345678", 8, 0);
}

static void send_datagram(void)
{
	send(udp_peer, "x", 1, 0);
}

static void knock(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	connect_port(fd, port_of(at.listener));
	close(fd);
}

static void drain_server(void)
{
	static char drain[FULL];

	while (settle(at.server, POLLIN) && recv(at.server, drain, FULL, MSG_DONTWAIT) > 0)
		if (poll(&(struct pollfd){.fd = at.client, .events = POLLOUT}, 1, 0) > 0)
			break;
}

static const struct wait_call {
	const char *name;
	long (*run)(void);
	void (*release)(void);
	int *fd, timeout; /* which socket's, and SO_RCVTIMEO or SO_SNDTIMEO; 0: none applies */
} calls[] = {
	{"read", in_read, send_byte, &at.server, SO_RCVTIMEO},
	{"recv", in_recv, send_byte, &at.server, SO_RCVTIMEO},
	{"recv peek", in_recv_peek, send_byte, &at.server, SO_RCVTIMEO},
	{"recv all", in_recv_all, send_eight, &at.server, SO_RCVTIMEO},
	{"recvmsg", in_recvmsg, send_byte, &at.server, SO_RCVTIMEO},
	{"recvmmsg", in_recvmmsg, send_byte, &at.server, SO_RCVTIMEO},
	{"preadv2", in_preadv2, send_byte, &at.server, SO_RCVTIMEO},
	{"udp recv", in_udp_recv, send_datagram, &udp, SO_RCVTIMEO},
	{"udp recvmmsg", in_udp_recvmmsg, send_datagram, &udp, SO_RCVTIMEO},
	{"accept", in_accept, knock, &at.listener, SO_RCVTIMEO},
	{"poll", in_poll, send_byte, NULL, 0},
	{"ppoll", in_ppoll, send_byte, NULL, 0},
	{"select", in_select, send_byte, NULL, 0},
	{"pselect", in_pselect, send_byte, NULL, 0},
	{"epoll_wait", in_epoll_wait, send_byte, NULL, 0},
	{"epoll_pwait", in_epoll_pwait, send_byte, NULL, 0},
	{"connect", in_connect, NULL, &hole, SO_SNDTIMEO},
	/* from here on the client's buffers are full */
	{"send", in_send, drain_server, &at.client, SO_SNDTIMEO},
	{"write", in_write, drain_server, &at.client, SO_SNDTIMEO},
	{"sendmsg", in_sendmsg, drain_server, &at.client, SO_SNDTIMEO},
	{"sendmmsg", in_sendmmsg, drain_server, &at.client, SO_SNDTIMEO},
	{"sendfile", in_sendfile, drain_server, &at.client, SO_SNDTIMEO},
};

enum { N_CALLS = sizeof(calls) / sizeof(calls[0]) };

/* --- signals ------------------------------------------------------------------------------- */

static pthread_t main_thread;
static atomic_int handled;
static atomic_bool is_back;

static void on_signal_here(int sig)
{
	(void)sig;
	handled++;
}

struct plan {
	const struct wait_call *call;
	int n_signals; /* before the release; -1: until the call is back */
};

/* Signals come again and again, so that nothing depends on when the call begins. */
static void *disturb(void *arg)
{
	const struct plan *p = arg;

	for (int i = 0; (i < p->n_signals || p->n_signals < 0) && !is_back; i++) {
		nap();
		pthread_kill(main_thread, SIGUSR1);
	}
	nap();
	if (!is_back && p->n_signals >= 0 && p->call->release)
		p->call->release();
	return NULL;
}

static void empty(int fd)
{
	static char drain[FULL];

	while (recv(fd, drain, FULL, MSG_DONTWAIT) > 0)
		;
}

static void set_timeout(int fd, int name, int ms)
{
	struct timeval t = {ms / 1000, ms % 1000 * 1000};

	if (setsockopt(fd, SOL_SOCKET, name, &t, sizeof(t)) < 0)
		perror("setsockopt");
}

static void install(int flags)
{
	struct sigaction sa = {.sa_handler = on_signal_here, .sa_flags = flags};

	sigaction(SIGUSR1, &sa, NULL);
}

static void renew_hole(void)
{
	if (hole > 0)
		close(hole);
	hole = socket(AF_INET, SOCK_STREAM, 0);
}

static bool is_sender(const struct wait_call *c)
{
	return c->timeout == SO_SNDTIMEO && c->release == drain_server;
}

/* Until nothing has fitted in for a while: what is on its way makes room once more. */
static void fill(void)
{
	for (int quiet = 0; quiet < FEW; quiet++) {
		while (send(at.client, page, FULL, MSG_DONTWAIT) > 0)
			quiet = 0;
		nap();
	}
}

static void run_one(const struct wait_call *c, const char *how, int flags, int n_signals,
	int timeout_ms)
{
	struct plan p = {c, n_signals};
	pthread_t other;
	char line[64];
	long r;
	int err;

	renew_hole();
	if (is_sender(c))
		fill();
	if (c->timeout && timeout_ms)
		set_timeout(*c->fd, c->timeout, timeout_ms);
	install(flags);
	is_back = false;
	if (n_signals || flags)
		pthread_create(&other, NULL, disturb, &p);
	r = c->run();
	err = errno;
	is_back = true;
	if (n_signals || flags)
		pthread_join(other, NULL);
	if (c->timeout)
		set_timeout(*c->fd, c->timeout, 0);
	snprintf(line, sizeof(line), "%s, %s", c->name, how);
	errno = err;
	show(line, r);
	if (!is_sender(c) && c->run != in_connect) {
		empty(at.server);
		empty(udp);
	}
}

static void probe_signals(void)
{
	for (const struct wait_call *c = calls; c < calls + N_CALLS; c++) {
		run_one(c, "interrupted", 0, -1, 0);
		if (c->release)
			run_one(c, "restarted", SA_RESTART, FEW, 0);
		if (c->timeout) {
			run_one(c, "timed out", 0, 0, 30);
			run_one(c, "a limit, interrupted", 0, -1, 3000);
			run_one(c, "a limit, SA_RESTART", SA_RESTART, -1, 3000);
		}
	}
}

/* --- a part of it is done already ---------------------------------------------------------- */

static void probe_partial(void)
{
	static const struct wait_call all = {"recv all", in_recv_all, send_eight, &at.server, SO_RCVTIMEO};
	static const struct {
		const char *how;
		int flags, n_signals, timeout_ms;
	} ways[] = {
		{"part, interrupted", 0, -1, 0},
		{"part, SA_RESTART", SA_RESTART, -1, 0},
		{"part, timed out", 0, 0, 30},
		{"part, a limit, interrupted", 0, -1, 3000},
	};

	title("MSG_WAITALL");
	for (int i = 0; i < 4; i++) {
		send(at.client, "abc", 3, 0);
		settle(at.server, POLLIN);
		run_one(&all, ways[i].how, ways[i].flags, ways[i].n_signals, ways[i].timeout_ms);
	}
}

static void *shut(void *arg)
{
	(void)arg;
	nap();
	nap();
	shutdown(at.client, SHUT_WR);
	return NULL;
}

static void probe_partial_end(void)
{
	pthread_t other;

	send(at.client, "abc", 3, 0);
	pthread_create(&other, NULL, shut, NULL);
	SHOW(recv(at.server, buf, 8, MSG_WAITALL));
	SHOW(recv(at.server, buf, 8, MSG_WAITALL));
	pthread_join(other, NULL);
}

static long send_much(void)
{
	static char much[64 << 20]; /* more than the largest buffers of both ends */
	long r = send(at.client, much, sizeof(much), MSG_NOSIGNAL);

	return r == sizeof(much) ? 2 : r > 0 ? 1 : r;
}

static void probe_partial_send(void)
{
	static const struct wait_call much = {"send much", send_much, NULL, &at.client, SO_SNDTIMEO};

	title("a long send");
	settle(at.client, POLLOUT);
	run_one(&much, "interrupted", 0, -1, 0);
	empty(at.server);
	settle(at.client, POLLOUT);
	run_one(&much, "SA_RESTART", SA_RESTART, -1, 0);
	empty(at.server);
	settle(at.client, POLLOUT);
	run_one(&much, "timed out", 0, 0, 30);
}

static void probe_connect_limits(void)
{
	title("connect with a limit");
	nobody = "198.18.0.78"; /* of the first one it may be known by now that nobody answers */
	renew_hole();
	set_timeout(hole, SO_SNDTIMEO, 20);
	SHOW(in_connect());
	SHOW(in_connect());
	show_events("events", poll(&(struct pollfd){.fd = hole, .events = POLLOUT}, 1, 0));
	SHOW(send(hole, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
	SHOW(recv(hole, buf, 1, MSG_DONTWAIT));
	SHOW(fcntl(hole, F_SETFL, O_NONBLOCK));
	SHOW(in_connect());
}

static void open_all(void)
{
	struct sockaddr_in a = address(0);
	struct epoll_event e = {.events = EPOLLIN};

	at = pair_open();
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	udp_peer = socket(AF_INET, SOCK_DGRAM, 0);
	bind(udp, (struct sockaddr *)&a, sizeof(a));
	connect_port(udp_peer, port_of(udp));
	ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, at.server, &e);
}

int main(int argc, char **argv)
{
	probe_begin(argc, argv);
	main_thread = pthread_self();
	open_all();
	probe_partial();
	probe_partial_end();
	pair_close(at);
	at = pair_open();
	epoll_ctl(ep, EPOLL_CTL_ADD, at.server, &(struct epoll_event){.events = EPOLLIN});
	title("signals and limits");
	probe_signals();
	pair_close(at);
	at = pair_open();
	probe_partial_send();
	probe_connect_limits();
	return 0;
}
