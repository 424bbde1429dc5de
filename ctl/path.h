/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The run directory and the control sockets in it: DIR/{unix_prefix}{kind}_{pid}.sock.
 *
 * DIR belongs to the user who runs the process and has mode 0700, or 0711 with client_group in
 * ltran.conf. A name in it is published only when its socket listens, so a name whose socket refuses
 * connections is stale and may be removed.
 *
 * Nothing here uses a directory or a socket of another user than our own and root. Owner and mode are
 * looked at on the opened directory, and what is connected to is the very file that was looked at.
 */
#ifndef CTL_PATH_H
#define CTL_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CTL_RUN_DIR_ROOT "/var/run/gazelle"
#define CTL_RUN_DIRS_MAX 3
#define CTL_KIND_LSTACK "lstack"
#define CTL_KIND_LTRAN "ltran"

/* One control socket found. */
struct ctl_place {
	char prefix[NAME_MAX + 1];
	char kind[16];
	pid_t pid;
	char path[PATH_MAX];
};

/* The directory of this user: /var/run/gazelle for root where he may write there (in a user namespace
 * he may not), else gazelle under XDG_RUNTIME_DIR if that is this user's, else /tmp/gazelle-UID. */
int ctl_run_dir(char *buf, size_t len);

/* Every directory that ctl_run_dir() may have given to a process of this user. Returns how many. */
int ctl_run_dirs(char dirs[CTL_RUN_DIRS_MAX][PATH_MAX]);

/* Make `dir` if needed and see that it is ours, and that nobody else can put names into it. 0 or -errno; -EPERM: it
 * belongs to somebody else, -ENOTDIR: it is no directory, perhaps a symbolic link. */
int ctl_run_dir_make(const char *dir);
/* Why that failed, for people. */
void ctl_run_dir_explain(const char *dir, int error, char *buf, size_t len);

/* "redis-lstack_12.sock" with kind "lstack": prefix "redis-", pid 12. False: no such name. */
bool ctl_name_parse(const char *name, const char *kind, struct ctl_place *out);

/* Every control socket of `kind` under `dir`, sorted by pid. Returns how many, or -errno (-EPERM: the
 * directory is another user's, or open to others); *out is freed with free() in both cases. The
 * second adds to the `n` that *out holds. */
int ctl_places(const char *dir, const char *kind, struct ctl_place **out);
int ctl_places_add(const char *dir, const char *kind, struct ctl_place **out, int n);

/* A stream connected to the socket, non-blocking; names longer than a socket address are fine.
 * -ECONNREFUSED: stale; -EAGAIN: too many wait to be accepted; -EPERM: directory, socket or the
 * process behind it belong to another user than us and root. */
int ctl_dial(const char *path);
int ctl_dial_as(const char *path, int type); /* SOCK_SEQPACKET: ltran's registration socket */

/* Remove every stale socket of `kind`, whatever its prefix. */
void ctl_remove_stale(const char *dir, const char *kind);

#endif
