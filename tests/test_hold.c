/* SPDX-License-Identifier: BSD-3-Clause */
/* SYNs that wait until somebody listens: hold keeps them, hold-timer lets them out. */
#include <rte_cycles.h>
#include <rte_ip.h>

#include "dispatcher/dispatch.h"
#include "nodes/nodes.h"
#include "tests/cunit_main.h"
#include "tests/harness.h"

#define FEED_SOURCES "feed", NODE_HOLD_TIMER
#include "tests/feed_rig.h"

#define PEER HARNESS_IP(198, 18, 0, 2)
#define ADDR(i) HARNESS_IP(198, 18, 1, (i) + 1)

FEED_TARGET(NODE_HOLD)
FEED_SINK(in, NODE_DISPATCH_IN)
FEED_SINK(out, NODE_DISPATCH_OUT)
FEED_SINK(drop, NODE_DROP)

static struct dispatch_worker dw;
static bool must_hold;
static uint64_t verdict_tsc; /* a verdict takes so long */

/* --- doubles ---------------------------------------------------------------------------------------- */

static struct dispatch_result
verdict(void)
{
	const uint64_t until = rte_get_tsc_cycles() + verdict_tsc;

	while (rte_get_tsc_cycles() < until)
		continue;
	return (struct dispatch_result){.edge = must_hold ? DISPATCH_HOLD : DISPATCH_INSTANCE,
		.error = DISPATCH_NO_ERROR};
}

struct dispatch_result
dispatch_in(const struct dispatch_worker *w, struct rte_mbuf *m)
{
	CU_ASSERT_EQUAL(m->port, 0);
	return verdict();
}

struct dispatch_result
dispatch_out(const struct dispatch_worker *w, struct rte_mbuf *m)
{
	CU_ASSERT_EQUAL(m->port, RTE_MBUF_PORT_INVALID);
	return verdict();
}

/* --- one worker ------------------------------------------------------------------------------------- */

static void
setup(void)
{
	harness_setup();
	memset(&dw, 0, sizeof(dw));
	dw.w = (struct worker){.n_workers = 1, .pool = harness_pool()};
	must_hold = true;
	verdict_tsc = 0;
	feed_open(&dw);
}

static void
teardown(void)
{
	hold_free(&dw.hold);
	CU_ASSERT_EQUAL(dw.hold.n, 0);
	feed_close();
	harness_teardown();
}

static struct rte_mbuf *
syn(unsigned int addr, uint16_t port)
{
	const struct harness_ip4 h = {.src = PEER, .dst = ADDR(addr), .proto = IPPROTO_TCP, .ether = true};
	struct rte_mbuf *m = harness_ip4_packet(&h, NULL, 20, 0);

	m->port = port;
	return m;
}

/* The next look at what is held. */
static void
look(void)
{
	dw.hold.look_tsc = 0;
	feed_walk(NULL, 0);
}

static void
syn_goes_on_as_soon_as_somebody_listens(void)
{
	struct rte_mbuf *pkts[] = {syn(0, 0), syn(1, MEMBER_PORT | 3), syn(2, RTE_MBUF_PORT_INVALID)};

	feed_walk(pkts, 3);
	CU_ASSERT_EQUAL(feed_count("syn-held"), 3);
	look();
	CU_ASSERT_EQUAL(dw.hold.n, 3);
	CU_ASSERT_EQUAL(in.n + out.n + drop.n, 0);
	must_hold = false;
	look();
	CU_ASSERT_EQUAL(dw.hold.n, 0);
	CU_ASSERT_EQUAL_FATAL(in.n, 1);
	CU_ASSERT_PTR_EQUAL(in.pkts[0], pkts[0]);
	CU_ASSERT_EQUAL_FATAL(out.n, 2);
	CU_ASSERT_PTR_EQUAL(out.pkts[0], pkts[1]);
	CU_ASSERT_PTR_EQUAL(out.pkts[1], pkts[2]);
	CU_ASSERT_EQUAL(feed_count("hold-timeout"), 0);
}

static void
looks_are_some_time_apart(void)
{
	struct rte_mbuf *pkts[] = {syn(0, 0)};
	uint64_t began;

	feed_walk(pkts, 1);
	began = rte_get_tsc_cycles();
	look();
	CU_ASSERT_TRUE(dw.hold.look_tsc >= began + rte_get_tsc_hz() / 1000 * HOLD_LOOK_MS);
	must_hold = false;
	dw.hold.look_tsc = UINT64_MAX;
	feed_walk(NULL, 0);
	CU_ASSERT_EQUAL(dw.hold.n, 1);
}

/* Many instances of one address, whose tables are long to search: others have the worker, too. */
static void
long_look_is_not_repeated_soon(void)
{
	const uint64_t ms = rte_get_tsc_hz() / 1000;
	struct rte_mbuf *pkts[] = {syn(0, 0), syn(0, 0)};
	uint64_t began;

	feed_walk(pkts, 2);
	verdict_tsc = ms;
	began = rte_get_tsc_cycles();
	look();
	CU_ASSERT_TRUE(dw.hold.look_tsc >= began + 2 * ms + 2 * ms * HOLD_REST);
}

static void
what_nobody_comes_for_is_given_up(void)
{
	struct rte_mbuf *pkts[] = {syn(0, 0), syn(1, 0), syn(2, 0)};

	feed_walk(pkts, 3);
	CU_ASSERT_EQUAL_FATAL(dw.hold.n, 3);
	CU_ASSERT_TRUE(dw.hold.held[1].until_tsc > rte_get_tsc_cycles());
	dw.hold.held[1].until_tsc = 0;
	look();
	CU_ASSERT_EQUAL(feed_count("hold-timeout"), 1);
	CU_ASSERT_EQUAL_FATAL(drop.n, 1);
	CU_ASSERT_PTR_EQUAL(drop.pkts[0], pkts[1]);
	CU_ASSERT_EQUAL_FATAL(dw.hold.n, 2);
	CU_ASSERT_PTR_EQUAL(dw.hold.held[0].m, pkts[0]);
	CU_ASSERT_PTR_EQUAL(dw.hold.held[1].m, pkts[2]);
}

static void
one_address_cannot_take_all_the_room(void)
{
	struct rte_mbuf *pkts[HOLD_ADDR_MAX + 10];

	for (unsigned int i = 0; i < RTE_DIM(pkts); i++)
		pkts[i] = syn(0, 0);
	feed_walk(pkts, RTE_DIM(pkts));
	CU_ASSERT_EQUAL(dw.hold.n, HOLD_ADDR_MAX);
	CU_ASSERT_EQUAL(drop.n, 10);
	CU_ASSERT_EQUAL(feed_count("hold-full"), 10);
	pkts[0] = syn(1, 0);
	feed_walk(pkts, 1);
	CU_ASSERT_EQUAL(dw.hold.n, HOLD_ADDR_MAX + 1);
}

/* Instances have no buffers of ltran's: a frame of 64 KB would be 33 of them for two seconds. */
static void
large_syn_does_not_wait(void)
{
	struct rte_mbuf *pkts[] = {syn(0, MEMBER_PORT | 3), syn(0, 0)}, *more = rte_pktmbuf_alloc(harness_pool());

	CU_ASSERT_PTR_NOT_NULL_FATAL(more);
	CU_ASSERT_PTR_NOT_NULL(rte_pktmbuf_append(more, 1000));
	CU_ASSERT_EQUAL_FATAL(rte_pktmbuf_chain(pkts[0], more), 0);
	feed_walk(pkts, 2);
	CU_ASSERT_EQUAL(feed_count("hold-large"), 1);
	CU_ASSERT_EQUAL(feed_count("syn-held"), 1);
	CU_ASSERT_EQUAL_FATAL(drop.n, 1);
	CU_ASSERT_PTR_EQUAL(drop.pkts[0], pkts[0]);
	CU_ASSERT_EQUAL(dw.hold.n, 1);
}

static void
room_is_bounded(void)
{
	struct rte_mbuf *pkts[HOLD_MAX + 5];

	for (unsigned int i = 0; i < RTE_DIM(pkts); i++)
		pkts[i] = syn(i % 50, 0);
	feed_walk(pkts, RTE_DIM(pkts));
	CU_ASSERT_EQUAL(dw.hold.n, HOLD_MAX);
	CU_ASSERT_EQUAL(feed_count("hold-full"), 5);
	CU_ASSERT_EQUAL(feed_count("syn-held"), HOLD_MAX);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(syn_goes_on_as_soon_as_somebody_listens),
	CUNIT_TEST(looks_are_some_time_apart),
	CUNIT_TEST(long_look_is_not_repeated_soon),
	CUNIT_TEST(what_nobody_comes_for_is_given_up),
	CUNIT_TEST(one_address_cannot_take_all_the_room),
	CUNIT_TEST(large_syn_does_not_wait),
	CUNIT_TEST(room_is_bounded),
};
CUNIT_MAIN("hold", tests, setup, teardown)
