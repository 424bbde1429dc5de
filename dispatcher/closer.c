/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * close() can wait for somebody else: a file of FUSE tells its daemon, a TCP socket lingers, and a
 * connection takes along what is still on its way over it, such descriptors among them.
 *
 * What cannot wait is closed at once: memory, eventfds (all that an honest instance sends), connections
 * with nothing unread. The rest is closed by small processes of their own, which share ltran's descriptors
 * (CLONE_FILES): what one of them closes is closed for ltran, and if it has to wait, nobody else does. A
 * process that waits keeps its descriptor, so those of each user are counted: from whoever has
 * STRANGE_MAX of them no further ones are taken (closer_may_read()). Connections have processes apart.
 * A timer's signal ends waits that can be interrupted: a socket lingers for WAIT_MS, not as long as its
 * owner has asked for.
 *
 * Processes that share descriptors also keep them open when ltran is killed while one of them waits: peers
 * would not hear that it is gone, and the next ltran would find the lock taken and the device in use. So
 * one more process, the last one, does nothing but wait for ltran's end; then it hangs up all sockets, lets
 * the lock go and closes the devices. It has a session of its own: whoever kills ltran's process group
 * does not kill it.
 *
 * All of them have no capabilities and a filter of system calls.
 */
#include "dispatcher/closer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "dispatcher/confine.h"
#include "dispatcher/confine_filter.h"

#ifndef F_GET_SEALS
#define F_GET_SEALS 1034
#endif

#define CLOSERS 4            /* for descriptors, and as many for connections */
#define USERS 256            /* users are counted by the lower bits of their number */
#define STRANGE_MAX 64       /* of one user */
#define PIPE_BYTES (1 << 20) /* of orders: far more than there can be */
#define FDS_MAX (1u << 20)
#define WAIT_MS 10 /* a close() that can be interrupted */

struct order {
	int fd;
	uint32_t user; /* index into `done`; USERS: a connection */
};

/* Memory of all these processes. */
static struct shared {
	_Atomic uint32_t done[USERS + 1];
	_Atomic int lock_fd;
} *shared;

static _Atomic uint32_t ordered[USERS];
static int strange_orders = -1, connection_orders = -1; /* pipes */

/* --- the processes: only system calls, the memory is a copy ------------------------------------------ */

static void
filter(const uint32_t *calls, unsigned int n)
{
	confine_keep(0);
	confine_filter_to(calls, n); /* where the kernel has none they go without */
}

static void
interrupt(int sig)
{
	(void)sig;
}

/* SIGALRM every `ms` milliseconds: one that comes before close() has begun to wait is not the last. */
static void
set_timer(int ms)
{
	const struct itimerval t = {{0, ms * 1000}, {0, ms * 1000}};

	setitimer(ITIMER_REAL, &t, NULL);
}

static void __attribute__((noreturn))
run(int from, pid_t parent)
{
	static const uint32_t calls[] = {SYS_read, SYS_close, SYS_getppid, SYS_setitimer,
		SYS_rt_sigreturn, SYS_exit_group};
	struct sigaction act = {.sa_handler = interrupt};
	struct order o;
	sigset_t set;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "ltran-closer");
	sigaction(SIGALRM, &act, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	filter(calls, sizeof(calls) / sizeof(calls[0]));
	while (getppid() == parent) {
		ssize_t n = read(from, &o, sizeof(o));

		if (n < 0 && errno == EINTR)
			continue; /* the timer's last signal */
		if (n != (ssize_t)sizeof(o))
			break;
		set_timer(WAIT_MS);
		close(o.fd);
		set_timer(0);
		atomic_fetch_add(&shared->done[o.user], 1);
	}
	_exit(0);
}

static bool
is_link_to(int fd, const char *name)
{
	char path[32], target[64];
	size_t n = strlen(name);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof(target)) == (ssize_t)n && memcmp(target, name, n) == 0;
}

/* What others notice: connections, the lock, the devices. Nothing that could wait. */
static void
let_go(void)
{
	struct rlimit most = {.rlim_cur = FDS_MAX};
	int lock_fd = atomic_load(&shared->lock_fd);

	getrlimit(RLIMIT_NOFILE, &most);
	if (lock_fd >= 0)
		flock(lock_fd, LOCK_UN);
	for (int fd = STDERR_FILENO + 1; fd < (int)FDS_MAX && (rlim_t)fd < most.rlim_cur; fd++) {
		socklen_t len = sizeof(int);
		int domain;

		if (fcntl(fd, F_GETFD) < 0)
			continue;
		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0) {
			if (is_link_to(fd, "/dev/net/tun"))
				close(fd);
		} else if (domain == AF_PACKET) {
			close(fd);
		} else if (domain == AF_UNIX) {
			shutdown(fd, SHUT_RDWR);
		}
	}
}

static void __attribute__((noreturn))
run_last(pid_t parent)
{
	static const uint32_t calls[] = {SYS_getppid, SYS_rt_sigtimedwait, SYS_prlimit64, SYS_flock,
		SYS_fcntl, SYS_getsockopt, SYS_close, SYS_shutdown, SYS_exit_group, SYS_readlinkat,
#ifdef SYS_readlink
		SYS_readlink,
#endif
	};
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	prctl(PR_SET_PDEATHSIG, SIGUSR1);
	prctl(PR_SET_NAME, "ltran-last");
	setsid();
	filter(calls, sizeof(calls) / sizeof(calls[0]));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	while (getppid() == parent)
		sigwaitinfo(&set, NULL);
	let_go();
	_exit(0);
}

/* --- ltran ------------------------------------------------------------------------------------------- */

/* 0 in the new process, which shares our descriptors. */
static long
split(void)
{
	return syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);
}

/* The end for orders; -1: none. */
static int
start_closers(pid_t parent)
{
	int pipes[2], to = -1;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -1;
	fcntl(pipes[1], F_SETFL, O_NONBLOCK);
	fcntl(pipes[1], F_SETPIPE_SZ, PIPE_BYTES);
	for (unsigned int i = 0; i < CLOSERS; i++) {
		long pid = split();

		if (pid == 0)
			run(pipes[0], parent);
		if (pid > 0)
			to = pipes[1];
	}
	return to;
}

void
closer_start(void)
{
	pid_t parent = getpid();

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		shared = NULL;
		return;
	}
	atomic_init(&shared->lock_fd, -1);
	strange_orders = start_closers(parent);
	connection_orders = start_closers(parent);
	if (split() == 0)
		run_last(parent);
}

void
closer_set_lock(int fd)
{
	if (shared != NULL)
		atomic_store(&shared->lock_fd, fd);
}

bool
closer_is_eventfd(int fd)
{
	return is_link_to(fd, "anon_inode:[eventfd]");
}

void
closer_close(int fd, uid_t uid)
{
	struct order o = {.fd = fd, .user = uid % USERS};

	/* F_GET_SEALS: memory of memfd, shmem or hugetlbfs. Neither question asks a file system. */
	if (strange_orders < 0 || fcntl(fd, F_GET_SEALS) >= 0 || closer_is_eventfd(fd)) {
		close(fd);
		return;
	}
	atomic_fetch_add(&ordered[o.user], 1);
	if (write(strange_orders, &o, sizeof(o)) != sizeof(o))
		return; /* it stays open, and is counted */
}

static bool
is_full(uid_t uid)
{
	uint32_t user = uid % USERS;

	return shared != NULL &&
		atomic_load(&ordered[user]) - atomic_load(&shared->done[user]) >= STRANGE_MAX;
}

/*
 * Looks at what comes next, with room for a byte and for who has sent it (SO_PASSCRED), which every
 * message brings and the end of a connection does not. There is no room for descriptors: they stay where
 * they are, and MSG_CTRUNC says that there are some. False: nothing is there.
 */
static bool
look(int fd, struct msghdr *msg)
{
	static __thread union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	int on = 1, off = 0;
	char byte;
	struct iovec iov = {&byte, sizeof(byte)};
	ssize_t n;

	*msg = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control)};
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	n = recvmsg(fd, msg, MSG_PEEK | MSG_DONTWAIT);
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &off, sizeof(off));
	return n > 0 || (n == 0 && msg->msg_controllen > 0);
}

bool
closer_may_read(int fd, bool is_stream, uid_t uid)
{
	struct msghdr msg;

	if (!is_full(uid) || !look(fd, &msg))
		return true;
	/* What comes behind the first byte of a stream cannot be seen. */
	return !is_stream && (msg.msg_flags & MSG_CTRUNC) == 0;
}

void
closer_hang_up(int fd)
{
	struct order o = {.fd = fd, .user = USERS};
	struct msghdr msg;

	shutdown(fd, SHUT_RDWR);
	if (connection_orders < 0 || !look(fd, &msg) ||
		write(connection_orders, &o, sizeof(o)) != sizeof(o))
		close(fd);
}

unsigned int
closer_take_fds(struct msghdr *msg, int *fds, unsigned int max, uid_t uid)
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
				closer_close(fd, uid);
		}
	}
	return kept;
}
