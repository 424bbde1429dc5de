/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two halves of fuzz_peer.h share: what the peer says (fuzz_peer.c), what it hears (fuzz_peer_hear.c). */
#ifndef TESTS_FUZZ_PEER_PRIVATE_H
#define TESTS_FUZZ_PEER_PRIVATE_H

#include <rte_tcp.h>

#include "tests/fuzz_peer.h"

#define SCALE_MAX 14 /* RFC 7323 2.3 */
#define FUZZ_PEER_WINDOW 65535u /* of the handshake: without scale */

enum { FIN = RTE_TCP_FIN_FLAG, SYN = RTE_TCP_SYN_FLAG, RST = RTE_TCP_RST_FLAG, ACK = RTE_TCP_ACK_FLAG };

/* Fields of a finished segment; offsets from the streams' beginnings. */
struct fuzz_parts {
	bool is_whole; /* a receiver understands it */
	uint32_t seq, ack, at, len;
	uint16_t wnd;
	uint8_t flags, *payload;
	const uint8_t *opt;
	uint8_t opt_len;
};

static inline bool
is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool
was_sent(const struct fuzz_peer *p, uint32_t at)
{
	return at < FUZZ_STREAM_MAX && (p->is_sent[at / 8] & 1 << at % 8) != 0;
}

static inline bool
has_fin(const struct fuzz_peer *p, uint32_t at)
{
	return at < FUZZ_STREAM_MAX && (p->is_fin[at / 8] & 1 << at % 8) != 0;
}

/* MSS and scale of a SYN, the largest if there are several. Returns whether there is a scale. */
bool fuzz_peer_options(const uint8_t *opt, uint8_t len, uint16_t *mss, uint8_t *scale);

/* With FUZZ_TRACE in the environment: what passes, for whoever looks into a finding. */
bool fuzz_peer_traces(void);
void fuzz_peer_trace(const struct fuzz_peer *p, const char *who, const struct fuzz_parts *t);

#endif
