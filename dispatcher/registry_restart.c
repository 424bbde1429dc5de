/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instances of an earlier ltran. They keep their rings' names and their local ports, and register
 * again as soon as we listen. Until they have, a new instance could be given what is theirs; so it
 * has to wait for a moment, if rings of living processes are in the run directory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatcher/beneath.h"
#include "dispatcher/registry.h"

#define NAMES_MAX 65536 /* of one directory: its user may make any number */

/* "{prefix}ltran_PID_N.vhost"; 0: another name. */
static pid_t
pid_of_ring(const struct registry *r, const char *name)
{
	const char *prefix = r->lt->conf->unix_prefix;
	char again[NAME_MAX + 1];
	unsigned int counter;
	int pid;

	if (strncmp(name, prefix, strlen(prefix)) != 0 ||
		sscanf(name + strlen(prefix), LTRAN_RING_FORMAT, &pid, &counter) != 2 || pid <= 0)
		return 0;
	snprintf(again, sizeof(again), "%s" LTRAN_RING_FORMAT, prefix, pid, counter);
	return strcmp(again, name) == 0 ? pid : 0;
}

static void
expect_one(struct registry *r, const char *path)
{
	void *grown;

	if (strlen(path) >= LTRAN_PATH_MAX || r->n_expected == MEMBERS_MAX)
		return;
	grown = realloc(r->expected, (r->n_expected + 1) * sizeof(*r->expected));
	if (grown == NULL)
		return;
	r->expected = grown;
	memcpy(r->expected[r->n_expected++], path, strlen(path) + 1);
}

/* "{prefix}ring_UID" */
static bool
is_room(const struct registry *r, const char *name)
{
	const char *prefix = r->lt->conf->unix_prefix;
	char again[NAME_MAX + 1];
	unsigned int uid;

	if (strncmp(name, prefix, strlen(prefix)) != 0 ||
		sscanf(name + strlen(prefix), REGISTRY_ROOM_FORMAT, &uid) != 1)
		return false;
	snprintf(again, sizeof(again), "%s" REGISTRY_ROOM_FORMAT, prefix, uid);
	return strcmp(again, name) == 0;
}

static void
look_at_ring(struct registry *r, int dir, const char *name, const char *path, pid_t pid)
{
	int fd = beneath_open(dir, name, O_PATH);
	struct stat st;
	bool is_socket = fd >= 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);

	if (fd >= 0)
		close(fd);
	if (!is_socket)
		return;
	if (kill(pid, 0) < 0 && errno == ESRCH)
		unlinkat(dir, name, 0);
	else
		expect_one(r, path);
}

/* Takes `fd`, of directory `path`. `depth` 0: a user's own one, which has nothing but rings. */
static void
look_into(struct registry *r, const char *path, int fd, unsigned int depth)
{
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	unsigned int n = 0;
	struct dirent *e;

	while (d != NULL && n++ < NAMES_MAX && (e = readdir(d)) != NULL) {
		char below[PATH_MAX + NAME_MAX + 2];
		pid_t pid = pid_of_ring(r, e->d_name);

		snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		if (pid != 0) {
			look_at_ring(r, fd, e->d_name, below, pid);
		} else if (depth > 0 && is_room(r, e->d_name)) {
			look_into(r, below, beneath_open(fd, e->d_name, O_RDONLY | O_DIRECTORY), depth - 1);
			unlinkat(fd, e->d_name, AT_REMOVEDIR); /* if it is empty */
		}
	}
	if (d != NULL)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

void
registry_expect(struct registry *r, uint64_t now_us)
{
	r->expect_until_us = now_us + REGISTRY_RESUME_US;
	look_into(r, r->dir, open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 1);
}

void
registry_arrived(struct registry *r, const char *path)
{
	for (unsigned int i = 0; i < r->n_expected; i++) {
		if (strcmp(r->expected[i], path) != 0)
			continue;
		memmove(r->expected[i], r->expected[--r->n_expected], sizeof(*r->expected));
		return;
	}
}

bool
registry_is_expecting(const struct registry *r, uint64_t now_us)
{
	return r->n_expected > 0 && now_us < r->expect_until_us;
}
