/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instances of an earlier ltran. They keep their rings' names and their local ports, and register
 * again as soon as we listen. Until they have, a new instance could be given what is theirs; so it
 * has to wait for a moment, if rings of living processes are in the run directory.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatcher/registry.h"

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
	void *grown = strlen(path) >= LTRAN_PATH_MAX || r->n_expected == MEMBERS_MAX ? NULL : realloc(r->expected, (r->n_expected + 1) * sizeof(*r->expected));

	if (grown == NULL)
		return;
	r->expected = grown;
	memcpy(r->expected[r->n_expected++], path, strlen(path) + 1);
}

void
registry_expect(struct registry *r, uint64_t now_us)
{
	DIR *d = opendir(r->dir);
	struct dirent *e;

	r->expect_until_us = now_us + REGISTRY_RESUME_US;
	while (d != NULL && (e = readdir(d)) != NULL) {
		char path[PATH_MAX + NAME_MAX + 2];
		pid_t pid = pid_of_ring(r, e->d_name);
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", r->dir, e->d_name);
		if (pid == 0 || lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
			continue;
		if (kill(pid, 0) < 0 && errno == ESRCH)
			unlink(path);
		else
			expect_one(r, path);
	}
	if (d != NULL)
		closedir(d);
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
