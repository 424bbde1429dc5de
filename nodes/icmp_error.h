/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP errors that nodes send. Holder of the core's stack lock only. */
#ifndef NODES_ICMP_ERROR_H
#define NODES_ICMP_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#define ICMP_ERROR_UNREACHABLE 3
#define ICMP_ERROR_PORT 3 /* code of UNREACHABLE */
#define ICMP_ERROR_TIME_EXCEEDED 11
#define ICMP_ERROR_REASSEMBLY 1 /* code of TIME_EXCEEDED */

struct token_bucket;
struct rte_mbuf;
struct worker;

/* The error that answers packet `m` (data_off at its link header, l2_len set), ready for
 * ip4-output; NULL: no memory. `m` stays the caller's. */
struct rte_mbuf *icmp_error_build(const struct worker *w, const struct rte_mbuf *m, uint8_t type,
	uint8_t code);
/* Take one token; `now` and `hz` in TSC cycles. */
bool icmp_error_take(struct token_bucket *b, uint64_t now, uint64_t hz);

#endif
