/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages to and from ltran, and the numbers of their descriptors. */
#include "nodes/instance_ltran_io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "nodes/ltran_abi.h"

#define HIGH_FDS 64 /* below the soft limit: few programs come that far */

uint64_t
ltran_io_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int
ltran_io_wait(int fd, short events, int fd2, uint64_t deadline, short *revents)
{
	struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = fd2, .events = POLLIN}};
	uint64_t now = ltran_io_now_ms(), left = deadline > now ? deadline - now : 0;
	struct timespec t = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
	int n = (int)syscall(SYS_ppoll, p, 2, deadline == LTRAN_FOREVER ? NULL : &t, NULL, 0);

	if (revents != NULL)
		*revents = n > 0 ? p[0].revents : 0;
	return n;
}

int
ltran_io_send(int fd, const void *message, size_t len, int pass_fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {.iov_base = (void *)message, .iov_len = len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (pass_fd >= 0) {
		memcpy(CMSG_DATA(&control.head), &pass_fd, sizeof(pass_fd));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control.room);
	}
	return syscall(SYS_sendmsg, fd, &m, MSG_NOSIGNAL) == (long)len ? 0 : -errno;
}

/* Takes the descriptors of a message; *n is the room before, their number afterwards. */
static void
take_fds(struct msghdr *m, int *fds, unsigned int *n)
{
	unsigned int room = *n, got = 0;
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		got = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	*n = got < room ? got : room;
	for (unsigned int i = 0; i < got; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
		if (i < *n)
			fds[i] = fd;
		else
			syscall(SYS_close, fd);
	}
}

int
ltran_io_receive(int fd, uint16_t type, void *message, size_t len, uint64_t deadline, int *fds,
	unsigned int *n_fds)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(LTRAN_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {message, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct ltran_header h;
	long n;

	for (;;) {
		m.msg_control = n_fds != NULL ? &control : NULL;
		m.msg_controllen = n_fds != NULL ? sizeof(control) : 0;
		n = syscall(SYS_recvmsg, fd, &m, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
		if (ltran_io_now_ms() >= deadline)
			return -EAGAIN;
		ltran_io_wait(fd, POLLIN, -1, deadline, NULL);
	}
	if (n <= 0)
		return -EPIPE;
	if (n_fds != NULL)
		take_fds(&m, fds, n_fds);
	if (n != (long)len)
		return -EPROTO;
	memcpy(&h, message, sizeof(h));
	if (h.magic != LTRAN_MAGIC || h.version != LTRAN_VERSION || h.type != type)
		return -EPROTO;
	return n_fds != NULL && (m.msg_flags & MSG_CTRUNC) ? -EMFILE : 0;
}

static bool
is_string(const char *s, size_t room)
{
	return memchr(s, '\0', room) != NULL;
}

bool
ltran_io_is_usable(const struct ltran_registered *a)
{
	return is_string(a->path, sizeof(a->path)) && is_string(a->text, sizeof(a->text)) &&
		(a->header.status < 0 || (a->path[0] == '/' && a->mtu >= 68 && a->queue_size > 0));
}

int
ltran_io_move_up(int fd, int wish)
{
	struct rlimit limit;
	long moved = -1;

	if (wish > fd)
		moved = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, wish);
	if (moved < 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
		limit.rlim_cur > (rlim_t)fd + HIGH_FDS)
		moved = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, limit.rlim_cur - HIGH_FDS);
	if (moved < 0)
		return fd;
	syscall(SYS_close, fd);
	return (int)moved;
}
