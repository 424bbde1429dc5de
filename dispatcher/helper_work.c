/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The requests of the helper, one function each.
 *
 * A ring is DIR/{prefix}ltran_PID_N.vhost or the same name in DIR/{prefix}ring_UID/. In the second
 * directory everything belongs to somebody who may be hostile, so its entries are reached through a
 * descriptor of the directory, links are not followed, nothing that is mounted there is entered (beneath.h),
 * and what was looked at is what is used.
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
#include "dispatcher/beneath.h"
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

static void
name_room(const struct helper_place *p, uid_t uid, char name[NAME_MAX])
{
	snprintf(name, NAME_MAX, "%s" REGISTRY_ROOM_FORMAT, p->prefix, uid);
}

/* --- rooms and rings ------------------------------------------------------------------------------- */

/* The run directory, which is ltran's own. A descriptor or -errno. */
static int
open_place(const struct helper_place *p)
{
	int fd = p->dir[0] != '\0' ? open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

	return fd >= 0 ? fd : p->dir[0] != '\0' ? -errno : -EINVAL;
}

static int
make_room(const struct helper_place *p, uid_t uid)
{
	int place = open_place(p), room, ret = 0;
	char name[NAME_MAX];

	if (place < 0)
		return place;
	name_room(p, uid, name);
	if (mkdirat(place, name, 0700) < 0 && errno != EEXIST)
		ret = -errno;
	room = ret == 0 ? beneath_open(place, name, O_PATH | O_DIRECTORY) : ret;
	if (room >= 0)
		ret = fchownat(room, "", uid, -1, AT_EMPTY_PATH) < 0 ? -errno : 0;
	else
		ret = room;
	if (room >= 0)
		close(room);
	close(place);
	return ret;
}

static int
remove_room(const struct helper_place *p, uid_t uid)
{
	int place = open_place(p), ret;
	char name[NAME_MAX];

	if (place < 0)
		return place;
	name_room(p, uid, name);
	ret = unlinkat(place, name, AT_REMOVEDIR) < 0 ? -errno : 0;
	close(place);
	return ret;
}

/* The directory of a ring; *name receives its name in there. A descriptor or -errno. */
static int
open_dir_of(const struct helper_place *p, const char *path, const char **name)
{
	const char *slash, *rest;
	char room[LTRAN_PATH_MAX];
	int place, fd;

	if (!is_ring(p, path))
		return -EINVAL;
	place = open_place(p);
	rest = path + strlen(p->dir) + 1;
	slash = strchr(rest, '/');
	*name = slash != NULL ? slash + 1 : rest;
	if (place < 0 || slash == NULL)
		return place;
	memcpy(room, rest, slash - rest);
	room[slash - rest] = '\0';
	fd = beneath_open(place, room, O_PATH | O_DIRECTORY);
	close(place);
	return fd;
}

/* The ring itself; uid -1: whoever's. */
static int
open_ring(const struct helper_place *p, const char *path, uid_t uid)
{
	const char *name;
	struct stat st;
	int dir = open_dir_of(p, path, &name), fd;

	if (dir < 0)
		return dir;
	fd = beneath_open(dir, name, O_PATH);
	close(dir);
	if (fd < 0)
		return fd == -ELOOP || fd == -EXDEV ? -EPERM : fd;
	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && (uid == (uid_t)-1 || st.st_uid == uid))
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
	int ring = open_ring(p, path, (uid_t)-1), dir, ret;

	if (ring < 0)
		return ring == -EPERM ? -ENOENT : ring;
	close(ring);
	dir = open_dir_of(p, path, &name);
	if (dir < 0)
		return dir;
	ret = unlinkat(dir, name, 0) < 0 ? -ENOENT : 0;
	close(dir);
	return ret;
}

/* --- devices, programs ------------------------------------------------------------------------------ */

/* Without asking a file system that may belong to a process which never answers. */
static int
program_of(pid_t pid, struct helper_answer *a)
{
	char exe[32];
	struct statx st;

	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)pid);
	if (pid <= 0 || statx(AT_FDCWD, exe, AT_STATX_DONT_SYNC, STATX_INO, &st) < 0)
		return pid <= 0 ? -EINVAL : -errno;
	a->dev = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
	a->ino = st.stx_ino;
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
