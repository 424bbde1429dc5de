/* SPDX-License-Identifier: BSD-3-Clause */
/* Other users' processes: becoming one of them, and telling root when he has to. */
#include "ctl/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
find_user(const char *name, uid_t *uid, gid_t *gid)
{
	const struct passwd *p = getpwnam(name);
	unsigned long n;
	char *end;

	if (p != NULL) {
		*uid = p->pw_uid;
		*gid = p->pw_gid;
		return 0;
	}
	errno = 0;
	n = strtoul(name, &end, 10);
	if (name[0] < '0' || name[0] > '9' || *end != '\0' || errno != 0 || n >= (uid_t)-1)
		return -ENOENT;
	*uid = n;
	p = getpwuid(*uid);
	*gid = p != NULL ? p->pw_gid : (gid_t)n;
	return 0;
}

int
ctl_user_become(const char *name, char *err, size_t err_len)
{
	uid_t uid;
	gid_t gid;
	int ret = find_user(name, &uid, &gid);

	if (ret < 0) {
		snprintf(err, err_len, "--user: there is no user %s", name);
		return ret;
	}
	if (uid == geteuid())
		return 0;
	/* The directories of that user are the usual ones, whatever ours is. */
	unsetenv("XDG_RUNTIME_DIR");
	if (setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0)
		return 0;
	ret = -errno;
	snprintf(err, err_len, "--user %s: %s", name, strerror(-ret));
	return ret;
}

void
ctl_user_hint(const char *what, char *buf, size_t len)
{
	const struct passwd *p;
	struct stat st;
	char path[64];

	if (geteuid() != 0)
		return;
	if (what == NULL || what[strspn(what, "0123456789")] != '\0') {
		snprintf(buf, len, " for user root (option --user)");
		return;
	}
	snprintf(path, sizeof(path), "/proc/%.20s", what);
	if (stat(path, &st) < 0 || st.st_uid == 0)
		return;
	p = getpwuid(st.st_uid);
	if (p != NULL)
		snprintf(buf, len, "; it is user %s's: add --user %s", p->pw_name, p->pw_name);
	else
		snprintf(buf, len, "; it is user %u's: add --user %u", st.st_uid, st.st_uid);
}
