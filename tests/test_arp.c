/* SPDX-License-Identifier: BSD-3-Clause */
/* Neighbour table and the verdict of arp-input. Time is a number; HZ ticks are a second. */
#include "nodes/arp.h"
#include "nodes/arp_verdict.h"
#include "tests/cunit_main.h"
#include "tests/harness.h"

#define HZ 1000000
#define START (5 * (uint64_t)HZ)
#define US HARNESS_IP(198, 18, 0, 1)
#define PEER HARNESS_IP(198, 18, 0, 2)
#define GATEWAY HARNESS_IP(198, 19, 0, 1)
#define MASK HARNESS_IP(255, 255, 255, 0)

static const struct rte_ether_addr our_mac = {{2, 0, 0, 0, 0, 1}};
static const struct rte_ether_addr peer_mac = {{2, 0, 0, 0, 0, 2}};
static const struct rte_ether_addr other_mac = {{2, 0, 0, 0, 0, 3}};
static struct arp_table *t;

static void
setup(void)
{
	harness_setup();
	t = arp_create(&(struct arp_params){.mac = our_mac, .hz = HZ, .seed = 1});
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
}

static void
teardown(void)
{
	arp_free(t);
	harness_teardown();
}

static struct rte_mbuf *
packet(void)
{
	return harness_packet(NULL, 64, 0);
}

static struct arp_entry *
wait_for(uint32_t ip, uint64_t now)
{
	struct rte_mbuf *victim;
	struct arp_entry *e = arp_wait(t, ip, packet(), false, now, &victim);

	rte_pktmbuf_free(victim);
	return e;
}

static unsigned int
drain(struct arp_entry *e)
{
	struct rte_mbuf *m;
	unsigned int n = 0;

	for (; (m = arp_pop(t, e)) != NULL; n++)
		rte_pktmbuf_free(m);
	return n;
}

/* Run the clock's work as ip4-timer does; returns the number of requests. */
static unsigned int
tick(uint64_t now)
{
	struct arp_entry *e;
	unsigned int pos = 0, n = 0;

	if (now < arp_due(t))
		return 0;
	n += arp_take_announcement(t, now);
	while ((e = arp_next_due(t, now, &pos)) != NULL) {
		if (e->tries >= ARP_TRIES) {
			drain(e);
			arp_remove(t, e);
		} else {
			n += arp_take_request(t, e, now);
		}
	}
	return n;
}

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

static struct arp_entry *
confirmed(uint32_t ip, uint64_t now)
{
	struct arp_entry *e = wait_for(ip, now);

	drain(e);
	CU_ASSERT_EQUAL(arp_learn(t, ip, &peer_mac, true, false, now, NULL), ARP_LEARN_UPDATED);
	CU_ASSERT_EQUAL(e->place, ARP_CONFIRMED);
	return e;
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

/* --- verdict ----------------------------------------------------------------------------------- */

static const struct arp_self self = {US, MASK, GATEWAY, {{2, 0, 0, 0, 0, 1}}};

static struct rte_arp_hdr
request(uint32_t sip, uint32_t tip)
{
	uint8_t frame[ARP_FRAME_LEN];

	arp_write_request(frame, &peer_mac, sip, tip, NULL);
	return *(const struct rte_arp_hdr *)(frame + RTE_ETHER_HDR_LEN);
}

static struct rte_arp_hdr
reply(uint32_t sip, uint32_t tip, const struct rte_ether_addr *tha)
{
	struct rte_arp_hdr arp = request(sip, tip);

	arp.arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
	arp.arp_data.arp_tha = *tha;
	return arp;
}

static void
request_for_us_is_answered_and_learned(void)
{
	struct rte_arp_hdr arp = request(PEER, US);
	struct arp_verdict v = arp_verdict(&self, &arp, sizeof(arp));

	CU_ASSERT_TRUE(v.reply && v.learn && v.create);
	CU_ASSERT_FALSE(v.asked || v.spread);
	arp = request(GATEWAY, US);
	CU_ASSERT_TRUE(arp_verdict(&self, &arp, sizeof(arp)).create);
}

static void
probe_is_answered_and_not_learned(void)
{
	struct rte_arp_hdr arp = request(0, US);
	struct arp_verdict v = arp_verdict(&self, &arp, sizeof(arp));

	CU_ASSERT_TRUE(v.reply);
	CU_ASSERT_FALSE(v.learn || v.create);
	arp = request(0, PEER);
	v = arp_verdict(&self, &arp, sizeof(arp));
	CU_ASSERT_FALSE(v.reply || v.learn);
	CU_ASSERT_EQUAL(v.error, ARP_INPUT_NOT_FOR_US);
}

static void
request_for_another_only_updates(void)
{
	struct rte_arp_hdr arp = request(PEER, HARNESS_IP(198, 18, 0, 9));
	struct arp_verdict v = arp_verdict(&self, &arp, sizeof(arp));

	CU_ASSERT_TRUE(v.learn);
	CU_ASSERT_FALSE(v.reply || v.create || v.spread);
	CU_ASSERT_EQUAL(v.error, ARP_INPUT_NOT_FOR_US);
}

static void
reply_to_us_is_an_answer_for_all_cores(void)
{
	struct rte_arp_hdr arp = reply(PEER, US, &our_mac);
	struct arp_verdict v = arp_verdict(&self, &arp, sizeof(arp));

	CU_ASSERT_TRUE(v.learn && v.asked && v.spread);
	CU_ASSERT_FALSE(v.reply || v.create);
	arp = reply(PEER, US, &other_mac);
	CU_ASSERT_FALSE(arp_verdict(&self, &arp, sizeof(arp)).asked);
	arp = reply(PEER, PEER, &peer_mac);
	v = arp_verdict(&self, &arp, sizeof(arp));
	CU_ASSERT_TRUE(v.learn && v.spread);
	CU_ASSERT_FALSE(v.asked);
}

static void
bad_frames_have_their_row(void)
{
	struct rte_arp_hdr good = request(PEER, US), arp;

#define EXPECT(change, row)                                                                        \
	do {                                                                                       \
		arp = good;                                                                        \
		change;                                                                            \
		struct arp_verdict v = arp_verdict(&self, &arp, sizeof(arp));                      \
		CU_ASSERT_EQUAL(v.error, row);                                                     \
		CU_ASSERT_FALSE(v.reply || v.learn || v.spread);                                   \
	} while (0)

	CU_ASSERT_EQUAL(arp_verdict(&self, &good, sizeof(good) - 1).error, ARP_INPUT_SHORT);
	EXPECT(arp.arp_hardware = 0, ARP_INPUT_BAD_FORMAT);
	EXPECT(arp.arp_protocol = RTE_BE16(0x86dd), ARP_INPUT_BAD_FORMAT);
	EXPECT(arp.arp_hlen = 8, ARP_INPUT_BAD_FORMAT);
	EXPECT(arp.arp_plen = 16, ARP_INPUT_BAD_FORMAT);
	EXPECT(arp.arp_opcode = RTE_BE16(3), ARP_INPUT_BAD_OPCODE);
	EXPECT(arp.arp_data.arp_sha.addr_bytes[0] |= 1, ARP_INPUT_BAD_SENDER_MAC);
	EXPECT(memset(&arp.arp_data.arp_sha, 0, 6), ARP_INPUT_BAD_SENDER_MAC);
	EXPECT(arp.arp_data.arp_sip = US, ARP_INPUT_DUPLICATE_ADDRESS);
	EXPECT(arp.arp_data.arp_sip = HARNESS_IP(198, 18, 0, 255), ARP_INPUT_BAD_SENDER_IP);
	EXPECT(arp.arp_data.arp_sip = HARNESS_IP(198, 18, 1, 1), ARP_INPUT_BAD_SENDER_IP);
	EXPECT(arp.arp_data.arp_sip = HARNESS_IP(224, 0, 0, 1), ARP_INPUT_BAD_SENDER_IP);
	EXPECT((arp.arp_data.arp_sip = 0, arp.arp_opcode = RTE_BE16(2)), ARP_INPUT_BAD_SENDER_IP);
	EXPECT((arp.arp_data.arp_sha = our_mac, arp.arp_data.arp_sip = US), ARP_INPUT_OWN);
#undef EXPECT
}

static void
neighbour_with_our_mac_is_a_neighbour(void)
{
	struct rte_arp_hdr arp = request(PEER, US);
	struct arp_verdict v;

	arp.arp_data.arp_sha = our_mac;
	v = arp_verdict(&self, &arp, sizeof(arp));
	CU_ASSERT_TRUE(v.reply && v.learn && v.create);

	arp.arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
	arp.arp_data.arp_tha = our_mac;
	v = arp_verdict(&self, &arp, sizeof(arp));
	CU_ASSERT_TRUE(v.learn && v.asked && v.spread);

	arp = request(0, US); /* a probe for our address */
	arp.arp_data.arp_sha = our_mac;
	v = arp_verdict(&self, &arp, sizeof(arp));
	CU_ASSERT_TRUE(v.reply);
	CU_ASSERT_FALSE(v.learn);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(packets_wait_and_leave_in_order),
	CUNIT_TEST(neighbour_with_our_mac_is_a_neighbour),
	CUNIT_TEST(header_is_written_in_front),
	CUNIT_TEST(silent_neighbour_is_asked_three_times_then_forgotten),
	CUNIT_TEST(trust_ends_and_use_confirms_by_unicast),
	CUNIT_TEST(unsolicited_reply_makes_no_entry),
	CUNIT_TEST(request_to_us_makes_a_stale_entry),
	CUNIT_TEST(unconfirmed_neighbour_moves_once_a_second),
	CUNIT_TEST(confirmed_neighbour_is_asked_before_it_moves),
	CUNIT_TEST(silent_neighbour_loses_a_disputed_address),
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
	CUNIT_TEST(first_core_announces_twice),
	CUNIT_TEST(random_use_keeps_the_table_whole),
	CUNIT_TEST(request_for_us_is_answered_and_learned),
	CUNIT_TEST(probe_is_answered_and_not_learned),
	CUNIT_TEST(request_for_another_only_updates),
	CUNIT_TEST(reply_to_us_is_an_answer_for_all_cores),
	CUNIT_TEST(bad_frames_have_their_row),
};
CUNIT_MAIN("arp", tests, setup, teardown)
