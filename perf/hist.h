/* SPDX-License-Identifier: BSD-3-Clause */
/* Clocks and a latency histogram for the benchmark programs. */
#ifndef PERF_HIST_H
#define PERF_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 6 /* 64 buckets per power of two: percentiles are exact to 1.6 % */
#define HIST_BUCKETS ((64 - HIST_SUB_BITS) << HIST_SUB_BITS)

/* Of one thread. All zero is an empty one. */
struct hist {
	uint64_t n, max_ns;
	uint64_t bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t ns);

/* The time in microseconds that `share` (0 to 1) of the entries did not exceed; 0 when empty. */
double hist_percentile_us(const struct hist *h, double share);

/* Monotonic time, and CPU time of the calling thread. */
uint64_t clock_ns(void);
uint64_t clock_cpu_ns(void);

#endif
