/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of instances that keeps its pages.
 *
 * While fallocate() punches a hole, whoever touches a page there waits in the kernel until that call ends,
 * and how long it lasts is up to the instance: how much memory it has, with what priority it runs. A seal
 * against it (F_SEAL_FUTURE_WRITE) would keep the next ltran from mapping the memory. But an immutable file
 * (FS_IMMUTABLE_FL; Linux 6.0 and later for memfd) can be mapped by whoever has it open, and written to,
 * while fallocate() and madvise(MADV_REMOVE) fail; only CAP_LINUX_IMMUTABLE makes one and unmakes it.
 * Only memory without a name becomes so: nobody could remove the name any more.
 *
 * Who sets the flag waits for a hole that is being punched just now. So each time a process of its own does
 * it, which ends then; a user has few of them at a time.
 */
#include "dispatcher/helper_keep.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef F_GET_SEALS
#define F_GET_SEALS 1034
#endif

#define KEEPERS 64
#define USER_KEEPERS 4

static struct {
	pid_t pid; /* 0: none */
	uid_t uid;
} keepers[KEEPERS]; /* processes that may wait; the helper's one thread */

/* Memory whose flags can be set, and have to be. */
static bool
wants_flag(int fd, int *flags)
{
	struct stat st;

	return fcntl(fd, F_GET_SEALS) >= 0 && fstat(fd, &st) == 0 && st.st_nlink == 0 &&
		ioctl(fd, FS_IOC_GETFLAGS, flags) == 0 && (*flags & FS_IMMUTABLE_FL) == 0;
}

void
helper_keep_here(const int *fds, unsigned int n)
{
	int flags;

	for (unsigned int i = 0; i < n; i++) {
		if (!wants_flag(fds[i], &flags))
			continue;
		flags |= FS_IMMUTABLE_FL;
		if (ioctl(fds[i], FS_IOC_SETFLAGS, &flags) < 0)
			return; /* no right to do it: ltran looks for holes (ring.c) */
	}
}

static void
forget_ended(void)
{
	pid_t pid;

	while ((pid = (pid_t)syscall(SYS_wait4, -1, NULL, WNOHANG, NULL)) > 0)
		for (unsigned int i = 0; i < KEEPERS; i++)
			if (keepers[i].pid == pid)
				keepers[i].pid = 0;
}

/* The entry for another process; -EBUSY. */
static int
find_room(uid_t uid)
{
	unsigned int n = 0;
	int room = -EBUSY;

	for (unsigned int i = 0; i < KEEPERS; i++) {
		if (keepers[i].pid == 0)
			room = (int)i;
		else
			n += keepers[i].uid == uid;
	}
	return n < USER_KEEPERS ? room : -EBUSY;
}

int
helper_keep(const int *fds, unsigned int n, uid_t uid, int *end)
{
	bool is_wanted = false;
	int flags, room, ends[2];
	pid_t pid;

	*end = -1;
	for (unsigned int i = 0; i < n; i++)
		is_wanted |= wants_flag(fds[i], &flags);
	if (!is_wanted)
		return 0;
	forget_ended();
	room = find_room(uid);
	if (room < 0)
		return room;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	/* Not fork(): the filter of system calls has no other calls of a new process. */
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		helper_keep_here(fds, n);
		_exit(0);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -EAGAIN;
	}
	keepers[room].pid = pid;
	keepers[room].uid = uid;
	*end = ends[0];
	return 0;
}
