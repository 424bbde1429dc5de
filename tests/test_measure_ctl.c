/* SPDX-License-Identifier: BSD-3-Clause */
/* Measurements on request: what workers count, as gazellectl is told of it. */
#include "dispatcher/measure.h"

#include <stdlib.h>

#include <rte_cycles.h>

#include "tests/eal.h"
#include "tests/fake_dispatcher.h"
#include "tests/frames.h"

static struct ctl_measure *
measure(uint32_t for_ms)
{
	struct ctl_measure_request r = {.for_ms = for_ms};
	char *err;
	struct ctl_measure *m = fake_ask(CTL_LTRAN_MEASURE, &r, &err);

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	return m;
}

static void
pass(struct dispatch_worker *dw, uint16_t payload, uint16_t n)
{
	struct rte_mbuf *pkts[64];

	for (uint16_t i = 0; i < n; i++)
		pkts[i] = frame_udp(fake_lt.pool, payload);
	if (measure_is_on(dw)) {
		measure_in(dw, pkts, n);
		pkts[0]->port = MEMBER_PORT; /* a neighbour's: not from the NIC */
		measure_out(dw, &fake_members[1], pkts, n);
	}
	rte_pktmbuf_free_bulk(pkts, n);
}

static void
lengths_and_latencies_are_counted_while_asked_for(void)
{
	struct ctl_measure *m;

	pass(&fake_workers[0], 18, 10);
	CU_ASSERT_PTR_NULL(fake_workers[0].measure); /* not a byte, not a cycle before */
	fake_ask_done(CTL_LTRAN_MEASURE, measure(10000));
	pass(&fake_workers[0], 18, 10);   /* 60 bytes, 64 with checksum */
	pass(&fake_workers[1], 1000, 3);  /* 1042 */
	pass(&fake_workers[1], 1472, 64); /* 1514 */
	fake_workers[1].walks++;
	m = measure(0);
	CU_ASSERT_EQUAL(m->lengths_count, MEASURE_LENGTHS);
	CU_ASSERT_EQUAL(m->lengths[0].n, 10);
	CU_ASSERT_EQUAL(m->lengths[0].to, 64);
	CU_ASSERT_EQUAL(m->lengths[5].n, 67);
	CU_ASSERT_EQUAL(m->lengths[5].from, 1024);
	CU_ASSERT_EQUAL(m->lengths[5].to, 1518);
	CU_ASSERT_EQUAL(m->bursts[4].n, 1); /* 10: 9 to 16 */
	CU_ASSERT_EQUAL(m->bursts[2].n, 1); /* 3 and 4 */
	CU_ASSERT_EQUAL(m->bursts[6].n, 1);
	CU_ASSERT_EQUAL_FATAL(m->latencies_count, 2);
	CU_ASSERT_EQUAL(m->latencies[0].pkts, 9 + 2 + 63); /* listed backwards by our registry */
	CU_ASSERT_EQUAL(m->latencies[0].pid, 4712);
	CU_ASSERT_EQUAL(m->latencies[1].pkts, 0);
	CU_ASSERT_EQUAL(m->total.pkts, 74);
	CU_ASSERT(m->total.min_ns <= m->total.average_ns && m->total.average_ns <= m->total.max_ns);
	fake_ask_done(CTL_LTRAN_MEASURE, m);
}

/* In another walk, or without a vector from the NIC before, there is no t0. */
static void
latency_is_not_taken_from_another_walk(void)
{
	struct rte_mbuf *p = frame_udp(fake_lt.pool, 18);
	struct ctl_measure *m;

	fake_ask_done(CTL_LTRAN_MEASURE, measure(10000));
	measure_out(&fake_workers[0], &fake_members[0], &p, 1);
	measure_in(&fake_workers[0], &p, 1);
	fake_workers[0].walks++;
	measure_out(&fake_workers[0], &fake_members[0], &p, 1);
	m = measure(0);
	CU_ASSERT_EQUAL(m->total.pkts, 0);
	fake_ask_done(CTL_LTRAN_MEASURE, m);
	rte_pktmbuf_free(p);
}

static void
measurements_end_by_themselves_and_begin_anew(void)
{
	struct ctl_measure *m;

	fake_ask_done(CTL_LTRAN_MEASURE, measure(10000));
	pass(&fake_workers[0], 18, 10);
	fake_ask_done(CTL_LTRAN_MEASURE, measure(10000)); /* somebody else joins */
	m = measure(0);
	CU_ASSERT_EQUAL(m->lengths[0].n, 10);
	fake_ask_done(CTL_LTRAN_MEASURE, m);
	atomic_store(&fake_lt.measure_until_tsc, rte_rdtsc() - 1);
	pass(&fake_workers[0], 18, 10);
	CU_ASSERT_FALSE(measure_is_on(&fake_workers[0]));
	m = measure(0); /* what was measured is still told */
	CU_ASSERT_EQUAL(m->lengths[0].n, 10);
	fake_ask_done(CTL_LTRAN_MEASURE, m);
	fake_ask_done(CTL_LTRAN_MEASURE, measure(10000));
	m = measure(0);
	CU_ASSERT_EQUAL(m->lengths[0].n, 0);
	fake_ask_done(CTL_LTRAN_MEASURE, m);
	pass(&fake_workers[0], 18, 1);
	m = measure(0);
	CU_ASSERT_EQUAL(m->lengths[0].n, 1);
	fake_ask_done(CTL_LTRAN_MEASURE, m);
}

static void
measurements_for_ever_are_refused(void)
{
	struct ctl_measure_request r = {.for_ms = 600001};
	char *err;

	CU_ASSERT_PTR_NULL(fake_ask(CTL_LTRAN_MEASURE, &r, &err));
	CU_ASSERT_STRING_EQUAL(err, "at most 600 s can be measured");
	CU_ASSERT_FALSE(measure_is_on(&fake_workers[0]));
	free(err);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(lengths_and_latencies_are_counted_while_asked_for),
	CUNIT_TEST(latency_is_not_taken_from_another_walk),
	CUNIT_TEST(measurements_end_by_themselves_and_begin_anew),
	CUNIT_TEST(measurements_for_ever_are_refused),
};
EAL_TEST_MAIN("measure_ctl", tests, fake_dispatcher_setup, fake_dispatcher_teardown)
