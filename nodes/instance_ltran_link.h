/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An instance's side of ltran_abi.h: registration, and what is asked of ltran while it runs.
 * Knows neither DPDK nor stacks nor what is in the socket table.
 */
#ifndef NODES_INSTANCE_LTRAN_LINK_H
#define NODES_INSTANCE_LTRAN_LINK_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nodes/ltran_bells.h"

#define LTRAN_RETRY_MS 100  /* between attempts of a start that waits for ltran */
#define LTRAN_RESUME_MS 50  /* the same when ltran has gone */
#define LTRAN_REFUSED_MS 1000 /* the same when it came back and refused */
#define LTRAN_ANSWER_MS 1000 /* an answer takes no longer, or the question is dropped */
#define LTRAN_PORTS_MS 300   /* the same, where a stack waits for it */

struct ltran_link;

struct ltran_link_params {
	const char *dir;    /* of the registration socket */
	const char *prefix; /* unix_prefix */
	uint32_t addr, mask, gateway; /* network byte order; gateway 0: none */
	uint16_t n_queues, mtu;
	uint8_t mac[6];     /* wanted; zeros: any */
	int table_fd;       /* the socket table; the caller's, must stay open */
	/* What the calling thread's signal mask was before all were blocked: a signal that ends the
	 * program ends the wait for ltran too. */
	const sigset_t *signals;
};

/*
 * Register; waits without limit, with a line on stderr, for ltran and while ltran answers EBUSY (the
 * user's other programs ask too much just now). All signals are blocked in the
 * calling thread. 0 or -errno with one line for people: ltran's refusal; -EINTR: SIGTERM, SIGINT or
 * SIGQUIT came, and the program has a handler for it, which has run.
 */
int ltran_link_open(const struct ltran_link_params *p, struct ltran_link **out, char *err,
	size_t err_len);
void ltran_link_close(struct ltran_link *l); /* ltran forgets the instance; NULL allowed */

/* Constant after ltran_link_open(), but for `blocks`. */
const struct ltran_registered *ltran_link_grant(const struct ltran_link *l);
/* Masks of the local ports that are ours (LTRAN_BLOCK_WORDS); they may grow at any time. */
const _Atomic uint64_t *ltran_link_ports(const struct ltran_link *l);

/* The doorbells; as long as the link. */
const struct ltran_bells *ltran_link_bells(const struct ltran_link *l);

/* Any thread. 0 or -EADDRINUSE, with the pid of the instance that has the port (0: not known).
 * While ltran does not answer the question is answered with 0, after LTRAN_ANSWER_MS. */
int ltran_link_listen(struct ltran_link *l, uint8_t protocol, uint16_t port, bool reuseport,
	uint32_t identity, uint32_t *pid);
/* Any thread. One more block of ports; 0, -ENOSPC, or -EAGAIN: no answer in LTRAN_PORTS_MS. */
int ltran_link_more_ports(struct ltran_link *l);

/* Around fork(): the child must not keep the registration alive. */
void ltran_link_before_fork(struct ltran_link *l);
void ltran_link_after_fork(struct ltran_link *l, bool is_child);

#endif
