/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * close() can wait for somebody else: a file of FUSE tells its daemon, a TCP socket lingers, and a
 * connection takes along what is still on its way over it, such descriptors among them. An instance may
 * send what it likes, so whatever came from it is closed by small processes of their own, which share
 * ltran's descriptors (CLONE_FILES): what one of them closes is closed for ltran, and if it has to wait,
 * nobody else does. ltran ends without them; they end with it, by a signal of the kernel's.
 *
 * A process that waits keeps its descriptor to itself. When all of them wait, descriptors stay open,
 * which the bounds on connections per user keep few.
 */
#include "dispatcher/closer.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dispatcher/confine.h"

#define CLOSERS 4

static int orders = -1; /* numbers to be closed, written into a pipe */

/* Only system calls from here on: the memory is a copy of another thread's. */
static void __attribute__((noreturn))
run(int from, pid_t parent)
{
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "ltran-closer");
	confine_keep(0);
	while (getppid() == parent && read(from, &fd, sizeof(fd)) == sizeof(fd))
		close(fd);
	_exit(0);
}

void
closer_start(void)
{
	pid_t parent = getpid();
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return;
	fcntl(pipes[1], F_SETFL, O_NONBLOCK);
	for (unsigned int i = 0; i < CLOSERS; i++) {
		long pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);

		if (pid == 0)
			run(pipes[0], parent);
		if (pid > 0)
			orders = pipes[1];
	}
}

void
closer_close(int fd)
{
	if (orders < 0)
		close(fd);
	else if (write(orders, &fd, sizeof(fd)) != sizeof(fd))
		return; /* all of them wait: it stays open */
}

unsigned int
closer_take_fds(struct msghdr *msg, int *fds, unsigned int max)
{
	unsigned int kept = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (kept < max)
				fds[kept++] = fd;
			else
				closer_close(fd);
		}
	}
	return kept;
}
