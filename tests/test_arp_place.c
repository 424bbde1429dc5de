/* SPDX-License-Identifier: BSD-3-Clause */
/* Places in the neighbour table: who gets one, who has to go, what waits. */
#include "tests/arp_rig.h"

static void
full_queue_drops_the_oldest(void)
{
	struct rte_mbuf *victim, *first = packet();
	struct arp_entry *e = arp_wait(t, PEER, first, false, START, &victim);

	for (unsigned int i = 1; i < ARP_QUEUE_MAX; i++)
		wait_for(PEER, START);
	arp_wait(t, PEER, packet(), false, START, &victim);
	CU_ASSERT_PTR_EQUAL(victim, first);
	rte_pktmbuf_free(victim);
	CU_ASSERT_EQUAL(drain(e), ARP_QUEUE_MAX);
}

static void
waiting_packets_are_bounded_in_total(void)
{
	for (uint32_t ip = 1; ip <= 2 * ARP_WAITING_MAX / ARP_QUEUE_MAX; ip++) {
		for (unsigned int i = 0; i < ARP_QUEUE_MAX; i++)
			wait_for(ip, START);
	}
	CU_ASSERT_EQUAL(arp_count_waiting(t), ARP_WAITING_MAX);
}

static void
requests_from_many_do_not_evict_neighbours_in_use(void)
{
	struct arp_entry *e;
	uint32_t ip;

	arp_learn(t, PEER, &peer_mac, false, true, START, &e);
	arp_use(t, e, START);
	for (ip = 1; ip <= 4 * ARP_ENTRIES_MAX; ip++)
		CU_ASSERT_EQUAL(arp_learn(t, ip, &other_mac, false, true, START, NULL),
			ARP_LEARN_UPDATED);
	CU_ASSERT_EQUAL(arp_count(t), ARP_UNCONFIRMED_MAX);
	CU_ASSERT_PTR_NOT_NULL(arp_find(t, PEER));
	CU_ASSERT_PTR_NOT_NULL(arp_find(t, ip - 1));
}

/* A thousand neighbours in use, and sixty thousand made-up addresses of every kind. */
static void
strangers_of_any_kind_leave_confirmed_neighbours_alone(void)
{
	struct rte_mbuf *victim;
	struct arp_entry *e;
	uint32_t ip, n_lost = 0;
	uint64_t now = START;

	for (ip = 1; ip <= 1000; ip++, now += HZ / 1000)
		confirmed(ip, now);
	for (ip = 10000; ip < 75000; ip++, now += HZ / 20000) {
		arp_learn(t, ip, &other_mac, false, true, now, &e);
		if (e != NULL && ip % 2)
			arp_use(t, e, now);
		arp_wait(t, 100000 + ip, packet(), true, now, &victim);
		rte_pktmbuf_free(victim);
		wait_for(200000 + ip, now);
		arp_learn(t, ip % 1000 + 1, &other_mac, ip % 3, false, now, NULL);
		if (ip % 64 == 0)
			tick(now);
	}
	for (ip = 1; ip <= 1000; ip++) {
		e = arp_find(t, ip);
		n_lost += e == NULL || !rte_is_same_ether_addr(&arp_header(e)->dst_addr, &peer_mac);
	}
	CU_ASSERT_EQUAL(n_lost, 0);
	CU_ASSERT_TRUE(arp_count(t) <= 1000 + ARP_ENTRIES_MAX / 2);
	arp_evicted(t);
}

static void
answers_to_strangers_do_not_push_out_packets_of_ours(void)
{
	struct rte_mbuf *victim;
	struct arp_entry *ours = wait_for(PEER, START);

	for (uint32_t ip = 1; ip <= 10 * ARP_STRANGERS_MAX; ip++) {
		for (int k = 0; k < 4; k++) {
			arp_wait(t, ip, packet(), true, START + ip, &victim);
			rte_pktmbuf_free(victim);
		}
		CU_ASSERT_TRUE(arp_count_waiting(t) <= 1 + ARP_STRANGERS_WAITING_MAX);
	}
	CU_ASSERT_EQUAL(arp_count(t), 1 + ARP_STRANGERS_MAX);
	CU_ASSERT_PTR_EQUAL(arp_find(t, PEER), ours);
	CU_ASSERT_EQUAL(ours->n_waiting, 1);
	CU_ASSERT_TRUE(arp_evicted(t) > 0);
	CU_ASSERT_EQUAL(arp_evicted(t), 0);
}

static void
stranger_we_send_to_is_none_any_more(void)
{
	struct rte_mbuf *victim;
	struct arp_entry *e = arp_wait(t, PEER, packet(), true, START, &victim);

	CU_ASSERT_EQUAL(e->place, ARP_STRANGER);
	CU_ASSERT_PTR_EQUAL(wait_for(PEER, START), e);
	CU_ASSERT_EQUAL(e->place, ARP_ASKED);
	CU_ASSERT_EQUAL(e->n_waiting, 2);
	arp_wait(t, PEER, packet(), true, START, &victim);
	CU_ASSERT_EQUAL(e->place, ARP_ASKED);
	CU_ASSERT_EQUAL(drain(e), 3);
}

static void
full_table_forgets_the_idle_and_nobody_else(void)
{
	uint64_t late = START + (ARP_IN_USE_S + 1) * (uint64_t)HZ;
	struct rte_mbuf *victim;
	uint32_t ip;

	for (ip = 1; ip <= ARP_ENTRIES_MAX; ip++)
		confirmed(ip, START);
	CU_ASSERT_EQUAL(arp_learn(t, PEER, &peer_mac, false, true, START + HZ, NULL), ARP_LEARN_FULL);
	CU_ASSERT_PTR_NULL(arp_wait(t, PEER, packet(), false, START + HZ, &victim));
	rte_pktmbuf_free(victim);
	for (ip = 2; ip <= ARP_ENTRIES_MAX; ip++)
		arp_use(t, arp_find(t, ip), late);
	for (ip = 0; ip < ARP_ENTRIES_MAX / 32 && arp_find(t, PEER) == NULL; ip++)
		wait_for(PEER, late); /* the hand comes round */
	CU_ASSERT_PTR_NOT_NULL(arp_find(t, PEER));
	CU_ASSERT_PTR_NULL(arp_find(t, 1));
	CU_ASSERT_EQUAL(arp_count(t), ARP_ENTRIES_MAX);
}

static void
strangers_leave_requests_for_our_own_neighbours(void)
{
	struct rte_mbuf *victim;
	struct arp_entry *e;
	unsigned int n;

	for (uint32_t ip = 1; ip <= ARP_STRANGERS_MAX; ip++) {
		arp_wait(t, ip, packet(), true, START, &victim);
		arp_learn(t, 1000 + ip, &other_mac, false, true, START, &e);
		arp_use(t, e, START);
	}
	for (n = 0; tick(START) > 0; n++)
		continue;
	CU_ASSERT_EQUAL(arp_take_request(t, arp_find(t, 1), START), false);
	e = wait_for(PEER, START);
	CU_ASSERT_TRUE(arp_take_request(t, e, START));
}

static void
refused_requests_come_first_the_next_time(void)
{
	unsigned int silent = 0;

	for (uint32_t ip = 1; ip <= ARP_ASKED_MAX; ip++)
		wait_for(ip, START);
	for (unsigned int ms = 0; ms < 1000; ms += 10)
		tick(START + ms * (HZ / 1000));
	for (uint32_t ip = 1; ip <= ARP_ASKED_MAX; ip++)
		silent += arp_find(t, ip)->tries == 0;
	CU_ASSERT_EQUAL(silent, 0); /* 256 at once, the rest within half a second */
}

static void
requests_are_limited_in_rate_and_go_later(void)
{
	unsigned int requests = 0;

	for (uint32_t ip = 1; ip <= ARP_ASKED_MAX; ip++)
		wait_for(ip, START);
	requests = tick(START);
	CU_ASSERT_EQUAL(requests, ARP_REQUESTS_PER_S);
	for (unsigned int ms = 10; ms < 1000; ms += 10)
		requests += tick(START + ms * (HZ / 1000));
	CU_ASSERT_EQUAL(requests, ARP_ASKED_MAX);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(full_queue_drops_the_oldest),
	CUNIT_TEST(waiting_packets_are_bounded_in_total),
	CUNIT_TEST(requests_from_many_do_not_evict_neighbours_in_use),
	CUNIT_TEST(strangers_of_any_kind_leave_confirmed_neighbours_alone),
	CUNIT_TEST(answers_to_strangers_do_not_push_out_packets_of_ours),
	CUNIT_TEST(stranger_we_send_to_is_none_any_more),
	CUNIT_TEST(full_table_forgets_the_idle_and_nobody_else),
	CUNIT_TEST(strangers_leave_requests_for_our_own_neighbours),
	CUNIT_TEST(refused_requests_come_first_the_next_time),
	CUNIT_TEST(requests_are_limited_in_rate_and_go_later),
};
CUNIT_MAIN("arp_place", tests, setup, teardown)
