/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The helper's process and ltran's side of it.
 *
 * Between them is a pair of SOCK_SEQPACKET sockets: one request, one answer, of fixed size, with at
 * most one descriptor in the answer, and a few in the request that is about memory. Requests of several
 * threads take turns. The helper keeps the capabilities that its requests need, has a filter of system calls, and ends when ltran's end is closed,
 * however ltran ended. An answer that takes longer than ANSWER_MS is not waited for.
 */
#include "dispatcher/helper.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dispatcher/confine.h"
#include "dispatcher/confine_filter.h"
#include "dispatcher/helper_keep.h"
#include "dispatcher/helper_work.h"

#define NAME "helper"
#define KEEP                                                                                       \
	(CONFINE_BIT(CAP_NET_RAW) | CONFINE_BIT(CAP_NET_ADMIN) | CONFINE_BIT(CAP_DAC_OVERRIDE) |   \
		CONFINE_BIT(CAP_CHOWN) | CONFINE_BIT(CAP_SYS_PTRACE) |                             \
		CONFINE_BIT(CAP_LINUX_IMMUTABLE))

#define ANSWER_MS 1000 /* then a request has failed, and so have the next ones until the answer comes ... */
#define HURRY_MS 100   /* ... at the end */
#define KEEP_MS 100    /* a file's flag is set, or somebody is at work on the file */
#define SLICE_MS 10    /* so soon who waits finds out that it is the end */
#define END_MS 200     /* the helper may take to end */

static struct {
	pthread_mutex_t lock;
	unsigned int n_late; /* answers that nobody waits for any more */
	_Atomic bool is_end; /* helper_hurry() */
	int fd; /* -1: there is none, requests are done in place */
	pid_t pid;
	struct helper_place place; /* in place */
} helper = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

union fd_message {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

union fds_message {
	struct cmsghdr head;
	char room[CMSG_SPACE(HELPER_FDS_MAX * sizeof(int))];
};

/* --- the helper ------------------------------------------------------------------------------------- */

/* What `ps` and pidof show: another name than ltran's. */
static void
take_name(int argc, char **argv)
{
	size_t room = 0;

	for (int i = 0; i < argc; i++) {
		if (argv[i] != argv[0] + room)
			break;
		room += strlen(argv[i]) + 1;
	}
	if (room > 0) {
		memset(argv[0], 0, room);
		snprintf(argv[0], room, NAME);
	}
	prctl(PR_SET_NAME, "ltran-" NAME);
}

static bool
send_answer(int to, const struct helper_answer *a, int fd)
{
	union fd_message control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)a, sizeof(*a)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control.room);
	}
	return sendmsg(to, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(*a);
}

/* Whole, with its descriptors; 0: not so. */
static ssize_t
receive_request(int from, struct helper_request *q, int *fds, unsigned int *n_fds)
{
	union fds_message control;
	struct iovec iov = {q, sizeof(*q)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

	*n_fds = 0;
	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		*n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), *n_fds * sizeof(int));
	}
	return n;
}

static void __attribute__((noreturn))
serve(int from)
{
	struct helper_place place = {.dir = ""};
	struct helper_request q;
	struct helper_answer a;

	for (;;) {
		int fd, fds[HELPER_FDS_MAX];
		unsigned int n_fds;
		ssize_t n = receive_request(from, &q, fds, &n_fds);
		bool is_sent;

		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(q))
			_exit(0);
		if (q.op == HELPER_KEEP)
			a = (struct helper_answer){.ret = helper_keep(fds, n_fds, q.uid, &fd)};
		else
			fd = helper_work(&place, &q, &a);
		while (n_fds > 0)
			close(fds[--n_fds]);
		is_sent = send_answer(from, &a, fd);
		/* Too many descriptors of our user are on their way; see registry_answer.c. */
		if (!is_sent && errno == ETOOMANYREFS) {
			a.ret = -ETOOMANYREFS;
			is_sent = send_answer(from, &a, -1);
		}
		if (fd >= 0)
			close(fd);
		if (!is_sent)
			_exit(0);
	}
}

static void __attribute__((noreturn))
become_helper(int fd, int argc, char **argv)
{
	static const uint32_t calls[] = {
		SYS_recvmsg, SYS_sendmsg, SYS_clone, SYS_wait4, SYS_pipe2, SYS_fcntl, SYS_close,
		SYS_exit_group, SYS_exit, SYS_brk, SYS_mmap, SYS_munmap,
		SYS_socket, SYS_connect, SYS_ioctl,
		SYS_openat, SYS_openat2, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_mkdirat, SYS_unlinkat, SYS_fchownat,
#ifdef SYS_unlink
		SYS_unlink,
#endif
	};
	sigset_t all;

	/* It is ltran whom signals end; a terminal sends them to both. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	take_name(argc, argv);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	confine_keep(KEEP);
	if (fd > STDERR_FILENO + 1)
		syscall(SYS_close_range, STDERR_FILENO + 1, fd - 1, 0);
	syscall(SYS_close_range, fd + 1, ~0u, 0);
	confine_filter_to(calls, sizeof(calls) / sizeof(calls[0]));
	serve(fd);
}

int
helper_start(int argc, char **argv)
{
	int pair[2], ret;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	ret = pid < 0 ? -errno : 0;
	if (pid == 0) {
		close(pair[0]);
		become_helper(pair[1], argc, argv);
	}
	close(pair[1]);
	if (ret < 0) {
		close(pair[0]);
		return ret;
	}
	helper.fd = pair[0];
	helper.pid = pid;
	return 0;
}

bool
helper_is_there(void)
{
	return helper.fd >= 0;
}

void
helper_stop(void)
{
	if (helper.fd < 0)
		return;
	close(helper.fd);
	helper.fd = -1;
	/* One that waits for a file system is not waited for; it ends with us. */
	for (int ms = 0; ms < END_MS && waitpid(helper.pid, NULL, WNOHANG) == 0; ms++)
		usleep(1000);
}

/* --- ltran's side ----------------------------------------------------------------------------------- */

void
helper_hurry(void)
{
	atomic_store(&helper.is_end, true);
}

/* Until there is an answer, or nobody shall wait for it any more. */
static void
wait_for_answer(int from)
{
	struct pollfd p = {.fd = from, .events = POLLIN};

	for (int ms = 0; ms < (atomic_load(&helper.is_end) ? HURRY_MS : ANSWER_MS); ms += SLICE_MS)
		if (poll(&p, 1, SLICE_MS) > 0)
			return;
}

/* The answer that is there, or -ETIMEDOUT in it. */
static int
receive_answer(int from, struct helper_answer *a)
{
	union fd_message control;
	struct iovec iov = {a, sizeof(*a)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	ssize_t n;
	int fd = -1;

	do {
		n = recvmsg(from, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		a->ret = -ETIMEDOUT;
		return -1;
	}
	c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (n != (ssize_t)sizeof(*a))
		a->ret = -EPIPE;
	return fd;
}

/* Answers come in the order of the requests. False: an earlier one is still being worked on. */
static bool
forget_late(void)
{
	struct helper_answer a;

	for (; helper.n_late > 0; helper.n_late--) {
		int fd = receive_answer(helper.fd, &a);

		if (a.ret == -ETIMEDOUT)
			return false;
		if (fd >= 0)
			close(fd);
	}
	return true;
}

static bool
send_request(int to, const struct helper_request *q, const int *fds, unsigned int n)
{
	union fds_message control = {.head = {.cmsg_len = CMSG_LEN(n * sizeof(int)),
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)(uintptr_t)q, sizeof(*q)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n > 0) {
		memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
	}
	return sendmsg(to, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(*q);
}

/* The descriptor that came with the answer, or -1. */
static int
ask_about(const struct helper_request *q, struct helper_answer *a, const int *fds, unsigned int n)
{
	int fd = -1;

	*a = (struct helper_answer){.ret = -EPIPE};
	pthread_mutex_lock(&helper.lock);
	if (helper.fd < 0)
		fd = helper_work(&helper.place, q, a);
	else if (!forget_late())
		a->ret = -ETIMEDOUT;
	else if (send_request(helper.fd, q, fds, n)) {
		wait_for_answer(helper.fd);
		fd = receive_answer(helper.fd, a);
		helper.n_late += a->ret == -ETIMEDOUT;
	}
	pthread_mutex_unlock(&helper.lock);
	return fd;
}

static int
ask(const struct helper_request *q, struct helper_answer *a)
{
	return ask_about(q, a, NULL, 0);
}

static int
ask_simply(const struct helper_request *q)
{
	struct helper_answer a;
	int fd = ask(q, &a);

	if (fd >= 0)
		close(fd);
	return a.ret;
}

/* For what is answered with a descriptor. */
static int
ask_for_fd(const struct helper_request *q)
{
	struct helper_answer a;
	int fd = ask(q, &a);

	if (a.ret == 0 && fd >= 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return a.ret < 0 ? a.ret : -EPIPE;
}

static bool
set_path(struct helper_request *q, const char *path)
{
	return snprintf(q->path, sizeof(q->path), "%s", path) < (int)sizeof(q->path);
}

int
helper_set_place(const char *dir, const char *prefix)
{
	struct helper_request q = {.op = HELPER_PLACE};

	if (!set_path(&q, dir) ||
		snprintf(q.prefix, sizeof(q.prefix), "%s", prefix) >= (int)sizeof(q.prefix))
		return -ENAMETOOLONG;
	if (helper.fd < 0)
		helper.place = (struct helper_place){.dir = ""}; /* tests have several, one by one */
	return ask_simply(&q);
}

int
helper_program_of(pid_t pid, uint64_t *dev, uint64_t *ino)
{
	struct helper_request q = {.op = HELPER_PROGRAM, .pid = pid};
	struct helper_answer a;
	int fd = ask(&q, &a);

	if (fd >= 0)
		close(fd);
	*dev = a.dev;
	*ino = a.ino;
	return a.ret;
}

int
helper_make_room(uid_t uid)
{
	return ask_simply(&(struct helper_request){.op = HELPER_MAKE_ROOM, .uid = uid});
}

int
helper_remove_room(uid_t uid)
{
	return ask_simply(&(struct helper_request){.op = HELPER_REMOVE_ROOM, .uid = uid});
}

int
helper_check_ring(const char *path, uid_t uid)
{
	struct helper_request q = {.op = HELPER_CHECK_RING, .uid = uid};

	return set_path(&q, path) ? ask_simply(&q) : -EINVAL;
}

int
helper_connect_ring(const char *path, uid_t uid)
{
	struct helper_request q = {.op = HELPER_CONNECT_RING, .uid = uid};

	return set_path(&q, path) ? ask_for_fd(&q) : -EINVAL;
}

int
helper_remove_ring(const char *path)
{
	struct helper_request q = {.op = HELPER_REMOVE_RING};

	return set_path(&q, path) ? ask_simply(&q) : -EINVAL;
}

int
helper_remove_own(const char *path)
{
	struct helper_request q = {.op = HELPER_REMOVE_OWN};

	return set_path(&q, path) ? ask_simply(&q) : -EINVAL;
}

int
helper_keep_pages(const int *fds, unsigned int n, uid_t uid)
{
	struct helper_request q = {.op = HELPER_KEEP, .uid = uid};
	struct helper_answer a;
	struct pollfd p = {.events = POLLIN};
	int n_ended = 1;

	if (!helper_is_there()) {
		helper_keep_here(fds, n);
		return 0;
	}
	p.fd = ask_about(&q, &a, fds, n);
	if (p.fd >= 0) {
		n_ended = poll(&p, 1, KEEP_MS);
		close(p.fd);
	}
	return n_ended == 0 || a.ret == -EBUSY ? -EBUSY : 0;
}

int
helper_packet_socket(int type, int protocol)
{
	struct helper_request q = {.op = HELPER_PACKET_SOCKET, .type = type, .protocol = protocol};

	return ask_for_fd(&q);
}

int
helper_set_device(unsigned long request, const struct ifreq *ifr)
{
	struct helper_request q = {.op = HELPER_SET_DEVICE, .ioctl = request, .ifr = *ifr};

	return ask_simply(&q);
}
