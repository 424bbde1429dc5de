/* SPDX-License-Identifier: BSD-3-Clause */
/* The connection behind one ring: the instance on one side, librte_vhost on the other; see ring_link.c. */
#ifndef DISPATCHER_RING_LINK_H
#define DISPATCHER_RING_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dispatcher/vhost_rules.h"

struct ring_link {
	int instance_fd, vhost_fd; /* -1: none */
	uid_t uid;                 /* of the instance */
	struct vhost_rules rules;
	struct vhost_message in;   /* from the instance, the first n_in bytes of it */
	uint32_t n_in;
	int fds[VHOST_REGIONS_MAX];
	unsigned int n_fds;
	bool is_waiting;           /* librte_vhost has a message and has not said what came of it */
	uint64_t unsent_us;        /* not 0: `in` could not be sent since then, for want of descriptors */
	bool wants_answer;         /* and the instance wants to hear it */
	uint64_t since_us, n_messages; /* of the bound on their rate */
	unsigned int n_taken;          /* messages so far */
};

enum ring_link_state {
	RING_LINK_OPEN,
	RING_LINK_ENDED,  /* one of the two has hung up */
	RING_LINK_REFUSED /* the instance has said what it may not, or too much: `why` */
};

struct ring_link_ops {
	/* librte_vhost is about to get a message that changes something: nobody may use the ring. */
	void (*pause)(void *arg);
	/* And it has done what the message says. */
	void (*resume)(void *arg);
};

/* Connects to the instance that listens on `path`, which must be `pid` of `uid`, without waiting. 0, with
 * the end for librte_vhost in *vhost_end, or -errno. */
int ring_link_open(struct ring_link *l, const char *path, pid_t pid, uid_t uid, uint16_t n_queues,
	int *vhost_end);
void ring_link_close(struct ring_link *l);

/* Hands on what has come, without waiting; with `may_read` false only what librte_vhost has answered. */
enum ring_link_state ring_link_serve(struct ring_link *l, const struct ring_link_ops *ops, void *arg,
	bool may_read, uint64_t now_us, char why[VHOST_WHY_MAX]);

/* vhost_connect.c: the next connect() of this thread gets `fd` instead of a new connection. */
void vhost_connect_give(int fd);

#endif
