/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptor numbers: none left, closed ones, and threads and children that have a table of their own.
 * See tests/probe.h for how it is used.
 *
 *	number_probe ADDRESS FILE      FILE is written
 */
#include "tests/probe.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { FEW = 64, FIRST = 3 };

static const char *path;
static struct pair p;
static sem_t turn[2];

static const char *echo(int from, int to)
{
	struct timeval tv = {.tv_sec = 3};
	char got[8] = "";

	if (send(from, "ping", 4, MSG_NOSIGNAL) != 4)
		return strerrorname_np(errno);
	setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (recv(to, got, 4, MSG_WAITALL) != 4)
		return errno ? strerrorname_np(errno) : "end";
	return strcmp(got, "ping") == 0 ? "ok" : "wrong bytes";
}

/* Which number it is depends on what has been closed last. */
static void show_made(const char *what, int fd)
{
	show(what, fd < 0 ? fd : 0);
}

static void show_pair(const char *when)
{
	printf("%s: %s %s\n", when, echo(p.client, p.server), echo(p.server, p.client));
}

/* --- no number is left ------------------------------------------------------------------------------ */

static void *wait_in_thread(void *arg)
{
	struct timeval tv = {.tv_usec = 20000};
	char c;

	setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	SHOW(recv(p.server, &c, 1, 0));
	show_pair("in a thread");
	return arg;
}

static void *poll_in_thread(void *arg)
{
	struct pollfd f[2] = {{.fd = p.server, .events = POLLIN}, {.fd = p.client, .events = POLLIN}};
	fd_set set;

	SHOW(poll(f, 2, 20));
	FD_ZERO(&set);
	FD_SET(p.server, &set);
	SHOW(select(p.server + 1, &set, NULL, NULL, &(struct timeval){.tv_usec = 20000}));
	return arg;
}

static void in_thread(void *(*fn)(void *))
{
	pthread_t t;

	pthread_create(&t, NULL, fn, NULL);
	pthread_join(t, NULL);
}

static void probe_no_number(void)
{
	struct rlimit old, few;
	int hogs[FEW], n = 0, fd, pipes[2];

	title("no number is left");
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = FEW;
	SHOW(setrlimit(RLIMIT_NOFILE, &few));
	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		hogs[n++] = fd;
	show("open", fd);
	printf("all numbers: %d\n", n + FIRST + 3 == FEW);
	in_thread(wait_in_thread);
	in_thread(poll_in_thread);
	show_pair("in this one");
	SHOW(socket(AF_INET, SOCK_STREAM, 0));
	SHOW(dup(p.client));
	SHOW(fcntl(p.client, F_DUPFD, 0));
	SHOW(pipe(pipes));
	SHOW(epoll_create1(0));
	close(hogs[--n]);
	fd = fcntl(p.client, F_DUPFD, 0);
	show_made("F_DUPFD", fd);
	SHOW(fcntl(p.client, F_DUPFD, 0));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	show_made("socket", fd);
	close(fd);
	fd = dup(p.client);
	show_made("dup", fd);
	in_thread(wait_in_thread);
	close(fd);
	while (n > 0)
		close(hogs[--n]);
	SHOW(setrlimit(RLIMIT_NOFILE, &old));
	SHOW(prlimit(0, RLIMIT_NOFILE, NULL, &few));
	printf("as before: %d\n", few.rlim_cur == old.rlim_cur && few.rlim_max == old.rlim_max);
	SHOW(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &few));
	printf("as before: %d\n", few.rlim_cur == old.rlim_cur && few.rlim_max == old.rlim_max);
	show_pair("after it");
}

/* --- closed numbers ----------------------------------------------------------------------------------- */

static void probe_closed(void)
{
	struct pair q = pair_open();
	struct stat st;
	char c = 0;

	title("closed numbers");
	pair_close(q);
	SHOW(fstat(q.client, &st));
	SHOW(fchmod(q.client, 0600));
	SHOW(fchown(q.client, 0, 0));
	SHOW(flock(q.client, LOCK_SH));
	SHOW(futimens(q.client, NULL));
	SHOW(lseek(q.client, 0, SEEK_SET));
	SHOW(fsync(q.client));
	SHOW(fdatasync(q.client));
	SHOW(ftruncate(q.client, 0));
	SHOW(pread(q.client, &c, 1, 0));
	SHOW(pwrite(q.client, &c, 1, 0));
	SHOW(sendfile(q.client, STDIN_FILENO, NULL, 1));
	SHOW(sendfile(p.client, q.client, NULL, 1));
	SHOW(syscall(SYS_fstat, q.client, &st));
	SHOW(fdopen(q.client, "r+") ? 0 : -1);
	SHOW(dup(q.client));
}

static void probe_odd_arguments(void)
{
	int one = 1;
	char control[64] __attribute__((aligned(8))) = "";
	struct cmsghdr *c = (struct cmsghdr *)control;
	struct iovec iov = {"x", 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control)};
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sockaddr a = {.sa_family = AF_INET};

	title("odd arguments");
	munmap(page + 4096, 4096);
	memcpy(page + 4092, &one, 4);
	SHOW(setsockopt(p.client, SOL_SOCKET, SO_KEEPALIVE, page + 4092, 100));
	SHOW(setsockopt(p.client, IPPROTO_TCP, TCP_NODELAY, page + 4092, 4000));
	SHOW(setsockopt(p.client, SOL_SOCKET, SO_KEEPALIVE, page + 4093, 4));
	SHOW(connect(p.client, &a, 2));
	SHOW(connect(p.client, &a, 1));
	c->cmsg_len = 3;
	SHOW(sendmsg(p.client, &m, 0));
	c->cmsg_len = 1000;
	SHOW(sendmsg(p.client, &m, 0));
	munmap(page, 4096);
}

/* --- a table of its own ----------------------------------------------------------------------------- */

/* A number of a file of ours that is a connection of the others, or will be one. */
static int open_file(int at_least)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), copy = fcntl(fd, F_DUPFD, at_least);

	close(fd);
	return copy;
}

static void use_file(int fd)
{
	struct stat st;

	printf("write: %zd\n", write(fd, "secret", 6));
	fstat(fd, &st);
	printf("size: %ld\n", (long)st.st_size);
}

static void leave_table(int how)
{
	if (how == 0)
		SHOW(unshare(CLONE_FILES));
	else if (how == 1)
		SHOW(close_range(60, 70, CLOSE_RANGE_UNSHARE));
	else
		SHOW(syscall(SYS_unshare, CLONE_FILES));
}

static void *sub_thread(void *arg)
{
	int fd = open_file(p.client);

	printf("same number: %d\n", fd == p.client);
	use_file(fd);
	SHOW(close(fd));
	return arg;
}

/* First the connection is there, then the thread closes and uses its numbers. */
static void *close_and_open(void *arg)
{
	struct sockaddr_in a = address(1);
	int fd;

	leave_table((int)(intptr_t)arg);
	SHOW(close(p.client));
	fd = open_file(p.client);
	printf("same number: %d\n", fd == p.client);
	use_file(fd);
	SHOW(dup2(fd, p.server));
	use_file(p.server);
	SHOW(close(p.server));
	SHOW(close(fd));
	in_thread(sub_thread);
	SHOW(close_range((unsigned int)p.listener, 200, 0));
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	SHOW(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
	return NULL;
}

static int early_file;

/* First the thread has a file, then a connection of the others gets its number. */
static void *open_before(void *arg)
{
	leave_table(0);
	early_file = open_file(p.listener + 1);
	sem_post(&turn[0]);
	sem_wait(&turn[1]);
	use_file(early_file);
	SHOW(close(early_file));
	return arg;
}

static void probe_own_table(void)
{
	struct pair late;
	pthread_t t;
	int copy;

	title("threads with a table of their own");
	for (intptr_t how = 0; how < 3; how++) {
		pthread_create(&t, NULL, close_and_open, (void *)how);
		pthread_join(t, NULL);
		show_pair("the others");
	}
	pthread_create(&t, NULL, open_before, NULL);
	sem_wait(&turn[0]);
	late = pair_open();
	copy = dup2(late.client, early_file);
	printf("same number: %d\n", copy == early_file);
	sem_post(&turn[1]);
	pthread_join(t, NULL);
	printf("late: %s\n", echo(copy, late.server));
	show_pair("the others");
	if (copy != late.client)
		close(copy);
	pair_close(late);
}

static int child(void *arg)
{
	int fd;

	(void)arg;
	for (int i = FIRST; i < 100; i++)
		close(i);
	fd = open_file(p.client);
	if (write(fd, "secret", 6) != 6 || socket(AF_INET, SOCK_STREAM, 0) < 0)
		_exit(1);
	execl("/bin/true", "true", NULL);
	_exit(2);
}

static void probe_children(void)
{
	static char stack[1 << 18] __attribute__((aligned(16)));
	int status = -1, fd;
	pid_t pid;

	title("children that share the memory");
	for (int i = 0; i < 2; i++) {
		pid = clone(child, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
		waitpid(pid, &status, 0);
		printf("child: %d\n", status);
		show_pair("the parent");
	}
	pid = clone(child, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
	waitpid(pid, &status, 0);
	printf("child: %d\n", status);
	show_pair("the parent");
	fd = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect_port(fd, port_of(p.listener)));
	close(accept(p.listener, NULL, NULL));
	close(fd);
}

/* A program of one thread shares its table with nobody: nothing changes. */
static void probe_alone(void)
{
	title("alone");
	SHOW(unshare(CLONE_FILES));
	show_pair("unshare");
	SHOW(close_range(60, 70, CLOSE_RANGE_UNSHARE));
	show_pair("close_range");
}

int main(int argc, char **argv)
{
	probe_begin(argc, argv);
	path = argc > 2 ? argv[2] : "/dev/null";
	sem_init(&turn[0], 0, 0);
	sem_init(&turn[1], 0, 0);
	p = pair_open();
	probe_alone();
	probe_no_number();
	probe_closed();
	probe_odd_arguments();
	probe_children();
	probe_own_table();
	pair_close(p);
	return 0;
}
