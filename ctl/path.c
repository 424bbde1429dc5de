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

int
ctl_run_dir(char *buf, size_t len)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	int n;

	if (geteuid() == 0)
		n = snprintf(buf, len, CTL_RUN_DIR_ROOT);
	else if (xdg != NULL && xdg[0] == '/' && access(xdg, W_OK) == 0)
		n = snprintf(buf, len, "%s/gazelle", xdg);
	else
		n = snprintf(buf, len, "/tmp/gazelle-%u", (unsigned int)geteuid());
	return n >= 0 && (size_t)n < len ? 0 : -ENAMETOOLONG;
}

/* With client_group in ltran.conf others may go through, to names that they have been told. */
static bool
is_private(const struct stat *st)
{
	return (st->st_mode & 0777 & ~0011) == 0700;
}

int
ctl_run_dir_make(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(dir, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (st.st_uid != geteuid())
		return -EPERM;
	if (!is_private(&st) && chmod(dir, 0700) < 0)
		return -errno;
	return 0;
}

bool
ctl_run_dir_is_private(const char *dir)
{
	struct stat st;

	return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && is_private(&st);
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
	DIR *d = opendir(dir);

	if (d == NULL)
		return errno == ENOENT ? n : -errno;
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

/* An address of the socket behind `path`. A prefix may make the path too long for one: then the name
 * of an open descriptor stands for it, which *via receives. */
static int
address_of(const char *path, struct sockaddr_un *addr, int *via)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	*via = -1;
	if (strlen(path) < sizeof(addr->sun_path)) {
		memcpy(addr->sun_path, path, strlen(path) + 1);
		return 0;
	}
	*via = open(path, O_PATH | O_CLOEXEC);
	if (*via < 0)
		return -errno;
	snprintf(addr->sun_path, sizeof(addr->sun_path), "/proc/self/fd/%d", *via);
	return 0;
}

int
ctl_dial_as(const char *path, int type)
{
	struct sockaddr_un addr;
	int via, err, fd;

	err = address_of(path, &addr, &via);
	if (err < 0)
		return err;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		err = -errno;
	else if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		err = -errno;
	if (via >= 0)
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
