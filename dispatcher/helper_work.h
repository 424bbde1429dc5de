/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests of helper.c and their execution, which knows nothing of processes and sockets between them. */
#ifndef DISPATCHER_HELPER_WORK_H
#define DISPATCHER_HELPER_WORK_H

#include <limits.h>
#include <net/if.h>
#include <stdint.h>

#include "nodes/ltran_abi.h"

enum helper_op {
	HELPER_PLACE = 1,
	HELPER_PROGRAM,
	HELPER_MAKE_ROOM,
	HELPER_REMOVE_ROOM,
	HELPER_CHECK_RING,
	HELPER_CONNECT_RING,
	HELPER_REMOVE_RING,
	HELPER_REMOVE_OWN,
	HELPER_PACKET_SOCKET,
	HELPER_SET_DEVICE,
	HELPER_KEEP, /* with descriptors: helper_keep.h */
};

struct helper_request {
	uint32_t op;
	uint32_t uid;
	int32_t pid;
	int32_t type, protocol; /* of a socket */
	uint64_t ioctl;
	struct ifreq ifr;
	char path[LTRAN_PATH_MAX];   /* HELPER_PLACE: the directory */
	char prefix[LTRAN_PATH_MAX]; /* HELPER_PLACE */
};

struct helper_answer {
	int32_t ret;
	uint64_t dev, ino;
};

/* What the first HELPER_PLACE has said. */
struct helper_place {
	char dir[LTRAN_PATH_MAX];
	char prefix[LTRAN_PATH_MAX];
};

/* The answer, and the descriptor that goes with it or -1. Whatever is in the request, only what is
 * allowed is done. */
int helper_work(struct helper_place *place, const struct helper_request *q, struct helper_answer *a);

#endif
