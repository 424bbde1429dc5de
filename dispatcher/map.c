/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The map: which instances have which address. Never changed once published; for every change the
 * control thread makes a new one.
 *
 * One allocation: the struct with by_host[], then addrs, members, order. by_host is indexed by the
 * host part of the address, so that a look-up is two loads; the subnet has at most 2^16 addresses.
 */
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dispatcher/dispatcher.h"

/* The address's entry, made when there is none yet; `out` of the subnet: entry 0. */
static struct map_addr *
entry_of(struct map *m, uint32_t addr)
{
	uint32_t host = rte_be_to_cpu_32(addr);
	uint16_t *at = &m->by_host[host & m->host_mask];

	if ((host & ~m->host_mask) != m->subnet)
		return &m->addrs[0];
	if (*at == 0) {
		*at = m->n_addrs++;
		m->addrs[*at].addr = addr;
	}
	return &m->addrs[*at];
}

static struct map *
alloc_map(const struct ltran_conf *conf, unsigned int n_addrs, unsigned int n_slots, unsigned int n)
{
	size_t n_hosts = (size_t)1 << conf->dispatch_subnet_length, at_addrs, at_members;
	struct map *m;

	at_addrs = RTE_ALIGN_CEIL(sizeof(*m) + n_hosts * sizeof(m->by_host[0]), sizeof(void *));
	at_members = RTE_ALIGN_CEIL(at_addrs + n_addrs * sizeof(struct map_addr), sizeof(void *));
	m = calloc(1, at_members + (n_slots + n) * sizeof(struct member *));
	if (m == NULL)
		return NULL;
	m->host_mask = n_hosts - 1;
	m->subnet = rte_be_to_cpu_32(conf->dispatch_subnet) & ~m->host_mask;
	m->addrs = (struct map_addr *)((char *)m + at_addrs);
	m->members = (struct member **)((char *)m + at_members);
	m->order = m->members + n_slots;
	m->n_members = n_slots;
	m->n_addrs = 1;
	return m;
}

struct map *
map_create(const struct ltran_conf *conf, struct member **members, unsigned int n,
	const uint32_t *gone, unsigned int n_gone)
{
	unsigned int i, first = 0, n_slots = 0;
	struct map *m;

	for (i = 0; i < n; i++)
		n_slots = RTE_MAX(n_slots, members[i]->index + 1u);
	m = alloc_map(conf, 1 + n + n_gone, n_slots, n);
	if (m == NULL)
		return NULL;
	for (i = 0; i < n; i++) {
		m->members[members[i]->index] = members[i];
		entry_of(m, members[i]->addr)->n++;
	}
	for (i = 0; i < n_gone; i++)
		entry_of(m, gone[i]);
	for (i = 1; i < m->n_addrs; i++) {
		m->addrs[i].first = first;
		first += m->addrs[i].n;
		m->addrs[i].n = 0;
	}
	for (i = 0; i < n; i++) {
		struct map_addr *a = entry_of(m, members[i]->addr);

		if (a != &m->addrs[0])
			m->order[a->first + a->n++] = members[i];
	}
	m->addrs[0] = (struct map_addr){0};
	return m;
}

void
map_await(struct map *m, const struct map_awaited *awaited, unsigned int n)
{
	if (n > 0)
		memcpy(m->awaited, awaited, n * sizeof(*awaited));
	m->n_awaited = n;
}

void
map_free(struct map *m)
{
	free(m);
}

void
map_publish(struct ltran *lt, struct map *m)
{
	const struct map *before = atomic_exchange(&lt->map, m);

	workers_kick(lt);
	workers_synchronize(lt);
	map_free((struct map *)before);
}
