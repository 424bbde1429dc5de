/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports of an address with several instances: blocks of local ports, so that no two connections of
 * the address ever have the same 4-tuple, and listeners, which several may have only if all of them
 * want that. Who listens stands in the socket tables, and for the moment between the answer and the
 * table in the grants of the connection.
 */
#include <errno.h>
#include <string.h>

#include "dispatcher/registry.h"
#include "nodes/ltran_table.h"

/* Blocks of the other instances of m's address. */
static void
blocks_of_others(const struct registry *r, const struct member *m,
	uint64_t taken[LTRAN_BLOCK_WORDS])
{
	memset(taken, 0, LTRAN_BLOCK_WORDS * sizeof(taken[0]));
	for (unsigned int i = 0; i < r->n_members; i++) {
		const struct member *o = r->members[i];

		if (o == m || o->fd < 0 || o->addr != m->addr)
			continue;
		for (unsigned int w = 0; w < LTRAN_BLOCK_WORDS; w++)
			taken[w] |= o->blocks[w];
	}
}

bool
registry_ports_are_free(const struct registry *r, const struct member *m)
{
	uint64_t taken[LTRAN_BLOCK_WORDS];

	blocks_of_others(r, m, taken);
	for (unsigned int w = 0; w < LTRAN_BLOCK_WORDS; w++) {
		if ((taken[w] & m->blocks[w]) != 0)
			return false;
	}
	return true;
}

unsigned int
registry_give_ports(const struct registry *r, struct member *m, unsigned int n)
{
	uint64_t taken[LTRAN_BLOCK_WORDS];
	unsigned int given = 0;

	blocks_of_others(r, m, taken);
	for (unsigned int i = 0; i < LTRAN_PORT_BLOCKS && given < n; i++) {
		uint64_t bit = 1ull << i % 64;

		if (((taken[i / 64] | m->blocks[i / 64]) & bit) != 0)
			continue;
		m->blocks[i / 64] |= bit;
		given++;
	}
	return given;
}

/* May one who has a port and one who asks for it both have it? */
static bool
may_share(bool reuseport, uint32_t identity, const struct ltran_listen *q)
{
	if (reuseport && q->reuseport)
		return true;
	return identity != 0 && identity == (uint32_t)q->identity; /* the same socket, inherited */
}

/* True: `m` has the port, and it cannot be shared. UDP sockets may be in any table. */
static bool
table_forbids(const struct member *m, const struct ltran_listen *q)
{
	uint64_t key = ltran_slot_key(0, 0, q->port), info;

	for (uint16_t t = 0; t < m->n_queues; t++) {
		if (ltran_table_find(m->tables + (size_t)t * m->n_slots, m->n_slots, key,
			q->protocol, &info) &&
			!may_share(info & LTRAN_SLOT_REUSEPORT, info >> 32, q))
			return true;
	}
	return false;
}

static bool
grants_forbid(const struct registry_client *c, const struct ltran_listen *q, uint64_t now_us)
{
	for (unsigned int i = 0; i < REGISTRY_GRANTS; i++) {
		const struct registry_grant *g = &c->grants[i];

		if (now_us < g->until_us && g->port == q->port && g->protocol == q->protocol &&
			!may_share(g->reuseport, g->identity, q))
			return true;
	}
	return false;
}

int
registry_may_listen(const struct registry *r, struct registry_client *c,
	const struct ltran_listen *q, uint32_t *pid)
{
	uint64_t now_us = registry_now_us();

	for (const struct registry_client *o = r->clients; o != NULL; o = o->next) {
		if (o == c || o->is_closed || o->m == NULL || o->m->addr != c->m->addr)
			continue;
		if (table_forbids(o->m, q) || grants_forbid(o, q, now_us)) {
			*pid = o->m->pid;
			return -EADDRINUSE;
		}
	}
	c->grants[c->next_grant++ % REGISTRY_GRANTS] = (struct registry_grant){
		.until_us = now_us + REGISTRY_GRANT_US, .identity = q->identity,
		.port = q->port, .protocol = q->protocol, .reuseport = q->reuseport};
	return 0;
}
