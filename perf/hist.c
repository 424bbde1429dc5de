/* SPDX-License-Identifier: BSD-3-Clause */
/* Clocks and a latency histogram with buckets of equal relative width. */
#include "perf/hist.h"

#include <time.h>

#define SUB (1u << HIST_SUB_BITS)

static unsigned int
bucket_of(uint64_t ns)
{
	unsigned int shift;

	if (ns < SUB)
		return (unsigned int)ns;
	shift = 63 - HIST_SUB_BITS - (unsigned int)__builtin_clzll(ns);
	return ((shift + 1) << HIST_SUB_BITS) + (unsigned int)((ns >> shift) & (SUB - 1));
}

/* Largest time that falls into the bucket. */
static uint64_t
bucket_end(unsigned int b)
{
	unsigned int shift;

	if (b < SUB)
		return b;
	shift = (b >> HIST_SUB_BITS) - 1;
	return ((uint64_t)(SUB + (b & (SUB - 1)) + 1) << shift) - 1;
}

void
hist_add(struct hist *h, uint64_t ns)
{
	h->n++;
	if (ns > h->max_ns)
		h->max_ns = ns;
	h->bucket[bucket_of(ns)]++;
}

double
hist_percentile_us(const struct hist *h, double share)
{
	uint64_t below = 0, wanted = (uint64_t)((double)h->n * share);

	if (h->n == 0)
		return 0;
	for (unsigned int b = 0; b < HIST_BUCKETS; b++) {
		below += h->bucket[b];
		if (below > wanted) {
			uint64_t end = bucket_end(b);

			return (double)(end < h->max_ns ? end : h->max_ns) / 1e3;
		}
	}
	return (double)h->max_ns / 1e3;
}

static uint64_t
read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t
clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t
clock_cpu_ns(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}
