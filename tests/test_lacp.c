/* SPDX-License-Identifier: BSD-3-Clause */
/* Two machines wired together, link by link, in simulated time. */
#include "tests/cunit_main.h"

#include <string.h>

#include "nodes/lacp.h"

#define STEP_MS 10
#define LINKS 4
#define NOBODY 0xff

static struct lacp left, right, third;
/* Where link i of `left` leads: port number of `right`, or of `third` plus 10, or NOBODY. */
static uint8_t wire[LINKS];
static bool cut[LINKS];    /* frames are lost, and nobody's link goes down */
static bool loops[LINKS];  /* what left sends comes back */
static uint64_t now;
static unsigned int n_sent; /* by left at port 0 */
static const struct rte_ether_addr left_mac = {{2, 0, 0, 0, 0, 1}};
static const struct rte_ether_addr right_mac = {{2, 0, 0, 0, 0, 2}};
static const struct rte_ether_addr third_mac = {{2, 0, 0, 0, 0, 3}};

static struct lacp *
far_end(unsigned int link, unsigned int *port)
{
	*port = wire[link] % 10;
	return wire[link] == NOBODY ? NULL : wire[link] < 10 ? &right : &third;
}

static void
carry(struct lacp *from, unsigned int from_port, struct lacp *to, unsigned int to_port, bool lost)
{
	uint8_t frame[LACP_FRAME_LEN];

	while (lacp_take_frame(from, from_port, &left_mac, now, frame))
		if (to != NULL && !lost)
			lacp_input(to, to_port, frame, sizeof(frame), now);
}

static void
step(void)
{
	uint8_t frame[LACP_FRAME_LEN];

	lacp_run(&left, now);
	lacp_run(&right, now);
	lacp_run(&third, now);
	for (unsigned int i = 0; i < left.n_ports; i++) {
		unsigned int port;
		struct lacp *peer = far_end(i, &port);

		if (loops[i]) {
			while (lacp_take_frame(&left, i, &left_mac, now, frame))
				CU_ASSERT_EQUAL(lacp_input(&left, i, frame, sizeof(frame), now), LACP_LOOPED);
			continue;
		}
		if (i == 0 && left.ports[0].ntt && left.ports[0].n_in_window < LACP_TX_MAX)
			n_sent++;
		carry(&left, i, peer, port, cut[i]);
		if (peer != NULL)
			carry(peer, port, &left, i, cut[i]);
	}
	lacp_run(&left, now);
	lacp_run(&right, now);
	lacp_run(&third, now);
	now += STEP_MS;
}

static void
run(uint64_t ms)
{
	for (uint64_t end = now + ms; now < end;)
		step();
}

static void
set_links(struct lacp *l, unsigned int n, bool up)
{
	for (unsigned int i = 0; i < n; i++)
		lacp_set_link(l, i, up, 1, true, now);
}

static void
setup(void)
{
	now = 1000;
	n_sent = 0;
	memset(cut, 0, sizeof(cut));
	memset(loops, 0, sizeof(loops));
	for (unsigned int i = 0; i < LINKS; i++)
		wire[i] = i;
	lacp_init(&left, &left_mac, 2);
	lacp_init(&right, &right_mac, 2);
	lacp_init(&third, &third_mac, 2);
	set_links(&left, 2, true);
	set_links(&right, 2, true);
	set_links(&third, 2, true);
}

static void
teardown(void)
{
}

static void
two_machines_agree_on_all_links(void)
{
	run(5000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 3);
	CU_ASSERT_EQUAL(lacp_distributing(&right), 3);
	CU_ASSERT_EQUAL(left.ports[1].aggregate, 0);
	CU_ASSERT_EQUAL(left.ports[0].actor.state, LACP_STATE_ACTIVE | LACP_STATE_SHORT |
		LACP_STATE_AGGREGATION | LACP_STATE_SYNC | LACP_STATE_COLLECTING | LACP_STATE_DISTRIBUTING);
	CU_ASSERT_EQUAL(left.n_switches, 0);
}

static void
partners_that_ask_for_it_hear_us_every_second(void)
{
	run(5000);
	n_sent = 0;
	run(10000);
	CU_ASSERT_EQUAL(n_sent, 10);
}

static void
other_partners_hear_us_every_half_minute(void)
{
	run(5000);
	for (unsigned int i = 0; i < 2; i++)
		right.ports[i].actor.state &= ~LACP_STATE_SHORT;
	for (unsigned int i = 0; i < 2; i++)
		right.ports[i].ntt = true;
	run(1000);
	/* It hears us too seldom for the short timeout it keeps in this test: only count. */
	n_sent = 0;
	left.ports[0].partner.state &= ~LACP_STATE_SHORT;
	left.ports[0].periodic_at = now + LACP_SLOW_MS;
	cut[0] = true;
	left.ports[0].current_until = LACP_NEVER;
	run(59000);
	CU_ASSERT_EQUAL(n_sent, 1);
}

static void
at_most_three_frames_a_second(void)
{
	uint8_t frame[LACP_FRAME_LEN];
	unsigned int n = 0;

	run(5000);
	for (unsigned int i = 0; i < 90; i++, now += STEP_MS) {
		left.ports[0].ntt = true;
		lacp_run(&left, now);
		n += lacp_take_frame(&left, 0, &left_mac, now, frame);
	}
	lacp_run(&left, now);
	while (lacp_take_frame(&left, 1, &left_mac, now, frame))
		continue;
	CU_ASSERT(n <= LACP_TX_MAX);
	do
		left.ports[0].ntt = true;
	while (lacp_take_frame(&left, 0, &left_mac, now, frame));
	CU_ASSERT(lacp_due(&left, now) > now);
	CU_ASSERT(lacp_due(&left, now) <= now + LACP_FAST_MS);
}

static void
a_lost_link_leaves_the_aggregate_at_once(void)
{
	run(5000);
	lacp_set_link(&left, 0, false, 1, true, now);
	lacp_run(&left, now);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 2);
	CU_ASSERT_EQUAL(lacp_collecting(&left), 2);
	CU_ASSERT_EQUAL(left.n_switches, 0); /* the same aggregate, with one port less */
	lacp_set_link(&left, 0, true, 1, true, now);
	run(5000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 3);
}

static void
a_silent_link_leaves_after_three_seconds(void)
{
	run(5000);
	cut[0] = true;
	run(1900);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 3);
	run(2000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 2);
	CU_ASSERT_EQUAL(lacp_distributing(&right), 2);
	run(20000); /* alone, it is not used while another link has a partner */
	CU_ASSERT_EQUAL(lacp_distributing(&left), 2);
	cut[0] = false;
	run(6000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 3);
	CU_ASSERT_EQUAL(lacp_distributing(&right), 3);
}

static void
losses_do_not_matter(void)
{
	run(5000);
	for (unsigned int i = 0; i < 200; i++) {
		cut[0] = i % 2 == 0; /* every other second */
		run(1000);
		CU_ASSERT_EQUAL(lacp_distributing(&left), 3);
	}
}

static void
a_rebooted_partner_is_waited_for(void)
{
	run(5000);
	lacp_init(&right, &right_mac, 2);
	set_links(&right, 2, true);
	run(100);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 0); /* it does not collect yet */
	run(5000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 3);
	CU_ASSERT_EQUAL(lacp_distributing(&right), 3);
}

static void
other_keys_are_other_aggregates(void)
{
	lacp_set_link(&right, 1, true, 2, true, now);
	run(5000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 1);
	CU_ASSERT_EQUAL(lacp_distributing(&right), 1);
	CU_ASSERT_EQUAL(left.ports[1].aggregate, 1);
	/* The other one takes over when the first has no port left. */
	lacp_set_link(&left, 0, false, 1, true, now);
	lacp_set_link(&right, 0, false, 1, true, now);
	run(5000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 2);
	CU_ASSERT_EQUAL(left.n_switches, 1);
	/* ... and stays. */
	lacp_set_link(&left, 0, true, 1, true, now);
	lacp_set_link(&right, 0, true, 1, true, now);
	run(10000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 2);
}

static void
links_to_two_partners_are_two_aggregates(void)
{
	wire[1] = 10;
	run(10000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 1);
	CU_ASSERT_EQUAL(lacp_distributing(&third), 0);
}

static void
our_own_speeds_are_told_apart(void)
{
	lacp_set_link(&left, 1, true, 7, true, now);
	run(10000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 1);
	CU_ASSERT_EQUAL(lacp_distributing(&right), 1);
}

static void
half_duplex_links_stay_alone(void)
{
	lacp_set_link(&left, 1, false, 1, true, now);
	lacp_set_link(&left, 1, true, 1, false, now);
	run(10000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 1);
}

static void
a_looped_link_is_not_used(void)
{
	loops[1] = true;
	run(10000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 1);
	CU_ASSERT(left.ports[1].is_looped);
	CU_ASSERT_EQUAL(left.ports[1].aggregate, -1);
	loops[1] = false;
	run(10000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 3);
	/* Looped and then silent: forgiven after the long timeout. */
	loops[1] = true;
	left.ports[1].ntt = true;
	step();
	CU_ASSERT(left.ports[1].is_looped);
	loops[1] = false;
	cut[1] = true;
	run(LACP_LONG_TIMEOUT_MS + 100);
	CU_ASSERT_FALSE(left.ports[1].is_looped);
}

static void
without_a_partner_one_port_is_used(void)
{
	wire[0] = wire[1] = NOBODY;
	run(2900);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 0); /* somebody may still speak */
	run(3000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 1);
	CU_ASSERT(left.ports[0].actor.state & LACP_STATE_DEFAULTED);
	lacp_set_link(&left, 0, false, 1, true, now);
	run(6000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 2);
	wire[0] = 0; /* a partner is worth more */
	lacp_set_link(&left, 0, true, 1, true, now);
	run(6000);
	CU_ASSERT_EQUAL(lacp_distributing(&left), 1);
}

static void
wrong_frames_have_reasons(void)
{
	uint8_t frame[LACP_FRAME_LEN];

	right.ports[0].ntt = true;
	CU_ASSERT_TRUE_FATAL(lacp_take_frame(&right, 0, &right_mac, now, frame));
	CU_ASSERT_EQUAL(lacp_input(&left, 0, frame, 17, now), LACP_SHORT_FRAME);
	CU_ASSERT_EQUAL(lacp_input(&left, 0, frame, 60, now), LACP_SHORT_FRAME);
	frame[17]++;
	CU_ASSERT_EQUAL(lacp_input(&left, 0, frame, sizeof(frame), now), LACP_BAD_TLV);
	frame[17]--;
	frame[14] = 10; /* OSSP */
	CU_ASSERT_EQUAL(lacp_input(&left, 0, frame, sizeof(frame), now), LACP_UNKNOWN);
	frame[14] = 1;
	lacp_set_link(&left, 0, false, 1, true, now);
	CU_ASSERT_EQUAL(lacp_input(&left, 0, frame, sizeof(frame), now), LACP_NO_LINK);
}

static void
markers_are_answered(void)
{
	uint8_t frame[LACP_FRAME_LEN] = {[12] = 0x88, 0x09, 2, 1, 1, 16, 0, 9, 1, 2, 3, 4, 5, 6, 7};
	uint8_t before[LACP_FRAME_LEN];

	memcpy(before, frame, sizeof(frame));
	CU_ASSERT_EQUAL(lacp_input(&left, 0, frame, sizeof(frame), now), LACP_MARKER);
	lacp_answer_marker(frame, &left_mac);
	CU_ASSERT_EQUAL(frame[16], 2);
	CU_ASSERT_EQUAL(memcmp(frame + 6, &left_mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp(frame + 17, before + 17, sizeof(frame) - 17), 0);
	CU_ASSERT_EQUAL(lacp_input(&left, 0, frame, sizeof(frame), now), LACP_UNKNOWN);
}

static void
due_is_never_missed(void)
{
	/* Called when due only, two machines get as far as when called all the time. */
	uint64_t end = now + 60000;
	unsigned int steps = 0;

	while (now < end) {
		uint64_t due = lacp_due(&left, now), other = lacp_due(&right, now);

		due = due < other ? due : other;
		step();
		now = due > now ? due : now;
		steps++;
	}
	CU_ASSERT_EQUAL(lacp_distributing(&left), 3);
	CU_ASSERT(steps < 500);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(two_machines_agree_on_all_links),
	CUNIT_TEST(partners_that_ask_for_it_hear_us_every_second),
	CUNIT_TEST(other_partners_hear_us_every_half_minute),
	CUNIT_TEST(at_most_three_frames_a_second),
	CUNIT_TEST(a_lost_link_leaves_the_aggregate_at_once),
	CUNIT_TEST(a_silent_link_leaves_after_three_seconds),
	CUNIT_TEST(losses_do_not_matter),
	CUNIT_TEST(a_rebooted_partner_is_waited_for),
	CUNIT_TEST(other_keys_are_other_aggregates),
	CUNIT_TEST(links_to_two_partners_are_two_aggregates),
	CUNIT_TEST(our_own_speeds_are_told_apart),
	CUNIT_TEST(half_duplex_links_stay_alone),
	CUNIT_TEST(a_looped_link_is_not_used),
	CUNIT_TEST(without_a_partner_one_port_is_used),
	CUNIT_TEST(wrong_frames_have_reasons),
	CUNIT_TEST(markers_are_answered),
	CUNIT_TEST(due_is_never_missed),
};
CUNIT_MAIN("lacp", tests, setup, teardown)
