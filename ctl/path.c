/* SPDX-License-Identifier: BSD-3-Clause */
/* The run directory and the names of control sockets. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/path.h"

/* XDG_RUNTIME_DIR as its specification wants it: ours, and nobody else may make names in it. */
static bool
is_own_runtime_dir(const char *dir)
{
	struct stat st;

	return dir != NULL && dir[0] == '/' && stat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid() && (st.st_mode & 0022) == 0;
}

static bool
may_use_root_dir(void)
{
	return geteuid() == 0 && (access(CTL_RUN_DIR_ROOT, W_OK) == 0 ||
		(errno == ENOENT && access("/var/run", W_OK) == 0));
}

int
ctl_run_dir(char *buf, size_t len)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	int n;

	if (may_use_root_dir())
		n = snprintf(buf, len, CTL_RUN_DIR_ROOT);
	else if (is_own_runtime_dir(xdg))
		n = snprintf(buf, len, "%s/gazelle", xdg);
	else
		n = snprintf(buf, len, "/tmp/gazelle-%u", (unsigned int)geteuid());
	return n >= 0 && (size_t)n < len ? 0 : -ENAMETOOLONG;
}

static int
add_dir(char dirs[CTL_RUN_DIRS_MAX][PATH_MAX], int n, const char *dir)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(dirs[i], dir) == 0)
			return n;
	}
	snprintf(dirs[n], PATH_MAX, "%s", dir);
	return n + 1;
}

int
ctl_run_dirs(char dirs[CTL_RUN_DIRS_MAX][PATH_MAX])
{
	char usual[64];
	int n = ctl_run_dir(dirs[0], PATH_MAX) == 0 ? 1 : 0;

	snprintf(usual, sizeof(usual), "/run/user/%u/gazelle", (unsigned int)geteuid());
	n = add_dir(dirs, n, usual);
	snprintf(usual, sizeof(usual), "/tmp/gazelle-%u", (unsigned int)geteuid());
	return add_dir(dirs, n, usual);
}

/* With client_group in ltran.conf others may go through, to names that they have been told. */
static bool
is_private(const struct stat *st)
{
	return (st->st_mode & 0777 & ~0011) == 0700;
}

static bool
is_trusted_user(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

/* A name of the open file that every call takes, even where the descriptor is O_PATH. */
static void
name_fd(int fd, char name[32])
{
	snprintf(name, 32, "/proc/self/fd/%d", fd);
}

int
ctl_run_dir_make(const char *dir)
{
	struct stat st;
	char name[32];
	int fd, ret = 0;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	name_fd(fd, name);
	if (fstat(fd, &st) < 0)
		ret = -errno;
	else if (st.st_uid != geteuid())
		ret = -EPERM;
	else if (!is_private(&st) && chmod(name, 0700) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

void
ctl_run_dir_explain(const char *dir, int error, char *buf, size_t len)
{
	if (error == -EPERM)
		snprintf(buf, len, "run directory %s belongs to another user and is not used: remove it, "
			"or set XDG_RUNTIME_DIR to a directory of your own", dir);
	else
		snprintf(buf, len, "run directory %s: %s", dir, strerror(-error));
}

/* Open a directory to look for names in it: ours or root's, and nobody else can have put them there. */
static int
open_trusted(const char *dir, int flags)
{
	int fd = open(dir, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && is_trusted_user(st.st_uid) && is_private(&st))
		return fd;
	close(fd);
	return -EPERM;
}

bool
ctl_name_parse(const char *name, const char *kind, struct ctl_place *out)
{
	const char *digits = strrchr(name, '_'), *start;
	size_t n_kind = strlen(kind);
	char *end;
	long pid;

	if (digits == NULL || (size_t)(digits - name) < n_kind || digits[1] < '1' ||
		digits[1] > '9')
		return false;
	start = digits - n_kind;
	if (memcmp(start, kind, n_kind) != 0 || n_kind >= sizeof(out->kind) ||
		(size_t)(start - name) >= sizeof(out->prefix))
		return false;
	errno = 0;
	pid = strtol(digits + 1, &end, 10);
	if (errno != 0 || pid > INT32_MAX || strcmp(end, ".sock") != 0)
		return false;
	memcpy(out->prefix, name, start - name);
	out->prefix[start - name] = '\0';
	memcpy(out->kind, kind, n_kind + 1);
	out->pid = pid;
	return true;
}

static int
compare_places(const void *a, const void *b)
{
	const struct ctl_place *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int
ctl_places(const char *dir, const char *kind, struct ctl_place **out)
{
	*out = NULL;
	return ctl_places_add(dir, kind, out, 0);
}

int
ctl_places_add(const char *dir, const char *kind, struct ctl_place **out, int n)
{
	struct ctl_place *list = *out, *grown, place;
	struct dirent *entry;
	int fd = open_trusted(dir, O_RDONLY);
	DIR *d;

	if (fd < 0)
		return fd == -ENOENT ? n : fd;
	d = fdopendir(fd);
	if (d == NULL) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(d)) != NULL) {
		int len;

		if (!ctl_name_parse(entry->d_name, kind, &place))
			continue;
		len = snprintf(place.path, sizeof(place.path), "%s/%s", dir, entry->d_name);
		if (len < 0 || (size_t)len >= sizeof(place.path))
			continue;
		grown = realloc(list, (n + 1) * sizeof(*list));
		if (grown == NULL) {
			closedir(d);
			return -ENOMEM;
		}
		*out = list = grown;
		list[n++] = place;
	}
	closedir(d);
	if (n > 1)
		qsort(list, n, sizeof(*list), compare_places);
	return n;
}

/* The socket itself, by a descriptor, without a symbolic link on the way. -errno. */
static int
open_socket(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	struct stat st;
	int dir_fd, fd;

	if (slash == NULL || (size_t)(slash - path) >= sizeof(dir))
		return -EINVAL;
	memcpy(dir, path, slash - path);
	dir[slash - path] = '\0';
	dir_fd = open_trusted(dir, O_PATH);
	if (dir_fd < 0)
		return dir_fd;
	fd = openat(dir_fd, slash + 1, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(dir_fd);
	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && is_trusted_user(st.st_uid)))
		return fd;
	close(fd);
	return -EPERM;
}

/* Who listens is who made the socket, however the file came to its place. */
static int
check_peer(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	return is_trusted_user(peer.uid) ? 0 : -EPERM;
}

int
ctl_dial_as(const char *path, int type)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int via = open_socket(path), err = 0, fd;

	if (via < 0)
		return via;
	name_fd(via, addr.sun_path);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		err = -errno;
	else
		err = check_peer(fd);
	close(via);
	if (err == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return err;
}

int
ctl_dial(const char *path)
{
	return ctl_dial_as(path, SOCK_STREAM);
}

void
ctl_remove_stale(const char *dir, const char *kind)
{
	struct ctl_place *list;
	int n = ctl_places(dir, kind, &list);

	for (int i = 0; i < n; i++) {
		int fd = ctl_dial(list[i].path);

		if (fd >= 0)
			close(fd);
		else if (fd == -ECONNREFUSED)
			unlink(list[i].path);
	}
	free(list);
}
