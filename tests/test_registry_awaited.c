/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports of instances that have gone, whose listeners other processes have, too. */
#include "nodes/ltran_left.h"
#include "tests/cunit_main.h"
#include "tests/registry_rig.h"

/* How many ports of `addr` the map of now waits for; *until_ms: of the last one. */
static unsigned int
n_awaited(uint32_t addr, uint16_t port, uint64_t *until_ms)
{
	const struct map *map;
	unsigned int n = 0;

	pthread_mutex_lock(&walk);
	map = atomic_load(&lt->map);
	for (unsigned int i = 0; i < map->n_awaited; i++) {
		if (map->awaited[i].addr != addr || (port != 0 && map->awaited[i].port != port))
			continue;
		n++;
		*until_ms = map->awaited[i].until_ms;
	}
	pthread_mutex_unlock(&walk);
	return n;
}

static void
ports_of_who_has_gone_are_awaited(void)
{
	uint64_t began = ltran_left_now_ms(), until = 0;
	struct instance in;

	begin(&in, ADDR);
	ltran_left_listens(in.head->left, htons(80)); /* killed while it listens */
	ltran_left_ends(in.head->left, htons(81), began - LTRAN_LEFT_MS / 2);
	ltran_left_ends(in.head->left, htons(82), began - LTRAN_LEFT_MS - 1);
	CU_ASSERT_EQUAL_FATAL(enter(&in), 0);
	CU_ASSERT_EQUAL(n_awaited(ADDR, 0, &until), 0);
	end(&in);
	EVENTUALLY(n_awaited(ADDR, 0, &until) == 2);
	CU_ASSERT_EQUAL(n_awaited(ADDR, htons(80), &until), 1);
	CU_ASSERT_TRUE(until >= began + LTRAN_LEFT_MS && until <= ltran_left_now_ms() + LTRAN_LEFT_MS);
	CU_ASSERT_EQUAL(n_awaited(ADDR, htons(81), &until), 1);
	CU_ASSERT_TRUE(until <= began + LTRAN_LEFT_MS / 2);
	/* Its time is over: the next map has it not. */
	while (ltran_left_now_ms() < began + LTRAN_LEFT_MS / 2)
		usleep(1000);
	for (int i = 0; i < 1000 && n_awaited(ADDR, htons(81), &until) != 0; i++) {
		begin(&in, OTHER);
		CU_ASSERT_EQUAL_FATAL(enter(&in), 0);
		end(&in);
		EVENTUALLY(entry_of(OTHER).n == 0); /* there is room for four */
	}
	CU_ASSERT_EQUAL(n_awaited(ADDR, htons(81), &until), 0);
}

static void
same_port_is_awaited_once_and_no_port_of_honest_leavers(void)
{
	struct instance in[3];
	uint64_t until;

	for (unsigned int i = 0; i < 3; i++) {
		begin(&in[i], i < 2 ? ADDR : OTHER);
		if (i < 2)
			ltran_left_listens(in[i].head->left, htons(80));
		CU_ASSERT_EQUAL_FATAL(enter(&in[i]), 0);
	}
	for (unsigned int i = 0; i < 3; i++)
		end(&in[i]);
	EVENTUALLY(entry_of(ADDR).n == 0 && entry_of(OTHER).n == 0);
	CU_ASSERT_EQUAL(n_awaited(ADDR, 0, &until), 1);
	CU_ASSERT_EQUAL(n_awaited(OTHER, 0, &until), 0);
}

static void
enter_with_full_lists(struct instance in[4])
{
	for (unsigned int i = 0; i < 4; i++) {
		begin(&in[i], ADDR + RTE_BE32(i));
		for (int k = 0; k < LTRAN_LEFT_MAX; k++)
			in[i].head->left[k] = (uint64_t)(1000 + k) | LTRAN_LEFT_LISTENS;
		CU_ASSERT_EQUAL_FATAL(enter(&in[i]), 0);
	}
}

/* Whoever comes and goes with long lists has its part and no more. */
static void
one_user_cannot_take_all_the_room(void)
{
	struct instance in[4];
	uint64_t until;
	unsigned int n = 0;

	enter_with_full_lists(in);
	for (unsigned int i = 0; i < 4; i++) {
		end(&in[i]);
		EVENTUALLY(entry_of(ADDR + RTE_BE32(i)).n == 0);
	}
	for (unsigned int i = 0; i < 4; i++)
		n += n_awaited(ADDR + RTE_BE32(i), 0, &until);
	CU_ASSERT_EQUAL(n, REGISTRY_USER_AWAITED);
	CU_ASSERT_EQUAL(n_awaited(ADDR + RTE_BE32(3), 0, &until), LTRAN_LEFT_MAX);
}

/* Within one ms, by whose clock none is older. */
static void
of_those_who_go_at_once_the_last_are_awaited(void)
{
	struct instance in[4];
	uint64_t until;

	enter_with_full_lists(in);
	pthread_mutex_lock(&walk); /* the first one has to wait for workers, and the others with it */
	for (unsigned int i = 0; i < 4; i++)
		end(&in[i]);
	pthread_mutex_unlock(&walk);
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int n;

		EVENTUALLY(entry_of(ADDR + RTE_BE32(i)).n == 0);
		n = n_awaited(ADDR + RTE_BE32(i), 0, &until);
		CU_ASSERT_TRUE(n == 0 || n == LTRAN_LEFT_MAX);
	}
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(ports_of_who_has_gone_are_awaited),
	CUNIT_TEST(same_port_is_awaited_once_and_no_port_of_honest_leavers),
	CUNIT_TEST(one_user_cannot_take_all_the_room),
	CUNIT_TEST(of_those_who_go_at_once_the_last_are_awaited),
};
RIG_MAIN("registry_awaited", tests)
