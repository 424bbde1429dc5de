/* SPDX-License-Identifier: BSD-3-Clause */
/* A bond: which link is used and heard, what waits for a port, links that change while a worker runs. */
#include <sys/resource.h>
#include <time.h>

#include "common/say.h"
#include "tests/bond_rig.h"

/* --- mode 1 ------------------------------------------------------------------------------------ */

static void
only_the_active_link_is_heard(void)
{
	start(BOND_ACTIVE_BACKUP, -1);
	put(0, frame_to(&frame_our_mac));
	put(1, frame_to(&frame_our_mac));
	put(1, frame_to(&everybody));
	walk();
	CU_ASSERT_EQUAL(stack.n_tcp, 1);
	CU_ASSERT_EQUAL(row("bond-rx", "passive-link"), 1);
	CU_ASSERT_EQUAL(row("bond-rx", "passive-group"), 1);
}

static void
frames_that_are_nobodys_are_dropped(void)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	start(BOND_ACTIVE_BACKUP, -1);
	rte_pktmbuf_append(m, 13);
	put(0, m);
	m = frame_to(&frame_our_mac);
	put(0, m);
	m->port = 7; /* as no driver of ours would say */
	walk();
	CU_ASSERT_EQUAL(stack.n_tcp, 0);
	CU_ASSERT_EQUAL(row("bond-rx", "bond-short"), 1);
	CU_ASSERT_EQUAL(row("bond-rx", "bond-stranger"), 1);
}

static void
a_lost_link_hands_over(void)
{
	struct rte_mbuf *m;

	start(BOND_ACTIVE_BACKUP, -1);
	set_link(0, false);
	CU_ASSERT_EQUAL(n_wakes, 2); /* once at start */
	walk();
	m = take(1, RTE_ETHER_TYPE_ARP); /* announced, at once */
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(arp_of(m)->arp_sip, FRAME_OURS);
	CU_ASSERT_EQUAL(arp_of(m)->arp_tip, FRAME_OURS);
	rte_pktmbuf_free(m);
	CU_ASSERT(bond->due_tsc != UINT64_MAX); /* and again */
	put(0, frame_to(&frame_our_mac));
	put(1, frame_to(&frame_our_mac));
	walk();
	CU_ASSERT_EQUAL(stack.n_tcp, 1);
	CU_ASSERT_EQUAL(row("bond-rx", "passive-link"), 1);
	/* Without a primary, the one in use stays in use. */
	set_link(0, true);
	CU_ASSERT_EQUAL(bond_links(bond).active, 1);
}

static void
a_primary_is_returned_to(void)
{
	CU_ASSERT_EQUAL(bond_choose_active(3, 1, 0, false), 1); /* not before it has settled */
	CU_ASSERT_EQUAL(bond_choose_active(3, 1, 0, true), 0);
	CU_ASSERT_EQUAL(bond_choose_active(1, 1, 0, false), 0); /* nothing else is there */
	CU_ASSERT_EQUAL(bond_choose_active(0, 1, 0, false), BOND_NO_SLAVE);
	start(BOND_ACTIVE_BACKUP, 1);
	CU_ASSERT_EQUAL(bond_links(bond).active, 1);
}

static void
without_links_packets_are_dropped(void)
{
	start(BOND_ACTIVE_BACKUP, -1);
	put(0, frame_arp(RTE_ARP_OP_REQUEST, &everybody, &frame_peer_mac, FRAME_PEER, &everybody,
		FRAME_OURS));
	walk();
	CU_ASSERT_EQUAL(count(0, RTE_ETHER_TYPE_ARP), 1); /* the reply */
	set_link(0, false);
	set_link(1, false);
	CU_ASSERT_EQUAL(bond_links(bond).active, BOND_NO_SLAVE);
	stack.out[stack.n_out++] = frame_ip(pool, 17, 8);
	rte_pktmbuf_adj(stack.out[0], RTE_ETHER_HDR_LEN);
	rte_pktmbuf_mtod(stack.out[0], struct rte_ipv4_hdr *)->dst_addr = FRAME_PEER;
	rte_pktmbuf_mtod(stack.out[0], struct rte_ipv4_hdr *)->src_addr = FRAME_OURS;
	stack.out[0]->l3_len = 20;
	walk();
	CU_ASSERT_EQUAL(row("tx", "tx-no-link"), 1);
	CU_ASSERT_EQUAL(worker.tx_backlog.n, 0);
}

static void
statistics_tell_the_ports_apart(void)
{
	struct bond_slave_stats s;
	struct bond_stats all;

	start(BOND_ACTIVE_BACKUP, -1);
	put(0, frame_to(&frame_our_mac));
	put(1, frame_to(&everybody));
	walk();
	bond_get_slave_stats(bond, 1, &s);
	CU_ASSERT(s.link && s.present && !s.active);
	CU_ASSERT(s.rx_pkts == 1 && s.rx_drops == 1);
	set_link(0, false);
	walk();
	bond_get_slave_stats(bond, 0, &s);
	CU_ASSERT_EQUAL(s.link_failures, 1);
	CU_ASSERT(!s.link && s.present && !s.active);
	bond_get_stats(bond, &all);
	CU_ASSERT(all.switches == 1 && all.active == 1);
	bond_get_slave_stats(bond, 1, &s); /* the announcement */
	CU_ASSERT_EQUAL(s.tx_pkts, 1);
}

/* --- what waits -------------------------------------------------------------------------------- */

static void
a_full_port_does_not_hold_up_another(void)
{
	struct rte_mbuf *pkts[64], *m;
	uint16_t sent, n_first = 0;

	start(BOND_8023AD, -1);
	distribute(3);
	while ((m = frame_to(&frame_peer_mac)), rte_eth_tx_burst(0, 0, &m, 1) == 1)
		n_first++;
	rte_pktmbuf_free(m);
	for (uint16_t i = 0; i < 64; i++)
		pkts[i] = numbered(flow_of(i % 2), i);
	sent = bond_send(&worker, pkts, 64);
	CU_ASSERT_EQUAL_FATAL(sent, 32);
	for (uint16_t i = sent; i < 64; i++) /* in order, at the end */
		CU_ASSERT_EQUAL(FRAME_IP(pkts[i])->packet_id, (i - sent) * 2);
	for (uint16_t i = 0; i < 32; i++) {
		m = take(1, 0);
		CU_ASSERT_EQUAL(FRAME_IP(m)->packet_id, i * 2 + 1);
		rte_pktmbuf_free(m);
	}
	/* They wait, and go to the other port when theirs loses its link. */
	memcpy(worker.tx_backlog.pkts, pkts + sent, 32 * sizeof(pkts[0]));
	worker.tx_backlog.n = 32;
	worker.tx_backlog.since_tsc = rte_rdtsc();
	CU_ASSERT_TRUE(tx_send_waiting(&worker));
	CU_ASSERT_EQUAL(worker.tx_backlog.n, 32);
	set_link(0, false);
	CU_ASSERT_TRUE(tx_send_waiting(&worker));
	CU_ASSERT_EQUAL(worker.tx_backlog.n, 0);
	for (uint16_t i = 0; i < 32; i++) {
		m = take(1, 0);
		CU_ASSERT_EQUAL(FRAME_IP(m)->packet_id, i * 2);
		rte_pktmbuf_free(m);
	}
	set_link(1, false); /* nothing is left */
	worker.tx_backlog.pkts[worker.tx_backlog.n++] = numbered(1, 1);
	CU_ASSERT_FALSE(tx_send_waiting(&worker));
}

static void
a_port_that_stands_still_is_passed_over(void)
{
	struct rte_mbuf *m = numbered(flow_of(0), 1);

	start(BOND_8023AD, -1);
	distribute(3);
	bond->workers[0].stalled_tsc[0] =
		rte_rdtsc() - rte_get_tsc_hz() / 1000 * (TX_STALL_MS + 100);
	CU_ASSERT_EQUAL(bond_send(&worker, &m, 1), 1);
	CU_ASSERT_EQUAL(count(0, 0), 0);
	CU_ASSERT_EQUAL(count(1, 0), 1);
	/* ... and tried again after as long. */
	bond->workers[0].stalled_tsc[0] =
		rte_rdtsc() - rte_get_tsc_hz() / 1000 * (2 * TX_STALL_MS + 100);
	m = numbered(flow_of(0), 1);
	CU_ASSERT_EQUAL(bond_send(&worker, &m, 1), 1);
	CU_ASSERT_EQUAL(count(0, 0), 1);
	CU_ASSERT_EQUAL(bond->workers[0].stalled_tsc[0], 0);
}

/* --- links that change ---------------------------------------------------------------------------- */

static atomic_bool is_over;

static void *
keep_walking(void *unused)
{
	while (!atomic_load(&is_over)) {
		struct rte_mbuf *pkts[2] = {numbered(1, 1), numbered(2, 2)};
		uint16_t sent = bond_send(&worker, pkts, 2);

		rte_pktmbuf_free_bulk(pkts + sent, 2 - sent);
		walk();
	}
	return NULL;
}

/* The monitor's part is played by this thread. */
static void
links_change_under_a_running_worker(void)
{
	struct bond_slave_stats s;
	pthread_t thread;

	start(BOND_ALB, -1);
	atomic_store(&is_over, false);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, keep_walking, NULL), 0);
	for (unsigned int i = 0; i < 3000; i++) {
		unsigned int port = i / 2 % LINKS;

		set_link(port, i % 2 == 1);
		atomic_store(&bond->slaves[port].removed, i % 7 == 0);
		bond_get_slave_stats(bond, port, &s);
	}
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	for (unsigned int i = 0; i < LINKS; i++)
		atomic_store(&bond->slaves[i].removed, false);
	CU_ASSERT_FALSE(atomic_load(&bond->workers[0].busy));
}

/* A program may forbid itself descriptors: poll() fails then, and links are looked at all the same. */
static void
monitor_goes_on_where_no_descriptor_is_allowed(void)
{
	const struct timespec wait = {.tv_nsec = 10000000};
	struct rlimit old, none;

	start(BOND_ACTIVE_BACKUP, -1);
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
	CU_ASSERT_EQUAL(bond_start(bond), 0);
	nanosleep(&wait, NULL); /* it has begun */
	rte_eth_dev_set_link_down(0);
	for (unsigned int i = 0; i < 500 && bond_links(bond).active != 1; i++)
		nanosleep(&wait, NULL);
	CU_ASSERT_EQUAL(bond_links(bond).active, 1);
	bond_stop(bond);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* --- what is said --------------------------------------------------------------------------------- */

static char said[512];
static int n_said;

static void
keep_said(const char *text, size_t n)
{
	snprintf(said, sizeof(said), "%.*s", (int)n, text);
	n_said++;
}

static void
look_twice(bool removed, const char *expect)
{
	for (unsigned int i = 0; i < LINKS; i++)
		atomic_store(&bond->slaves[i].removed, removed);
	n_said = 0;
	bond_monitor_look(bond);
	bond_monitor_look(bond);
	CU_ASSERT_EQUAL(n_said, LINKS);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, expect));
}

/* Between the driver's open() and the first look at the links. */
static void
devices_that_go_during_the_start_are_said(void)
{
	start(BOND_ACTIVE_BACKUP, -1);
	atomic_store(&bond->links, bond_pack(&(struct bond_links){.active = BOND_NO_SLAVE}));
	say_write_by(keep_said);
	look_twice(true, "has gone");
	look_twice(false, "is back");
	say_write_by(NULL);
}

static const struct cunit_test tests[] = {
	CUNIT_TEST(only_the_active_link_is_heard),
	CUNIT_TEST(frames_that_are_nobodys_are_dropped),
	CUNIT_TEST(a_lost_link_hands_over),
	CUNIT_TEST(a_primary_is_returned_to),
	CUNIT_TEST(without_links_packets_are_dropped),
	CUNIT_TEST(statistics_tell_the_ports_apart),
	CUNIT_TEST(a_full_port_does_not_hold_up_another),
	CUNIT_TEST(a_port_that_stands_still_is_passed_over),
	CUNIT_TEST(links_change_under_a_running_worker),
	CUNIT_TEST(monitor_goes_on_where_no_descriptor_is_allowed),
	CUNIT_TEST(devices_that_go_during_the_start_are_said),
};
EAL_TEST_MAIN("bond", tests, setup, teardown)
