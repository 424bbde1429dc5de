/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registration socket: its name, and messages with descriptors.
 *
 * One ltran at a time has a run directory and prefix: it holds a lock on a file beside the socket,
 * which the kernel lets go when the process ends, however it ends. So whoever has the lock may remove
 * a socket that is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dispatcher/closer.h"
#include "dispatcher/registry.h"

#define LOCK_PATH_MAX (LTRAN_PATH_MAX + sizeof(".lock"))
#define BACKLOG 128
#define FDS_MAX 253 /* the kernel's bound (SCM_MAX_FD): it closes none in our place */

static void
lock_path(const struct registry *r, char path[LOCK_PATH_MAX])
{
	snprintf(path, LOCK_PATH_MAX, "%s.lock", r->path);
}

/* An ltran that ended while we opened its file has removed it: that is nobody's lock any more. */
static bool
is_still_there(int fd, const char *path)
{
	struct stat have, want;

	return fstat(fd, &have) == 0 && stat(path, &want) == 0 && have.st_dev == want.st_dev &&
	       have.st_ino == want.st_ino;
}

/* 0 with the lock in *fd, or -errno; *fd is open where somebody else has it. */
static int
open_locked(const char *path, int *fd)
{
	for (;;) {
		*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (*fd < 0 || flock(*fd, LOCK_EX | LOCK_NB) < 0)
			return -errno;
		if (is_still_there(*fd, path))
			return 0;
		close(*fd);
	}
}

/* Whoever had the lock has ended, and a process that shared its descriptors has not (closer.c): the file is
 * removed. One of us at a time, so that nobody removes the file of a living one. */
static bool
remove_dead_lock(const struct registry *r, const char *path)
{
	int dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[16] = "";
	bool is_removed = false;

	if (dir >= 0 && fd >= 0 && flock(dir, LOCK_EX) == 0 && is_still_there(fd, path) &&
		pread(fd, text, sizeof(text) - 1, 0) > 0) {
		pid_t pid = (pid_t)strtol(text, NULL, 10);

		is_removed = pid > 0 && kill(pid, 0) < 0 && errno == ESRCH && unlink(path) == 0;
	}
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	return is_removed;
}

/* A second ltran would answer for the same instances. */
static int
take_lock(struct registry *r, char *err, size_t err_len)
{
	char path[LOCK_PATH_MAX], pid[16] = "";
	int fd, ret;

	lock_path(r, path);
	ret = open_locked(path, &fd);
	if (ret == -EWOULDBLOCK && remove_dead_lock(r, path)) {
		close(fd);
		ret = open_locked(path, &fd);
	}
	if (ret == 0) {
		r->lock_fd = fd;
		closer_set_lock(fd);
		ret = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
		if (ftruncate(fd, 0) == 0 && pwrite(fd, pid, ret, 0) == ret)
			return 0;
		ret = -errno;
	} else if (ret == -EWOULDBLOCK && pread(fd, pid, sizeof(pid) - 1, 0) > 0) {
		snprintf(err, err_len, "another ltran (pid %.*s) has %s", (int)strcspn(pid, "\n"),
			pid, r->path);
		close(fd);
		return -EADDRINUSE;
	} else if (fd >= 0) {
		close(fd);
	}
	snprintf(err, err_len, "%s: %s", path, strerror(-ret));
	return ret;
}

int
registry_listen_at(struct registry *r, char *err, size_t err_len)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *prefix = r->lt->conf->unix_prefix;
	int n = snprintf(r->path, sizeof(r->path), "%s/%s" LTRAN_SOCKET, r->dir, prefix);
	int ret = registry_names_fit(r);

	if (ret < 0 || n >= (int)sizeof(addr.sun_path)) {
		snprintf(err, err_len, "unix_prefix: %s is too long for the names of ltran's "
			"sockets in %s", prefix, r->dir);
		return -ENAMETOOLONG;
	}
	ret = helper_set_place(r->dir, prefix);
	if (ret < 0) {
		snprintf(err, err_len, "helper: %s", strerror(-ret));
		return ret;
	}
	ret = take_lock(r, err, err_len);
	if (ret < 0)
		return ret;
	memcpy(addr.sun_path, r->path, n + 1);
	unlink(r->path);
	r->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode is there before anybody can connect. */
	if (r->listen_fd < 0 || fchmod(r->listen_fd, 0600) < 0 ||
		bind(r->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
		chmod(r->path, 0600) < 0 || listen(r->listen_fd, BACKLOG) < 0) {
		ret = -errno;
		snprintf(err, err_len, "%s: %s", r->path, strerror(-ret));
		return ret;
	}
	return registry_let_group_in(r, err, err_len);
}

void
registry_unlisten(struct registry *r)
{
	char path[LOCK_PATH_MAX];

	if (r->listen_fd >= 0) {
		close(r->listen_fd);
		helper_remove_own(r->path);
	}
	if (r->lock_fd >= 0) {
		lock_path(r, path);
		helper_remove_own(path); /* while it is locked: nobody else's */
		closer_set_lock(-1);
		close(r->lock_fd);
	}
}

bool
registry_peer_of(const struct ucred *cred, struct registry_peer *peer)
{
	uint64_t dev, ino;

	if (helper_program_of(cred->pid, &dev, &ino) < 0)
		return false;
	*peer = (struct registry_peer){.pid = cred->pid, .uid = cred->uid, .exe_dev = dev,
		.exe_ino = ino};
	return true;
}

ssize_t
registry_receive(int from, void *buf, size_t len, int *fd, uid_t uid)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(from, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (n < 0)
		return n;
	if (closer_take_fds(&msg, fd, 1, uid) == 0)
		*fd = -1;
	return (msg.msg_flags & MSG_TRUNC) ? (ssize_t)len + 1 : n;
}

bool
registry_send(int to, const void *message, size_t len, const int *fds, unsigned int n)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(LTRAN_FDS_MAX * sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(n * sizeof(int)), .cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)message, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n > 0) {
		memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
	}
	return sendmsg(to, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}
