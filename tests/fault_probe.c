/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pointers that lead nowhere, in every argument of every socket call: EFAULT, and what the kernel does
 * with the data. See tests/probe.h for how it is used.
 *
 *	fault_probe ADDRESS
 */
#include "tests/probe.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

/* Wrong arguments are the purpose. */
#pragma GCC diagnostic ignored "-Wstringop-overflow"

enum { PAGE = 4096 };

/* The compiler must not know what these are. */
static void *volatile nowhere;  /* cannot be touched */
static void *volatile nothing;  /* NULL */
static void *volatile constant; /* can be read only */
static char *volatile edge;     /* the end of a page that nothing follows */
static struct pair p;

static void make_memory(void)
{
	char *m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(m + PAGE, PAGE, PROT_NONE);
	edge = m + PAGE;
	nowhere = m + PAGE + 64;
	mprotect(m + 2 * PAGE, PAGE, PROT_READ);
	constant = m + 2 * PAGE;
}

/* What is left in the server's receive queue. */
static void show_rest(void)
{
	char buf[8192];
	ssize_t n = recv(p.server, buf, sizeof(buf), MSG_DONTWAIT);

	show("left", n);
	if (n > 0 && n < 64)
		printf("%.*s\n", (int)n, buf);
}

static void feed(const char *text)
{
	send(p.client, text, strlen(text), 0);
	settle(p.server, POLLIN);
}

static void probe_receive(void)
{
	struct iovec good_bad[2] = {{edge - 4, 4}, {nowhere, 4}};
	char buf[16];

	title("receive");
	feed("0123456789");
	SHOW(recv(p.server, nothing, 4, 0));
	SHOW(read(p.server, nowhere, 4));
	SHOW(recv(p.server, constant, 4, 0));
	SHOW(recv(p.server, edge - 4, 8, 0));
	SHOW(recv(p.server, nowhere, 8, MSG_PEEK));
	SHOW(readv(p.server, good_bad, 2));
	show_rest();
	feed("abcd");
	SHOW(readv(p.server, good_bad, 2));
	feed("efgh");
	SHOW(recvfrom(p.server, buf, 4, 0, nowhere, nothing));
	feed("efgh");
	SHOW(recv(p.server, nothing, 0, 0));
	SHOW(recv(p.server, edge - 2, 2, 0));
	show_rest();
	SHOW(recv(p.server, nowhere, 4, MSG_DONTWAIT));
}

static void probe_large(void)
{
	static char buf[4 * PAGE];
	char *m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	title("large");
	mprotect(m + 2 * PAGE, PAGE, PROT_NONE);
	SHOW(send(p.client, m + 2 * PAGE, 2 * PAGE, 0));
	SHOW(write(p.client, m + PAGE, 2 * PAGE));
	SHOW(send(p.client, buf, 600, 0));
	settle(p.server, POLLIN);
	SHOW(recv(p.server, m + 2 * PAGE - 300, 600, 0));
	SHOW(recv(p.server, buf, 600, 0));
	munmap(m, 4 * PAGE);
}

static void probe_lists(void)
{
	struct iovec one = {edge - 4, 4}, too_long = {edge - 4, (size_t)SSIZE_MAX + 1};
	static struct iovec many[IOV_MAX + 1];

	title("lists");
	SHOW(writev(p.client, nothing, 1));
	SHOW(writev(p.client, nowhere, 2));
	SHOW(writev(p.client, nothing, 0));
	SHOW(writev(p.client, &one, -1));
	SHOW(writev(p.client, many, IOV_MAX + 1));
	SHOW(writev(p.client, many, IOV_MAX));
	SHOW(writev(p.client, &too_long, 1));
	SHOW(readv(p.server, nothing, 1));
	SHOW(readv(p.server, nothing, 0));
	SHOW(readv(p.server, &one, -1));
	SHOW(readv(p.server, many, IOV_MAX + 1));
	SHOW(readv(p.server, &too_long, 1));
	SHOW(write(p.client, edge - 4, (size_t)SSIZE_MAX + 1));
	SHOW(read(p.server, edge - 4, (size_t)SSIZE_MAX + 1));
	for (int i = 0; i < 20; i++)
		many[i] = (struct iovec){edge - 1, 1};
	many[19].iov_base = nowhere;
	SHOW(writev(p.client, many, 20));
	show_rest();
}

static void probe_send(void)
{
	struct iovec good_bad[2] = {{edge - 4, 4}, {nowhere, 4}};

	title("send");
	memcpy(edge - 8, "12345678", 8);
	SHOW(send(p.client, nothing, 4, 0));
	SHOW(write(p.client, nowhere, 4));
	SHOW(send(p.client, edge - 4, 8, 0));
	SHOW(writev(p.client, good_bad, 2));
	SHOW(send(p.client, edge - 4, 4, 0));
	SHOW(write(p.client, constant, 4));
	drain(p.client); /* the second may wait for the first one's ACK */
	show_rest();
}

static void probe_messages(void)
{
	struct iovec one = {edge - 4, 4};
	struct msghdr m = {.msg_iov = &one, .msg_iovlen = 1};
	struct mmsghdr list[2] = {{.msg_hdr = m}, {.msg_hdr = {.msg_iov = nowhere, .msg_iovlen = 1}}};

	title("messages");
	SHOW(sendmsg(p.client, nothing, 0));
	SHOW(recvmsg(p.server, nowhere, MSG_DONTWAIT));
	m.msg_iov = nowhere;
	SHOW(sendmsg(p.client, &m, 0));
	SHOW(recvmsg(p.server, &m, MSG_DONTWAIT));
	m.msg_iovlen = IOV_MAX + 1;
	SHOW(sendmsg(p.client, &m, 0));
	SHOW(recvmsg(p.server, &m, MSG_DONTWAIT));
	m = (struct msghdr){.msg_iov = &one, .msg_iovlen = 1, .msg_name = nowhere, .msg_namelen = 16};
	SHOW(sendmsg(p.client, &m, 0));
	m.msg_name = &one;
	m.msg_namelen = (socklen_t)-1;
	SHOW(sendmsg(p.client, &m, 0));
	SHOW(recvmsg(p.server, &m, MSG_DONTWAIT));
	m = (struct msghdr){.msg_iov = &one, .msg_iovlen = 1, .msg_control = nowhere,
		.msg_controllen = 64};
	SHOW(sendmsg(p.client, &m, 0));
	m = (struct msghdr){.msg_iovlen = 0};
	SHOW(sendmsg(p.client, &m, 0));
	SHOW(sendmmsg(p.client, nowhere, 2, 0));
	SHOW(sendmmsg(p.client, list, 2, 0));
	settle(p.server, POLLIN);
	show_rest();
	SHOW(recvmmsg(p.server, nowhere, 2, MSG_DONTWAIT, NULL));
	SHOW(recvmmsg(p.server, list, 1, MSG_DONTWAIT, nowhere));
}

static void probe_datagrams(void)
{
	struct sockaddr_in a = address(0);
	socklen_t len = sizeof(a), negative = (socklen_t)-1;
	int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
	char buf[8];

	title("datagrams");
	bind(one, (struct sockaddr *)&a, sizeof(a));
	getsockname(one, (struct sockaddr *)&a, &len);
	bind(two, (struct sockaddr *)&(struct sockaddr_in){.sin_family = AF_INET,
		.sin_addr = a.sin_addr}, sizeof(a));
	SHOW(sendto(two, "ab", 2, 0, nowhere, sizeof(a)));
	SHOW(sendto(two, "ab", 2, 0, (struct sockaddr *)&a, 200));
	SHOW(sendto(two, nowhere, 2, 0, (struct sockaddr *)&a, sizeof(a)));
	for (int i = 0; i < 5; i++)
		SHOW(sendto(two, "abc", 3, 0, (struct sockaddr *)&a, sizeof(a)));
	settle(one, POLLIN);
	SHOW(recv(one, nowhere, 8, 0));
	SHOW(recvfrom(one, buf, 8, 0, nowhere, &len));
	SHOW(recvfrom(one, buf, 8, 0, (struct sockaddr *)&a, nothing));
	SHOW(recvfrom(one, buf, 8, 0, (struct sockaddr *)&a, &negative));
	SHOW(recvfrom(one, buf, 8, 0, NULL, nowhere));
	SHOW(recv(one, buf, 8, MSG_DONTWAIT));
	close(one);
	close(two);
}

static void probe_names(void)
{
	struct sockaddr_in a = address(0);
	socklen_t len = sizeof(a), negative = (socklen_t)-1, zero = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	title("names");
	SHOW(bind(fd, nowhere, sizeof(a)));
	SHOW(bind(fd, (struct sockaddr *)&a, (socklen_t)-1));
	SHOW(connect(fd, nothing, sizeof(a)));
	SHOW(connect(fd, nowhere, sizeof(a)));
	SHOW(connect(fd, (struct sockaddr *)&a, 200));
	close(fd);
	SHOW(getsockname(p.server, nowhere, &len));
	SHOW(getsockname(p.server, (struct sockaddr *)&a, nothing));
	SHOW(getsockname(p.server, (struct sockaddr *)&a, &negative));
	SHOW(getsockname(p.server, nothing, &zero));
	SHOW(getpeername(p.server, nothing, &len));
	SHOW(getpeername(p.server, (struct sockaddr *)&a, nowhere));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect_port(fd, port_of(p.listener)));
	settle(p.listener, POLLIN);
	SHOW(accept(p.listener, nowhere, &len));
	show_events("it is closed", settle(fd, POLLIN) & POLLIN);
	SHOW(accept4(p.listener, NULL, NULL, -1));
	close(fd);
}

static void probe_options(void)
{
	int one = 1, pending;
	socklen_t len = sizeof(one);

	title("options");
	SHOW(setsockopt(p.server, IPPROTO_TCP, TCP_NODELAY, nothing, sizeof(one)));
	SHOW(setsockopt(p.server, IPPROTO_TCP, TCP_NODELAY, nowhere, sizeof(one)));
	SHOW(setsockopt(p.server, SOL_SOCKET, SO_KEEPALIVE, nothing, 0));
	SHOW(setsockopt(p.server, SOL_SOCKET, SO_KEEPALIVE, &one, (socklen_t)-1));
	SHOW(getsockopt(p.server, SOL_SOCKET, SO_ERROR, nowhere, &len));
	SHOW(getsockopt(p.server, SOL_SOCKET, SO_ERROR, &one, nothing));
	SHOW(getsockopt(p.server, IPPROTO_TCP, TCP_NODELAY, &one, nowhere));
	SHOW(getsockopt(p.server, IPPROTO_TCP, TCP_NODELAY, constant, &len));
	SHOW(ioctl(p.server, FIONBIO, nowhere));
	SHOW(ioctl(p.server, FIONREAD, nowhere));
	SHOW(ioctl(p.server, FIONREAD, &pending));
}

static void probe_waits(void)
{
	struct epoll_event e = {.events = EPOLLIN}, evs[4];
	struct epoll_event *partly = (struct epoll_event *)(void *)(edge - sizeof(e));
	struct pollfd f = {.fd = p.server, .events = POLLIN};
	struct timespec now = {0};
	fd_set set;
	int ep = epoll_create1(0);

	title("waits");
	feed("xyz");
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p.server, nowhere));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &e));
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p.server, nothing));
	SHOW(epoll_wait(ep, nowhere, 4, 1000));
	SHOW(epoll_wait(ep, constant, 4, 1000));
	SHOW(epoll_wait(ep, partly, 4, 1000));
	SHOW(epoll_wait(ep, evs, 0, 0));
	SHOW(epoll_wait(ep, evs, -1, 0));
	SHOW(epoll_pwait(ep, evs, 4, 0, nowhere));
	SHOW(epoll_pwait2(ep, evs, 4, nowhere, NULL));
	e.events = EPOLLIN | EPOLLET;
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p.server, &e));
	SHOW(epoll_wait(ep, nowhere, 4, 1000));
	SHOW(epoll_wait(ep, evs, 4, 1000));
	SHOW(poll(nowhere, 1, 0));
	SHOW(poll(nothing, 1, 0));
	SHOW(poll(&f, 1, 0));
	SHOW(ppoll(&f, 1, &now, nowhere));
	FD_ZERO(&set);
	FD_SET(p.server, &set);
	SHOW(select(p.server + 1, nowhere, NULL, NULL, NULL));
	SHOW(select(p.server + 1, &set, nowhere, NULL, NULL));
	SHOW(pselect(p.server + 1, &set, NULL, NULL, &now, NULL));
	SHOW(select(64, constant, NULL, NULL, &(struct timeval){0}));
	SHOW(select(-1, &set, NULL, NULL, NULL));
	show_rest();
	close(ep);
}

/* The same by number: a mask of the kernel's, and pselect6()'s, which is packed with its size. */
static void probe_numbers(void)
{
	struct packed {
		void *mask;
		size_t size;
	} bad_mask = {nowhere, 8}, bad_size = {edge - 8, 7}, good = {edge - 8, 8};
	struct epoll_event e = {.events = EPOLLIN};
	struct pollfd f = {.fd = p.server, .events = POLLIN};
	struct timespec now = {0};
	int ep = epoll_create1(0);
	fd_set set;

	title("numbers");
	memset(edge - 8, 0, 8);
	epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &e);
	SHOW(syscall(SYS_ppoll, &f, 1, &now, nowhere, 8));
	SHOW(syscall(SYS_ppoll, &f, 1, &now, edge - 8, 7));
	SHOW(syscall(SYS_epoll_pwait, ep, &e, 1, 0, nowhere, 8));
	SHOW(syscall(SYS_epoll_pwait2, ep, &e, 1, &now, nowhere, 8));
	FD_ZERO(&set);
	FD_SET(p.server, &set);
	SHOW(syscall(SYS_pselect6, p.server + 1, &set, NULL, NULL, &now, nowhere));
	SHOW(syscall(SYS_pselect6, p.server + 1, &set, NULL, NULL, &now, &bad_mask));
	SHOW(syscall(SYS_pselect6, p.server + 1, &set, NULL, NULL, &now, &bad_size));
	SHOW(syscall(SYS_pselect6, p.server + 1, &set, NULL, NULL, &now, &good));
	close(ep);
}

static void probe_limits(void)
{
	struct rlimit lim;

	title("limits");
	SHOW(getrlimit(RLIMIT_NOFILE, nowhere));
	SHOW(setrlimit(RLIMIT_NOFILE, nowhere));
	SHOW(prlimit(0, RLIMIT_NOFILE, nowhere, NULL));
	SHOW(prlimit(0, RLIMIT_NOFILE, NULL, nowhere));
	SHOW(syscall(SYS_setrlimit, RLIMIT_NOFILE, nowhere));
	SHOW(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nowhere, &lim));
	SHOW(setrlimit(RLIMIT_NOFILE, nothing));
}

/* Lists and sets that are longer than the memory behind them: the kernel looks at no more than a limit
 * allows, or than the table of descriptors has. */
static void probe_lengths(void)
{
	enum { SET_BYTES = 1024 / 8 };
	fd_set *at_edge = (fd_set *)(void *)(edge - SET_BYTES);
	char *room = malloc(65536 / 8);
	fd_set *inside = (fd_set *)(void *)room;
	struct pollfd f = {.fd = p.server, .events = POLLIN};
	struct timespec now = {0};
	struct rlimit lim;
	size_t changed = 0;

	title("lengths");
	feed("x");
	SHOW(poll(&f, (nfds_t)-1, 0));
	SHOW(poll(&f, 1ul << 32, 0));
	SHOW(poll(&f, (1ul << 32) + 1, 0));
	SHOW(ppoll(&f, (nfds_t)-1, &now, NULL));
	getrlimit(RLIMIT_NOFILE, &lim);
	SHOW(poll(nowhere, lim.rlim_cur + 1, 0));
	SHOW(poll(nowhere, lim.rlim_cur, 0));
	memset(at_edge, 0, SET_BYTES);
	FD_SET(p.server, at_edge);
	SHOW(select(65536, at_edge, NULL, NULL, &(struct timeval){0}));
	SHOW(pselect(INT_MAX, at_edge, NULL, NULL, &now, NULL));
	memset(room, 0xa5, 65536 / 8);
	memset(room, 0, SET_BYTES);
	FD_SET(p.server, inside);
	FD_SET(p.client, inside);
	SHOW(select(65536, inside, NULL, NULL, &(struct timeval){0}));
	for (size_t i = SET_BYTES; i < 65536 / 8; i++)
		changed += room[i] != (char)0xa5;
	printf("changed behind the set: %zu\n", changed);
	/* nothing of the stack's is in it */
	memset(at_edge, 0, SET_BYTES);
	SHOW(select(65536, NULL, at_edge, NULL, &(struct timeval){0}));
	/* bits of closed numbers inside the table are looked at */
	SHOW(dup2(p.server, 300));
	FD_SET(400, at_edge);
	FD_SET(300, at_edge);
	SHOW(select(401, at_edge, NULL, NULL, &(struct timeval){0}));
	close(300);
	free(room);
	show_rest();
}

static void probe_files(void)
{
	int zero = open("/etc/passwd", O_RDONLY);

	title("files");
	SHOW(sendfile(p.client, zero, nowhere, 10));
	show_rest();
	close(zero);
}

/* The program's own handlers of SIGSEGV still see its own faults. */
static sigjmp_buf jump;
static volatile int n_faults;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	n_faults++;
	if (info->si_addr != nowhere)
		puts("wrong address");
	siglongjmp(jump, 1);
}

static void *blocked(void *arg)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &old);
	printf("blocked: %d %d\n", sigismember(&old, SIGSEGV), sigismember(&old, SIGTERM));
	SHOW(send(p.client, nowhere, 4, 0));
	SHOW(recv(p.server, nowhere, 400, MSG_DONTWAIT));
	feed("kept");
	SHOW(recv(p.server, nowhere, 400, MSG_DONTWAIT));
	show_rest();
	return NULL;
}

static void probe_handlers(void)
{
	struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old;
	pthread_t t;

	title("handlers");
	SHOW(sigaction(SIGSEGV, NULL, &old));
	printf("default: %d %d\n", old.sa_handler == SIG_DFL, old.sa_flags & SA_SIGINFO);
	SHOW(sigaction(SIGSEGV, &act, &old));
	printf("default: %d\n", old.sa_handler == SIG_DFL);
	for (int i = 0; i < 3; i++) {
		if (sigsetjmp(jump, 1) == 0)
			*(volatile char *)nowhere = 1;
		SHOW(send(p.client, nowhere, 4, 0));
		SHOW(send(p.client, nowhere, 400, 0));
	}
	printf("faults: %d\n", n_faults);
	SHOW(sigaction(SIGSEGV, NULL, &old));
	printf("own: %d\n", old.sa_sigaction == on_fault && (old.sa_flags & SA_SIGINFO));
	signal(SIGSEGV, SIG_IGN);
	raise(SIGSEGV);
	SHOW(send(p.client, nowhere, 4, 0));
	printf("ignored: %d\n", signal(SIGSEGV, SIG_DFL) == SIG_IGN);
	SHOW(send(p.client, nowhere, 4, 0));
	pthread_create(&t, NULL, blocked, NULL);
	pthread_join(t, NULL);
}

int main(int argc, char **argv)
{
	probe_begin(argc, argv);
	make_memory();
	p = pair_open();
	probe_receive();
	probe_send();
	probe_large();
	probe_lists();
	probe_messages();
	probe_datagrams();
	probe_names();
	probe_options();
	probe_waits();
	probe_numbers();
	probe_limits();
	probe_lengths();
	probe_files();
	probe_handlers();
	pair_close(p);
	return 0;
}
