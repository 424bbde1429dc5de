/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names in the run directory.
 *
 *	DIR/{prefix}ltran_client.sock            registration: ltran's user, with client_group its members
 *	DIR/{prefix}ltran_PID_N.vhost            ring of an instance of ltran's user
 *	DIR/{prefix}ring_UID/...                 of another user: a directory of its own, since in DIR
 *	                                         only ltran's user may make names
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatcher/registry.h"

#define GROUP_BYTES 4096 /* of one line of the group file */

/* The directory for the rings of `uid`'s instances. */
static bool
name_room(const struct registry *r, uid_t uid, char path[LTRAN_PATH_MAX])
{
	const char *prefix = r->lt->conf->unix_prefix;
	int n = uid == geteuid() ? snprintf(path, LTRAN_PATH_MAX, "%s", r->dir) :
		snprintf(path, LTRAN_PATH_MAX, "%s/%s" REGISTRY_ROOM_FORMAT, r->dir, prefix, uid);

	return n > 0 && n < LTRAN_PATH_MAX;
}

bool
registry_name_ring(const struct registry *r, const struct registry_peer *peer, uint32_t counter,
	char path[LTRAN_PATH_MAX])
{
	char room[LTRAN_PATH_MAX];
	int n;

	if (!name_room(r, peer->uid, room))
		return false;
	n = snprintf(path, LTRAN_PATH_MAX, "%s/%s" LTRAN_RING_FORMAT, room,
		r->lt->conf->unix_prefix, (int)peer->pid, counter);
	return n > 0 && n < LTRAN_PATH_MAX;
}

int
registry_make_room(const struct registry *r, uid_t uid, char *text)
{
	char path[LTRAN_PATH_MAX];
	int ret;

	if (uid == geteuid())
		return 0;
	ret = name_room(r, uid, path) ? helper_make_room(uid) : -ENAMETOOLONG;
	if (ret == 0)
		return 0;
	snprintf(text, LTRAN_TEXT_MAX, "ltran can make no directory for user %u: %s", uid,
		strerror(-ret));
	return -EACCES;
}

void
registry_remove_room(const struct registry *r, uid_t uid)
{
	if (uid != geteuid())
		helper_remove_room(uid); /* others may still be in it */
}

int
registry_names_fit(const struct registry *r)
{
	const char *prefix = r->lt->conf->unix_prefix;
	size_t n = strlen(r->dir) + 1 + strlen(prefix) +
		snprintf(NULL, 0, LTRAN_RING_FORMAT, INT_MAX, UINT_MAX);

	if (r->lt->conf->client_group[0] != '\0')
		n += strlen(prefix) + 1 + snprintf(NULL, 0, REGISTRY_ROOM_FORMAT, UINT_MAX);
	return n < LTRAN_PATH_MAX ? 0 : -ENAMETOOLONG;
}

int
registry_let_group_in(const struct registry *r, char *err, size_t err_len)
{
	const char *name = r->lt->conf->client_group;
	char line[GROUP_BYTES];
	struct group g, *found;

	if (name[0] == '\0')
		return 0;
	if (getgrnam_r(name, &g, line, sizeof(line), &found) != 0 || found == NULL) {
		snprintf(err, err_len, "client_group: there is no group %s", name);
		return -ENOENT;
	}
	/* They must get through the directory, but neither list it nor make names in it. */
	if (chown(r->path, -1, g.gr_gid) == 0 && chmod(r->path, 0660) == 0 &&
		chmod(r->dir, 0711) == 0)
		return 0;
	snprintf(err, err_len, "client_group: %s: %s", r->path, strerror(errno));
	return -EACCES;
}
