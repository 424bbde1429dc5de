/* SPDX-License-Identifier: BSD-3-Clause */
/* A stack for tests of nodes/: remembers what came in, hands out what the test queued. */
#ifndef TESTS_FAKE_STACK_H
#define TESTS_FAKE_STACK_H

#include <stdint.h>

#include <rte_mbuf.h>

#include "stack/edge.h"

#define FAKE_STACK_MAX 512

struct stack {
	struct rte_mbuf *in[FAKE_STACK_MAX]; /* owned by the test after the walk */
	uint16_t n_in, n_tcp, n_udp, n_icmp;
	enum stack_verdict verdict; /* on everything that comes in */
	struct rte_mbuf *out[FAKE_STACK_MAX];
	uint16_t n_out;
	uint16_t max_asked; /* of the last stack_tx() */
	unsigned int n_kicks;
};

#endif
