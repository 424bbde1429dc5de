/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which messages of the vhost-user protocol an instance may send, and when. Pure but for two questions
 * to the kernel about the files of its memory; see vhost_rules.c.
 */
#ifndef DISPATCHER_VHOST_RULES_H
#define DISPATCHER_VHOST_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nodes/ltran_abi.h"

#define VHOST_REGIONS_MAX 8 /* librte_vhost takes no more */
#define VHOST_RING_MIN 32   /* descriptors: as many as it takes packets at a time, see ring_burst.h */
#define VHOST_WHY_MAX 128

/* A message; host's byte order. `size` bytes of payload follow the first three fields. */
struct vhost_message {
	uint32_t request, flags, size;
	union {
		uint64_t number;
		struct {
			uint32_t index, num;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} address;
		struct {
			uint32_t n, pad;
			struct {
				uint64_t guest, bytes, user, offset;
			} region[VHOST_REGIONS_MAX];
		} memory;
	} payload;
} __attribute__((packed));

#define VHOST_HEADER offsetof(struct vhost_message, payload)

/* What one connection has said so far. */
struct vhost_rules {
	uint16_t n_rings;       /* two per queue pair */
	uint64_t memory_max;    /* bytes of all its regions */
	bool has_features, has_memory;
	uint8_t ring[2 * LTRAN_QUEUES_MAX]; /* bits RING_* of vhost_rules.c */
};

/*
 * May `m`, whole, with these descriptors, be handed to librte_vhost now? 0: yes, and `m` has been
 * changed where it named a doorbell; -1: never, `why` says it. Its descriptors are to be handed on
 * only if vhost_message_has_memory().
 */
int vhost_rules_check(struct vhost_rules *r, struct vhost_message *m, const int *fds, unsigned int n_fds,
	char why[VHOST_WHY_MAX]);

bool vhost_message_has_memory(const struct vhost_message *m);
/* A question, which librte_vhost answers and which changes nothing. */
bool vhost_message_is_question(const struct vhost_message *m);
/* librte_vhost answers with something of its own; else it can be asked for an acknowledgement. */
bool vhost_message_is_answered(const struct vhost_message *m);

#define VHOST_FLAG_VERSION 1u
#define VHOST_FLAG_REPLY 4u
#define VHOST_FLAG_NEED_REPLY 8u

#endif
