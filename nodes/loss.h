/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One direction of a lossy path: packets get lost at random or come out a fixed time later.
 *
 * Which packets of a sequence get lost depends on probability and seed alone, so that different
 * senders meet the same path. Made for measurements; the product's graphs have none of it. One
 * thread walks the graphs at both ends of a queue.
 */
#ifndef NODES_LOSS_H
#define NODES_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

/* The generator is splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
 * OOPSLA 2014): one multiplication chain per packet, any seed is good. */
struct loss_dice {
	uint64_t state;
	uint64_t threshold; /* of 2^32 outcomes so many mean "lost" */
};

struct loss_due {
	struct rte_mbuf *m;
	uint64_t tsc; /* leaves then */
};

struct loss {
	struct loss_dice dice;
	uint64_t delay_tsc;
	uint32_t mask; /* of the queue, whose size is a power of 2 */
	uint32_t head, tail; /* free running; head: next to leave */
	uint64_t n_in, n_lost, n_full, n_out; /* packets; n_full: found the queue full */
	struct loss_due queue[];
};

enum loss_verdict { LOSS_PASS, LOSS_LOST, LOSS_QUEUE_FULL };

/* `probability` from 0 to 1. */
static inline struct loss_dice
loss_dice(double probability, uint64_t seed)
{
	return (struct loss_dice){ .state = seed, .threshold = (uint64_t)(probability * 0x1p32) };
}

/* The fate of the next packet. */
static inline bool
loss_roll(struct loss_dice *d)
{
	uint64_t z = d->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) >> 32 < d->threshold;
}

/* `size` is a power of 2. NULL: no memory. */
struct loss *loss_create(struct loss_dice dice, uint64_t delay_tsc, uint32_t size);
/* Frees the packets that are still under way. */
void loss_destroy(struct loss *l);

/* Give the queue a packet. Unless LOSS_PASS, it still is the caller's. */
static inline enum loss_verdict
loss_put(struct loss *l, struct rte_mbuf *m, uint64_t now)
{
	l->n_in++;
	if (loss_roll(&l->dice)) {
		l->n_lost++;
		return LOSS_LOST;
	}
	if (l->tail - l->head > l->mask) {
		l->n_full++;
		return LOSS_QUEUE_FULL;
	}
	l->queue[l->tail++ & l->mask] = (struct loss_due){ m, now + l->delay_tsc };
	return LOSS_PASS;
}

/* Up to `max` packets whose time has come, in the order they came; now the caller's. */
static inline uint16_t
loss_take(struct loss *l, struct rte_mbuf **pkts, uint16_t max, uint64_t now)
{
	uint16_t n = 0;

	while (n < max && l->head != l->tail && l->queue[l->head & l->mask].tsc <= now)
		pkts[n++] = l->queue[l->head++ & l->mask].m;
	l->n_out += n;
	return n;
}

#endif
