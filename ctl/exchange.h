/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Questions to control sockets, any number of them at the same time, all within one time limit.
 *
 * What is on the other side is not trusted to be well-behaved: it may be silent, slow, endless, or
 * may not be Gazelle at all. An exchange ends by its deadline whatever happens, and holds no more
 * than the answer's limit in memory.
 */
#ifndef CTL_EXCHANGE_H
#define CTL_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "ctl/ctl_abi.h"

struct ctl_exchange {
	const char *path; /* connect to this socket first; NULL: fd is a connection */
	int fd;           /* the caller's, also after an error; -1: none */
	int result;       /* CTL_EXCHANGE_GOING, then 0 or -errno */
	enum ctl_command command;
	char *out;        /* request, owned */
	size_t out_len, out_done;
	struct ctl_header header; /* of the answer */
	size_t header_done;
	char *body;       /* of the answer, with a terminator behind it; owned */
	size_t body_done, body_room;
};

enum { CTL_EXCHANGE_GOING = 1 };

/* Monotonic, ms. */
int64_t ctl_now_ms(void);

/* `request` as the command has it, or NULL. x->path and x->fd are set by the caller. 0 or -errno. */
int ctl_exchange_begin(struct ctl_exchange *x, enum ctl_command command, const void *request);
/* Until each of them has ended; what has not by `deadline_ms` ends with -ETIMEDOUT. */
void ctl_exchange_run(struct ctl_exchange *x, size_t n, int64_t deadline_ms);
/* Frees what it owns; the descriptor stays. */
void ctl_exchange_end(struct ctl_exchange *x);

#endif
