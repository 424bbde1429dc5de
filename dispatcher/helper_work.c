/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The requests of the helper, one function each.
 *
 * A ring is DIR/{prefix}ltran_PID_N.vhost or the same name in DIR/{prefix}ring_UID/. In the second
 * directory everything belongs to somebody who may be hostile, so its entries are reached through a
 * descriptor of the directory, links are not followed, and what was looked at is what is used.
 */
#include "dispatcher/helper_work.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/path.h"
#include "dispatcher/helper.h"

static bool
is_text(const char *s, size_t room)
{
	return memchr(s, '\0', room) != NULL;
}

/* --- names ------------------------------------------------------------------------------------------ */

/* What follows "DIR/{prefix}" in `path`, or NULL. */
static const char *
behind_prefix(const struct helper_place *p, const char *path)
{
	size_t n_dir = strlen(p->dir), n_prefix = strlen(p->prefix);

	if (n_dir == 0 || strncmp(path, p->dir, n_dir) != 0 || path[n_dir] != '/')
		return NULL;
	path += n_dir + 1;
	return strncmp(path, p->prefix, n_prefix) == 0 ? path + n_prefix : NULL;
}

/* "ltran_PID_N.vhost", to the letter. */
static bool
is_ring_name(const char *name)
{
	char again[64];
	unsigned int counter;
	int pid;

	if (sscanf(name, LTRAN_RING_FORMAT, &pid, &counter) != 2 || pid <= 0)
		return false;
	snprintf(again, sizeof(again), LTRAN_RING_FORMAT, pid, counter);
	return strcmp(again, name) == 0;
}

/* "ring_UID/{prefix}" in front of the rings of another user. */
static const char *
behind_room(const struct helper_place *p, const char *name)
{
	size_t n_prefix = strlen(p->prefix), n;
	char again[64];
	unsigned int uid;

	if (sscanf(name, REGISTRY_ROOM_FORMAT, &uid) != 1)
		return NULL;
	n = snprintf(again, sizeof(again), REGISTRY_ROOM_FORMAT "/", uid);
	if (strncmp(name, again, n) != 0 || strncmp(name + n, p->prefix, n_prefix) != 0)
		return NULL;
	return name + n + n_prefix;
}

static bool
is_ring(const struct helper_place *p, const char *path)
{
	const char *name = behind_prefix(p, path), *in_room;

	if (name == NULL)
		return false;
	in_room = behind_room(p, name);
	return is_ring_name(in_room != NULL ? in_room : name);
}

static bool
is_own(const struct helper_place *p, const char *path)
{
	const char *name = behind_prefix(p, path);
	struct ctl_place control;

	return name != NULL && (strcmp(name, LTRAN_SOCKET) == 0 ||
		strcmp(name, LTRAN_SOCKET ".lock") == 0 ||
		(strchr(name, '/') == NULL && ctl_name_parse(name, CTL_KIND_LTRAN, &control)));
}

static int
room_path(const struct helper_place *p, uid_t uid, char path[PATH_MAX])
{
	if (p->dir[0] == '\0')
		return -EINVAL;
	snprintf(path, PATH_MAX, "%s/%s" REGISTRY_ROOM_FORMAT, p->dir, p->prefix, uid);
	return 0;
}

/* --- rooms and rings ------------------------------------------------------------------------------- */

static int
make_room(const struct helper_place *p, uid_t uid)
{
	char path[PATH_MAX];
	struct stat st;
	int ret = room_path(p, uid, path);

	if (ret < 0)
		return ret;
	if ((mkdir(path, 0700) == 0 || errno == EEXIST) && lchown(path, uid, -1) == 0 &&
		lstat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	return -errno;
}

static int
remove_room(const struct helper_place *p, uid_t uid)
{
	char path[PATH_MAX];
	int ret = room_path(p, uid, path);

	return ret < 0 ? ret : rmdir(path) < 0 ? -errno : 0;
}

/* The directory of a ring; *name receives its name in there. A descriptor or -errno. */
static int
open_dir_of(const struct helper_place *p, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char dir[LTRAN_PATH_MAX];
	int fd;

	if (!is_ring(p, path))
		return -EINVAL;
	memcpy(dir, path, slash - path);
	dir[slash - path] = '\0';
	*name = slash + 1;
	fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The ring itself. */
static int
open_ring(const struct helper_place *p, const char *path, uid_t uid)
{
	const char *name;
	struct stat st;
	int dir = open_dir_of(p, path, &name), fd;

	if (dir < 0)
		return dir;
	fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(dir);
	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == uid))
		return fd;
	close(fd);
	return -EPERM;
}

static int
connect_ring(const struct helper_place *p, const char *path, uid_t uid)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int ring = open_ring(p, path, uid), fd, ret;

	if (ring < 0)
		return ring;
	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", ring);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? fd : -errno;
	if (ret < 0 && fd >= 0)
		close(fd);
	close(ring);
	return ret;
}

static int
remove_ring(const struct helper_place *p, const char *path)
{
	const char *name;
	struct stat st;
	int dir = open_dir_of(p, path, &name), ret = 0;

	if (dir < 0)
		return dir;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode) ||
		unlinkat(dir, name, 0) < 0)
		ret = -ENOENT;
	close(dir);
	return ret;
}

/* --- devices, programs ------------------------------------------------------------------------------ */

static int
program_of(pid_t pid, struct helper_answer *a)
{
	char exe[32];
	struct stat st;

	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)pid);
	if (pid <= 0 || stat(exe, &st) < 0)
		return pid <= 0 ? -EINVAL : -errno;
	a->dev = st.st_dev;
	a->ino = st.st_ino;
	return 0;
}

static int
set_device(const struct helper_request *q)
{
	int fd, ret;

	switch (q->ioctl) {
	case SIOCSIFFLAGS:
	case SIOCSIFHWADDR:
	case SIOCSIFMTU:
		break;
	default:
		return -EPERM;
	}
	if (!is_text(q->ifr.ifr_name, IFNAMSIZ))
		return -EINVAL;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = ioctl(fd, q->ioctl, &q->ifr) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static int
packet_socket(int type, int protocol)
{
	int fd;

	if ((type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != SOCK_RAW)
		return -EPERM;
	fd = socket(AF_PACKET, type | SOCK_CLOEXEC, protocol);
	return fd < 0 ? -errno : fd;
}

static int
set_place(struct helper_place *p, const struct helper_request *q)
{
	if (p->dir[0] != '\0' || q->path[0] != '/')
		return -EPERM;
	memcpy(p->dir, q->path, sizeof(p->dir));
	memcpy(p->prefix, q->prefix, sizeof(p->prefix));
	return 0;
}

int
helper_work(struct helper_place *p, const struct helper_request *q, struct helper_answer *a)
{
	int fd = -1;

	*a = (struct helper_answer){.ret = -EINVAL};
	if (!is_text(q->path, sizeof(q->path)) || !is_text(q->prefix, sizeof(q->prefix)))
		return -1;
	switch (q->op) {
	case HELPER_PLACE:
		a->ret = set_place(p, q);
		break;
	case HELPER_PROGRAM:
		a->ret = program_of(q->pid, a);
		break;
	case HELPER_MAKE_ROOM:
		a->ret = make_room(p, q->uid);
		break;
	case HELPER_REMOVE_ROOM:
		a->ret = remove_room(p, q->uid);
		break;
	case HELPER_CHECK_RING:
	case HELPER_CONNECT_RING:
		fd = q->op == HELPER_CHECK_RING ? open_ring(p, q->path, q->uid) :
			connect_ring(p, q->path, q->uid);
		a->ret = fd < 0 ? fd : 0;
		break;
	case HELPER_REMOVE_RING:
		a->ret = remove_ring(p, q->path);
		break;
	case HELPER_REMOVE_OWN:
		a->ret = !is_own(p, q->path) ? -EINVAL : unlink(q->path) < 0 ? -errno : 0;
		break;
	case HELPER_PACKET_SOCKET:
		fd = packet_socket(q->type, q->protocol);
		a->ret = fd < 0 ? fd : 0;
		break;
	case HELPER_SET_DEVICE:
		a->ret = set_device(q);
		break;
	default:
		break;
	}
	if (fd >= 0 && q->op == HELPER_CHECK_RING) {
		close(fd);
		fd = -1;
	}
	return fd < 0 ? -1 : fd;
}
