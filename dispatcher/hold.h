/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SYNs that a worker holds because nobody listens on their port just now, but somebody is expected to
 * (ltran_left.h): a prefork server exchanges its workers. Node `hold` puts them in, node `hold-timer`
 * lets them out as soon as somebody listens, or lets them go the way of every SYN to a closed port.
 *
 * What is beyond the bounds is dropped and comes again: a client repeats its SYN.
 */
#ifndef DISPATCHER_HOLD_H
#define DISPATCHER_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "nodes/ltran_abi.h"

#define HOLD_MAX 256
#define HOLD_ADDR_MAX 64      /* for one address */
#define HOLD_MS LTRAN_LEFT_MS /* none is held for longer */
#define HOLD_LOOK_MS 2        /* whether somebody listens */
#define HOLD_REST 16          /* ... and not before this many times as long as the last look took */

struct rte_mbuf;
struct dispatch_worker;

/* One worker's. */
struct hold {
	uint16_t n;
	uint64_t look_tsc; /* not before */
	struct {
		struct rte_mbuf *m;
		uint64_t until_tsc;
		bool is_out; /* for dispatch-out */
	} held[HOLD_MAX];
};

/* Gives up what is held; the worker does not walk any more. */
void hold_free(struct hold *h);

#endif
