/* SPDX-License-Identifier: BSD-3-Clause */
/* The timer wheel: when entries fire, and what a callback may do. Time is an argument. */
#include "stack/wheel.h"
#include "tests/cunit_main.h"

#include <stdlib.h>

#define START 0xfffffff0u /* near the wrap of 32-bit milliseconds */

static struct wheel w;
static uint32_t e[8]; /* ids; the owner is fired[] */
static int fired[8];

static void
on_fire(void *arg, void *owner)
{
	(*(int *)owner)++;
}

static const struct wheel_calls calls = {.fire = on_fire};

static void
setup(void)
{
	wheel_init(&w, START);
	memset(fired, 0, sizeof(fired));
	for (int i = 0; i < 8; i++)
		e[i] = wheel_add(&w, &fired[i]);
}

static void
advance(uint32_t to)
{
	wheel_advance(&w, to, &calls, NULL);
}

static void
fires_at_its_deadline_and_not_before(void)
{
	wheel_arm(&w, e[0], START + 40);
	advance(START + 39);
	CU_ASSERT_EQUAL(fired[0], 0);
	advance(START + 40);
	CU_ASSERT_EQUAL(fired[0], 1);
	CU_ASSERT_FALSE(wheel_armed(&w, e[0]));
	advance(START + 20000);
	CU_ASSERT_EQUAL(fired[0], 1);
}

static void
deadline_in_the_past_fires_at_the_next_tick(void)
{
	wheel_arm(&w, e[0], START - 5);
	wheel_arm(&w, e[1], START);
	advance(START + 1);
	CU_ASSERT_EQUAL(fired[0], 1);
	CU_ASSERT_EQUAL(fired[1], 1);
}

static void
beyond_one_turn_waits_for_its_turn(void)
{
	wheel_arm(&w, e[0], START + 3 * WHEEL_SLOTS + 7);
	advance(START + 7);
	advance(START + WHEEL_SLOTS + 7);
	advance(START + 3 * WHEEL_SLOTS + 6);
	CU_ASSERT_EQUAL(fired[0], 0);
	advance(START + 3 * WHEEL_SLOTS + 7);
	CU_ASSERT_EQUAL(fired[0], 1);
}

static void
long_pause_fires_everything_due_once(void)
{
	for (int i = 0; i < 8; i++)
		wheel_arm(&w, e[i], START + 1 + 1000u * i);
	advance(START + 100000);
	for (int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(fired[i], 1);
	CU_ASSERT_EQUAL(w.armed, 0);
}

static void
rearm_moves_and_cancel_removes(void)
{
	wheel_arm(&w, e[0], START + 10);
	wheel_arm(&w, e[0], START + 20);
	wheel_arm(&w, e[1], START + 10);
	wheel_cancel(&w, e[1]);
	wheel_cancel(&w, e[1]);
	advance(START + 19);
	CU_ASSERT_EQUAL(fired[0] + fired[1], 0);
	advance(START + 20);
	CU_ASSERT_EQUAL(fired[0], 1);
	CU_ASSERT_EQUAL(fired[1], 0);
}

/* The callback cancels a neighbour of its own slot and arms itself one turn ahead. */
static void
meddle(void *arg, void *owner)
{
	(*(int *)owner)++;
	if (owner == &fired[0]) {
		wheel_cancel(&w, e[1]);
		wheel_arm(&w, e[0], w.now_ms + WHEEL_SLOTS);
	}
}

static void
callback_may_arm_and_cancel_in_its_own_slot(void)
{
	static const struct wheel_calls meddling = {.fire = meddle};

	wheel_arm(&w, e[0], START + 5);
	wheel_arm(&w, e[1], START + 5);
	wheel_advance(&w, START + 5, &meddling, NULL);
	CU_ASSERT_EQUAL(fired[0], 1);
	CU_ASSERT_EQUAL(fired[1], 0);
	wheel_advance(&w, START + 5 + WHEEL_SLOTS, &meddling, NULL);
	CU_ASSERT_EQUAL(fired[0], 2);
}

/* What is armed again at every packet must not fill the wheel, and what is dropped not fire. */
static void
moving_to_later_queues_nothing_and_to_earlier_fires_once(void)
{
	uint32_t id;

	for (uint32_t i = 0; i < 1000; i++)
		wheel_arm(&w, e[0], START + 200 + i);
	CU_ASSERT_EQUAL(w.armed, 1);
	CU_ASSERT_EQUAL(wheel_next_ms(&w, START), 200);
	wheel_arm(&w, e[0], START + 50);
	CU_ASSERT_EQUAL(wheel_next_ms(&w, START), 50);
	advance(START + 5000);
	CU_ASSERT_EQUAL(fired[0], 1);
	wheel_arm(&w, e[1], w.now_ms + 10);
	wheel_drop(&w, e[1]);
	id = wheel_add(&w, &fired[2]);
	CU_ASSERT_EQUAL(id, e[1]); /* taken again */
	CU_ASSERT_EQUAL(wheel_next_ms(&w, w.now_ms), UINT32_MAX);
	advance(w.now_ms + 20);
	CU_ASSERT_EQUAL(fired[1] + fired[2], 0);
	wheel_arm(&w, id, w.now_ms + 10);
	advance(w.now_ms + 20);
	CU_ASSERT_EQUAL(fired[2], 1);
}

/* Against a list that is searched. */
static void
random_arming_fires_what_is_due(void)
{
	enum { N = 500 };
	static int count[N], expected[N];
	static uint32_t ids[N], due[N];
	static bool armed[N];
	uint32_t now = START;

	srandom(7);
	for (int i = 0; i < N; i++)
		ids[i] = wheel_add(&w, &count[i]);
	for (int step = 0; step < 20000; step++) {
		int i = (int)(random() % N);

		if (random() % 4 == 0) {
			wheel_cancel(&w, ids[i]);
			armed[i] = false;
		} else {
			due[i] = now + (uint32_t)(random() % (random() % 8 == 0 ? 20000 : 300));
			wheel_arm(&w, ids[i], due[i]);
			armed[i] = true;
		}
		if (random() % 3 != 0)
			continue;
		now += (uint32_t)(random() % (random() % 50 == 0 ? 9000 : 5)) + 1;
		advance(now);
		for (int k = 0; k < N; k++) {
			if (armed[k] && (int32_t)(due[k] - now) <= 0) {
				armed[k] = false;
				expected[k]++;
			}
		}
		CU_ASSERT_EQUAL_FATAL(memcmp(count, expected, sizeof(count)), 0);
	}
}

static void
next_is_the_earliest_deadline(void)
{
	CU_ASSERT_EQUAL(wheel_next_ms(&w, START), UINT32_MAX);
	wheel_arm(&w, e[0], START + 200);
	wheel_arm(&w, e[1], START + 40);
	CU_ASSERT_EQUAL(wheel_next_ms(&w, START), 40);
	CU_ASSERT_EQUAL(wheel_next_ms(&w, START + 30), 10);
	CU_ASSERT_EQUAL(wheel_next_ms(&w, START + 41), 0); /* late already */
	wheel_cancel(&w, e[1]);
	CU_ASSERT_EQUAL(wheel_next_ms(&w, START), 200);
	advance(START + 200);
	CU_ASSERT_EQUAL(wheel_next_ms(&w, START + 200), UINT32_MAX);
}

static void
next_looks_past_entries_of_later_turns(void)
{
	wheel_arm(&w, e[0], START + 3 * WHEEL_SLOTS + 10);
	CU_ASSERT_TRUE(wheel_next_ms(&w, START) >= WHEEL_SLOTS - 1); /* look again after a turn */
	wheel_arm(&w, e[1], START + 10 + 5);
	wheel_arm(&w, e[2], START + WHEEL_SLOTS + 10);
	CU_ASSERT_EQUAL(wheel_next_ms(&w, START), 15);
}

static void
next_of_a_crowd_is_never_too_late(void)
{
	for (size_t i = 0; i < 500; i++) {
		uint32_t id = wheel_add(&w, &fired[1]);

		wheel_arm(&w, id, START + 20 + (uint32_t)i % 2);
		wheel_cancel(&w, id);
	}
	wheel_arm(&w, e[0], START + 600);
	CU_ASSERT_TRUE(wheel_next_ms(&w, START) <= 600);
	CU_ASSERT_TRUE(wheel_next_ms(&w, START) > 0);
}

static void
teardown(void)
{
	wheel_fini(&w);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(fires_at_its_deadline_and_not_before),
	CUNIT_TEST(deadline_in_the_past_fires_at_the_next_tick),
	CUNIT_TEST(beyond_one_turn_waits_for_its_turn),
	CUNIT_TEST(long_pause_fires_everything_due_once),
	CUNIT_TEST(rearm_moves_and_cancel_removes),
	CUNIT_TEST(callback_may_arm_and_cancel_in_its_own_slot),
	CUNIT_TEST(next_is_the_earliest_deadline),
	CUNIT_TEST(next_looks_past_entries_of_later_turns),
	CUNIT_TEST(next_of_a_crowd_is_never_too_late),
	CUNIT_TEST(moving_to_later_queues_nothing_and_to_earlier_fires_once),
	CUNIT_TEST(random_arming_fires_what_is_due),
};
CUNIT_MAIN("wheel", tests, setup, teardown)
