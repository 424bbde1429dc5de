/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What gazellectl asks for and nobody counts otherwise: how long packets from the NIC are, how many
 * come at a time, and how long they need from there into an instance's ring. Measured only while
 * somebody asks; workers pay one load per vector then and when not.
 */
#ifndef DISPATCHER_MEASURE_H
#define DISPATCHER_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "dispatcher/dispatcher.h"

struct ctl_measure;
struct ctl_measure_request;

/* Upper bounds of the classes (RFC 2819), and of bursts; the last is open. */
#define MEASURE_LENGTHS 8
#define MEASURE_BURSTS 9
extern const uint32_t measure_lengths[MEASURE_LENGTHS];
extern const uint32_t measure_bursts[MEASURE_BURSTS];

struct measure_latency {
	uint64_t pkts, min_tsc, max_tsc, sum_tsc;
};

/* Of one worker, written by it. */
struct measure {
	uint32_t round;  /* of `lt`: another one begins with zeros */
	uint64_t in_tsc; /* when the last vector came from the NIC, */
	uint64_t in_walk; /* and in which walk */
	uint64_t lengths[MEASURE_LENGTHS], bursts[MEASURE_BURSTS];
	struct measure_latency latency[MEMBERS_MAX];
};

/* Worker: is a measurement running? Then measure_in() on what the NIC brought, and measure_out() on
 * what went into the ring of a member. */
static inline bool
measure_is_on(const struct dispatch_worker *dw)
{
	return __builtin_expect(
		atomic_load_explicit(&dw->lt->measure_round, memory_order_relaxed) != 0, 0);
}
void measure_in(struct dispatch_worker *dw, struct rte_mbuf *const *pkts, uint16_t n);
void measure_out(struct dispatch_worker *dw, const struct member *m, struct rte_mbuf *const *pkts,
	uint16_t n);

/* Control socket's thread. 0 or -errno with a line in `err`. */
int measure_answer(struct ltran *lt, const struct ctl_measure_request *r, struct ctl_measure *out,
	char *err, size_t err_len);
/* After workers_stop(), or when no worker can measure any more. */
void measure_free(struct ltran *lt);

#endif
