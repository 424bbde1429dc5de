/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports whose listener other processes have, too (`left` in the head of ltran_abi.h's socket table):
 * written by one stack, read by ltran at the same time. Ports in network order, times in ms of
 * CLOCK_MONOTONIC.
 */
#ifndef NODES_LTRAN_LEFT_H
#define NODES_LTRAN_LEFT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "nodes/ltran_abi.h"

static inline uint64_t
ltran_left_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The entry of this port; else a free one, else the oldest of those that are not listened on, else NULL:
 * the port stays unseen, and who comes after its end is refused at once. */
static inline uint64_t *
ltran_left_entry(uint64_t left[LTRAN_LEFT_MAX], uint16_t port)
{
	uint64_t *room = NULL;

	for (int i = 0; i < LTRAN_LEFT_MAX; i++) {
		if (left[i] != 0 && (uint16_t)left[i] == port)
			return &left[i];
		if ((left[i] & LTRAN_LEFT_LISTENS) == 0 &&
			(room == NULL || left[i] >> 32 < *room >> 32))
			room = &left[i];
	}
	return room;
}

/* The writer's: it listens on the port. */
static inline void
ltran_left_listens(uint64_t left[LTRAN_LEFT_MAX], uint16_t port)
{
	uint64_t *e = ltran_left_entry(left, port);

	if (e != NULL)
		__atomic_store_n(e, port | LTRAN_LEFT_LISTENS, __ATOMIC_RELEASE);
}

/* The writer's: it does not any more, and the listener lives on. Before it goes out of the table. */
static inline void
ltran_left_ends(uint64_t left[LTRAN_LEFT_MAX], uint16_t port, uint64_t now_ms)
{
	uint64_t *e = ltran_left_entry(left, port);

	if (e != NULL)
		__atomic_store_n(e, port | now_ms << 32, __ATOMIC_RELEASE);
}

/* The writer's: the listener has ended for all, or another one stands there that does not live on. */
static inline void
ltran_left_forget(uint64_t left[LTRAN_LEFT_MAX], uint16_t port)
{
	uint64_t *e = ltran_left_entry(left, port);

	if (e != NULL && *e != 0 && (uint16_t)*e == port)
		__atomic_store_n(e, 0, __ATOMIC_RELEASE);
}

/* The reader's, who believes nothing: for how many ms more the next listener is waited for where the one of
 * this entry has ended. 0: it listens, or too long ago. */
static inline uint32_t
ltran_left_rest_ms(uint64_t entry, uint64_t now_ms)
{
	uint32_t age_ms = (uint32_t)now_ms - (uint32_t)(entry >> 32);

	return (entry & LTRAN_LEFT_LISTENS) == 0 && age_ms < LTRAN_LEFT_MS ? LTRAN_LEFT_MS - age_ms : 0;
}

/* The reader's: the same for a port. */
static inline bool
ltran_left_is_awaited(const uint64_t left[LTRAN_LEFT_MAX], uint16_t port, uint64_t now_ms)
{
	for (int i = 0; i < LTRAN_LEFT_MAX; i++) {
		uint64_t e = __atomic_load_n(&left[i], __ATOMIC_ACQUIRE);

		if (e != 0 && (uint16_t)e == port && ltran_left_rest_ms(e, now_ms) > 0)
			return true;
	}
	return false;
}

#endif
