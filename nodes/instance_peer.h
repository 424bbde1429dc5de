/* SPDX-License-Identifier: BSD-3-Clause */
/* Bounds the wait for the other end of a virtio-user server socket. */
#ifndef NODES_INSTANCE_PEER_H
#define NODES_INSTANCE_PEER_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/un.h>

#define PEER_NOTICE_S 2
#define PEER_WAIT_S 30

struct eal_params;

struct peer_watch {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct sockaddr_un addr;
	const sigset_t *mask;
	bool is_running, is_over, gave_up, has_signal; /* lock */
};

/* Around eal_start(), with all signals blocked; `mask` is the program's, and outlives the watch. Does nothing
 * where the arguments have no virtio-user server. */
void peer_watch_start(struct peer_watch *w, const struct eal_params *p, const sigset_t *mask);
/* 0; -ETIMEDOUT: nobody came in time; -EINTR: the program was asked to end before. */
int peer_watch_stop(struct peer_watch *w);

#endif
