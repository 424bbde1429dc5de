/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket of one process: a thread that answers requests from handlers the owner gives.
 * Used by liblstack and by ltran.
 */
#ifndef CTL_SERVER_H
#define CTL_SERVER_H

#include <stddef.h>

#include "ctl/ctl_abi.h"
#include "ctl/snapshot.h"

struct ctl_server;

/*
 * Answers one command, in the server's thread. `request` and `answer` point to the structs that
 * messages.c names for the command; `request` is NULL where the command has none, `answer` is zeroed
 * and its arrays are to come from malloc(). 0, or -errno with one line for people in `err`. May take
 * a moment (other clients wait), not for ever.
 */
struct ctl_handler {
	enum ctl_command command;
	int (*answer)(void *arg, const void *request, void *answer, char *err, size_t err_len);
};

struct ctl_server_params {
	const char *dir;    /* run directory; NULL: ctl_run_dir() */
	const char *prefix; /* unix_prefix */
	const char *kind;   /* CTL_KIND_LSTACK, CTL_KIND_LTRAN */
	const char *addr;   /* the stack's address, for gazellectl to find us by; may be NULL */
	const char *version;
	const struct ctl_handler *handlers; /* CTL_IDENTITY is answered by the server itself */
	size_t n_handlers;
	void *arg;
	unsigned int timeout_ms; /* for a request to arrive, and as long for its answer to leave; 0: CTL_EXCHANGE_MS */
};

/* Make the socket and start the thread, which blocks all signals. `handlers`, `kind` and `version`
 * must live as long as the server; the rest is copied. 0, or -errno with one line for people in `err`. */
int ctl_server_start(const struct ctl_server_params *p, struct ctl_server **out, char *err,
	size_t err_len);
/* End the thread and remove the socket. In a forked child only the child's copy goes away. */
void ctl_server_stop(struct ctl_server *s);
/* The socket's name in the file system. */
const char *ctl_server_path(const struct ctl_server *s);

/*
 * The answer to one request, without any socket: what the server sends back for `header` and `body`.
 * *out has the answer's header; *out_body is NULL or to be freed with free().
 */
void ctl_server_dispatch(const struct ctl_server_params *p, const struct ctl_header *header,
	const char *body, struct ctl_header *out, char **out_body);

#endif
