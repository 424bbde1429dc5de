/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Children whose memory is a copy, made in all ways that there are beside fork(), while threads of the
 * parent move data. A child must not disturb its parent, and works with the kernel. See tests/probe.h for
 * how it is used.
 *
 *	copy_probe ADDRESS
 */
#include "tests/probe.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { CHILDREN = 5, STACK = 1 << 18, TEXT = 1000, CHILD_S = 10 };

static struct pair shared;  /* what the children may touch */
static int report[2];       /* what a child was told of its send() */
static int hits;
static _Atomic bool is_over, is_wrong;

static void by_program(int sig)
{
	hits++;
}

static bool receive(int fd, char *text, int n)
{
	for (int got = 0, r; got < n; got += r) {
		r = (int)recv(fd, text + got, (size_t)(n - got), 0);
		if (r <= 0)
			return false;
	}
	return true;
}

static bool moves(const struct pair *p, char fill)
{
	char out[TEXT], in[TEXT];

	memset(out, fill, TEXT);
	return send(p->client, out, TEXT, 0) == TEXT && receive(p->server, in, TEXT) &&
		memcmp(in, out, TEXT) == 0 && send(p->server, out, TEXT, 0) == TEXT &&
		receive(p->client, in, TEXT) && memcmp(in, out, TEXT) == 0;
}

static void *move_on(void *arg)
{
	struct pair p = pair_open();

	for (int i = 0; !atomic_load(&is_over); i++)
		if (!moves(&p, (char)('a' + i % 26)))
			atomic_store(&is_wrong, true);
	pair_close(p);
	return NULL;
}

/* A connection of the child's own, by way of the kernel's loopback. */
static bool has_own_network(void)
{
	struct epoll_event e = {.events = EPOLLIN};
	struct pollfd pfd = {.events = POLLIN};
	struct pair p;
	char c = 0;
	int ep = epoll_create1(0);

	host = "127.0.0.1";
	p = pair_open();
	pfd.fd = p.server;
	epoll_ctl(ep, EPOLL_CTL_ADD, p.server, &e);
	return write(p.client, "x", 1) == 1 && poll(&pfd, 1, 3000) == 1 &&
		epoll_wait(ep, &e, 1, 3000) == 1 && read(p.server, &c, 1) == 1 && c == 'x';
}

static bool has_handlers(void)
{
	struct sigaction sa = {.sa_handler = SIG_IGN}, old;

	raise(SIGUSR1);
	return hits == 1 && sigaction(SIGUSR1, &sa, &old) == 0 && old.sa_handler == by_program &&
		sigaction(SIGUSR1, &old, &sa) == 0 && sa.sa_handler == SIG_IGN &&
		raise(SIGUSR1) == 0 && hits == 2;
}

static int act_as_child(void *arg)
{
	struct pollfd pfd = {shared.server, POLLIN, 0};
	long sent;
	int bad;

	alarm(CHILD_S);
	sent = send(shared.client, "child", 5, MSG_NOSIGNAL | MSG_DONTWAIT);
	bad = write(report[1], &sent, sizeof(sent)) != sizeof(sent);
	poll(&pfd, 1, 0);
	bad |= !has_handlers() << 1;
	bad |= !has_own_network() << 2;
	bad |= (close(shared.client) != 0) << 3;
	bad |= (close(shared.server) != 0 || close(shared.listener) != 0) << 4;
	closefrom(STDERR_FILENO + 1);
	bad |= (socket(AF_INET, SOCK_STREAM, 0) != STDERR_FILENO + 1) << 5;
	if (arg)
		exit(bad);
	_exit(bad);
}

static pid_t by_clone(void)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid = clone(act_as_child, stack + STACK, SIGCHLD, &hits);

	munmap(stack, STACK);
	return pid;
}

static pid_t by_number(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static pid_t by_clone3(void)
{
	uint64_t args[11] = {[4] = SIGCHLD}; /* struct clone_args: exit_signal */

	return (pid_t)syscall(SYS_clone3, args, sizeof(args));
}

static pid_t by_fork_without_handlers(void)
{
	return _Fork();
}

/* As a runtime of its own does it. */
static pid_t by_own_code(void)
{
#if defined(__x86_64__)
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "0"(SYS_fork) : "rcx", "r11", "memory");
	return (pid_t)r;
#else
	return by_number();
#endif
}

static pid_t by_fork_of_copy(void)
{
	pid_t pid = _Fork();

	if (pid == 0) {
		int status = -1;

		pid = fork();
		if (pid == 0)
			act_as_child(NULL);
		_exit(waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : 99);
	}
	return pid;
}

/* What it was told to have sent has arrived, and nothing else. */
static bool arrives(void)
{
	char text[8];
	long sent = 0;

	if (read(report[0], &sent, sizeof(sent)) != sizeof(sent))
		return false;
	return sent <= 0 || (receive(shared.server, text, (int)sent) && memcmp(text, "child", 5) == 0);
}

static void probe_way(const char *name, pid_t (*make)(void), bool does_exit)
{
	int n_right = 0, status;

	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = make();

		if (pid == 0)
			act_as_child(does_exit ? &hits : NULL);
		status = -1;
		waitpid(pid, &status, 0);
		if (status != 0)
			printf("%s: status %x\n", name, (unsigned int)status);
		n_right += status == 0 && arrives() && moves(&shared, (char)('A' + i));
	}
	printf("%s: %d of %d right\n", name, n_right, CHILDREN);
}

static pid_t made_by_handler;

static void fork_in_handler(int sig)
{
	made_by_handler = _Fork();
}

/* The child comes back from the handler into the call that it interrupted. */
static void probe_handler(void)
{
	struct sigaction sa = {.sa_handler = fork_in_handler};
	struct itimerval soon = {.it_value = {0, 100000}};
	int status = -1, r;
	char c;

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	r = (int)recv(shared.server, &c, 1, 0);
	if (made_by_handler == 0)
		exit(r != -1);
	printf("interrupted: %d\n", r);
	waitpid(made_by_handler, &status, 0);
	printf("child of a handler: %x, moves %d\n", (unsigned int)status, moves(&shared, 'h'));
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = by_program};
	pthread_t mover;

	probe_begin(argc, argv);
	sigaction(SIGUSR1, &sa, NULL);
	shared = pair_open();
	if (pipe(report) < 0)
		return 1;
	printf("moves %d\n", moves(&shared, '1'));
	pthread_create(&mover, NULL, move_on, NULL);
	probe_way("clone", by_clone, false);
	probe_way("clone by number", by_number, true);
	probe_way("clone3", by_clone3, false);
	probe_way("_Fork", by_fork_without_handlers, true);
	probe_way("own code", by_own_code, false);
	probe_way("fork of a copy", by_fork_of_copy, false);
	probe_way("fork", fork, false);
	probe_handler();
	atomic_store(&is_over, true);
	pthread_join(mover, NULL);
	printf("the other thread: %d\n", !atomic_load(&is_wrong));
	pair_close(shared);
	return 0;
}
