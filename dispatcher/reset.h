/* SPDX-License-Identifier: BSD-3-Clause */
/* What a segment for nobody is answered with; for node `reset` and its tests. */
#ifndef DISPATCHER_RESET_H
#define DISPATCHER_RESET_H

#include <stdint.h>

struct rte_mbuf;

enum reset_result { /* rows of the node */
	RESET_TRUNCATED,
	RESET_BAD_CHECKSUM,
	RESET_IS_RESET,
	RESET_BAD_SOURCE,
	RESET_ROWS,
	RESET_ANSWER = RESET_ROWS
};

struct reset_verdict {
	enum reset_result result;
	uint32_t seq, ack; /* of the answer, host order */
	uint8_t flags;     /* of the answer */
};

/* `m`: a frame whose IPv4 header is whole and says TCP, no fragment. */
struct reset_verdict reset_verdict(const struct rte_mbuf *m);

#endif
