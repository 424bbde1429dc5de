/* SPDX-License-Identifier: BSD-3-Clause */
/* gazellectl's side of the control socket: find a process, ask it. */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include <stddef.h>

#include "ctl/ctl_abi.h"
#include "ctl/path.h"
#include "ctl/snapshot.h"

struct ctl_client {
	const char *dir;    /* run directory; NULL: those of this user */
	const char *prefix; /* unix_prefix, "" without */
};

struct ctl_target {
	struct ctl_identity id;
	int fd;
};

/* Exit codes of gazellectl. */
enum { CTL_EXIT_OK, CTL_EXIT_FAILED, CTL_EXIT_USAGE };

/*
 * Connect to the process of `kind` (NULL: any) that `what` names: a pid, an IP address, or NULL for
 * the only one there is. Asks all candidates at once and takes a second at most. Stale sockets met
 * on the way are removed. An exit code; other than OK with one line for people in `err`.
 */
int ctl_client_find(const struct ctl_client *c, const char *kind, const char *what,
	struct ctl_target *out, char *err, size_t err_len);

/* One request and its answer within the command's time: a document to be freed with free(). 0 or
 * -errno, with one line for people in `err`. */
int ctl_client_ask(int fd, enum ctl_command command, const void *request, char **body, size_t *len,
	char *err, size_t err_len);

#endif
