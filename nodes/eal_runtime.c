/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runtime directories of DPDK. /tmp/dpdk is a name that any user can take first, and fill with
 * symbolic links: whatever is removed here is reached by descriptors of directories that are ours.
 */
#include "nodes/eal_runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
eal_runtime_dir(char dir[PATH_MAX])
{
	const char *base = getenv("RUNTIME_DIRECTORY");

	if (base == NULL || base[0] == '\0')
		base = geteuid() == 0 ? "/var/run" : getenv("XDG_RUNTIME_DIR");
	snprintf(dir, PATH_MAX, "%s/dpdk", base != NULL ? base : "/tmp");
}

/* A directory of ours that others cannot change, or -errno. */
static int
open_ours(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 0022) == 0)
		return fd;
	close(fd);
	return -EPERM;
}

bool
eal_runtime_is_ours(const char *dir)
{
	int fd = open_ours(AT_FDCWD, dir);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || fd == -ENOENT;
}

static DIR *
open_dir(int at, const char *name)
{
	int fd = open_ours(at, name);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

/* Its files; there are no directories in it. */
static void
remove_dir(int at, const char *name)
{
	DIR *d = open_dir(at, name);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	unlinkat(at, name, AT_REMOVEDIR);
	closedir(d);
}

void
eal_runtime_remove(const char *dir, int pid)
{
	int fd = open_ours(AT_FDCWD, dir);
	char name[32];

	if (fd < 0)
		return;
	snprintf(name, sizeof(name), EAL_FILE_PREFIX "%d", pid);
	remove_dir(fd, name);
	close(fd);
	if (strncmp(dir, "/tmp/", 5) == 0)
		rmdir(dir); /* stays where other programs on DPDK are in it */
}

/* Names that we have given, and nothing that only begins like them. */
static bool
is_stale(const char *name)
{
	char same[32];
	int pid;

	if (sscanf(name, EAL_FILE_PREFIX "%d", &pid) != 1 || pid <= 0)
		return false;
	snprintf(same, sizeof(same), EAL_FILE_PREFIX "%d", pid);
	return strcmp(name, same) == 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

void
eal_runtime_remove_stale(const char *dir)
{
	DIR *d = open_dir(AT_FDCWD, dir);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (is_stale(e->d_name))
			remove_dir(dirfd(d), e->d_name);
	}
	closedir(d);
}
