/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket table between an instance and ltran: against a model, full, and read while written. */
#include "nodes/ltran_table.h"
#include "tests/cunit_main.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define SLOTS 1024
#define SOCKETS 900 /* of the model; about half of them are in the table */
#define STEPS 400000
#define CHURN 2000000

static struct ltran_slot table[SLOTS];
static uint64_t seed;

static uint32_t
roll(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 20) % n;
}

static void
setup(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	seed = (uint64_t)t.tv_nsec << 20 | 1;
	printf("seed %llu ", (unsigned long long)seed);
	memset(table, 0, sizeof(table));
}

static uint64_t
key_of(uint32_t i)
{
	return ltran_slot_key(i % 3 == 0 ? 0 : i * 2654435761u, (uint16_t)(i % 3 == 0 ? 0 : i), 80 + i);
}

static uint8_t
protocol_of(uint32_t i)
{
	return i % 2 ? IPPROTO_TCP : IPPROTO_UDP;
}

static void
finds_what_is_there_and_nothing_else(void)
{
	static uint64_t model[SOCKETS];
	unsigned int wrong = 0, refused = 0;
	uint64_t info;

	memset(model, 0, sizeof(model));
	for (uint32_t step = 1; step <= STEPS; step++) {
		uint32_t i = roll(SOCKETS), k;

		if (roll(2) == 0) {
			info = (uint64_t)step << 32 | protocol_of(i);
			if (ltran_table_add(table, SLOTS, key_of(i), info))
				model[i] = info;
			else
				refused++;
		} else {
			ltran_table_remove(table, SLOTS, key_of(i), protocol_of(i));
			model[i] = 0;
		}
		k = roll(SOCKETS);
		if (ltran_table_find(table, SLOTS, key_of(k), protocol_of(k), &info))
			wrong += model[k] != info;
		else
			wrong += model[k] != 0;
		/* The same key with the other protocol is another socket. */
		wrong += ltran_table_find(table, SLOTS, key_of(k), protocol_of(k) ^ 23, &info);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(refused, 0);
}

/* Short connections for ever: slots are used again, and searches stay short. */
static void
churn_leaves_no_chain_of_freed_slots(void)
{
	enum { LIVE = 256 };
	static uint64_t live[LIVE];
	unsigned int freed = 0, refused = 0, wrong = 0;
	uint64_t info;

	for (uint32_t i = 0; i < CHURN; i++) {
		uint32_t at = roll(LIVE);

		if (live[at] != 0)
			ltran_table_remove(table, SLOTS, live[at], IPPROTO_TCP);
		live[at] = ltran_slot_key(0x0a0012c6 + roll(1 << 20), (uint16_t)i, 80);
		refused += !ltran_table_add(table, SLOTS, live[at], IPPROTO_TCP);
	}
	for (int i = 0; i < LIVE; i++)
		wrong += live[i] != 0 && !ltran_table_find(table, SLOTS, live[i], IPPROTO_TCP, &info);
	for (int i = 0; i < SLOTS; i++)
		freed += table[i].key == LTRAN_SLOT_FREED;
	CU_ASSERT_EQUAL(refused, 0);
	CU_ASSERT_EQUAL(wrong, 0);
	/* They lie between used ones only: 190 on average, deviation 26; never cleaned up they are 768. */
	CU_ASSERT(freed < LIVE * 3 / 2);
	for (int i = 0; i < LIVE; i++)
		ltran_table_remove(table, SLOTS, live[i], IPPROTO_TCP);
	freed = 0;
	for (int i = 0; i < SLOTS; i++)
		freed += table[i].key != LTRAN_SLOT_EMPTY;
	CU_ASSERT_EQUAL(freed, 0);
}

static void
full_table_refuses_and_keeps_the_rest(void)
{
	unsigned int added = 0, found = 0;
	uint64_t info;

	for (uint32_t i = 1; i <= 2 * SLOTS; i++)
		added += ltran_table_add(table, SLOTS, ltran_slot_key(i, 1, 1), IPPROTO_TCP);
	CU_ASSERT(added > SLOTS * 9 / 10 && added <= SLOTS);
	for (uint32_t i = 1; i <= 2 * SLOTS; i++)
		found += ltran_table_find(table, SLOTS, ltran_slot_key(i, 1, 1), IPPROTO_TCP, &info);
	CU_ASSERT_EQUAL(found, added);
	/* One that was refused may be removed like any other. */
	for (uint32_t i = 1; i <= 2 * SLOTS; i++)
		ltran_table_remove(table, SLOTS, ltran_slot_key(i, 1, 1), IPPROTO_TCP);
	CU_ASSERT_FALSE(ltran_table_find(table, SLOTS, ltran_slot_key(7, 1, 1), IPPROTO_TCP, &info));
	CU_ASSERT(ltran_table_add(table, SLOTS, ltran_slot_key(7, 1, 1), IPPROTO_TCP));
}

static void
adding_again_changes_what_it_says(void)
{
	uint64_t key = ltran_slot_key(0, 0, htons(80)), info;

	CU_ASSERT(ltran_table_add(table, SLOTS, key, 1ull << 32 | IPPROTO_TCP));
	CU_ASSERT(ltran_table_add(table, SLOTS, key, 2ull << 32 | LTRAN_SLOT_REUSEPORT | IPPROTO_TCP));
	CU_ASSERT(ltran_table_find(table, SLOTS, key, IPPROTO_TCP, &info));
	CU_ASSERT_EQUAL(info, 2ull << 32 | LTRAN_SLOT_REUSEPORT | IPPROTO_TCP);
	ltran_table_remove(table, SLOTS, key, IPPROTO_TCP);
	CU_ASSERT_FALSE(ltran_table_find(table, SLOTS, key, IPPROTO_TCP, &info));
}

/* --- read while it is written -------------------------------------------------------------------- */

static _Atomic bool stop;
static _Atomic unsigned int strange, reads;

/* Every `info` carries its key's number, so a pair that never was is recognised; what stays in the
 * table the whole time must be found every time. */
static void *
reader(void *arg)
{
	uint64_t info;

	for (uint32_t i = 0; !atomic_load(&stop); i = (i + 7) % 512) {
		uint64_t key = ltran_slot_key(i + 1, 2, 3);

		if (ltran_table_find(table, SLOTS, key, IPPROTO_TCP, &info))
			strange += info >> 32 != i + 1;
		else
			strange += i % 8 == 0;
		reads++;
	}
	return NULL;
}

static void
reader_sees_whole_entries_only(void)
{
	pthread_t t;

	for (uint32_t i = 0; i < 512; i += 8)
		ltran_table_add(table, SLOTS, ltran_slot_key(i + 1, 2, 3),
			(uint64_t)(i + 1) << 32 | IPPROTO_TCP);
	atomic_store(&stop, false);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, reader, NULL), 0);
	for (int n = 0; n < 300000 || reads < 1000; n++) {
		uint32_t i = roll(512);

		if (i % 8 == 0)
			continue;
		if (roll(2) == 0)
			ltran_table_add(table, SLOTS, ltran_slot_key(i + 1, 2, 3),
				(uint64_t)(i + 1) << 32 | IPPROTO_TCP);
		else
			ltran_table_remove(table, SLOTS, ltran_slot_key(i + 1, 2, 3), IPPROTO_TCP);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	CU_ASSERT_EQUAL(strange, 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(finds_what_is_there_and_nothing_else),
	CUNIT_TEST(churn_leaves_no_chain_of_freed_slots),
	CUNIT_TEST(full_table_refuses_and_keeps_the_rest),
	CUNIT_TEST(adding_again_changes_what_it_says),
	CUNIT_TEST(reader_sees_whole_entries_only),
};
CUNIT_MAIN("ltran_table", tests, setup, NULL)
