/* SPDX-License-Identifier: BSD-3-Clause */
/* Neighbour table: how an entry is made, trusted, asked and forgotten. */
#include "tests/arp_rig.h"

static void
packets_wait_and_leave_in_order(void)
{
	struct rte_mbuf *victim, *first = packet(), *second = packet();
	struct arp_entry *e = arp_wait(t, PEER, first, false, START, &victim);

	CU_ASSERT_EQUAL(e->state, ARP_INCOMPLETE);
	CU_ASSERT_TRUE(arp_take_request(t, e, START));
	CU_ASSERT_FALSE(arp_take_request(t, e, START)); /* one a second */
	CU_ASSERT_PTR_EQUAL(arp_wait(t, PEER, second, false, START, &victim), e);
	CU_ASSERT_EQUAL(arp_count_waiting(t), 2);
	CU_ASSERT_EQUAL(arp_learn(t, PEER, &peer_mac, true, false, START, NULL), ARP_LEARN_UPDATED);
	CU_ASSERT_EQUAL(e->state, ARP_REACHABLE);
	CU_ASSERT_PTR_EQUAL(arp_pop(t, e), first);
	CU_ASSERT_PTR_EQUAL(arp_pop(t, e), second);
	CU_ASSERT_PTR_NULL(arp_pop(t, e));
	rte_pktmbuf_free(first);
	rte_pktmbuf_free(second);
}

static void
header_is_written_in_front(void)
{
	const struct harness_ip4 h = {.src = US, .dst = PEER, .proto = 17};
	struct rte_mbuf *m = harness_ip4_packet(&h, NULL, 100, 0);
	struct arp_entry *e = wait_for(PEER, START);

	drain(e);
	arp_learn(t, PEER, &peer_mac, true, false, START, NULL);
	arp_write_l2(m, e);

	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);

	CU_ASSERT_TRUE(rte_is_same_ether_addr(&eth->dst_addr, &peer_mac));
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&eth->src_addr, &our_mac));
	CU_ASSERT_EQUAL(eth->ether_type, RTE_BE16(RTE_ETHER_TYPE_IPV4));
	CU_ASSERT_EQUAL(m->pkt_len, 134);
	CU_ASSERT_EQUAL(m->l2_len, 14);
	CU_ASSERT_EQUAL(rte_pktmbuf_mtod(m, const uint8_t *)[14], 0x45);
	rte_pktmbuf_free(m);
}

static void
silent_neighbour_is_asked_three_times_then_forgotten(void)
{
	unsigned int requests = 0;

	wait_for(PEER, START);
	for (unsigned int ms = 0; ms <= 2900; ms += 10)
		requests += tick(START + ms * (HZ / 1000));
	CU_ASSERT_EQUAL(requests, ARP_TRIES);
	CU_ASSERT_PTR_NOT_NULL(arp_find(t, PEER));
	tick(START + 3 * HZ);
	CU_ASSERT_PTR_NULL(arp_find(t, PEER));
	CU_ASSERT_EQUAL(arp_count_waiting(t), 0);
	CU_ASSERT_EQUAL(arp_due(t), UINT64_MAX);
}

static void
trust_ends_and_use_confirms_by_unicast(void)
{
	struct arp_entry *e = wait_for(PEER, START);
	uint64_t late = START + (ARP_REACHABLE_S + 1) * (uint64_t)HZ;

	drain(e);
	arp_learn(t, PEER, &peer_mac, true, false, START, NULL);
	arp_use(t, e, START + HZ);
	CU_ASSERT_EQUAL(e->state, ARP_REACHABLE);
	CU_ASSERT_EQUAL(tick(late), 0); /* nobody uses it, nobody asks */
	arp_use(t, e, late);
	CU_ASSERT_EQUAL(e->state, ARP_PROBE);
	CU_ASSERT_TRUE(arp_is_resolved(e)); /* packets go on */
	CU_ASSERT_EQUAL(tick(late), 1);
	CU_ASSERT_EQUAL(arp_learn(t, PEER, &peer_mac, true, false, late, NULL), ARP_LEARN_KEPT);
	CU_ASSERT_EQUAL(e->state, ARP_REACHABLE);
	CU_ASSERT_EQUAL(tick(late + 2 * HZ), 0);
	/* no answer: forgotten */
	late += (ARP_REACHABLE_S + 1) * (uint64_t)HZ;
	arp_use(t, e, late);
	for (unsigned int s = 0; s <= ARP_TRIES; s++)
		tick(late + s * (uint64_t)HZ);
	CU_ASSERT_PTR_NULL(arp_find(t, PEER));
}

static void
unsolicited_reply_makes_no_entry(void)
{
	CU_ASSERT_EQUAL(arp_learn(t, PEER, &peer_mac, false, false, START, NULL), ARP_LEARN_UNKNOWN);
	CU_ASSERT_EQUAL(arp_learn(t, PEER, &peer_mac, true, false, START, NULL), ARP_LEARN_UNKNOWN);
	CU_ASSERT_EQUAL(arp_count(t), 0);
}

static void
request_to_us_makes_a_stale_entry(void)
{
	struct arp_entry *e;

	CU_ASSERT_EQUAL(arp_learn(t, PEER, &peer_mac, false, true, START, &e), ARP_LEARN_UPDATED);
	CU_ASSERT_EQUAL(e->state, ARP_STALE);
	CU_ASSERT_EQUAL(tick(START), 0);
	arp_use(t, e, START);
	CU_ASSERT_EQUAL(e->state, ARP_PROBE);
}

static void
unconfirmed_neighbour_moves_once_a_second(void)
{
	struct arp_entry *e;

	arp_learn(t, PEER, &peer_mac, false, true, START, &e);
	CU_ASSERT_EQUAL(arp_learn(t, PEER, &other_mac, false, false, START + HZ / 2, NULL),
		ARP_LEARN_FLAPPING);
	CU_ASSERT_EQUAL(arp_learn(t, PEER, &other_mac, false, false, START + 2 * HZ, NULL),
		ARP_LEARN_UPDATED);
	CU_ASSERT_EQUAL(e->state, ARP_STALE); /* used, and confirmed at the first use */
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&arp_header(e)->dst_addr, &other_mac));
}

static void
confirmed_neighbour_is_asked_before_it_moves(void)
{
	struct arp_entry *e = confirmed(PEER, START);
	uint64_t now = START + 2 * HZ;

	CU_ASSERT_EQUAL(arp_learn(t, PEER, &other_mac, false, false, START + HZ / 2, NULL),
		ARP_LEARN_FLAPPING);
	CU_ASSERT_EQUAL(arp_learn(t, PEER, &other_mac, false, false, now, NULL), ARP_LEARN_DISPUTED);
	CU_ASSERT_EQUAL(tick(now), 1);
	/* whatever comes now, even as if it answered us, goes to the one that we know */
	CU_ASSERT_EQUAL(arp_learn(t, PEER, &other_mac, true, false, now, NULL), ARP_LEARN_DISPUTED);
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&arp_header(e)->dst_addr, &peer_mac));
	CU_ASSERT_EQUAL(arp_learn(t, PEER, &peer_mac, true, false, now, NULL), ARP_LEARN_KEPT);
	CU_ASSERT_EQUAL(e->state, ARP_REACHABLE);
	/* and the next claim has to wait */
	CU_ASSERT_EQUAL(arp_learn(t, PEER, &other_mac, false, false, now + 1, NULL),
		ARP_LEARN_FLAPPING);
}

static void
silent_neighbour_loses_a_disputed_address(void)
{
	struct arp_entry *e = confirmed(PEER, START);
	uint64_t now = START + 2 * HZ, took = 0;

	arp_learn(t, PEER, &other_mac, false, false, now, NULL);
	for (; e->tries < ARP_TRIES && took < HZ; took += HZ / 100)
		tick(now + took);
	CU_ASSERT_TRUE(took <= HZ / 2);
	CU_ASSERT_EQUAL(arp_learn(t, PEER, &other_mac, true, false, now + took, NULL),
		ARP_LEARN_UPDATED);
	CU_ASSERT_EQUAL(e->state, ARP_REACHABLE);
	CU_ASSERT_TRUE(rte_is_same_ether_addr(&arp_header(e)->dst_addr, &other_mac));
}

static void
first_core_announces_twice(void)
{
	struct arp_table *quiet = t;
	unsigned int n = 0;

	t = arp_create(&(struct arp_params){.mac = our_mac, .announce = true, .hz = HZ});
	CU_ASSERT_EQUAL(tick(START), 1);
	for (unsigned int s = 1; s < 20; s++)
		n += tick(START + s * (uint64_t)HZ);
	CU_ASSERT_EQUAL(n, 1);
	arp_free(t);
	t = quiet;
	CU_ASSERT_EQUAL(tick(START), 0);
}

static void
random_use_keeps_the_table_whole(void)
{
	uint64_t seed = 20240229, now = START;
	struct arp_entry *e;

	printf("(seed %lu) ", (unsigned long)seed);
	for (unsigned int i = 0; i < 200000; i++) {
		uint32_t ip = 1 + harness_random(&seed) % 1500;

		now += harness_random(&seed) % (HZ / 100);
		switch (harness_random(&seed) % 5) {
		case 0:
			wait_for(ip, now);
			break;
		case 1:
			arp_learn(t, ip, &peer_mac, true, false, now, &e);
			if (e != NULL && arp_is_resolved(e))
				drain(e);
			break;
		case 2:
			arp_learn(t, ip, &other_mac, false, true, now, &e);
			if (e != NULL && arp_is_resolved(e))
				drain(e);
			break;
		case 3:
			e = arp_find(t, ip);
			if (e != NULL && arp_is_resolved(e))
				arp_use(t, e, now);
			break;
		default:
			tick(now);
		}
		arp_evicted(t);
	}
	CU_ASSERT_TRUE(arp_count(t) <= ARP_ENTRIES_MAX);
	for (uint32_t ip = 1; ip <= 1500; ip++) {
		e = arp_find(t, ip);
		if (e != NULL) {
			drain(e);
			arp_remove(t, e);
		}
	}
	CU_ASSERT_EQUAL(arp_count(t), 0);
	CU_ASSERT_EQUAL(arp_count_waiting(t), 0);
	CU_ASSERT_EQUAL(tick(now + HZ), 0);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(packets_wait_and_leave_in_order),
	CUNIT_TEST(header_is_written_in_front),
	CUNIT_TEST(silent_neighbour_is_asked_three_times_then_forgotten),
	CUNIT_TEST(trust_ends_and_use_confirms_by_unicast),
	CUNIT_TEST(unsolicited_reply_makes_no_entry),
	CUNIT_TEST(request_to_us_makes_a_stale_entry),
	CUNIT_TEST(unconfirmed_neighbour_moves_once_a_second),
	CUNIT_TEST(confirmed_neighbour_is_asked_before_it_moves),
	CUNIT_TEST(silent_neighbour_loses_a_disputed_address),
	CUNIT_TEST(first_core_announces_twice),
	CUNIT_TEST(random_use_keeps_the_table_whole),
};
CUNIT_MAIN("arp", tests, setup, teardown)
