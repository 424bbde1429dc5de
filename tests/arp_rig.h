/* SPDX-License-Identifier: BSD-3-Clause */
/* A neighbour table for the suites of it. Time is a number; HZ ticks are a second. */
#ifndef TESTS_ARP_RIG_H
#define TESTS_ARP_RIG_H

#include "nodes/arp.h"
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

static inline void
setup(void)
{
	harness_setup();
	t = arp_create(&(struct arp_params){.mac = our_mac, .hz = HZ, .seed = 1});
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
}

static inline void
teardown(void)
{
	arp_free(t);
	harness_teardown();
}

static inline struct rte_mbuf *
packet(void)
{
	return harness_packet(NULL, 64, 0);
}

static inline struct arp_entry *
wait_for(uint32_t ip, uint64_t now)
{
	struct rte_mbuf *victim;
	struct arp_entry *e = arp_wait(t, ip, packet(), false, now, &victim);

	rte_pktmbuf_free(victim);
	return e;
}

static inline unsigned int
drain(struct arp_entry *e)
{
	struct rte_mbuf *m;
	unsigned int n = 0;

	for (; (m = arp_pop(t, e)) != NULL; n++)
		rte_pktmbuf_free(m);
	return n;
}

/* Run the clock's work as ip4-timer does; returns the number of requests. */
static inline unsigned int
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

static inline struct arp_entry *
confirmed(uint32_t ip, uint64_t now)
{
	struct arp_entry *e = wait_for(ip, now);

	drain(e);
	CU_ASSERT_EQUAL(arp_learn(t, ip, &peer_mac, true, false, now, NULL), ARP_LEARN_UPDATED);
	CU_ASSERT_EQUAL(e->place, ARP_CONFIRMED);
	return e;
}

#endif
