/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket table of ltran_abi.h: written by one stack, read by ltran at the same time. */
#ifndef NODES_LTRAN_TABLE_H
#define NODES_LTRAN_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "nodes/ltran_abi.h"

/* Ports and addresses as in the packet (network order). Remote 0: listener or bound socket. */
static inline uint64_t
ltran_slot_key(uint32_t raddr, uint16_t rport, uint16_t lport)
{
	return (uint64_t)raddr << 32 | (uint32_t)rport << 16 | lport;
}

static inline uint32_t
ltran_slot_hash(uint64_t key, uint8_t protocol)
{
	uint64_t x = key + protocol;

	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return (uint32_t)(x >> 32);
}

/* The `info` of the socket with this key and protocol; false: none. Any process that maps it. */
static inline bool
ltran_table_find(const struct ltran_slot *table, uint32_t n_slots, uint64_t key, uint8_t protocol,
	uint64_t *info)
{
	uint32_t at = ltran_slot_hash(key, protocol);

	for (int i = 0; i < LTRAN_PROBES; i++) {
		const struct ltran_slot *s = &table[(at + i) & (n_slots - 1)];
		uint64_t k = __atomic_load_n(&s->key, __ATOMIC_ACQUIRE);

		if (k == LTRAN_SLOT_EMPTY)
			return false;
		if (k != key)
			continue;
		*info = __atomic_load_n(&s->info, __ATOMIC_ACQUIRE);
		if ((uint8_t)*info == protocol && __atomic_load_n(&s->key, __ATOMIC_RELAXED) == key)
			return true;
	}
	return false;
}

/* Writer only. False: no room within LTRAN_PROBES slots; the socket stays unseen. A socket that is
 * there already gets the new `info`. */
static inline bool
ltran_table_add(struct ltran_slot *table, uint32_t n_slots, uint64_t key, uint64_t info)
{
	uint32_t at = ltran_slot_hash(key, (uint8_t)info);
	struct ltran_slot *room = NULL;

	for (int i = 0; i < LTRAN_PROBES; i++) {
		struct ltran_slot *s = &table[(at + i) & (n_slots - 1)];

		if (s->key == key && (uint8_t)s->info == (uint8_t)info) {
			__atomic_store_n(&s->info, info, __ATOMIC_RELEASE);
			return true;
		}
		if (room == NULL && (s->key == LTRAN_SLOT_EMPTY || s->key == LTRAN_SLOT_FREED))
			room = s;
		if (s->key == LTRAN_SLOT_EMPTY)
			break;
	}
	if (room == NULL)
		return false;
	/* Who sees it must not see the slot's former key any more. */
	__atomic_store_n(&room->info, info, __ATOMIC_RELEASE);
	__atomic_store_n(&room->key, key, __ATOMIC_RELEASE);
	return true;
}

/* No search needs to go on where none of the slots behind is used. Without it, a table that sees many
 * short connections would end as one long chain of freed slots. */
static inline void
ltran_table_tidy(struct ltran_slot *table, uint32_t n_slots, uint32_t at)
{
	if (table[(at + 1) & (n_slots - 1)].key != LTRAN_SLOT_EMPTY)
		return;
	while (table[at & (n_slots - 1)].key == LTRAN_SLOT_FREED)
		__atomic_store_n(&table[at-- & (n_slots - 1)].key, LTRAN_SLOT_EMPTY,
			__ATOMIC_RELEASE);
}

/* Writer only. */
static inline void
ltran_table_remove(struct ltran_slot *table, uint32_t n_slots, uint64_t key, uint8_t protocol)
{
	uint32_t at = ltran_slot_hash(key, protocol);

	for (int i = 0; i < LTRAN_PROBES; i++) {
		struct ltran_slot *s = &table[(at + i) & (n_slots - 1)];

		if (s->key == LTRAN_SLOT_EMPTY)
			return;
		if (s->key != key || (uint8_t)s->info != protocol)
			continue;
		__atomic_store_n(&s->key, LTRAN_SLOT_FREED, __ATOMIC_RELEASE);
		ltran_table_tidy(table, n_slots, at + i);
		return;
	}
}

#endif
