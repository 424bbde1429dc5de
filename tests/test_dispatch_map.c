/* SPDX-License-Identifier: BSD-3-Clause */
/* The map of addresses and instances. */
#include <stdlib.h>

#include "dispatcher/dispatcher.h"
#include "tests/cunit_main.h"

#define IP(a, b, c, d) RTE_BE32((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static const struct ltran_conf conf = {.dispatch_subnet = IP(198, 18, 4, 0),
	.dispatch_subnet_length = 8};
static struct member m[5];
static unsigned int n_kicks, n_waits;

void
workers_kick(struct ltran *lt)
{
	n_kicks++;
}

void
workers_synchronize(struct ltran *lt)
{
	n_waits++;
}

static struct member *
member(unsigned int i, uint16_t index, uint32_t addr)
{
	m[i].index = index;
	m[i].addr = addr;
	return &m[i];
}

static void
empty_map_has_nobody(void)
{
	struct map *map = map_create(&conf, NULL, 0, NULL, 0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	CU_ASSERT_EQUAL(map->n_members, 0);
	CU_ASSERT_EQUAL(map->n_addrs, 1);
	CU_ASSERT_PTR_EQUAL(map_find(map, IP(198, 18, 4, 7)), &map->addrs[0]);
	CU_ASSERT_EQUAL(map->addrs[0].n, 0);
	CU_ASSERT_EQUAL(map->addrs[0].addr, 0);
	map_free(map);
}

static void
instances_of_one_address_stand_together(void)
{
	struct member *all[] = {member(0, 0, IP(198, 18, 4, 7)), member(1, 1, IP(198, 18, 4, 9)),
		member(2, 2, IP(198, 18, 4, 7)), member(3, 3, IP(198, 18, 4, 254))};
	struct map *map = map_create(&conf, all, 4, NULL, 0);
	const struct map_addr *a = map_find(map, IP(198, 18, 4, 7));

	CU_ASSERT_EQUAL(a->addr, IP(198, 18, 4, 7));
	CU_ASSERT_EQUAL_FATAL(a->n, 2);
	CU_ASSERT_PTR_EQUAL(map->order[a->first], &m[0]);
	CU_ASSERT_PTR_EQUAL(map->order[a->first + 1], &m[2]);
	a = map_find(map, IP(198, 18, 4, 9));
	CU_ASSERT_EQUAL(a->n, 1);
	CU_ASSERT_PTR_EQUAL(map->order[a->first], &m[1]);
	a = map_find(map, IP(198, 18, 4, 254));
	CU_ASSERT_PTR_EQUAL(map->order[a->first], &m[3]);
	map_free(map);
}

static void
members_keep_their_slots(void)
{
	struct member *all[] = {member(0, 4, IP(198, 18, 4, 7)), member(1, 1, IP(198, 18, 4, 9))};
	struct map *map = map_create(&conf, all, 2, NULL, 0);

	CU_ASSERT_EQUAL_FATAL(map->n_members, 5);
	CU_ASSERT_PTR_EQUAL(map->members[4], &m[0]);
	CU_ASSERT_PTR_EQUAL(map->members[1], &m[1]);
	CU_ASSERT_PTR_NULL(map->members[0]);
	CU_ASSERT_PTR_NULL(map->members[2]);
	CU_ASSERT_PTR_NULL(map->members[3]);
	map_free(map);
}

static void
address_whose_instances_have_gone_is_known(void)
{
	struct member *all[] = {member(0, 0, IP(198, 18, 4, 7))};
	const uint32_t gone[] = {IP(198, 18, 4, 8), IP(198, 18, 4, 7)};
	struct map *map = map_create(&conf, all, 1, gone, 2);
	const struct map_addr *a = map_find(map, gone[0]);

	CU_ASSERT_EQUAL(a->addr, gone[0]);
	CU_ASSERT_EQUAL(a->n, 0);
	CU_ASSERT_PTR_NOT_EQUAL(a, &map->addrs[0]);
	/* Started again: it is its own again. */
	CU_ASSERT_EQUAL(map_find(map, gone[1])->n, 1);
	map_free(map);
}

static void
address_outside_of_the_subnet_is_nobodys(void)
{
	struct member *all[] = {member(0, 0, IP(198, 18, 5, 7)), member(1, 1, IP(198, 18, 4, 7))};
	struct map *map = map_create(&conf, all, 2, NULL, 0);

	CU_ASSERT_PTR_EQUAL(map_find(map, IP(198, 18, 5, 7)), &map->addrs[0]);
	CU_ASSERT_PTR_EQUAL(map_find(map, IP(10, 18, 4, 7)), &map->addrs[0]);
	CU_ASSERT_EQUAL(map->addrs[0].n, 0);
	CU_ASSERT_EQUAL(map_find(map, IP(198, 18, 4, 7))->n, 1);
	map_free(map);
}

static void
full_subnet_fits(void)
{
	struct ltran_conf wide = {.dispatch_subnet = IP(198, 18, 0, 0), .dispatch_subnet_length = 16};
	static struct member many[MEMBERS_MAX];
	struct member *all[MEMBERS_MAX];
	struct map *map;

	for (unsigned int i = 0; i < MEMBERS_MAX; i++) {
		many[i].index = i;
		many[i].addr = rte_cpu_to_be_32((198u << 24 | 18 << 16) + 1 + i * 63);
		all[i] = &many[i];
	}
	map = map_create(&wide, all, MEMBERS_MAX, NULL, 0);
	CU_ASSERT_EQUAL(map->n_addrs, MEMBERS_MAX + 1);
	for (unsigned int i = 0; i < MEMBERS_MAX; i++) {
		const struct map_addr *a = map_find(map, many[i].addr);

		CU_ASSERT_EQUAL(a->n, 1);
		CU_ASSERT_PTR_EQUAL(map->order[a->first], &many[i]);
	}
	map_free(map);
}

static void
published_map_replaces_the_one_before(void)
{
	struct ltran *lt = calloc(1, sizeof(*lt));
	struct map *map = map_create(&conf, NULL, 0, NULL, 0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(lt);
	n_kicks = n_waits = 0;
	map_publish(lt, map);
	CU_ASSERT_PTR_EQUAL(atomic_load(&lt->map), map);
	map_publish(lt, NULL); /* frees the first one: the sanitizer watches */
	CU_ASSERT_PTR_NULL(atomic_load(&lt->map));
	CU_ASSERT_EQUAL(n_kicks, 2);
	CU_ASSERT_EQUAL(n_waits, 2);
	free(lt);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(empty_map_has_nobody),
	CUNIT_TEST(instances_of_one_address_stand_together),
	CUNIT_TEST(members_keep_their_slots),
	CUNIT_TEST(address_whose_instances_have_gone_is_known),
	CUNIT_TEST(address_outside_of_the_subnet_is_nobodys),
	CUNIT_TEST(full_subnet_fits),
	CUNIT_TEST(published_map_replaces_the_one_before),
};
CUNIT_MAIN("dispatch_map", tests, NULL, NULL)
