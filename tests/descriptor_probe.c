/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors of sockets in calls on numbers, lists, files and pipes: limits, wrong flags, wrong
 * objects. See tests/probe.h for how it is used.
 *
 *	descriptor_probe ADDRESS
 */
#include "tests/probe.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

static char buf[64];
static void *const nowhere = (void *)16;

static void probe_asynchronous(void)
{
	struct pair p = pair_open();
	struct f_owner_ex owner = {F_OWNER_TID, getpid()};
	int n = 1;

	title("owners and queues");
	SHOW(fcntl(p.client, F_GETOWN));
	SHOW(fcntl(p.client, F_SETOWN, getpid()));
	SHOW(fcntl(p.client, F_GETOWN) == getpid());
	SHOW(fcntl(p.client, F_SETOWN_EX, &owner));
	SHOW(fcntl(p.client, F_GETSIG));
	SHOW(fcntl(p.client, F_SETSIG, SIGUSR2));
	SHOW(fcntl(p.client, F_GETSIG));
	SHOW(ioctl(p.client, SIOCOUTQ, &n));
	printf("%d\n", n);
	SHOW(ioctl(p.client, SIOCATMARK, &n));
	printf("%d\n", n);
	SHOW(ioctl(p.client, FIONREAD, nowhere));
	SHOW(ioctl(p.client, FIONBIO, nowhere));
	SHOW(ioctl(p.client, FIOCLEX));
	SHOW(fcntl(p.client, F_GETFD));
	SHOW(ioctl(p.client, FIONCLEX));
	SHOW(fcntl(p.client, F_GETFD));
	n = 1;
	SHOW(ioctl(p.client, FIONBIO, &n));
	SHOW(fcntl(p.client, F_GETFL));
	SHOW(fcntl(p.client, F_SETFL, 0));
	SHOW(fcntl(p.client, F_GETFL));
	SHOW(fcntl(p.client, F_SETFL, O_APPEND | O_NONBLOCK));
	SHOW(fcntl(p.client, F_GETFL));
	SHOW(fcntl(p.client, F_SETFL, O_DIRECT));
	SHOW(fcntl(p.client, F_GETFL));
	SHOW(fcntl(p.client, 12345));
	SHOW(ioctl(p.client, 12345));
	SHOW(ioctl(p.client, TIOCGWINSZ, buf));
	SHOW(isatty(p.client));
	pair_close(p);
}

static void probe_numbers(void)
{
	struct pair p = pair_open();
	struct rlimit lim;

	title("numbers");
	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = 512;
	SHOW(setrlimit(RLIMIT_NOFILE, &lim));
	SHOW(fcntl(p.client, F_DUPFD, 511));
	SHOW(fcntl(p.client, F_DUPFD, 511));
	SHOW(fcntl(p.client, F_DUPFD, 512));
	SHOW(fcntl(p.client, F_DUPFD, -1));
	SHOW(fcntl(p.client, F_DUPFD_CLOEXEC, 500));
	SHOW(fcntl(500, F_GETFD));
	SHOW(fcntl(511, F_GETFD));
	SHOW(close(500));
	SHOW(close(511));
	SHOW(dup3(p.client, 500, O_NONBLOCK));
	SHOW(dup3(p.client, 500, -1));
	SHOW(dup3(p.client, p.client, 0) == p.client);
	SHOW(dup3(p.client, 512, 0));
	SHOW(dup3(p.client, -1, 0));
	SHOW(dup3(-1, 500, 0));
	SHOW(dup3(499, 500, 0));
	SHOW(dup2(p.client, 512));
	SHOW(dup2(p.client, p.client) == p.client);
	SHOW(dup2(499, 499));
	SHOW(dup2(499, 500));
	SHOW(dup3(p.client, 500, O_CLOEXEC));
	SHOW(fcntl(500, F_GETFD));
	SHOW(write(500, "x", 1));
	settle(p.server, POLLIN);
	SHOW(read(p.server, buf, 8));
	SHOW(close(500));
	SHOW(close_range(600, 500, 0));
	SHOW(close_range(500, 400, 0));
	SHOW(close_range(500, 600, 64));
	SHOW(close_range(500, ~0U, 0));
	SHOW(close_range(~0U, ~0U, 0));
	SHOW(dup2(p.client, 500));
	SHOW(dup2(p.client, 502));
	SHOW(close_range(500, 502, CLOSE_RANGE_CLOEXEC));
	SHOW(fcntl(500, F_GETFD));
	SHOW(fcntl(502, F_GETFD));
	SHOW(fcntl(p.client, F_GETFD));
	SHOW(close_range(502, 502, 0));
	SHOW(fcntl(502, F_GETFD));
	SHOW(fcntl(500, F_GETFD));
	SHOW(close_range(p.server, p.server, CLOSE_RANGE_CLOEXEC));
	SHOW(fcntl(p.server, F_GETFD));
	SHOW(fcntl(p.server, F_SETFD, 0));
	SHOW(fcntl(p.server, F_GETFD));
	close(500);
	SHOW(write(p.client, "x", 1));
	settle(p.server, POLLIN);
	SHOW(read(p.server, buf, 8));
	pair_close(p);
}

/* What was closed while its number was above the limit does not come back. */
static void probe_lower_limit(void)
{
	struct rlimit lim, none;
	int fds[64], n_high = 0;

	title("a lower limit");
	getrlimit(RLIMIT_NOFILE, &lim);
	none = lim;
	for (int i = 0; i < 64; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
	close(fds[0]);
	none.rlim_cur = 0;
	SHOW(setrlimit(RLIMIT_NOFILE, &none));
	SHOW(socket(AF_INET, SOCK_STREAM, 0));
	SHOW(dup(fds[1]));
	none.rlim_cur = 40;
	SHOW(setrlimit(RLIMIT_NOFILE, &none));
	SHOW(socket(AF_INET, SOCK_STREAM, 0) == fds[0]);
	for (int i = 1; i < 64; i++)
		if (fds[i] >= 40 && close(fds[i]) == 0)
			n_high++;
	printf("some were above: %d\n", n_high > 0);
	SHOW(socket(AF_INET, SOCK_STREAM, 0));
	close(fds[1]);
	SHOW(socket(AF_INET, SOCK_STREAM, 0) == fds[1]);
	SHOW(setrlimit(RLIMIT_NOFILE, &lim));
	for (int i = 0; i < 64; i++)
		if (fds[i] < 40)
			close(fds[i]);
}

static void probe_long_lists(void)
{
	struct pair p = pair_open();
	static struct pollfd list[600];
	struct timespec now = {0, 0};
	struct rlimit lim;

	title("long lists");
	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = 256;
	SHOW(setrlimit(RLIMIT_NOFILE, &lim));
	for (int i = 0; i < 600; i++)
		list[i] = (struct pollfd){-1, 0, 0};
	list[0] = (struct pollfd){p.client, POLLOUT, 0};
	SHOW(poll(list, 256, 0));
	SHOW(poll(list, 257, 0));
	SHOW(poll(list, 600, 0));
	SHOW(ppoll(list, 256, &now, NULL));
	SHOW(ppoll(list, 257, &now, NULL));
	for (int i = 0; i < 600; i++)
		list[i] = (struct pollfd){p.client, POLLOUT, 0};
	SHOW(poll(list, 256, 0));
	SHOW(poll(list, 257, 0));
	lim.rlim_cur = 512;
	setrlimit(RLIMIT_NOFILE, &lim);
	SHOW(poll(list, 257, 0));
	SHOW(poll(list, 600, 0));
	SHOW(poll(list, 0, 0));
	SHOW(poll(nowhere, 0, 0));
	SHOW(poll((void *)((char *)list + 1), 1, 0));
	SHOW(ppoll(list, 2, &now, nowhere));
	pair_close(p);
}

static void probe_pipes(void)
{
	struct pair p = pair_open();
	int pipes[2], file = memfd_create("x", 0);
	off_t at = 0;
	off64_t at64 = 0;
	struct iovec iov = {buf, 4};

	title("pipes and files");
	pipe(pipes);
	write(pipes[1], "abcd", 4);
	write(file, "0123456789", 10);
	SHOW(tee(p.client, pipes[1], 4, 0));
	SHOW(tee(pipes[0], p.client, 4, 0));
	SHOW(vmsplice(p.client, &iov, 1, 0));
	SHOW(copy_file_range(file, &at64, p.client, NULL, 4, 0));
	SHOW(copy_file_range(p.client, NULL, file, &at64, 4, 0));
	SHOW(copy_file_range(p.client, nowhere, file, &at64, 4, 0));
	SHOW(splice(pipes[0], &at64, p.client, NULL, 4, 0));
	SHOW(splice(pipes[0], NULL, p.client, &at64, 4, 0));
	SHOW(splice(p.client, &at64, pipes[1], NULL, 4, 0));
	SHOW(splice(pipes[0], nowhere, p.client, NULL, 4, 0));
	SHOW(splice(pipes[0], NULL, p.client, nowhere, 4, 0));
	SHOW(splice(p.client, nowhere, pipes[1], NULL, 4, 0));
	SHOW(splice(p.client, NULL, p.server, NULL, 4, 0));
	SHOW(splice(p.client, NULL, file, NULL, 4, 0));
	SHOW(splice(p.client, NULL, pipes[1], NULL, 0, 0));
	SHOW(splice(p.client, NULL, pipes[1], NULL, 4, 0x1000));
	SHOW(splice(p.client, NULL, -1, NULL, 4, 0));
	SHOW(splice(-1, NULL, p.client, NULL, 4, 0));
	SHOW(sendfile(p.client, file, nowhere, 4));
	SHOW(sendfile(p.client, -1, &at, 4));
	SHOW(sendfile(-1, file, &at, 4));
	SHOW(sendfile(p.client, pipes[0], NULL, 4));
	SHOW(sendfile(p.client, pipes[0], &at, 4));
	SHOW(sendfile(p.client, p.server, NULL, 4));
	SHOW(sendfile(p.client, p.client, &at, 4));
	SHOW(sendfile(file, p.client, &at, 4));
	at = -1;
	SHOW(sendfile(p.client, file, &at, 4));
	at = 20;
	SHOW(sendfile(p.client, file, &at, 4));
	at = 8;
	SHOW(sendfile(p.client, file, &at, 4));
	printf("at %ld\n", (long)at);
	at = 0;
	SHOW(sendfile(p.client, file, &at, 0));
	lseek(file, 3, SEEK_SET);
	SHOW(sendfile(p.client, file, NULL, 4));
	printf("at %ld\n", (long)lseek(file, 0, SEEK_CUR));
	SHOW(sendfile(p.client, file, &at, SIZE_MAX));
	printf("at %ld\n", (long)at);
	SHOW(recv(p.server, buf, 6, MSG_WAITALL));
	close(pipes[0]);
	close(pipes[1]);
	close(file);
	pair_close(p);
}

/* Numbers that are closed, beside one that is not. */
static void probe_closed(void)
{
	struct pair p = pair_open();
	struct pollfd list[3] = {{p.server, POLLIN | POLLOUT, 0}, {p.client, POLLOUT, 0}, {9999, POLLIN, 0}};
	fd_set set;

	title("closed numbers");
	close(p.server);
	SHOW(poll(list, 1, 0));
	printf("%x\n", list[0].revents);
	settle(p.client, POLLIN);
	SHOW(poll(list, 3, 0));
	printf("%x %x %x\n", list[0].revents, list[1].revents, list[2].revents);
	SHOW(poll(list, 3, -1));
	FD_ZERO(&set);
	FD_SET(p.server, &set);
	FD_SET(p.client, &set);
	SHOW(select((p.server > p.client ? p.server : p.client) + 1, NULL, &set, NULL, NULL));
	close(p.client);
	close(p.listener);
}

static void probe_pidfd(void)
{
	struct pair p = pair_open();
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0), copy;

	title("a copy by pidfd_getfd");
	copy = (int)syscall(SYS_pidfd_getfd, self, p.client, 0);
	printf("made: %d\n", copy >= 0);
	SHOW(fcntl(copy, F_GETFD));
	SHOW(getpeername(copy, (struct sockaddr *)&a, &len));
	SHOW(write(copy, "x", 1));
	settle(p.server, POLLIN);
	SHOW(recv(p.server, buf, 8, MSG_DONTWAIT));
	SHOW(write(p.server, "yy", 2));
	settle(p.client, POLLIN);
	SHOW(recv(copy, buf, 8, MSG_DONTWAIT));
	SHOW(close(copy));
	SHOW(recv(p.client, buf, 8, MSG_DONTWAIT));
	SHOW(write(p.client, "x", 1));
	copy = p.client;
	close(p.client);
	SHOW(syscall(SYS_pidfd_getfd, self, copy, 0));
	SHOW(syscall(SYS_pidfd_getfd, self, 9999, 0));
	SHOW(syscall(SYS_pidfd_getfd, self, p.server, 1));
	SHOW(syscall(SYS_pidfd_getfd, 9999, p.server, 0));
	close(p.server);
	close(p.listener);
	close(self);
}

/* --- a child that shares the memory, but not the handlers --------------------------------------------- */

static volatile int hits;

static void by_child(int sig)
{
	(void)sig;
	hits++;
}

static void by_parent(int sig)
{
	(void)sig;
	hits += 100;
}

static const char *handler_of(int sig)
{
	struct sigaction now;

	sigaction(sig, NULL, &now);
	return now.sa_handler == by_child ? "the child's" :
		now.sa_handler == by_parent ? "the parent's" :
		now.sa_handler == SIG_DFL   ? "none" :
						"another";
}

static int child(void *arg)
{
	struct sigaction sa = {.sa_handler = by_child};

	(void)arg;
	printf("child: %s %s %s\n", handler_of(SIGUSR1), handler_of(SIGUSR2), handler_of(SIGSEGV));
	sigaction(SIGUSR2, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	kill(getpid(), SIGSEGV);
	printf("child: %s %s %s\n", handler_of(SIGUSR1), handler_of(SIGUSR2), handler_of(SIGSEGV));
	sa.sa_handler = SIG_DFL;
	sigaction(SIGSEGV, &sa, NULL);
	signal(SIGUSR1, SIG_DFL);
	return 0;
}

static void probe_clone(void)
{
	struct pair p = pair_open();
	const size_t size = 1 << 18;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction sa = {.sa_handler = by_parent};
	int status = -1;
	pid_t pid;

	title("handlers of a child with the same memory");
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	pid = clone(child, stack + size, CLONE_VM | SIGCHLD, NULL);
	waitpid(pid, &status, 0);
	printf("status %d, hits %d\n", status, hits);
	printf("parent: %s %s %s\n", handler_of(SIGUSR1), handler_of(SIGUSR2), handler_of(SIGSEGV));
	hits = 0;
	raise(SIGUSR1);
	raise(SIGUSR2);
	raise(SIGSEGV);
	printf("hits %d\n", hits);
	SHOW(send(p.client, nowhere, 1, 0));
	SHOW(write(p.client, "x", 1));
	settle(p.server, POLLIN);
	SHOW(recv(p.server, buf, 8, MSG_DONTWAIT));
	pair_close(p);
}

static void *say_slowly(void *client)
{
	/* Long enough for the other thread to take each byte before the next one. */
	const struct timespec nap = {.tv_nsec = 200000000};

	for (int i = 0; i < 3; i++) {
		nanosleep(&nap, NULL);
		if (write(*(int *)client, "x", 1) != 1)
			break;
	}
	shutdown(*(int *)client, SHUT_WR);
	return NULL;
}

static void note_alarm(int sig)
{
	hits = sig;
}

static struct pair busy, quiet;

/* A thread that has waited for nothing before. */
static void *wait_locked_in(void *arg)
{
	/* Again and again: the first may come before the call begins. */
	const struct itimerval soon = {{.tv_usec = 20000}, {.tv_usec = 20000}}, never = {0};
	struct timeval limit = {.tv_usec = 20000};
	struct pollfd list = {.fd = busy.server, .events = POLLIN};

	SHOW(recv(busy.server, buf, 8, 0));
	SHOW(recv(busy.server, buf, 8, 0));
	SHOW(poll(&list, 1, 0));
	SHOW(poll(NULL, 0, 1));
	SHOW(recv(busy.server, buf, 8, 0));
	SHOW(recv(busy.server, buf, 8, 0));
	setsockopt(quiet.server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	SHOW(recv(quiet.server, buf, 8, 0));
	limit.tv_usec = 0;
	setsockopt(quiet.server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setitimer(ITIMER_REAL, &soon, NULL);
	SHOW(recv(quiet.server, buf, 8, 0));
	setitimer(ITIMER_REAL, &never, NULL);
	printf("alarm %d\n", hits == SIGALRM);
	return arg;
}

/* What a program does that locks itself in: it opens nothing more, but waits for what it has. The last
 * probe, for the limit does not rise again. */
static void probe_locked_in(void)
{
	struct sigaction sa = {.sa_handler = note_alarm};
	struct rlimit none = {0, 0};
	pthread_t peer, waiter;
	sigset_t alarm_only;

	title("no number is allowed any more");
	busy = pair_open();
	quiet = pair_open();
	hits = 0;
	sigaction(SIGALRM, &sa, NULL);
	SHOW(setrlimit(RLIMIT_NOFILE, &none));
	SHOW(dup(busy.client));
	pthread_create(&waiter, NULL, wait_locked_in, NULL);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
	pthread_create(&peer, NULL, say_slowly, &busy.client);
	pthread_join(peer, NULL);
	pthread_join(waiter, NULL);
	SHOW(getrlimit(RLIMIT_NOFILE, &none));
	printf("limit %ld\n", (long)none.rlim_cur);
	pair_close(busy);
	pair_close(quiet);
}

int main(int argc, char **argv)
{
	probe_begin(argc, argv);
	probe_never_waits();
	probe_asynchronous();
	probe_pipes();
	probe_numbers();
	probe_lower_limit();
	probe_long_lists();
	probe_closed();
	probe_pidfd();
	probe_clone();
	probe_locked_in();
	return 0;
}
